//! Words and signs of an expression.
//!
//! Does: cut text into numbers, quoted texts, names (`a`, `index.peer`, `enrich.interface.alias`)
//! and signs. Does not: know what they mean.
//! In: text. Out: at most [`TOKENS_MAX`] tokens with their offsets, or the first bad character.

use std::fmt;

use super::{ExpressionError, TEXT_BYTES_MAX, TOKENS_MAX};

/// Longer ones first where one begins with another.
const SIGNS: [&str; 17] = [
    "??", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "(", ")", "?", ":", "×", "÷",
];

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) offset: usize,
    pub(super) kind: TokenKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Number(f64),
    Text(String),
    /// Also the words `and`, `or`, `not`.
    Name(String),
    Sign(&'static str),
}

impl fmt::Display for TokenKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "the number {number}"),
            Self::Text(text) => write!(formatter, "the text {text:?}"),
            Self::Name(name) => write!(formatter, "`{name}`"),
            Self::Sign(sign) => write!(formatter, "`{sign}`"),
        }
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let error = |offset, message: String| Err(ExpressionError { offset, message });
    if text.len() > TEXT_BYTES_MAX {
        return error(
            0,
            format!("longer than {TEXT_BYTES_MAX} bytes; name a part with `let`"),
        );
    }
    let mut tokens = Vec::new();
    let mut offset = 0;
    loop {
        let rest = &text[offset..];
        let blanks = rest.len() - rest.trim_start().len();
        offset += blanks;
        let rest = &rest[blanks..];
        let Some(first) = rest.chars().next() else {
            return Ok(tokens);
        };
        if tokens.len() >= TOKENS_MAX {
            return error(
                offset,
                format!("more than {TOKENS_MAX} words and signs; use `let`"),
            );
        }
        let (kind, length) = match first {
            '0'..='9' => number(rest, offset)?,
            '\'' | '"' => quoted(rest, first, offset)?,
            _ if is_name_start(first) => name(rest),
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (TokenKind::Sign(plain_sign(sign)), sign.len()),
                None => return error(offset, format!("{first:?} has no meaning here")),
            },
        };
        tokens.push(Token { offset, kind });
        offset += length;
    }
}

/// The typographic signs mean the same as the plain ones.
fn plain_sign(sign: &'static str) -> &'static str {
    match sign {
        "×" => "*",
        "÷" => "/",
        plain => plain,
    }
}

fn number(rest: &str, offset: usize) -> Result<(TokenKind, usize), ExpressionError> {
    let is_part = |character: char| character.is_ascii_digit() || character == '.';
    let mut length = rest
        .find(|character| !is_part(character))
        .unwrap_or(rest.len());
    let exponent = rest[length..].strip_prefix(['e', 'E']).unwrap_or("");
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count > 0 {
        length += 1 + (exponent.len() - digits.len()) + count;
    }
    let written = &rest[..length];
    match written.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((TokenKind::Number(number), length)),
        _ => Err(ExpressionError {
            offset,
            message: format!("{written:?} is no number"),
        }),
    }
}

fn quoted(rest: &str, quote: char, offset: usize) -> Result<(TokenKind, usize), ExpressionError> {
    match rest[1..].find(quote) {
        Some(length) => Ok((TokenKind::Text(rest[1..=length].to_owned()), length + 2)),
        None => Err(ExpressionError {
            offset,
            message: format!("the quotation mark {quote} is never closed"),
        }),
    }
}

fn name(rest: &str) -> (TokenKind, usize) {
    let is_part = |character: char| is_name_start(character) || character.is_ascii_digit();
    let length = rest
        .find(|character| !is_part(character) && character != '.')
        .unwrap_or(rest.len());
    let name = rest[..length].trim_end_matches('.');
    (TokenKind::Name(name.to_owned()), name.len())
}

fn is_name_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}
