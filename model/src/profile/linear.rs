//! Counters as sums over columns, so that differences and wraps stay per column.
//!
//! Does: turn an expression into `Σ coefficient × alternatives`, guards kept with the column that
//! they guard; refuse whatever is not linear. Does not: compile guards (`lower` does).
//! In: an expression and what its names are. Out: [`Term`]s.
//! Rules: `a ?? b` and `cond ? a : b` choose between single columns of one coefficient; a factor is
//! a whole number above zero; a constant alone is no counter.

use super::expression::{Binary, Expression, Unary};

/// Most parts of a sum.
pub(crate) const TERMS_MAX: usize = 64;
/// Most alternatives of a part, as `rate::SourceChoice` has it.
pub(crate) const ALTERNATIVES_MAX: usize = 8;
/// Largest factor: beyond it octets of a fast port would pass 2^64 within a year.
const COEFFICIENT_MAX: f64 = 1_000_000.0;

/// A part of a counter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    pub(crate) coefficient: u64,
    /// Preferred first.
    pub(crate) alternatives: Vec<Alternative>,
}

/// A column that counts if all its guards are true.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alternative {
    pub(crate) column: u16,
    pub(crate) guards: Vec<Expression>,
}

/// What a name in a counter stands for.
pub(crate) enum Meaning<'a> {
    Column(u16),
    /// A `let`.
    Part(&'a Expression),
    /// A counter above.
    Counter(&'a [Term]),
    /// Something that is no count, or nothing at all.
    Other,
}

/// Why an expression is no counter, with the offset of the name at fault or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotLinear {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

fn refuse<T>(message: impl Into<String>) -> Result<T, NotLinear> {
    Err(NotLinear {
        offset: 0,
        message: message.into(),
    })
}

/// The terms of `expression`; an expression that is always missing has none.
pub(crate) fn terms<'a>(
    expression: &Expression,
    meaning: &impl Fn(&str) -> Meaning<'a>,
) -> Result<Vec<Term>, NotLinear> {
    match expression {
        Expression::Missing => Ok(Vec::new()),
        Expression::Name { name, offset } => match meaning(name) {
            Meaning::Column(column) => Ok(vec![Term {
                coefficient: 1,
                alternatives: vec![Alternative {
                    column,
                    guards: Vec::new(),
                }],
            }]),
            // Parts refer to earlier parts only, so this ends.
            Meaning::Part(part) => terms(part, meaning),
            Meaning::Counter(terms) => Ok(terms.to_vec()),
            Meaning::Other => Err(NotLinear {
                offset: *offset,
                message: format!("{name:?} is no column, `let` or counter above"),
            }),
        },
        Expression::Binary(Binary::Add, left, right) => {
            let (mut left, right) = (terms(left, meaning)?, terms(right, meaning)?);
            if left.is_empty() || right.is_empty() {
                return Ok(Vec::new()); // A sum is missing as soon as one part is.
            }
            left.extend(right);
            match left.len() {
                ..=TERMS_MAX => Ok(left),
                found => refuse(format!(
                    "a sum of {found} columns; {TERMS_MAX} is the limit"
                )),
            }
        }
        Expression::Binary(Binary::Multiply, left, right) => match (&**left, &**right) {
            (Expression::Number(factor), counted) | (counted, Expression::Number(factor)) => {
                scale(terms(counted, meaning)?, *factor)
            }
            _ => refuse("a product of two columns is no counter; one side must be a number"),
        },
        Expression::Binary(Binary::FirstPresent, left, right) => {
            either(terms(left, meaning)?, terms(right, meaning)?)
        }
        Expression::Choose(parts) => {
            let [condition, if_true, if_false] = &**parts;
            let negated = Expression::Unary(Unary::Not, Box::new(condition.clone()));
            let if_true = guarded(terms(if_true, meaning)?, condition);
            let if_false = guarded(terms(if_false, meaning)?, &negated);
            either(if_true, if_false)
        }
        Expression::Number(_) | Expression::Text(_) | Expression::IntervalS => {
            refuse("a constant is no counter")
        }
        Expression::Unary(..) | Expression::Binary(..) => {
            refuse("a counter is a sum of columns, each times a whole number; make this a gauge")
        }
    }
}

fn scale(mut terms: Vec<Term>, factor: f64) -> Result<Vec<Term>, NotLinear> {
    if factor.fract() != 0.0 || !(1.0..=COEFFICIENT_MAX).contains(&factor) {
        return refuse(format!(
            "the factor {factor} is no whole number from 1 to 1000000"
        ));
    }
    for term in &mut terms {
        term.coefficient = term.coefficient.saturating_mul(whole(factor));
        if term.coefficient > whole(COEFFICIENT_MAX) {
            return refuse("the factors together pass 1000000");
        }
    }
    Ok(terms)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole and from 1 to 1,000,000"
)]
fn whole(factor: f64) -> u64 {
    factor as u64
}

fn guarded(mut terms: Vec<Term>, guard: &Expression) -> Vec<Term> {
    for alternative in terms.iter_mut().flat_map(|term| &mut term.alternatives) {
        alternative.guards.push(guard.clone());
    }
    terms
}

fn either(mut left: Vec<Term>, mut right: Vec<Term>) -> Result<Vec<Term>, NotLinear> {
    match (&mut left[..], &mut right[..]) {
        ([], _) => Ok(right),
        (_, []) => Ok(left),
        ([first], [second]) if first.coefficient == second.coefficient => {
            first.alternatives.append(&mut second.alternatives);
            match first.alternatives.len() {
                ..=ALTERNATIVES_MAX => Ok(left),
                found => refuse(format!(
                    "{found} alternatives; {ALTERNATIVES_MAX} is the limit"
                )),
            }
        }
        _ => refuse("`??` and `? :` of a counter choose between single columns of one factor"),
    }
}
