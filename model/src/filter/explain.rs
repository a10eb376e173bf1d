//! Why a subject passes a filter or does not.
//!
//! Does: give each part of the filter its verdict, show what was found, mark the condition that
//! decided. Does not: evaluate in bulk. In: filter, subject. Out: [`Explanation`], printable.
//! The deciding condition is the last one that short-circuit evaluation from left to right reads.

use std::fmt;

use super::Filter;
use super::expression::{Condition, Expression};
use super::vocabulary::{Subject, Vocabulary};

/// One part of a filter, with its verdict on a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedNode {
    /// How deep it stands; the children of a node follow it, one deeper.
    pub depth: usize,
    /// `AND`, `OR`, `NOT` or the condition as text.
    pub text: String,
    /// What it says of the subject by itself, read or not.
    pub verdict: bool,
    /// Of conditions: the field's value (the inner `None`: the subject has no such field).
    pub found: Option<Option<String>>,
    /// Of conditions: whether evaluation came to it.
    pub was_read: bool,
    /// Whether this condition settled the whole. One node has it.
    pub is_deciding: bool,
}

/// All parts of a filter in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the subject passes.
    pub verdict: bool,
    /// The tree, flat: parents before children.
    pub nodes: Vec<ExplainedNode>,
}

impl Explanation {
    /// The condition that decided.
    #[must_use]
    pub fn deciding(&self) -> Option<&ExplainedNode> {
        self.nodes.iter().find(|node| node.is_deciding)
    }
}

pub(super) fn explain(filter: &Filter, subject: &impl Subject) -> Explanation {
    let mut walk = Walk {
        subject,
        names: filter.vocabulary(),
        nodes: Vec::new(),
        last_read: None,
    };
    let verdict = walk.visit(filter.expression(), 0, true);
    let Walk {
        mut nodes,
        last_read,
        ..
    } = walk;
    if let Some(node) = last_read.and_then(|position| nodes.get_mut(position)) {
        node.is_deciding = true;
    }
    Explanation { verdict, nodes }
}

struct Walk<'a, S> {
    subject: &'a S,
    names: &'a Vocabulary,
    nodes: Vec<ExplainedNode>,
    last_read: Option<usize>,
}

impl<S: Subject> Walk<'_, S> {
    /// Adds the nodes of `expression`; `is_read` tells whether evaluation comes here.
    fn visit(&mut self, expression: &Expression, depth: usize, is_read: bool) -> bool {
        let position = self.nodes.len();
        let (text, parts, stops_at) = match expression {
            Expression::Condition(condition) => return self.condition(condition, depth, is_read),
            Expression::And(parts) => ("AND", parts.as_slice(), Some(false)),
            Expression::Or(parts) => ("OR", parts.as_slice(), Some(true)),
            Expression::Not(part) => ("NOT", std::slice::from_ref(&**part), None),
        };
        self.nodes.push(ExplainedNode {
            depth,
            text: text.to_owned(),
            verdict: false,
            found: None,
            was_read: is_read,
            is_deciding: false,
        });
        let mut is_part_read = is_read;
        let mut has_stopped = false;
        let mut last = false;
        for part in parts {
            last = self.visit(part, depth + 1, is_part_read);
            has_stopped |= Some(last) == stops_at;
            is_part_read &= !has_stopped;
        }
        let verdict = match stops_at {
            Some(stop) => has_stopped == stop,
            None => !last,
        };
        self.nodes[position].verdict = verdict;
        verdict
    }

    fn condition(&mut self, condition: &Condition, depth: usize, is_read: bool) -> bool {
        let verdict = condition.holds(self.subject);
        if is_read {
            self.last_read = Some(self.nodes.len());
        }
        let mut text = String::new();
        condition
            .write(self.names, &mut text)
            .expect("writing to a String does not fail");
        self.nodes.push(ExplainedNode {
            depth,
            text,
            verdict,
            found: Some(self.subject.value(&condition.field).map(str::to_owned)),
            was_read: is_read,
            is_deciding: false,
        });
        verdict
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.verdict {
            "matches"
        } else {
            "does not match"
        };
        write!(formatter, "{verdict}")?;
        for node in &self.nodes {
            let indent = 2 * node.depth;
            let text = &node.text;
            write!(formatter, "\n  {:<5}  {:indent$}{text}", node.verdict, "")?;
            match &node.found {
                Some(Some(value)) => write!(formatter, "   found {value:?}")?,
                Some(None) => write!(formatter, "   absent")?,
                None => {}
            }
            if node.is_deciding {
                write!(formatter, "   <- decides")?;
            }
        }
        Ok(())
    }
}
