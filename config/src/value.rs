//! The types of single settings: names, paths, addresses, tables, lists, choices.
//!
//! Does: turn one TOML value into a validated type with an error that says what to write. Does
//! not: know which key it is for, nor read numbers (`number`) or secrets (`secret`).
//! In: a [`Node`]. Out: the value, or an error recorded in [`Reading`].
//! Past this file no `String` means an address and no zero means "off".

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;

use ocelli_model::tier::Tier;

use crate::reading::Reading;
use crate::section::Setting;
use crate::tree::{Node, Value};

/// A name longer than this fits no list, log line or label.
const NAME_BYTES_MAX: usize = 128;
/// Entries of one table of labels, tags or metadata.
const LABELS_MAX: usize = 64;
/// Bytes of one label.
const LABEL_BYTES_MAX: usize = 1_024;
/// Entries of one list of addresses or host names.
const LIST_MAX: usize = 256;

/// A name that people gave: of a node, site, plugin or credential. Not empty, at most 128 bytes,
/// no control characters, no blank at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Names with values: labels, tags, metadata. At most 64 of at most 1 KiB each.
pub type Labels = BTreeMap<String, String>;

// === Values as others read them ===

impl Name {
    /// The name if it is one.
    ///
    /// # Errors
    /// Why it is none.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
        if !fits || text.trim() != text || text.chars().any(char::is_control) {
            return Err(NameError);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {NAME_BYTES_MAX} bytes, no control characters and no blank at either end")]
pub struct NameError;

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

// === Reading them ===

/// A value of the wrong kind. Says the kind found, never the value: it may be a secret.
pub(crate) fn wrong_kind<T: Setting>(node: &Node, reading: &mut Reading<'_>) {
    let reason = format!("expected {}, found {}", T::kind(), node.value.kind());
    let remedy = match node.value {
        Value::Integer(_) | Value::Other(_) | Value::Boolean(_) => "put it in quotes if it is text",
        _ => "see `ocelli config reference` for the forms of each key",
    };
    reading.wrong(node.span, reason, remedy);
}

pub(crate) fn text<'a, T: Setting>(node: &'a Node, reading: &mut Reading<'_>) -> Option<&'a str> {
    if let Value::Text(text) = &node.value {
        return Some(text);
    }
    wrong_kind::<T>(node, reading);
    None
}

/// A string as TOML writes it, quotes included.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

impl Setting for bool {
    fn kind() -> String {
        String::from("true or false")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        if let Value::Boolean(flag) = node.value {
            return Some(flag);
        }
        wrong_kind::<Self>(node, reading);
        None
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for Name {
    fn kind() -> String {
        String::from("a name")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let name = text::<Self>(node, reading)?;
        Self::new(name)
            .map_err(|error| reading.wrong(node.span, "not a name", error.to_string()))
            .ok()
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

impl Setting for PathBuf {
    fn kind() -> String {
        String::from("a path, relative to the file that it stands in")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let path = text::<Self>(node, reading)?;
        if path.is_empty() || path.contains('\0') {
            reading.wrong(
                node.span,
                "not a path",
                "give the path of a file or directory",
            );
            return None;
        }
        Some(reading.resolve_path(node.span, path))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.display().to_string()))
    }
}

/// Settings that are a string with a `FromStr`.
macro_rules! parsed_setting {
    ($type:ty, $kind:literal) => {
        impl Setting for $type {
            fn kind() -> String {
                String::from($kind)
            }

            fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
                let value = text::<Self>(node, reading)?;
                let parsed = value.parse().ok();
                if parsed.is_none() {
                    let reason = format!("{value:?} is not {}", $kind);
                    reading.wrong(node.span, reason, concat!("give ", $kind));
                }
                parsed
            }

            fn show(&self) -> Option<String> {
                Some(quoted(&self.to_string()))
            }
        }
    };
}

parsed_setting!(Tier, "\"site\" or \"region\" or \"global\"");
parsed_setting!(IpAddr, "an IP address such as 192.0.2.1 or 2001:db8::1");
parsed_setting!(
    SocketAddr,
    "an address with port such as 127.0.0.1:7780 or [::]:7700"
);

impl Setting for Labels {
    fn kind() -> String {
        String::from("a table of names with text")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let Value::Table(table) = &node.value else {
            wrong_kind::<Self>(node, reading);
            return None;
        };
        if table.entries.len() > LABELS_MAX {
            let reason = format!("{} entries are too many", table.entries.len());
            reading.wrong(node.span, reason, format!("keep at most {LABELS_MAX}"));
            return None;
        }
        let mut labels = Self::new();
        for entry in &table.entries {
            let value = text::<Name>(&entry.node, reading)?;
            if Name::new(&entry.key).is_err() || value.len() > LABEL_BYTES_MAX {
                let remedy = format!("names have 128 bytes at most, values {LABEL_BYTES_MAX}");
                reading.wrong(
                    entry.key_span,
                    "an entry is too long or its name is none",
                    remedy,
                );
                return None;
            }
            labels.insert(entry.key.clone(), value.to_owned());
        }
        Some(labels)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn show(&self) -> Option<String> {
        let entry =
            |(key, value): (&String, &String)| format!("{} = {}", quoted(key), quoted(value));
        let entries: Vec<String> = self.iter().map(entry).collect();
        (!entries.is_empty()).then(|| format!("{{ {} }}", entries.join(", ")))
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn kind() -> String {
        format!("a list, each {}", T::kind())
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let Value::Array(items) = &node.value else {
            wrong_kind::<Self>(node, reading);
            return None;
        };
        if items.len() > LIST_MAX {
            let reason = format!("{} entries are too many", items.len());
            reading.wrong(node.span, reason, format!("keep at most {LIST_MAX}"));
            return None;
        }
        // All are read, so that all errors are told.
        let values: Vec<Option<T>> = items.iter().map(|item| T::read(item, reading)).collect();
        values.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    fn show(&self) -> Option<String> {
        let shown: Vec<String> = self.iter().filter_map(Setting::show).collect();
        (!shown.is_empty()).then(|| format!("[{}]", shown.join(", ")))
    }
}

/// An enum of words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident {
            $(
                $(#[doc = $variant_doc:literal])+
                $variant:ident = $text:literal $(| $alias:literal)*
            ),+ $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[doc = $variant_doc])+ $variant, )+
        }

        impl $name {
            /// The word as the configuration has it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            const ALL: &'static [(&'static str, Self)] = &[$( ($text, Self::$variant) ),+];

            /// The value of a word or of another spelling of it; dashes and case do not count.
            fn of_word(text: &str) -> Option<Self> {
                let is_meant = |word: &&str| {
                    let letters = |text: &str| text.replace('-', "").to_ascii_lowercase();
                    letters(word) == letters(text)
                };
                $(
                    if [$text $(, $alias)*].iter().any(is_meant) {
                        return Some(Self::$variant);
                    }
                )+
                None
            }
        }

        impl $crate::section::Setting for $name {
            fn kind() -> String {
                let words: Vec<String> =
                    Self::ALL.iter().map(|(word, _)| format!("{word:?}")).collect();
                words.join(" or ")
            }

            fn read(
                node: &$crate::tree::Node,
                reading: &mut $crate::reading::Reading<'_>,
            ) -> Option<Self> {
                let text = $crate::value::text::<Self>(node, reading)?;
                let found = Self::of_word(text);
                if found.is_none() {
                    let near = ocelli_model::suggest::nearest(
                        text,
                        Self::ALL.iter().map(|(word, _)| *word),
                    );
                    let remedy = format!(
                        "choose {}{}",
                        <Self as $crate::section::Setting>::kind(),
                        ocelli_model::suggest::did_you_mean(near),
                    );
                    reading.wrong(node.span, "no such choice", remedy);
                }
                found
            }

            fn show(&self) -> Option<String> {
                Some($crate::value::quoted(self.as_str()))
            }
        }
    };
}
pub(crate) use choice;
