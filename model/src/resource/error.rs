//! Why something is no resource: one variant a rule, each naming field, reason and remedy.
//!
//! Does: hold the refusals and their texts. Does not: say which row (`file` does, by index, place
//! and id). In: the value that breaks a rule. Out: [`ResourceError`].

use super::{FIELD_BYTES_MAX, METADATA_KEY_BYTES_MAX, METADATA_PAIRS_MAX, RESOURCE_BYTES_MAX};

/// The first rule that a resource breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// Not JSON inside an otherwise readable array (a number out of range, nesting too deep).
    #[error("the row is not readable JSON: {reason}")]
    Unreadable {
        /// What the JSON reader says.
        reason: String,
    },
    /// Another JSON type than an object.
    #[error("a resource is {found}; write an object with resource_site, resource_class and so on")]
    NotObject {
        /// What stands there.
        found: &'static str,
    },
    /// A field that must be there is not.
    #[error("{field} is missing; add it")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A string field of another JSON type.
    #[error("{field} is {found}; write it as text in double quotes")]
    NotText {
        /// The field.
        field: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A string field without a character.
    #[error("{field} is empty; give it a value")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// `|` or a control character in a string field: it would spoil Panoptes' keys.
    #[error("{field} contains {character:?}; remove it (| and control characters are not allowed)")]
    Character {
        /// The field.
        field: &'static str,
        /// The first such character.
        character: char,
    },
    /// A string field beyond [`FIELD_BYTES_MAX`].
    #[error("{field} has {bytes} bytes; shorten it to {FIELD_BYTES_MAX} at most")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// `resource_metadata` of another JSON type.
    #[error("resource_metadata is {found}; write an object of names and texts")]
    NotMetadata {
        /// What stands there.
        found: &'static str,
    },
    /// More pairs than [`METADATA_PAIRS_MAX`].
    #[error("resource_metadata has {found} pairs; {METADATA_PAIRS_MAX} is the limit, remove some")]
    MetadataCount {
        /// How many there are.
        found: usize,
    },
    /// A metadata key outside Panoptes' key pattern, or too long.
    #[error(
        "resource_metadata key {key:?} is no name; use a letter or _, then letters, digits, _ \
         ({METADATA_KEY_BYTES_MAX} bytes at most)"
    )]
    MetadataKey {
        /// The key, cut if it was long.
        key: String,
    },
    /// A metadata value that is no text.
    #[error("resource_metadata.{key} is {found}; write it as text in double quotes")]
    MetadataType {
        /// The key.
        key: String,
        /// What stands there.
        found: &'static str,
    },
    /// A metadata value that is empty or holds `|`.
    #[error("resource_metadata.{key} is {value:?}; give it a value without |, or leave it out")]
    MetadataValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// `_resource_ttl` that is no whole number above zero.
    #[error(
        "resource_metadata._resource_ttl is {value:?}; write whole seconds above 0, as \"604800\""
    )]
    Ttl {
        /// The value.
        value: String,
    },
    /// A creation timestamp that is no time.
    #[error("resource_creation_timestamp is {found}; write Unix seconds, as 1532023147.34")]
    Timestamp {
        /// The JSON that stands there.
        found: String,
    },
    /// All texts together beyond [`RESOURCE_BYTES_MAX`].
    #[error(
        "the resource has {bytes} bytes of text; {RESOURCE_BYTES_MAX} is the limit, \
         shorten its metadata"
    )]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// The same identity as an earlier row.
    #[error(
        "the same site, class, subclass, type and id stand in row {first_index}; \
         remove one or rename it"
    )]
    Duplicate {
        /// Index of the first row with it, from 0.
        first_index: usize,
    },
}
