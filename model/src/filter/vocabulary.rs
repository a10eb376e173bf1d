//! Which fields a filter may speak of, and how a subject answers.
//!
//! Does: name the fields of resources, or of the rows of a group (its dimensions), resolve them
//! without regard to case. Does not: parse or evaluate. In: names. Out: [`Field`], [`Vocabulary`].

use std::sync::{Arc, LazyLock};

use crate::resource::{IDENTITY_FIELDS, Resource};
use crate::suggest::nearest;

/// The prefix of metadata conditions: `resource_metadata.make`.
const METADATA_PREFIX: &str = "resource_metadata";

static RESOURCE: LazyLock<Arc<Vocabulary>> = LazyLock::new(|| {
    let names = IDENTITY_FIELDS.into_iter().chain(["resource_endpoint"]);
    Arc::new(Vocabulary {
        names: names.map(str::to_owned).collect(),
        prefix: Some(METADATA_PREFIX),
    })
});

/// A field as a condition names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The field at this position of the vocabulary.
    Plain(usize),
    /// The metadata of this key, in lower case.
    Keyed(String),
}

/// The names that a filter may use.
#[derive(Debug, PartialEq, Eq)]
pub struct Vocabulary {
    names: Vec<String>,
    prefix: Option<&'static str>,
}

impl Vocabulary {
    /// The six fields of resources and their metadata.
    #[must_use]
    pub fn resource() -> Arc<Self> {
        Arc::clone(&RESOURCE)
    }

    /// The dimensions of a metrics group, for the `rows` filter of a polling plugin.
    #[must_use]
    pub fn dimensions<'a>(names: impl IntoIterator<Item = &'a str>) -> Arc<Self> {
        let names = names.into_iter().map(str::to_owned).collect();
        Arc::new(Self {
            names,
            prefix: None,
        })
    }

    /// The fields in their order, without metadata.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The field called `name`: as written, else without regard to case.
    pub(super) fn find(&self, name: &str) -> Option<Field> {
        let exact = self.names.iter().position(|known| known == name);
        let position = exact.or_else(|| {
            let mut names = self.names.iter();
            names.position(|known| known.eq_ignore_ascii_case(name))
        });
        position.map(Field::Plain)
    }

    /// Whether `name` is the prefix of metadata keys.
    pub(super) fn is_prefix(&self, name: &str) -> bool {
        self.prefix
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case(name))
    }

    /// The known name nearest to a misspelt one.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        let names = self.names.iter().map(String::as_str);
        nearest(name, names.chain(self.prefix))
    }

    /// All names in one line, for errors.
    pub(super) fn list(&self) -> String {
        let mut list = self.names.join(" ");
        if let Some(prefix) = self.prefix {
            list.push_str(&format!(" {prefix}.KEY"));
        }
        list
    }

    /// The field as it is printed.
    pub(super) fn name_of(&self, field: &Field) -> String {
        match field {
            Field::Plain(position) => self.names.get(*position).cloned().unwrap_or_default(),
            Field::Keyed(key) => format!("{METADATA_PREFIX}.{key}"),
        }
    }
}

/// Something that a filter can be asked about.
pub trait Subject {
    /// The value of `field`, or `None` if the subject has none: each condition on it is then false.
    fn value(&self, field: &Field) -> Option<&str>;
}

impl Subject for Resource {
    fn value(&self, field: &Field) -> Option<&str> {
        match field {
            Field::Plain(0) => Some(self.id().site()),
            Field::Plain(1) => Some(self.id().class()),
            Field::Plain(2) => Some(self.id().subclass()),
            Field::Plain(3) => Some(self.id().resource_type()),
            Field::Plain(4) => Some(self.id().id()),
            Field::Plain(5) => Some(self.endpoint()),
            Field::Plain(_) => None,
            Field::Keyed(key) => self.metadata_value(key),
        }
    }
}

/// A row as values in the order of its vocabulary: the dimensions of a row, for `rows` filters.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a>(pub &'a [Option<&'a str>]);

impl Subject for Values<'_> {
    fn value(&self, field: &Field) -> Option<&str> {
        match field {
            Field::Plain(position) => self.0.get(*position).copied().flatten(),
            Field::Keyed(_) => None,
        }
    }
}
