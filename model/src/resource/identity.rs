//! Which resource: (site, class, subclass, type, id), and its text form.
//!
//! Does: hold the five parts cheaply cloneable, print `site/class/subclass/type/id` with `/` and
//! `%` inside a part percent-encoded, read that text back. Does not: hold endpoint or metadata,
//! which may change without the resource becoming another.
//! In: five texts by the rules of [`check_field`], or the text form. Out: [`ResourceId`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ResourceError, check_field};

/// Names of the five parts as Panoptes' JSON has them, in order.
pub const IDENTITY_FIELDS: [&str; 5] = [
    "resource_site",
    "resource_class",
    "resource_subclass",
    "resource_type",
    "resource_id",
];

/// Identity of a resource. A clone costs one reference count; order is part by part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    parts: [Box<str>; 5],
    text: Box<str>,
}

/// Why a text names no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceIdError {
    /// Not five parts.
    #[error(
        "{text:?} has {found} parts; a resource is named site/class/subclass/type/id, \
         a / inside a part is written %2F"
    )]
    Parts {
        /// The text as given.
        text: String,
        /// How many parts it has.
        found: usize,
    },
    /// A `%` that begins neither `%2F` nor `%25`.
    #[error("{text:?} has a % that stands for nothing; write a percent sign as %25, a / as %2F")]
    Escape {
        /// The text as given.
        text: String,
    },
    /// A part that no resource may have.
    #[error("{text:?} names no resource: {source}")]
    Part {
        /// The text as given.
        text: String,
        /// What is wrong with the part.
        source: ResourceError,
    },
}

impl ResourceId {
    /// The identity of these parts: site, class, subclass, type, id.
    ///
    /// # Errors
    /// A [`ResourceError`] for the first part that is empty, too long or holds `|` or a control
    /// character.
    pub fn new(parts: [&str; 5]) -> Result<Self, ResourceError> {
        for (field, part) in IDENTITY_FIELDS.iter().zip(parts) {
            check_field(field, part)?;
        }
        let text = parts.map(encode_part).join("/").into();
        let parts = parts.map(Box::from);
        Ok(Self(Arc::new(Parts { parts, text })))
    }

    /// `site/class/subclass/type/id`, encoded: the name in API, command line and records.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// A place name.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.0.parts[0]
    }

    /// Such as `network`.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.0.parts[1]
    }

    /// Such as `switch`.
    #[must_use]
    pub fn subclass(&self) -> &str {
        &self.0.parts[2]
    }

    /// Such as `cisco`.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        &self.0.parts[3]
    }

    /// Unique within the four others.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.parts[4]
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0.text)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ResourceId({self})")
    }
}

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, ResourceIdError> {
        let mut parts = Vec::with_capacity(IDENTITY_FIELDS.len());
        for part in text.split('/') {
            parts.push(decode_part(part).ok_or_else(|| ResourceIdError::Escape {
                text: text.to_owned(),
            })?);
        }
        let [site, class, subclass, resource_type, id] = parts.as_slice() else {
            return Err(ResourceIdError::Parts {
                text: text.to_owned(),
                found: parts.len(),
            });
        };
        Self::new([site, class, subclass, resource_type, id]).map_err(|source| {
            ResourceIdError::Part {
                text: text.to_owned(),
                source,
            }
        })
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn encode_part(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

fn decode_part(part: &str) -> Option<String> {
    let mut pieces = part.split('%');
    let mut decoded = String::from(pieces.next()?);
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        decoded.push(match code {
            "25" => '%',
            "2F" | "2f" => '/',
            _ => return None,
        });
        decoded.push_str(rest);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_form_encodes_only_slash_and_percent() {
        let id = ResourceId::new(["dc 1", "network", "switch", "a/b", "100%"]).unwrap();
        assert_eq!(id.as_str(), "dc 1/network/switch/a%2Fb/100%25");
        assert_eq!(
            (id.site(), id.resource_type(), id.id()),
            ("dc 1", "a/b", "100%")
        );
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }

    #[test]
    fn a_text_that_names_no_resource_is_refused_with_its_reason() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<ResourceId>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        check("", "has 1 parts");
        check("a/b/c/d", "has 4 parts");
        check("a/b/c/d/e/f", "has 6 parts");
        check("a/b/c/d/50%", "%25");
        check("a/b/c/d/50%é", "%25");
        check("a/b/c/d/50%41", "%25");
        check("a/b//d/e", "resource_subclass is empty");
        check("a/b/c/d|/e", "resource_type");
    }

    proptest! {
        #[test]
        fn the_text_form_reads_back_as_itself(
            parts in proptest::array::uniform5("[a-z0-9/%. é]{1,8}")
        ) {
            let id = ResourceId::new(parts.each_ref().map(String::as_str)).unwrap();
            prop_assert_eq!(id.to_string().parse::<ResourceId>(), Ok(id.clone()));
            prop_assert_eq!([id.site(), id.class(), id.subclass(), id.resource_type(), id.id()],
                parts.each_ref().map(String::as_str));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<ResourceId>() {
                prop_assert_eq!(id.to_string().parse::<ResourceId>(), Ok(id));
            }
        }
    }
}
