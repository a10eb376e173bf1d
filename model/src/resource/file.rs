//! The discovery file: a JSON array of resource objects, as Panoptes' JSON discovery reads it.
//!
//! Does: read the bytes, take the good rows, refuse each bad one by index, place, id and reason.
//! Does not: open files, decide whether a smaller set may replace a larger one (`catalog`).
//! In: bytes and [`ResourceDefaults`]. Out: [`ResourceFile`], or one error for the whole.
//! Limits: [`RESOURCE_FILE_BYTES_MAX`], [`RESOURCE_ROWS_MAX`]; beyond them nothing is taken.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Resource, ResourceDefaults, ResourceError, ResourceId};
use crate::unix_seconds::UnixSeconds;

/// Largest discovery file: 100,000 generously annotated resources are about 60 MB.
pub const RESOURCE_FILE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most rows in one file: twice and a half what one site is built for.
pub const RESOURCE_ROWS_MAX: usize = 250_000;
/// Longest id quoted in a refusal, characters.
const QUOTED_ID_CHARS_MAX: usize = 128;

/// What a discovery file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFile {
    /// The good rows in the order of the file, no two of one identity.
    pub resources: Vec<Resource>,
    /// The bad rows in the order of the file.
    pub refusals: Vec<Refusal>,
    /// The creation time that stands in rows that bring none.
    pub undated: Option<UnixSeconds>,
}

/// A row that was left out. Refused rows never count as removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Position in the array, from 0.
    pub index: usize,
    /// Line of the row's first character, from 1.
    pub line: usize,
    /// Column of the row's first character, from 1, in bytes.
    pub column: usize,
    /// `resource_id` if the row has a readable one.
    pub id: Option<String>,
    /// Full identity if at least that is sound: the resource that is refused, not removed.
    pub identity: Option<ResourceId>,
    /// The rule that it breaks.
    pub reason: ResourceError,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            line,
            column,
            reason,
            ..
        } = self;
        write!(formatter, "line {line} column {column}: resource ")?;
        match &self.id {
            Some(id) => write!(formatter, "{id:?} (row {index}) is refused: {reason}"),
            None => write!(formatter, "in row {index} is refused: {reason}"),
        }
    }
}

/// Why nothing of a file can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceFileError {
    /// More bytes than [`RESOURCE_FILE_BYTES_MAX`].
    #[error("the file has {bytes} bytes; {RESOURCE_FILE_BYTES_MAX} is the limit, split it")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Bytes that are no UTF-8.
    #[error("line {line} column {column}: not UTF-8; save the file in that encoding")]
    Encoding {
        /// Line of the first bad byte, from 1.
        line: usize,
        /// Its column, from 1, in bytes.
        column: usize,
    },
    /// Not JSON, cut short, or no array.
    #[error("line {line} column {column}: {reason}; the file must be a JSON array of resources")]
    Json {
        /// Line of the place, from 1.
        line: usize,
        /// Its column.
        column: usize,
        /// What the JSON reader says.
        reason: String,
    },
    /// More rows than [`RESOURCE_ROWS_MAX`].
    #[error("the file has more than {RESOURCE_ROWS_MAX} rows; split it into several discoveries")]
    TooManyRows,
    /// Rows, but not one that is good.
    #[error("none of the {rows} rows is a resource; the first: {first}")]
    NoGoodRow {
        /// How many there are.
        rows: usize,
        /// Why the first is refused.
        first: Box<Refusal>,
    },
}

/// Reads a discovery file. A bad row is refused and the rest is taken.
///
/// # Errors
/// [`ResourceFileError`] if the whole is unreadable or holds rows but no good one. An empty array
/// is no error: whether it may empty a site is decided by the catalog's shrink guard.
pub fn parse_resource_file(
    bytes: &[u8],
    defaults: &ResourceDefaults,
) -> Result<ResourceFile, ResourceFileError> {
    let rows = split_rows(bytes)?;
    let mut places = Places::of(bytes);
    let mut file = ResourceFile {
        undated: Some(defaults.now),
        ..ResourceFile::default()
    };
    let mut first_index = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let value: Result<Value, _> = serde_json::from_str(row.get());
        let read = match &value {
            Ok(value) => Resource::from_json(value, defaults),
            Err(error) => Err(ResourceError::Unreadable {
                reason: error.to_string(),
            }),
        };
        let read =
            read.and_then(
                |resource| match first_index.insert(resource.id().clone(), index) {
                    None => Ok(resource),
                    Some(first) => {
                        first_index.insert(resource.id().clone(), first);
                        Err(ResourceError::Duplicate { first_index: first })
                    }
                },
            );
        match read {
            Ok(resource) => file.resources.push(resource),
            Err(reason) => {
                let (line, column) = places.locate(row.get());
                let value = value.unwrap_or_default();
                file.refusals.push(Refusal {
                    index,
                    line,
                    column,
                    id: quoted_id(&value),
                    identity: identity_of(&value),
                    reason,
                });
            }
        }
    }
    match file.refusals.first() {
        Some(first) if file.resources.is_empty() => Err(ResourceFileError::NoGoodRow {
            rows: rows.len(),
            first: Box::new(first.clone()),
        }),
        _ => Ok(file),
    }
}

// === The array ===

struct Rows<'a> {
    rows: Vec<&'a RawValue>,
    is_too_long: bool,
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of resources")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Rows<'de>, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = access.next_element::<&'de RawValue>()? {
            if rows.len() == RESOURCE_ROWS_MAX {
                while access.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                return Ok(Rows {
                    rows,
                    is_too_long: true,
                });
            }
            rows.push(row);
        }
        Ok(Rows {
            rows,
            is_too_long: false,
        })
    }
}

fn split_rows(bytes: &[u8]) -> Result<Vec<&RawValue>, ResourceFileError> {
    if bytes.len() > RESOURCE_FILE_BYTES_MAX {
        return Err(ResourceFileError::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place_of(&bytes[..error.valid_up_to()]);
        ResourceFileError::Encoding { line, column }
    })?;
    // Editors on Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_str(text);
    let rows = reader
        .deserialize_seq(RowsVisitor)
        .and_then(|rows| reader.end().map(|()| rows))
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let text = error.to_string();
            let place = format!(" at line {line} column {column}");
            let reason = text.strip_suffix(&place).unwrap_or(&text).to_owned();
            ResourceFileError::Json {
                line,
                column,
                reason,
            }
        })?;
    if rows.is_too_long {
        return Err(ResourceFileError::TooManyRows);
    }
    Ok(rows.rows)
}

// === Places and names for refusals ===

/// Finds line and column of rows that ascend in the file: each byte is looked at once.
struct Places<'a> {
    bytes: &'a [u8],
    seen: usize,
    line: usize,
    line_start: usize,
}

impl<'a> Places<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            seen: 0,
            line: 1,
            line_start: 0,
        }
    }

    /// `row` is a slice of the bytes, at or after the one asked for before.
    fn locate(&mut self, row: &str) -> (usize, usize) {
        let offset = (row.as_ptr().addr()).saturating_sub(self.bytes.as_ptr().addr());
        for (position, byte) in self.bytes.iter().enumerate().take(offset).skip(self.seen) {
            if *byte == b'\n' {
                self.line += 1;
                self.line_start = position + 1;
            }
        }
        self.seen = self.seen.max(offset);
        (self.line, offset.saturating_sub(self.line_start) + 1)
    }
}

fn place_of(before: &[u8]) -> (usize, usize) {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    (line, before.len() - line_start + 1)
}

fn quoted_id(row: &Value) -> Option<String> {
    let id = row.get("resource_id")?.as_str()?;
    Some(id.chars().take(QUOTED_ID_CHARS_MAX).collect())
}

fn identity_of(row: &Value) -> Option<ResourceId> {
    let mut parts = [""; 5];
    for (part, field) in parts.iter_mut().zip(super::IDENTITY_FIELDS) {
        *part = row.get(field)?.as_str()?;
    }
    ResourceId::new(parts).ok()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
