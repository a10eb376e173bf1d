//! The closed expression language of profiles: columns of a row in, one value out.
//!
//! Does: read `+ - * /`, comparisons, `and or not`, `? :`, `??`, `present()`, `missing()`,
//! `interval_s`, numbers, quoted texts and names into a tree. Does not: resolve names or evaluate
//! (`program`), loop, keep state, call anything.
//! In: text of at most [`TEXT_BYTES_MAX`]. Out: [`Expression`], or an error with its offset.
//! Precedence, loosest first: `? :`, `or`, `and`, `not`, comparison, `??`, `+ -`, `* /`, minus.

mod token;

use token::{Token, TokenKind, tokens};

/// Longest expression; the longest of the shipped profiles has under 100 bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 2_048;
/// Most words and signs of an expression: bounds the tree's size, so that walking it cannot
/// exhaust a stack.
pub(crate) const TOKENS_MAX: usize = 256;
/// Deepest nesting of parentheses, `not`, minus and `? :`.
pub(crate) const NESTING_MAX: usize = 24;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Number(f64),
    Text(String),
    /// The value that is not there.
    Missing,
    /// Seconds between two reads of the group.
    IntervalS,
    Name {
        name: String,
        offset: usize,
    },
    Unary(Unary, Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
    /// Condition, value if true, value if false.
    Choose(Box<[Expression; 3]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Minus,
    Not,
    IsPresent,
    IsMissing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    FirstPresent,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpressionError {
    /// Bytes before the place.
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// Reads `text`.
pub(crate) fn parse(text: &str) -> Result<Expression, ExpressionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        end: text.len(),
        nesting: 0,
    };
    let expression = parser.choice()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(parser.unexpected(token.clone(), "the end")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    end: usize,
    nesting: usize,
}

/// Binary operators by level, loosest first; level 2 is `not`, which is unary.
const LEVELS: &[&[(&str, Binary)]] = &[
    &[("or", Binary::Or)],
    &[("and", Binary::And)],
    &[],
    &[
        ("==", Binary::Equal),
        ("!=", Binary::NotEqual),
        ("<=", Binary::LessOrEqual),
        (">=", Binary::GreaterOrEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
    ],
    &[("??", Binary::FirstPresent)],
    &[("+", Binary::Add), ("-", Binary::Subtract)],
    &[("*", Binary::Multiply), ("/", Binary::Divide)],
];
const LEVEL_NOT: usize = 2;
const LEVEL_COMPARISON: usize = 3;

impl Parser {
    fn choice(&mut self) -> Result<Expression, ExpressionError> {
        self.nested(|parser| {
            let condition = parser.binary(0)?;
            if !parser.take("?") {
                return Ok(condition);
            }
            let if_true = parser.choice()?;
            parser.expect(":")?;
            let if_false = parser.choice()?;
            Ok(Expression::Choose(Box::new([condition, if_true, if_false])))
        })
    }

    fn binary(&mut self, level: usize) -> Result<Expression, ExpressionError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        if level == LEVEL_NOT {
            return self.negation();
        }
        let mut left = self.binary(level + 1)?;
        let mut is_compared = false;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.peek_is(sign)) {
            if is_compared && level == LEVEL_COMPARISON {
                let message = "comparisons do not chain; write `a < b and b < c`";
                return Err(self.error_here(message));
            }
            self.next += 1;
            is_compared = true;
            let right = self.binary(level + 1)?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expression, ExpressionError> {
        if !self.take("not") {
            return self.binary(LEVEL_NOT + 1);
        }
        let inner = self.nested(Self::negation)?;
        Ok(Expression::Unary(Unary::Not, Box::new(inner)))
    }

    fn unary(&mut self) -> Result<Expression, ExpressionError> {
        if !self.take("-") {
            return self.primary();
        }
        let inner = self.nested(Self::unary)?;
        Ok(Expression::Unary(Unary::Minus, Box::new(inner)))
    }

    fn primary(&mut self) -> Result<Expression, ExpressionError> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.error_here("a value is missing here"));
        };
        self.next += 1;
        match token.kind {
            TokenKind::Number(number) => Ok(Expression::Number(number)),
            TokenKind::Text(text) => Ok(Expression::Text(text)),
            TokenKind::Name(name) => self.named(name, token.offset),
            TokenKind::Sign("(") => {
                let inner = self.choice()?;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Sign(_) => {
                self.next -= 1;
                Err(self.unexpected(token, "a value"))
            }
        }
    }

    fn named(&mut self, name: String, offset: usize) -> Result<Expression, ExpressionError> {
        let test = match name.as_str() {
            "present" => Some(Unary::IsPresent),
            "missing" if self.peek_is("(") => Some(Unary::IsMissing),
            _ => None,
        };
        if let Some(test) = test {
            self.expect("(")?;
            let inner = self.choice()?;
            self.expect(")")?;
            return Ok(Expression::Unary(test, Box::new(inner)));
        }
        match name.as_str() {
            "and" | "or" | "not" => {
                self.next -= 1;
                let kind = TokenKind::Name(name);
                Err(self.unexpected(Token { offset, kind }, "a value"))
            }
            "missing" => Ok(Expression::Missing),
            "interval_s" => Ok(Expression::IntervalS),
            _ => Ok(Expression::Name { name, offset }),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Expression, ExpressionError>,
    ) -> Result<Expression, ExpressionError> {
        if self.nesting >= NESTING_MAX {
            let message = format!("nested deeper than {NESTING_MAX}; name a part with `let`");
            return Err(self.error_here(message));
        }
        self.nesting += 1;
        let read = read(self);
        self.nesting -= 1;
        read
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn peek_is(&self, sign: &str) -> bool {
        self.peek().is_some_and(|token| match &token.kind {
            TokenKind::Sign(found) => *found == sign,
            TokenKind::Name(name) => name == sign,
            TokenKind::Number(_) | TokenKind::Text(_) => false,
        })
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_next = self.peek_is(sign);
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: &str) -> Result<(), ExpressionError> {
        if self.take(sign) {
            return Ok(());
        }
        let wanted = format!("`{sign}`");
        match self.peek().cloned() {
            Some(token) => Err(self.unexpected(token, &wanted)),
            None => Err(self.error_here(format!("{wanted} is missing at the end"))),
        }
    }

    fn unexpected(&self, token: Token, wanted: &str) -> ExpressionError {
        ExpressionError {
            offset: token.offset,
            message: format!("{} stands where {wanted} should", token.kind),
        }
    }

    fn error_here(&self, message: impl Into<String>) -> ExpressionError {
        ExpressionError {
            offset: self.peek().map_or(self.end, |token| token.offset),
            message: message.into(),
        }
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
