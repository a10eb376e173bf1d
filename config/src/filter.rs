//! Filters as the configuration holds them: over resources, and over the rows of a profile.
//!
//! Does: parse a filter when it is read and move the parser's place into the configuration file.
//! Does not: evaluate it (`ocelli_model::filter`), nor know the dimensions of a profile.
//! In: a TOML string. Out: [`Filter`] for resources, [`RowsFilter`] for rows.

use std::fmt;
use std::sync::Arc;

use ocelli_model::filter::{Filter, FilterError, Vocabulary};

use crate::reading::Reading;
use crate::section::Setting;
use crate::source::Span;
use crate::tree::Node;
use crate::value::{quoted, text};

/// A filter over the dimensions of the groups of a profile. Its grammar is checked here, its
/// fields where the profile is known, by [`RowsFilter::with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsFilter(String);

impl RowsFilter {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The filter over these dimensions.
    ///
    /// # Errors
    /// A [`FilterError`] that names the dimensions if one in the text is not among them.
    pub fn with(&self, dimensions: &Arc<Vocabulary>) -> Result<Filter, FilterError> {
        Filter::parse(&self.0, dimensions)
    }
}

impl fmt::Display for RowsFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Setting for Filter {
    fn kind() -> String {
        String::from("a filter over resources")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let filter = text::<Self>(node, reading)?;
        filter
            .parse()
            .map_err(|error| refuse(node, filter, &error, reading))
            .ok()
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for RowsFilter {
    fn kind() -> String {
        String::from("a filter over the profile's dimensions")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let filter = text::<Self>(node, reading)?;
        let any_field = Vocabulary::dimensions(words_outside_quotes(filter));
        Filter::parse(filter, &any_field)
            .map_err(|error| refuse(node, filter, &error, reading))
            .ok()?;
        Some(Self(filter.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Everything that could be a field, so that the parser judges the grammar alone.
fn words_outside_quotes(filter: &str) -> impl Iterator<Item = &str> {
    let outside = filter.split('"').step_by(2);
    let words = outside.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter(|word| !word.is_empty())
}

fn refuse(node: &Node, filter: &str, error: &FilterError, reading: &mut Reading<'_>) {
    let span = place_in(node.span, filter, error, reading);
    let remedy = "write it as 'resource_class = \"network\" AND resource_metadata.role != \"lab\"'";
    reading.wrong(span, error.problem.to_string(), remedy);
}

/// The place inside the filter, if the file has its text without escapes; else the whole value.
fn place_in(whole: Span, filter: &str, error: &FilterError, reading: &Reading<'_>) -> Span {
    let raw = reading
        .sources()
        .get(whole.source)
        .and_then(|source| source.text.get(whole.start..whole.end));
    let Some(begin) = raw
        .and_then(|raw| raw.find(filter))
        .filter(|_| !filter.is_empty())
    else {
        return whole;
    };
    let lines = filter.split_inclusive('\n');
    let before: usize = lines.clone().take(error.line - 1).map(str::len).sum();
    let line = lines.clone().nth(error.line - 1).unwrap_or("");
    let in_line: usize = line
        .chars()
        .take(error.column - 1)
        .map(char::len_utf8)
        .sum();
    let start = whole.start + begin + before + in_line;
    let end = (start + 1).min(whole.end);
    Span {
        start: start.min(end),
        end,
        ..whole
    }
}
