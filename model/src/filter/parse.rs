//! The parser of the filter language: recursive descent over tokens.
//!
//! Does: build the expression, refuse what the grammar lacks with what was expected and what may
//! have been meant. Does not: evaluate. In: text, vocabulary. Out: [`Expression`] or
//! [`FilterError`]. Recursion is bounded by `DEPTH_MAX`, work by the length of the text.

use super::error::{FilterError, FilterProblem};
use super::expression::{Condition, Expression, Test};
use super::pattern::Pattern;
use super::token::{Token, TokenKind, tokenize};
use super::vocabulary::{Field, Vocabulary};
use super::{CONDITIONS_MAX, DEPTH_MAX, TEXT_BYTES_MAX};
use crate::suggest::{did_you_mean, nearest};

/// What may stand after a field, as words.
const OPERATORS: [&str; 5] = ["LIKE", "IN", "NOT", "EQ", "NE"];
/// Longest token quoted in an error, characters.
const QUOTED_CHARS_MAX: usize = 40;

pub(super) fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Expression, FilterError> {
    if text.len() > TEXT_BYTES_MAX {
        let problem = FilterProblem::TooLong { bytes: text.len() };
        return Err(FilterError::at("", 0, problem));
    }
    let tokens = tokenize(text)?;
    if tokens.is_empty() {
        return Err(FilterError::at("", 0, FilterProblem::Empty));
    }
    let mut parser = Parser {
        text,
        vocabulary,
        tokens: &tokens,
        at: 0,
        conditions: 0,
    };
    let expression = parser.alternatives(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(parser.after_condition("AND, OR or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    vocabulary: &'a Vocabulary,
    tokens: &'a [Token],
    at: usize,
    conditions: usize,
}

impl<'a> Parser<'a> {
    // === Grammar, top down ===

    fn alternatives(&mut self, depth: usize) -> Result<Expression, FilterError> {
        let first = self.conjunction(depth)?;
        if !self.take_keyword("OR") {
            return Ok(first);
        }
        let mut parts = vec![first, self.conjunction(depth)?];
        while self.take_keyword("OR") {
            parts.push(self.conjunction(depth)?);
        }
        Ok(Expression::Or(parts))
    }

    fn conjunction(&mut self, depth: usize) -> Result<Expression, FilterError> {
        let first = self.factor(depth)?;
        if !self.take_keyword("AND") {
            return Ok(first);
        }
        let mut parts = vec![first, self.factor(depth)?];
        while self.take_keyword("AND") {
            parts.push(self.factor(depth)?);
        }
        Ok(Expression::And(parts))
    }

    fn factor(&mut self, depth: usize) -> Result<Expression, FilterError> {
        let is_not = self.is_keyword("NOT") && self.kind_at(self.at + 1) == Some(&TokenKind::Open);
        if is_not {
            self.at += 1;
        }
        if self.kind_at(self.at) != Some(&TokenKind::Open) {
            return self.condition().map(Expression::Condition);
        }
        if depth == DEPTH_MAX {
            return Err(self.error(FilterProblem::TooDeep));
        }
        self.at += 1;
        let inner = self.alternatives(depth + 1)?;
        if self.kind_at(self.at) != Some(&TokenKind::Close) {
            return Err(self.after_condition("AND, OR or )"));
        }
        self.at += 1;
        Ok(if is_not {
            Expression::Not(Box::new(inner))
        } else {
            inner
        })
    }

    fn condition(&mut self) -> Result<Condition, FilterError> {
        if self.conditions == CONDITIONS_MAX {
            return Err(self.error(FilterProblem::TooManyConditions));
        }
        self.conditions += 1;
        let field = self.field()?;
        match self.kind_at(self.at) {
            Some(TokenKind::Equal) => return self.comparison(field, false),
            Some(TokenKind::NotEqual) => return self.comparison(field, true),
            _ if self.is_keyword("EQ") => return self.comparison(field, false),
            _ if self.is_keyword("NE") => return self.comparison(field, true),
            _ => {}
        }
        let is_negated = self.take_keyword("NOT");
        let test = if self.take_keyword("LIKE") {
            Test::Like(Pattern::new(&self.quoted_text()?))
        } else if self.take_keyword("IN") {
            Test::OneOf(self.list()?)
        } else if is_negated {
            return Err(self.unexpected("LIKE or IN", "; not equal is written !="));
        } else {
            let near = self.word().and_then(|word| nearest(word, OPERATORS));
            let hint = did_you_mean(near);
            return Err(self.unexpected("= != LIKE IN NOT LIKE or NOT IN", &hint));
        };
        Ok(Condition {
            field,
            is_negated,
            test,
        })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let place = self.at;
        let Some(name) = self.word() else {
            return Err(self.unexpected("a field, ( or NOT (", ""));
        };
        if self.vocabulary.is_prefix(name) {
            self.at += 1;
            if self.kind_at(self.at) != Some(&TokenKind::Dot) {
                return Err(
                    self.unexpected("a dot and a metadata key", "; as resource_metadata.make")
                );
            }
            self.at += 1;
            return match self.word().filter(|key| key.is_ascii()) {
                Some(key) => {
                    self.at += 1;
                    Ok(Field::Keyed(key.to_ascii_lowercase()))
                }
                None => Err(self.unexpected("a metadata key", "; as resource_metadata.make")),
            };
        }
        if let Some(field) = self.vocabulary.find(name) {
            self.at += 1;
            return Ok(field);
        }
        if name.eq_ignore_ascii_case("NOT") {
            self.at += 1;
            return Err(self.unexpected("(", "; a negation needs them, as NOT (…)"));
        }
        let problem = FilterProblem::UnknownField {
            name: name.chars().take(QUOTED_CHARS_MAX).collect(),
            suggestion: self.vocabulary.nearest(name).map(str::to_owned),
            known: self.vocabulary.list(),
        };
        self.at = place;
        Err(self.error(problem))
    }

    fn comparison(&mut self, field: Field, is_negated: bool) -> Result<Condition, FilterError> {
        self.at += 1;
        let test = Test::Equals(self.quoted_text()?);
        Ok(Condition {
            field,
            is_negated,
            test,
        })
    }

    fn list(&mut self) -> Result<Vec<String>, FilterError> {
        if self.kind_at(self.at) != Some(&TokenKind::Open) {
            return Err(self.unexpected("(", "; a list is written IN (\"a\", \"b\")"));
        }
        self.at += 1;
        let mut values = vec![self.quoted_text()?];
        loop {
            match self.kind_at(self.at) {
                Some(TokenKind::Comma) => {
                    self.at += 1;
                    values.push(self.quoted_text()?);
                }
                Some(TokenKind::Close) => {
                    self.at += 1;
                    return Ok(values);
                }
                _ => return Err(self.unexpected("a comma or )", "")),
            }
        }
    }

    fn quoted_text(&mut self) -> Result<String, FilterError> {
        if let Some(TokenKind::Text(value)) = self.kind_at(self.at) {
            self.at += 1;
            return Ok(value.clone());
        }
        let hint = match (self.kind_at(self.at), self.word()) {
            (_, Some(word)) => {
                let word: String = word.chars().take(QUOTED_CHARS_MAX).collect();
                format!("; did you mean \"{word}\"?")
            }
            (Some(TokenKind::Equal), _) => String::from("; equality is written ="),
            _ => String::new(),
        };
        Err(self.unexpected("a text in double quotes", &hint))
    }

    // === Tokens ===

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn kind_at(&self, at: usize) -> Option<&'a TokenKind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    /// The word at the present place.
    fn word(&self) -> Option<&'a str> {
        let token = self.peek().filter(|token| token.kind == TokenKind::Word)?;
        self.text.get(token.start..token.end)
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        self.word()
            .is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let is_there = self.is_keyword(keyword);
        self.at += usize::from(is_there);
        is_there
    }

    // === Errors ===

    fn error(&self, problem: FilterProblem) -> FilterError {
        let offset = self.peek().map_or(self.text.len(), |token| token.start);
        FilterError::at(self.text, offset, problem)
    }

    fn unexpected(&self, expected: &'static str, hint: &str) -> FilterError {
        let found = match self.peek() {
            None => String::from("the end"),
            Some(token) => {
                let text = self.text.get(token.start..token.end).unwrap_or_default();
                text.chars().take(QUOTED_CHARS_MAX).collect()
            }
        };
        let hint = hint.to_owned();
        self.error(FilterProblem::Unexpected {
            found,
            expected,
            hint,
        })
    }

    /// After a whole condition something else than a connective stands.
    fn after_condition(&self, expected: &'static str) -> FilterError {
        let is_field = self.word().is_some_and(|word| {
            self.vocabulary.is_prefix(word) || self.vocabulary.find(word).is_some()
        });
        let hint = match self.kind_at(self.at) {
            Some(TokenKind::Close) => "; no ( is open here",
            _ if is_field => "; join two conditions by AND or OR",
            _ => "",
        };
        let near = self.word().filter(|_| !is_field);
        let near = did_you_mean(near.and_then(|word| nearest(word, ["AND", "OR"])));
        self.unexpected(expected, &format!("{hint}{near}"))
    }
}
