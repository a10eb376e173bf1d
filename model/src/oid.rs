//! SNMP object identifiers.
//!
//! Does: parse, print, compare and cut OIDs arc by arc (never as text: `1.1` does not
//! begin `1.10`).
//! Does not: BER (`snmp`), names of MIB objects (`plugins`).
//! In: dotted text with or without a leading dot, or arcs. Out: [`Oid`], ordered lexicographically
//! as RFC 3416 §4.2.2 orders variables.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// RFC 2578 §3.5: at most 128 sub-identifiers in an object identifier.
pub const ARCS_MAX: usize = 128;

/// An object identifier: at most [`ARCS_MAX`] arcs of 32 bits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(Box<[u32]>);

/// Why a text or a list of arcs is no object identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OidError {
    /// Nothing between two dots, or nothing at all.
    #[error("object identifier {text:?} has an empty arc; write it as 1.3.6.1.2.1")]
    EmptyArc {
        /// The text as given.
        text: String,
    },
    /// An arc that is no number of 32 bits.
    #[error("object identifier {text:?} has the arc {arc:?}; arcs are numbers up to 4294967295")]
    BadArc {
        /// The text as given.
        text: String,
        /// The part between two dots.
        arc: String,
    },
    /// More than [`ARCS_MAX`] arcs.
    #[error("object identifier has {arcs} arcs; the limit is {ARCS_MAX} (RFC 2578 §3.5)")]
    TooLong {
        /// How many arcs were given.
        arcs: usize,
    },
}

impl Oid {
    /// An OID of these arcs.
    ///
    /// # Errors
    /// [`OidError::TooLong`] above [`ARCS_MAX`] arcs.
    pub fn from_arcs(arcs: &[u32]) -> Result<Self, OidError> {
        if arcs.len() > ARCS_MAX {
            return Err(OidError::TooLong { arcs: arcs.len() });
        }
        Ok(Self(arcs.into()))
    }

    /// The arcs, first to last.
    #[must_use]
    pub fn arcs(&self) -> &[u32] {
        &self.0
    }

    /// What follows `prefix`, or `None` if this OID does not begin with it.
    ///
    /// ```
    /// # use ocelli_model::oid::Oid;
    /// let column: Oid = "1.3.6.1.2.1.2.2.1.2".parse()?;
    /// let instance: Oid = "1.3.6.1.2.1.2.2.1.2.7".parse()?;
    /// assert_eq!(instance.index_under(&column), Some(&[7][..]));
    /// assert_eq!("1.3.6.1.2.1.2.2.1.20.7".parse::<Oid>()?.index_under(&column), None);
    /// # Ok::<(), ocelli_model::oid::OidError>(())
    /// ```
    #[must_use]
    pub fn index_under(&self, prefix: &Oid) -> Option<&[u32]> {
        self.0.strip_prefix(&*prefix.0)
    }

    /// This OID with `arcs` appended.
    ///
    /// # Errors
    /// [`OidError::TooLong`] above [`ARCS_MAX`] arcs.
    pub fn child(&self, arcs: &[u32]) -> Result<Self, OidError> {
        Self::from_arcs(&[&self.0, arcs].concat())
    }
}

impl FromStr for Oid {
    type Err = OidError;

    fn from_str(text: &str) -> Result<Self, OidError> {
        let dotted = text.strip_prefix('.').unwrap_or(text);
        let mut arcs = Vec::new();
        for arc in dotted.split('.') {
            if arc.is_empty() {
                return Err(OidError::EmptyArc {
                    text: text.to_owned(),
                });
            }
            let is_number = arc.bytes().all(|byte| byte.is_ascii_digit());
            match arc.parse() {
                Ok(number) if is_number => arcs.push(number),
                _ => {
                    return Err(OidError::BadArc {
                        text: text.to_owned(),
                        arc: arc.to_owned(),
                    });
                }
            }
        }
        Self::from_arcs(&arcs)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arc) in self.0.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            write!(formatter, "{dot}{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Oid({self})")
    }
}

impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_oid_is_refused_with_its_reason() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Oid>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        check("", "empty arc");
        check("1..3", "empty arc");
        check("1.3.x", "\"x\"");
        check("1.+3", "\"+3\"");
        check("1.4294967296", "\"4294967296\"");
        check(&vec!["1"; ARCS_MAX + 1].join("."), "129 arcs");
    }

    #[test]
    fn order_is_arc_by_arc_and_print_round_trips() {
        let parse = |text: &str| text.parse::<Oid>().unwrap();
        assert!(parse("1.3.9") < parse("1.3.10"));
        assert!(parse("1.3") < parse("1.3.0"));
        assert_eq!(parse(".1.3.6.1").to_string(), "1.3.6.1");
    }
}
