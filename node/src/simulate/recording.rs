//! Recordings of real agents (`.snmprec`), replayed as they are.
//!
//! Does: parse lines `OID|TAG|VALUE`, find names in them. Does not: let values move.
//! In: text. Out: [`Recording`], or [`RecordingError`] with the line.

use std::net::Ipv4Addr;

use ocelli_model::oid::{Oid, OidError};
use ocelli_snmp::ber::{BackWriter, tag};
use ocelli_snmp::oid::{EncodedOid, OidEncodeError, OidRef};
use ocelli_snmp::value::Value;

use super::switch::{Missing, Place};

/// Most lines of one recording: the largest routers have fewer rows.
const LINES_MAX: usize = 1_000_000;

/// A line that is no variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// Not three parts.
    #[error("line {line} of the recording is no OID|TAG|VALUE")]
    NotThreeParts {
        /// Counted from 1.
        line: usize,
    },
    /// The name is no OID.
    #[error("line {line} of the recording: {source}")]
    BadName {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: OidError,
    },
    /// The name has no BER form.
    #[error("line {line} of the recording: {source}")]
    NotEncodable {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: OidEncodeError,
    },
    /// The tag is unknown.
    #[error(
        "line {line} of the recording has tag {tag:?}; use 2 4 5 6 64 65 66 67 68 70, 4x for hex"
    )]
    BadTag {
        /// Counted from 1.
        line: usize,
        /// As written.
        tag: String,
    },
    /// The value does not fit the tag.
    #[error("line {line} of the recording: {value:?} is no value of tag {tag}")]
    BadValue {
        /// Counted from 1.
        line: usize,
        /// As written.
        tag: String,
        /// As written.
        value: String,
    },
    /// Too many lines.
    #[error("recording has more than {LINES_MAX} lines; cut it")]
    TooLong,
}

#[derive(Debug)]
enum Recorded {
    Null,
    Integer(i32),
    Octets(Box<[u8]>),
    ObjectId(EncodedOid),
    IpAddress(Ipv4Addr),
    Counter32(u32),
    Gauge32(u32),
    TimeTicks(u32),
    Opaque(Box<[u8]>),
    Counter64(u64),
}

/// The variables of one recording, in order.
#[derive(Debug)]
pub struct Recording {
    variables: Vec<(EncodedOid, Recorded)>,
}

impl Recording {
    /// Parses a recording. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// All variants of [`RecordingError`].
    pub fn parse(text: &[u8]) -> Result<Self, RecordingError> {
        let mut variables: Vec<(EncodedOid, Recorded)> = Vec::new();
        for (index, line) in text.split(|octet| *octet == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if variables.len() >= LINES_MAX {
                return Err(RecordingError::TooLong);
            }
            variables.push(parse_line(line, index + 1)?);
        }
        // Real recordings have lines out of order and lines twice; the first of them counts.
        variables.sort_by(|(one, _), (other, _)| one.as_oid_ref().cmp(&other.as_oid_ref()));
        variables.dedup_by(|(later, _), (first, _)| later == first);
        Ok(Self { variables })
    }

    /// How many variables it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// Its variable of this name: what `sysDescr` was, for the resource's metadata.
    #[must_use]
    pub fn text(&self, name: OidRef<'_>) -> Option<String> {
        let place = self.get(name).ok()?;
        match &self.variables.get(place.row as usize)?.1 {
            Recorded::Octets(octets) => Some(String::from_utf8_lossy(octets).into_owned()),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: OidRef<'_>) -> Result<Place, Missing> {
        let found = self
            .variables
            .binary_search_by(|(own, _)| own.as_oid_ref().cmp(&name));
        match found {
            Ok(row) => Ok(place(row)),
            // Where a neighbour shares all but the instance, the object exists.
            Err(row) => {
                let is_sibling = |(own, _): &(EncodedOid, Recorded)| {
                    let (own, name) = (own.as_oid_ref().as_ber(), name.as_ber());
                    let stem = name.len().saturating_sub(1);
                    stem > 0 && own.starts_with(&name[..stem])
                };
                let near = row.saturating_sub(1)..(row + 1).min(self.variables.len());
                let sibling = self.variables[near].iter().any(is_sibling);
                Err(if sibling {
                    Missing::Instance
                } else {
                    Missing::Object
                })
            }
        }
    }

    pub(super) fn after(&self, name: OidRef<'_>) -> Option<Place> {
        let row = self
            .variables
            .partition_point(|(own, _)| own.as_oid_ref() <= name);
        (row < self.variables.len()).then(|| place(row))
    }

    pub(super) fn step(&self, from: Place) -> Option<Place> {
        let row = from.row as usize + 1;
        (row < self.variables.len()).then(|| place(row))
    }

    pub(super) fn is_counter64(&self, place: Place) -> bool {
        let variable = self.variables.get(place.row as usize);
        matches!(variable, Some((_, Recorded::Counter64(_))))
    }

    pub(super) fn write_name(&self, writer: &mut BackWriter<'_>, place: Place) {
        if let Some((name, _)) = self.variables.get(place.row as usize) {
            writer.element(tag::OBJECT_IDENTIFIER, name.as_oid_ref().as_ber());
        }
    }

    pub(super) fn write_value(&self, writer: &mut BackWriter<'_>, place: Place) {
        let Some((_, recorded)) = self.variables.get(place.row as usize) else {
            return;
        };
        let value = match recorded {
            Recorded::Null => Value::Null,
            Recorded::Integer(value) => Value::Integer(*value),
            Recorded::Octets(octets) => Value::OctetString(octets),
            Recorded::ObjectId(oid) => Value::ObjectId(oid.as_oid_ref()),
            Recorded::IpAddress(address) => Value::IpAddress(*address),
            Recorded::Counter32(value) => Value::Counter32(*value),
            Recorded::Gauge32(value) => Value::Gauge32(*value),
            Recorded::TimeTicks(value) => Value::TimeTicks(*value),
            Recorded::Opaque(octets) => Value::Opaque(octets),
            Recorded::Counter64(value) => Value::Counter64(*value),
        };
        value.write(writer);
    }
}

fn place(row: usize) -> Place {
    Place {
        column: 0,
        row: u32::try_from(row).unwrap_or(u32::MAX),
    }
}

fn parse_line(text: &[u8], line: usize) -> Result<(EncodedOid, Recorded), RecordingError> {
    let mut parts = text.splitn(3, |octet| *octet == b'|');
    let (Some(name), Some(tag), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(RecordingError::NotThreeParts { line });
    };
    let name = parse_oid(&String::from_utf8_lossy(name), line)?;
    Ok((
        name,
        parse_value(&String::from_utf8_lossy(tag), value, line)?,
    ))
}

fn parse_oid(text: &str, line: usize) -> Result<EncodedOid, RecordingError> {
    let oid: Oid = text
        .parse()
        .map_err(|source| RecordingError::BadName { line, source })?;
    EncodedOid::new(&oid).map_err(|source| RecordingError::NotEncodable { line, source })
}

fn parse_value(tag: &str, octets: &[u8], line: usize) -> Result<Recorded, RecordingError> {
    let text = String::from_utf8_lossy(octets);
    let bad = || RecordingError::BadValue {
        line,
        tag: tag.to_owned(),
        value: text.clone().into_owned(),
    };
    let number = || text.parse::<u32>().map_err(|_| bad());
    let (number_of_tag, is_hex) = match tag.strip_suffix('x') {
        Some(plain) => (plain, true),
        None => (tag, false),
    };
    let octets = if is_hex {
        from_hex(&text).ok_or_else(bad)?
    } else {
        octets.into()
    };
    let address = || match (is_hex, <[u8; 4]>::try_from(&*octets)) {
        (true, Ok(octets)) => Ok(octets.into()),
        _ => text.parse().map_err(|_| bad()),
    };
    Ok(match number_of_tag {
        "2" => Recorded::Integer(text.parse().map_err(|_| bad())?),
        "4" => Recorded::Octets(octets),
        "5" => Recorded::Null,
        "6" => Recorded::ObjectId(parse_oid(&text, line)?),
        "64" => Recorded::IpAddress(address()?),
        "65" => Recorded::Counter32(number()?),
        "66" => Recorded::Gauge32(number()?),
        "67" => Recorded::TimeTicks(number()?),
        "68" => Recorded::Opaque(octets),
        "70" => Recorded::Counter64(text.parse().map_err(|_| bad())?),
        _ => {
            return Err(RecordingError::BadTag {
                line,
                tag: tag.to_owned(),
            });
        }
    })
}

fn from_hex(text: &str) -> Option<Box<[u8]>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
