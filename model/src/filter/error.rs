//! Why a text is no filter, with a caret under the place.
//!
//! Does: hold place and problem, cut the line of long filters to what a terminal shows.
//! Does not: decide. In: the text, a byte offset, a [`FilterProblem`]. Out: [`FilterError`].

use std::fmt;

use super::{CONDITIONS_MAX, DEPTH_MAX, TEXT_BYTES_MAX};
use crate::suggest::did_you_mean;

/// Characters of the line shown before and after the place.
const SHOWN_CHARS_BEFORE: usize = 60;
const SHOWN_CHARS_AFTER: usize = 40;

/// A refused filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// What is wrong.
    pub problem: FilterProblem,
    /// Line of the place, from 1.
    pub line: usize,
    /// Column of the place, from 1, in characters.
    pub column: usize,
    /// The part of that line around the place.
    excerpt: String,
    /// Characters of the excerpt before the place.
    caret: usize,
}

/// What can be wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterProblem {
    /// Nothing but white space.
    #[error("the filter is empty; leave it out to match everything that the place allows")]
    Empty,
    /// Beyond [`TEXT_BYTES_MAX`].
    #[error("the filter has {bytes} bytes; {TEXT_BYTES_MAX} is the limit")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Beyond [`DEPTH_MAX`].
    #[error("parentheses are nested deeper than {DEPTH_MAX}; flatten the filter")]
    TooDeep,
    /// Beyond [`CONDITIONS_MAX`].
    #[error("the filter has more than {CONDITIONS_MAX} conditions; use IN for lists of values")]
    TooManyConditions,
    /// A text that does not end on its line.
    #[error("the text that begins here does not end; close it with \" on the same line")]
    UnclosedText,
    /// A character that begins no token.
    #[error("{found:?} has no meaning here{hint}")]
    BadCharacter {
        /// The character.
        found: char,
        /// What may have been meant, or nothing.
        hint: &'static str,
    },
    /// A token where another should stand.
    #[error("found {found}, expected {expected}{hint}")]
    Unexpected {
        /// The token, or `the end`.
        found: String,
        /// What may stand there.
        expected: &'static str,
        /// What may have been meant, or nothing.
        hint: String,
    },
    /// A name that is no field.
    #[error("unknown field {name}{}; fields are {known}", did_you_mean(suggestion.as_deref()))]
    UnknownField {
        /// The name as written.
        name: String,
        /// The nearest that exists.
        suggestion: Option<String>,
        /// All that exist.
        known: String,
    },
}

impl FilterError {
    /// The error `problem` at byte `offset` of `text` (a character boundary).
    pub(super) fn at(text: &str, offset: usize, problem: FilterProblem) -> Self {
        let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let before = &before[line_start..];
        let column = before.chars().count() + 1;
        let skipped = (column - 1).saturating_sub(SHOWN_CHARS_BEFORE);
        let shown = before.chars().skip(skipped);
        let rest = after.chars().take_while(|next| *next != '\n');
        // Tabs and other controls would move the caret away from its place.
        let plain = |shown: char| if shown.is_control() { ' ' } else { shown };
        let excerpt = shown
            .chain(rest.take(SHOWN_CHARS_AFTER))
            .map(plain)
            .collect();
        let caret = column - 1 - skipped;
        Self {
            problem,
            line,
            column,
            excerpt,
            caret,
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            problem,
            line,
            column,
            excerpt,
            caret,
        } = self;
        write!(formatter, "line {line} column {column}: {problem}")?;
        if excerpt.is_empty() {
            return Ok(());
        }
        write!(formatter, "\n  {excerpt}\n  {:caret$}^", "")
    }
}

impl std::error::Error for FilterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}
