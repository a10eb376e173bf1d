//! Where settings come from: files, a directory, the environment, the command line.
//!
//! Does: read a file or a directory's `*.toml` in name order, hold the texts, and turn a span into
//! file, line and column. Does not: parse (`tree`), merge (`merge`) or judge.
//! In: a path, or texts made elsewhere (`OCELLI_SET_…`, `--set`). Out: [`Sources`], [`Place`].
//! Invariant: a [`Span`] lies within the text of the source that it names.

use std::fmt;
use std::path::{Path, PathBuf};

/// A longer file is no configuration: 4 MiB hold about 40,000 items.
pub const FILE_BYTES_MAX: u64 = 4 << 20;
/// More files in one directory are a mistake of the path.
pub const FILES_MAX: usize = 1_000;

/// Which of the sources a span lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(crate) usize);

/// A range of bytes in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The source.
    pub source: SourceId,
    /// First byte.
    pub start: usize,
    /// Past the last byte; at least `start`.
    pub end: usize,
}

/// What kind of text a source is: decides what it may set and which wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A value that the program fills in where nothing else does, such as the host name.
    Default,
    /// A TOML file.
    File(PathBuf),
    /// A variable of the environment, `OCELLI_SET_…`.
    Environment(String),
    /// An option of the command line, `--set`.
    CommandLine,
}

/// One text with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where the text is from.
    pub kind: SourceKind,
    /// The text, TOML.
    pub text: String,
    /// What relative paths in it are relative to; empty: the working directory.
    pub base: PathBuf,
}

impl Source {
    /// A file's text; relative paths in it count from the file's directory.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let path = path.into();
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Self {
            kind: SourceKind::File(path),
            text: text.into(),
            base,
        }
    }

    /// How messages name it.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.kind {
            SourceKind::Default => String::from("default"),
            SourceKind::File(path) => path.display().to_string(),
            SourceKind::Environment(variable) => variable.clone(),
            SourceKind::CommandLine => String::from("--set"),
        }
    }
}

/// All texts of one configuration, weakest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// No source yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a source that wins over those before it where overriding is allowed.
    pub fn push(&mut self, source: Source) -> SourceId {
        self.0.push(source);
        SourceId(self.0.len() - 1)
    }

    /// The sources in order.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.0
            .iter()
            .enumerate()
            .map(|(i, source)| (SourceId(i), source))
    }

    /// One source; `None` if the id is of another set.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(id.0)
    }

    /// File, line and column at which `span` begins.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        let Some(source) = self.get(span.source) else {
            return Place::default();
        };
        let before = source.text.get(..span.start).unwrap_or(&source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: source.name(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A place in a configuration, as people and editors read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Path of the file, or the name of another source (`--set`, `OCELLI_SET_…`, `default`).
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 if unknown.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why the configuration could not be read from disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The path does not exist or may not be opened.
    #[error("cannot read configuration {path}: {source}; name a readable one by --config")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A directory without any `*.toml`.
    #[error("configuration directory {path} has no *.toml file; put one there or name a file")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// More than [`FILES_MAX`] files.
    #[error("directory {path} has more than {FILES_MAX} *.toml files; is it the right one?")]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// A file above [`FILE_BYTES_MAX`].
    #[error(
        "file {path} has {bytes} bytes, {FILE_BYTES_MAX} is the limit; split it into a directory"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Not text.
    #[error("configuration file {path} is not UTF-8 from byte {valid_up_to} on; save it as UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
        /// How many bytes are good.
        valid_up_to: usize,
    },
}

/// Reads one file, or every `*.toml` of a directory in name order (not its subdirectories; names
/// that begin with a dot are skipped, as editors leave them).
///
/// # Errors
/// [`ReadError`] for the first thing that cannot be read.
pub fn read_path(path: &Path) -> Result<Sources, ReadError> {
    let mut sources = Sources::new();
    for file in files_of(path)? {
        let text = read_file(&file)?;
        sources.push(Source::file(file, text));
    }
    Ok(sources)
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let unreadable = |source| ReadError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let is_hidden = file
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if is_hidden || file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        if files.len() == FILES_MAX {
            return Err(ReadError::TooMany {
                path: path.to_path_buf(),
            });
        }
        files.push(file);
    }
    if files.is_empty() {
        return Err(ReadError::Empty {
            path: path.to_path_buf(),
        });
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<String, ReadError> {
    let unreadable = |source| ReadError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge {
            path: path.to_path_buf(),
            bytes,
        });
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(content).map_err(|error| ReadError::NotText {
        path: path.to_path_buf(),
        valid_up_to: error.utf8_error().valid_up_to(),
    })
}
