//! A section of the configuration: a struct whose fields are the keys, whose doc comments are the
//! manual.
//!
//! Does: declare a section once (`section!`) and derive from it the struct, the reader that refuses
//! unknown keys, the defaults and the rows of the reference. Does not: know any section.
//! In: a table of the text. Out: the typed section, or errors in [`Reading`].
//! Invariant: a default is read by the same code as a value, so that both cannot drift apart.

use crate::future::later_key;
use crate::reading::Reading;
use crate::source::{SourceId, Span};
use crate::tree::{self, Entry, Node, Table};

/// One key of a section, as the reference shows it.
#[derive(Debug, Clone)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// What may be written.
    pub kind: String,
    /// The default as TOML; `None` if there is none.
    pub default: Option<&'static str>,
    /// Whether the key must be given.
    pub is_required: bool,
    /// Unit and effect.
    pub doc: String,
}

/// A typed value of one key.
pub(crate) trait Setting: Sized {
    /// What may be written, for the reference and for messages ("a duration such as …").
    fn kind() -> String;
    /// The value, or `None` with an error recorded.
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self>;
    /// The value of a key that is not there and has no default; `None`: the key is required.
    fn absent() -> Option<Self> {
        None
    }
    /// The value as TOML; `None` if there is none. Secrets print redacted.
    fn show(&self) -> Option<String>;
}

impl<T: Setting> Setting for Option<T> {
    fn kind() -> String {
        T::kind()
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        T::read(node, reading).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }
}

/// A struct made by `section!`.
pub(crate) trait Section: Sized {
    /// What the section is for.
    const DOC: &'static [&'static str];
    /// The keys in the order of the reference.
    fn fields() -> Vec<Field>;
    /// The section, or `None` with every error of it recorded.
    fn read(keys: &Keys<'_>, reading: &mut Reading<'_>) -> Option<Self>;
    /// Keys and values as TOML; without those that are absent.
    fn values(&self) -> Vec<(&'static str, String)>;
}

/// The keys given for one section.
pub(crate) struct Keys<'a> {
    /// How messages call the section: `[bus]`, `[[polling]]`.
    pub(crate) title: &'a str,
    /// The header, or the whole inline table.
    pub(crate) span: Span,
    pub(crate) table: &'a Table,
}

impl Keys<'_> {
    /// Where a key's value stands; the section if it is not given.
    pub(crate) fn span_of(&self, key: &str) -> Span {
        self.table
            .get(key)
            .map_or(self.span, |entry| entry.node.span)
    }

    /// Refuses keys that are not among `fields`.
    pub(crate) fn refuse_unknown(&self, fields: &[Field], reading: &mut Reading<'_>) {
        for entry in &self.table.entries {
            if !fields.iter().any(|field| field.key == entry.key) {
                self.unknown(entry, fields, reading);
            }
        }
    }

    fn unknown(&self, entry: &Entry, fields: &[Field], reading: &mut Reading<'_>) {
        let title = self.title;
        let key = shown_key(&entry.key);
        if let Some(later) = later_key(title, &entry.key) {
            let reason = format!("key {key:?} of {title} is not in this version");
            return reading.wrong(entry.key_span, reason, later);
        }
        let known = || fields.iter().map(|field| field.key);
        let remedy = ocelli_model::suggest::nearest(&entry.key, known()).map_or_else(
            || {
                let list: Vec<&str> = known().collect();
                format!("the keys of {title} are: {}", list.join(", "))
            },
            |nearest| format!("did you mean {nearest:?}?"),
        );
        reading.wrong(
            entry.key_span,
            format!("unknown key {key:?} in {title}"),
            remedy,
        );
    }

    /// One value: given, else the default, else absent.
    pub(crate) fn take<T: Setting>(
        &self,
        key: &'static str,
        default: Option<&'static str>,
        reading: &mut Reading<'_>,
    ) -> Option<T> {
        if let Some(entry) = self.table.get(key) {
            return T::read(&entry.node, reading);
        }
        let value = match default {
            Some(text) => T::read(&default_node(text)?, reading),
            None => T::absent(),
        };
        if value.is_none() {
            let title = self.title;
            let kind = T::kind();
            let reason = format!("{title} has no {key:?}");
            reading.wrong(self.span, reason, format!("add {key} = {kind}"));
        }
        value
    }
}

/// A mistyped key is quoted, but not by the kilobyte.
fn shown_key(key: &str) -> String {
    key.chars().take(64).collect()
}

/// The default of the declaration as the parser reads it.
fn default_node(text: &str) -> Option<Node> {
    let (table, _) = tree::parse(SourceId(usize::MAX), &format!("default = {text}"));
    table.entries.into_iter().next().map(|entry| entry.node)
}

/// Joins the lines of a doc comment.
pub(crate) fn doc_text(lines: &[&str]) -> String {
    let trimmed: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    trimmed.join(" ").trim().to_owned()
}

/// A section as TOML writes it inside another.
pub(crate) fn inline_table(section: &impl Section) -> String {
    let entry = |(key, value)| format!("{key} = {value}");
    let entries: Vec<String> = section.values().into_iter().map(entry).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// Declares a section: `/// manual` `pub key: Type = default,`. A field whose name is not its key
/// says so: `pub privacy in "priv": …`. Without a default, an `Option` may be absent and every
/// other type is required.
macro_rules! section {
    (@key $key:ident) => { stringify!($key) };
    (@key $key:ident $name:literal) => { $name };
    (@default) => {
        None::<&'static str>
    };
    (@default $default:literal) => { Some(stringify!($default)) };
    (
        $(#[doc = $doc:literal])+
        pub struct $section:ident {
            $(
                $(#[doc = $field_doc:literal])+
                pub $key:ident $(in $name:literal)? : $type:ty $(= $default:literal)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $section {
            $( $(#[doc = $field_doc])+ pub $key: $type, )*
        }

        impl $crate::section::Section for $section {
            const DOC: &'static [&'static str] = &[$($doc),+];

            fn fields() -> Vec<$crate::section::Field> {
                vec![$(
                    $crate::section::Field {
                        key: section!(@key $key $($name)?),
                        kind: <$type as $crate::section::Setting>::kind(),
                        default: section!(@default $($default)?),
                        is_required: section!(@default $($default)?).is_none()
                            && <$type as $crate::section::Setting>::absent().is_none(),
                        doc: $crate::section::doc_text(&[$($field_doc),+]),
                    }
                ),*]
            }

            fn read(
                keys: &$crate::section::Keys<'_>,
                reading: &mut $crate::reading::Reading<'_>,
            ) -> Option<Self> {
                let errors_before = reading.error_count();
                keys.refuse_unknown(&Self::fields(), reading);
                $(
                    let $key = keys.take(
                        section!(@key $key $($name)?),
                        section!(@default $($default)?),
                        reading,
                    );
                )*
                let is_whole = reading.error_count() == errors_before;
                let section = Self { $($key: $key?),* };
                is_whole.then_some(section)
            }

            fn values(&self) -> Vec<(&'static str, String)> {
                let all = [$(
                    (
                        section!(@key $key $($name)?),
                        $crate::section::Setting::show(&self.$key),
                    )
                ),*];
                all.into_iter().filter_map(|(key, text)| text.map(|text| (key, text))).collect()
            }
        }
    };
}
pub(crate) use section;

/// Makes a section a value too: an inline table, or one table of an array.
macro_rules! nested_section {
    ($type:ty, $title:literal, $kind:literal) => {
        impl $crate::section::Setting for $type {
            fn kind() -> String {
                String::from($kind)
            }

            fn read(
                node: &$crate::tree::Node,
                reading: &mut $crate::reading::Reading<'_>,
            ) -> Option<Self> {
                let $crate::tree::Value::Table(table) = &node.value else {
                    $crate::value::wrong_kind::<Self>(node, reading);
                    return None;
                };
                let keys = $crate::section::Keys {
                    title: $title,
                    span: node.span,
                    table,
                };
                <Self as $crate::section::Section>::read(&keys, reading)
            }

            fn show(&self) -> Option<String> {
                Some($crate::section::inline_table(self))
            }
        }
    };
}
pub(crate) use nested_section;
