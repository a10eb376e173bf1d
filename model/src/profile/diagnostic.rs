//! What is wrong with a profile, where, and what to do.
//!
//! Does: name the stable codes, carry file, line, column and key path. Does not: decide what is
//! lost with the item (the reader of the dialect does; a native file is refused as a whole).
//! In: the YAML reader and the lowering. Out: [`Diagnostic`], printed as `file:line:column: …`.

use std::fmt;

/// A place in a text, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What is wrong. The codes are stable: scripts and documents refer to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `P001`: not YAML.
    Syntax,
    /// `P002`: a key twice in one mapping.
    DuplicateKey,
    /// `P003`: a key that the format does not know.
    UnknownKey,
    /// `P006`: a base that is missing, or a cycle of bases.
    Extends,
    /// `P007`: an anchor, alias or tag.
    Anchor,
    /// `P008`: a name that is no text, or breaks the pattern of names.
    Name,
    /// `P009`: beyond a limit.
    Limit,
    /// `P010`: something that must be there is missing.
    Missing,
    /// `P011`: a value of the wrong sort.
    Sort,
    /// `P012`: no object identifier.
    Oid,
    /// `P015`: an expression that cannot be read.
    Expression,
    /// `P016`: a name that no column, index field or earlier `let` has.
    UnknownName,
    /// `P017`: a counter that is not linear over columns.
    NotLinear,
    /// `P018`: a value map that does not exist.
    UnknownMap,
    /// `P019`: what the profile says is no schema.
    Schema,
}

impl Code {
    /// `P001` and so on.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "P001",
            Self::DuplicateKey => "P002",
            Self::UnknownKey => "P003",
            Self::Extends => "P006",
            Self::Anchor => "P007",
            Self::Name => "P008",
            Self::Limit => "P009",
            Self::Missing => "P010",
            Self::Sort => "P011",
            Self::Oid => "P012",
            Self::Expression => "P015",
            Self::UnknownName => "P016",
            Self::NotLinear => "P017",
            Self::UnknownMap => "P018",
            Self::Schema => "P019",
        }
    }
}

/// How much is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing: said for information.
    Note,
    /// The item is kept, its meaning may differ.
    Warn,
    /// The item is dropped; in a native file the item is the file.
    Error,
}

impl Severity {
    /// `note`, `warn` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much is lost.
    pub severity: Severity,
    /// What is wrong.
    pub code: Code,
    /// The file, as it was named to the reader.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// Keys and positions down to the item: `groups[0].table.columns.name`; empty for the file.
    pub path: String,
    /// What is wrong with what value, and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        let (severity, code) = (self.severity.as_str(), self.code.as_str());
        write!(
            formatter,
            "{}:{line}:{column}: {severity} {code}: ",
            self.file
        )?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

/// A finding before the file is known: what the parts of the reader give back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: Code,
    pub(crate) place: Place,
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(code: Code, place: Place, path: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            place,
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// An error in `file`.
    pub(crate) fn in_file(self, file: &str) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: self.code,
            file: file.to_owned(),
            place: self.place,
            path: self.path,
            message: self.message,
        }
    }
}
