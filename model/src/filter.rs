//! The filter language: Panoptes' grammar with parentheses and `NOT (…)` added.
//!
//! Does: parse with errors that point at the place, print back, evaluate against anything that has
//! the fields ([`Subject`]), explain which condition decided, compile for whole tables.
//! Does not: hold resources. In: text of at most [`TEXT_BYTES_MAX`]. Out: [`Filter`], [`Compiled`].
//! Invariant: a condition on a field that the subject lacks is false, also `!=` and `NOT …`.
//!
//! ```text
//! filter    = term { "OR" term }              term = factor { "AND" factor }
//! factor    = condition | "(" filter ")" | "NOT" "(" filter ")"
//! condition = field ("=" | "!=" | "eq" | "ne") text
//!           | field ["NOT"] "LIKE" text | field ["NOT"] "IN" "(" text { "," text } ")"
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod compile;
mod error;
mod explain;
mod expression;
mod intern;
mod parse;
mod pattern;
mod token;
mod vocabulary;

pub use compile::{Compiled, Matcher, Selection};
pub use error::{FilterError, FilterProblem};
pub use explain::{ExplainedNode, Explanation};
pub use expression::{Condition, Expression, Test};
pub use intern::{ABSENT, INTERNED_VALUES_MAX, InternedTable, Interner, TableError};
pub use pattern::Pattern;
pub use vocabulary::{Field, Subject, Values, Vocabulary};

/// Longest filter text, bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of parentheses: bounds the recursion of parser, printer and compiler.
pub const DEPTH_MAX: usize = 64;
/// Most conditions in one filter.
pub const CONDITIONS_MAX: usize = 1_024;

/// A parsed filter. Its text form reads back as the same filter.
///
/// ```
/// use ocelli_model::filter::Filter;
/// let text = r#"resource_class eq "network" and not (resource_site in ("lab"))"#;
/// let filter: Filter = text.parse()?;
/// assert_eq!(
///     filter.to_string(),
///     r#"resource_class = "network" AND NOT (resource_site IN ("lab"))"#
/// );
/// # Ok::<(), ocelli_model::filter::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    expression: Expression,
    vocabulary: Arc<Vocabulary>,
}

impl Filter {
    /// Reads a filter over the fields of `vocabulary`.
    ///
    /// # Errors
    /// A [`FilterError`] with place, reason and what was expected.
    pub fn parse(text: &str, vocabulary: &Arc<Vocabulary>) -> Result<Self, FilterError> {
        let expression = parse::parse(text, vocabulary)?;
        let vocabulary = Arc::clone(vocabulary);
        Ok(Self {
            expression,
            vocabulary,
        })
    }

    /// A filter of this expression, whose fields must be of `vocabulary` and which must keep to
    /// [`DEPTH_MAX`] and [`CONDITIONS_MAX`].
    #[must_use]
    pub fn of_expression(expression: Expression, vocabulary: &Arc<Vocabulary>) -> Self {
        let vocabulary = Arc::clone(vocabulary);
        Self {
            expression,
            vocabulary,
        }
    }

    /// Both at once, in the vocabulary of this one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let parts = vec![self.expression, other.expression];
        Self {
            expression: Expression::And(parts),
            vocabulary: self.vocabulary,
        }
    }

    /// The parsed form.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The fields that it may speak of.
    #[must_use]
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// Whether `subject` passes. For single subjects; tables are faster by [`InternedTable`].
    #[must_use]
    pub fn matches(&self, subject: &impl Subject) -> bool {
        self.expression.holds(subject)
    }

    /// What each condition says of `subject`, and which one decided.
    #[must_use]
    pub fn explain(&self, subject: &impl Subject) -> Explanation {
        explain::explain(self, subject)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Reads a filter over resources.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text, &Vocabulary::resource())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.write(&self.vocabulary, formatter)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Filter {
    /// Reads the text of a filter over resources.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
