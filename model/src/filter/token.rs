//! Tokens of the filter language.
//!
//! Does: split text into words, texts in double quotes, operators and brackets, each with its
//! place. Does not: know which words are keywords or fields (`parse`).
//! In: text within the limit. Out: tokens in order, or the first [`FilterError`].

use super::error::{FilterError, FilterProblem};

/// A token and where it begins and ends, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Letters, digits, `_`.
    Word,
    /// The value of a text in double quotes, escapes resolved.
    Text(String),
    Equal,
    NotEqual,
    Dot,
    Comma,
    Open,
    Close,
}

pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let start = at;
        let (kind, end) = match first {
            '"' => quoted(text, start)?,
            '=' => (TokenKind::Equal, start + 1),
            '!' if text[start + 1..].starts_with('=') => (TokenKind::NotEqual, start + 2),
            '.' => (TokenKind::Dot, start + 1),
            ',' => (TokenKind::Comma, start + 1),
            '(' => (TokenKind::Open, start + 1),
            ')' => (TokenKind::Close, start + 1),
            letter if is_word(letter) => {
                let rest = &text[start..];
                let length = rest.find(|next| !is_word(next)).unwrap_or(rest.len());
                (TokenKind::Word, start + length)
            }
            found => {
                let hint = hint_of(found);
                let problem = FilterProblem::BadCharacter { found, hint };
                return Err(FilterError::at(text, start, problem));
            }
        };
        tokens.push(Token { kind, start, end });
        at = end;
    }
    Ok(tokens)
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The text that begins at `start`: its value and the place behind it.
fn quoted(text: &str, start: usize) -> Result<(TokenKind, usize), FilterError> {
    let mut value = String::new();
    let mut characters = text[start + 1..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Ok((TokenKind::Text(value), start + 1 + offset + 1)),
            '\n' => break,
            '\\' => match characters.next() {
                Some((_, 't')) => value.push('\t'),
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'f')) => value.push('\u{c}'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err(FilterError::at(text, start, FilterProblem::UnclosedText))
}

/// Writes `value` as a text that [`tokenize`] reads back as the same.
pub(super) fn write_quoted(value: &str, into: &mut impl std::fmt::Write) -> std::fmt::Result {
    into.write_char('"')?;
    for character in value.chars() {
        match character {
            '"' => into.write_str("\\\"")?,
            '\\' => into.write_str("\\\\")?,
            '\t' => into.write_str("\\t")?,
            '\n' => into.write_str("\\n")?,
            '\u{c}' => into.write_str("\\f")?,
            '\r' => into.write_str("\\r")?,
            other => into.write_char(other)?,
        }
    }
    into.write_char('"')
}

fn hint_of(found: char) -> &'static str {
    match found {
        '\'' | '`' | '“' | '”' => "; values stand in double quotes, as \"network\"",
        '&' => "; write AND",
        '|' => "; write OR",
        '!' => "; write != or NOT (…)",
        '<' | '>' => "; comparisons are = != LIKE IN",
        '%' | '*' | '?' => "; write a pattern as LIKE \"sw%\", % is any run, _ any one character",
        '#' | ';' | '-' | '/' => "; filters have no comments, values stand in double quotes",
        _ => "",
    }
}
