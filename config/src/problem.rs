//! What is wrong with a configuration, told so that the reader can mend it at once.
//!
//! Does: hold place, line, caret, reason and remedy; print them; blank out what may be a secret.
//! Does not: decide what is wrong (`value`, `section`, `load`).
//! In: a span, a reason, a remedy. Out: [`Problem`], printed like a compiler's message.
//! Invariant: no text of a value inside a credential reaches a [`Problem`] (promise P16).

use std::fmt;

use ocelli_model::secret::REDACTED;

use crate::source::{Place, Sources, Span};

/// A longer line is cut around the caret: minified files have lines of megabytes.
const LINE_CHARS_MAX: usize = 160;

/// Parts of a key that say its value is not for everybody's eyes.
const SECRET_WORDS: [&str; 10] = [
    "auth",
    "community",
    "credential",
    "key",
    "pass",
    "priv",
    "secret",
    "token",
    "value",
    "exec",
];

/// Keys of a credential whose values may be shown.
const OPEN_CREDENTIAL_KEYS: [&str; 5] = ["name", "filter", "user", "reply_from", "context"];

/// One finding about the configuration: an error or a warning, as the list says that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; for what is missing, the item that should have it.
    pub place: Place,
    /// What is wrong, with the value if it is no secret.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    excerpt: Excerpt,
}

/// The line of the place and the columns of the caret, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    caret_start: usize,
    caret_len: usize,
}

impl Problem {
    /// A finding at `span`.
    pub(crate) fn new(
        sources: &Sources,
        span: Span,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            place: sources.place(span),
            reason: reason.into(),
            remedy: remedy.into(),
            excerpt: Excerpt::new(sources, span),
        }
    }

    /// The line of the text with the place, blanked where it may hold a secret.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.excerpt.line
    }

    /// Place, reason and remedy in one line, for a log.
    #[must_use]
    pub fn one_line(&self) -> String {
        format!("{}: {}; {}", self.place, self.reason, self.remedy)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.place.line.to_string();
        let margin = " ".repeat(number.len());
        let blank = " ".repeat(self.excerpt.caret_start);
        let caret = "^".repeat(self.excerpt.caret_len.max(1));
        writeln!(formatter, "{}: {}", self.place, self.reason)?;
        writeln!(formatter, "{margin} |")?;
        writeln!(formatter, "{number} | {}", self.excerpt.line)?;
        writeln!(formatter, "{margin} | {blank}{caret}")?;
        write!(formatter, "{margin} = {}", self.remedy)
    }
}

impl Excerpt {
    fn new(sources: &Sources, span: Span) -> Self {
        let text = sources
            .get(span.source)
            .map_or("", |source| source.text.as_str());
        let start = text.get(..span.start).map_or(0, |before| {
            before.rfind('\n').map_or(0, |newline| newline + 1)
        });
        let rest = text.get(start..).unwrap_or("");
        let line = rest.lines().next().unwrap_or("");
        let in_line = |at: usize| (at.max(start) - start).min(line.len());
        let chars = |bytes: usize| line.get(..bytes).map_or(0, |head| head.chars().count());
        let (from, to) = (chars(in_line(span.start)), chars(in_line(span.end)));
        let excerpt = Self {
            line: line.replace('\t', " "),
            caret_start: from,
            caret_len: to.saturating_sub(from),
        };
        let above = text.get(..start).unwrap_or("");
        if may_hold_secret(above, line) {
            excerpt.redacted()
        } else {
            excerpt.cut()
        }
    }

    /// Keeps the key, hides all behind it.
    fn redacted(self) -> Self {
        let key: String = self
            .line
            .split_once('=')
            .map_or_else(String::new, |(key, _)| format!("{}= ", plain_key(key)));
        let key_len = key.chars().count();
        let is_in_key = self.caret_start < key_len;
        Self {
            line: format!("{key}{REDACTED}"),
            caret_start: if is_in_key { self.caret_start } else { key_len },
            caret_len: if is_in_key {
                self.caret_len.min(key_len - self.caret_start)
            } else {
                REDACTED.len()
            },
        }
    }

    fn cut(self) -> Self {
        let length = self.line.chars().count();
        if length <= LINE_CHARS_MAX {
            return self;
        }
        let skip = self.caret_start.saturating_sub(LINE_CHARS_MAX / 2);
        let line = self.line.chars().skip(skip).take(LINE_CHARS_MAX).collect();
        let caret_start = self.caret_start - skip;
        Self {
            line,
            caret_start,
            caret_len: self.caret_len.min(LINE_CHARS_MAX - caret_start),
        }
    }
}

/// The key as written if it is one; a stray `=` inside a secret must not show what is before it.
fn plain_key(key: &str) -> String {
    let is_key = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-. \t".contains(c));
    if is_key {
        key.to_owned()
    } else {
        String::from("… ")
    }
}

/// Judged by text alone, since a text that is no TOML has no tree to ask.
fn may_hold_secret(above: &str, line: &str) -> bool {
    let is_header = |line: &str| line.trim_start().starts_with('[') && line.contains(']');
    let key = line.split_once('=').map_or("", |(key, _)| key.trim());
    let lower = line.to_lowercase();
    let (head, inner) = lower.split_once('=').unwrap_or((&lower, ""));
    let is_named_secret = |text: &str| SECRET_WORDS.iter().any(|word| text.contains(word));
    let section = above
        .lines()
        .rev()
        .find(|line| is_header(line))
        .unwrap_or("");
    if section.contains("credentials") && !is_header(line) && !line.trim().is_empty() {
        return !OPEN_CREDENTIAL_KEYS.contains(&key) || inner.contains('{');
    }
    !is_header(line) && (is_named_secret(head) || inner.contains('{') && is_named_secret(inner))
}
