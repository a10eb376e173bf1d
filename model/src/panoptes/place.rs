//! Where in a message something is wrong: `metrics[3].metric_value`.
//!
//! Does: carry a JSON value with its path, take fields out with errors that name the path.
//! Does not: know any message. In: parsed JSON. Out: typed fields or [`FormatError`].

use serde_json::{Map, Value};

use super::MESSAGE_BYTES_MAX;
use crate::resource::type_name;
use crate::unix_seconds::UnixSeconds;

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// More bytes than [`MESSAGE_BYTES_MAX`].
    #[error("the message has {bytes} bytes; {MESSAGE_BYTES_MAX} is the limit, split it")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// No JSON.
    #[error("line {line} column {column}: {reason}; write one JSON message")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column.
        column: usize,
        /// What the JSON reader says.
        reason: String,
    },
    /// A field that must be there is not.
    #[error("{place} is missing; add it")]
    Missing {
        /// Path of the field.
        place: String,
    },
    /// Another JSON type, or a value outside its range.
    #[error("{place} is {found}; expected {expected}")]
    Unexpected {
        /// Path of the value.
        place: String,
        /// What stands there.
        found: String,
        /// What must.
        expected: &'static str,
    },
    /// The same name a second time.
    #[error("{place} repeats {name}; names are unique here, remove one")]
    Duplicate {
        /// Path of the second.
        place: String,
        /// The name.
        name: String,
    },
    /// A part that breaks the rules of its own type.
    #[error("{place}: {reason}")]
    Part {
        /// Path of the part.
        place: String,
        /// Which rule, and what to do.
        reason: String,
    },
}

/// Parses one message.
pub(super) fn parse_json(bytes: &[u8]) -> Result<Value, FormatError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(FormatError::TooLarge { bytes: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let place = format!(" at line {line} column {column}");
        let reason = text.strip_suffix(&place).unwrap_or(&text).to_owned();
        FormatError::Json {
            line,
            column,
            reason,
        }
    })
}

/// A value and the path that leads to it; empty at the top.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) value: &'a Value,
    path: String,
}

impl<'a> At<'a> {
    pub(super) fn top(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    pub(super) fn place(&self) -> String {
        if self.path.is_empty() {
            String::from("the message")
        } else {
            self.path.clone()
        }
    }

    /// The field `name`, if it is there.
    pub(super) fn get(&self, name: &str) -> Result<Option<Self>, FormatError> {
        Ok(self
            .object()?
            .get(name)
            .map(|value| self.child(value, name)))
    }

    /// The field `name`, which must be there.
    pub(super) fn field(&self, name: &str) -> Result<Self, FormatError> {
        self.get(name)?.ok_or_else(|| FormatError::Missing {
            place: self.path_of(name),
        })
    }

    /// A field by its key, known to be in the object.
    pub(super) fn child(&self, value: &'a Value, name: &str) -> Self {
        Self {
            value,
            path: self.path_of(name),
        }
    }

    pub(super) fn items(&self) -> Result<impl Iterator<Item = Self> + '_, FormatError> {
        let Value::Array(items) = self.value else {
            return Err(self.unexpected("a list"));
        };
        let at = |(index, value)| At {
            value,
            path: format!("{}[{index}]", self.path),
        };
        Ok(items.iter().enumerate().map(at))
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, FormatError> {
        self.value
            .as_object()
            .ok_or_else(|| self.unexpected("an object"))
    }

    pub(super) fn text(&self) -> Result<&'a str, FormatError> {
        let text = self.value.as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| self.unexpected("text that is not empty"))
    }

    /// An integer above zero, as a number.
    pub(super) fn positive(&self) -> Result<u64, FormatError> {
        let number = self.value.as_u64().filter(|number| *number > 0);
        number.ok_or_else(|| self.unexpected("a whole number above 0"))
    }

    /// Unix seconds as a number, or as text (defect D12 of files in use).
    pub(super) fn seconds(&self) -> Result<UnixSeconds, FormatError> {
        let seconds = match self.value {
            Value::Number(number) => number.as_f64().and_then(UnixSeconds::new),
            Value::String(text) => UnixSeconds::parse(text),
            _ => None,
        };
        seconds.ok_or_else(|| self.unexpected("Unix seconds, as 1532023709.743"))
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> FormatError {
        let found = match self.value {
            Value::Bool(_) | Value::Number(_) => self.value.to_string(),
            Value::String(text) => format!("{:?}", text.chars().take(64).collect::<String>()),
            other => type_name(other).to_owned(),
        };
        FormatError::Unexpected {
            place: self.place(),
            found,
            expected,
        }
    }

    pub(super) fn duplicate(&self, name: String) -> FormatError {
        FormatError::Duplicate {
            place: self.place(),
            name,
        }
    }

    pub(super) fn part(&self, reason: &dyn std::fmt::Display) -> FormatError {
        FormatError::Part {
            place: self.place(),
            reason: reason.to_string(),
        }
    }

    fn path_of(&self, name: &str) -> String {
        let shown: String = name.chars().take(64).collect();
        if self.path.is_empty() {
            shown
        } else {
            format!("{}.{shown}", self.path)
        }
    }
}
