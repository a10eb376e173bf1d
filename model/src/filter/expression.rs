//! The parsed form of a filter: conditions under AND, OR and NOT.
//!
//! Does: hold the tree, print it, evaluate it against one subject without allocating.
//! Does not: resolve names (`vocabulary`), evaluate tables (`compile`).
//! In: what `parse` builds. Out: text, a verdict. Depth and size are bounded by the parser.

use std::fmt::{self, Write as _};

use super::pattern::Pattern;
use super::token::write_quoted;
use super::vocabulary::{Field, Subject, Vocabulary};

/// A filter or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// One condition.
    Condition(Condition),
    /// True if all are; two or more.
    And(Vec<Expression>),
    /// True if any is; two or more.
    Or(Vec<Expression>),
    /// True if the other is not.
    Not(Box<Expression>),
}

/// What is demanded of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field.
    pub field: Field,
    /// `!=`, `NOT LIKE`, `NOT IN`: true if the test is not met, but false if the field is absent.
    pub is_negated: bool,
    /// The test on the field's value.
    pub test: Test,
}

/// A test of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Exactly this value.
    Equals(String),
    /// Exactly one of these values; one or more.
    OneOf(Vec<String>),
    /// The whole value matches.
    Like(Pattern),
}

impl Expression {
    /// Whether `subject` passes.
    #[must_use]
    pub fn holds(&self, subject: &impl Subject) -> bool {
        match self {
            Self::Condition(condition) => condition.holds(subject),
            Self::And(parts) => parts.iter().all(|part| part.holds(subject)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(subject)),
            Self::Not(part) => !part.holds(subject),
        }
    }

    /// Calls `visit` with each condition, left to right.
    pub fn for_each_condition<'a>(&'a self, visit: &mut impl FnMut(&'a Condition)) {
        match self {
            Self::Condition(condition) => visit(condition),
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().for_each(|part| part.for_each_condition(visit));
            }
            Self::Not(part) => part.for_each_condition(visit),
        }
    }

    /// The metadata keys that conditions name, in lower case, each maybe more than once.
    #[must_use]
    pub fn metadata_keys(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        self.for_each_condition(&mut |condition| {
            if let Field::Keyed(key) = &condition.field {
                keys.push(key.as_str());
            }
        });
        keys
    }

    pub(super) fn write(&self, names: &Vocabulary, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(condition) => condition.write(names, into),
            Self::And(parts) => write_list(parts, " AND ", names, into),
            Self::Or(parts) => write_list(parts, " OR ", names, into),
            Self::Not(part) => {
                into.write_str("NOT (")?;
                part.write(names, into)?;
                into.write_char(')')
            }
        }
    }

    /// What must stand in parentheses inside a list: a list of the same kind would melt into it,
    /// an OR inside an AND would bind wrongly; an AND inside an OR needs none.
    fn needs_parentheses(&self, separator: &str) -> bool {
        match self {
            Self::Condition(_) | Self::Not(_) => false,
            Self::And(_) => separator == " AND ",
            Self::Or(_) => true,
        }
    }
}

fn write_list(
    parts: &[Expression],
    separator: &str,
    names: &Vocabulary,
    into: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            into.write_str(separator)?;
        }
        if part.needs_parentheses(separator) {
            into.write_char('(')?;
            part.write(names, into)?;
            into.write_char(')')?;
        } else {
            part.write(names, into)?;
        }
    }
    Ok(())
}

impl Condition {
    /// Whether `subject` has the field and its value passes.
    #[must_use]
    pub fn holds(&self, subject: &impl Subject) -> bool {
        subject
            .value(&self.field)
            .is_some_and(|value| self.test.is_met(value) != self.is_negated)
    }

    pub(super) fn write(&self, names: &Vocabulary, into: &mut impl fmt::Write) -> fmt::Result {
        into.write_str(&names.name_of(&self.field))?;
        let not = if self.is_negated { " NOT" } else { "" };
        match &self.test {
            Test::Equals(value) => {
                into.write_str(if self.is_negated { " != " } else { " = " })?;
                write_quoted(value, into)
            }
            Test::Like(pattern) => {
                write!(into, "{not} LIKE ")?;
                write_quoted(pattern.as_str(), into)
            }
            Test::OneOf(values) => {
                write!(into, "{not} IN (")?;
                for (position, value) in values.iter().enumerate() {
                    into.write_str(if position > 0 { ", " } else { "" })?;
                    write_quoted(value, into)?;
                }
                into.write_char(')')
            }
        }
    }
}

impl Test {
    /// Whether `value` passes.
    #[must_use]
    pub fn is_met(&self, value: &str) -> bool {
        match self {
            Self::Equals(wanted) => wanted == value,
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted == value),
            Self::Like(pattern) => pattern.matches(value),
        }
    }
}
