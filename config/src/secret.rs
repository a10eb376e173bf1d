//! The five ways to give a secret, and how one is opened.
//!
//! Does: read `{ file }`, `{ env }`, `{ exec }`, `{ credential }`, `{ value }` or a bare string
//! (both last ones warned about), and open a secret through a [`SecretSource`]. Does not: start
//! processes: `exec` needs a runner, so the node lends it.
//! In: a TOML value; at opening, what the source reads. Out: [`SecretText`], [`Secret`].
//! Invariant: no error of this file holds a part of a secret, only the name of where it should be.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use ocelli_model::secret::{REDACTED, Secret};

use crate::reading::Reading;
use crate::section::Setting;
use crate::tree::{Node, Table, Value};
use crate::value::quoted;

/// A longer secret is a wrong file.
pub const SECRET_BYTES_MAX: usize = 64 * 1024;
/// Words of a command line.
const EXEC_WORDS_MAX: usize = 64;

const REMEDY: &str = "write { file = \"/path\" }, { env = \"NAME\" }, { exec = [\"command\"] } \
                      or { credential = \"name\" }";

/// Where a secret is, or the secret itself.
#[derive(Debug, Clone)]
pub enum SecretText {
    /// The content of a file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// What a command prints; the command and its arguments, no shell.
    Exec(Vec<String>),
    /// A credential that systemd hands over (`LoadCredential=`).
    Credential(String),
    /// Written into the configuration.
    Value(Secret<String>),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}: {source}; check its path and mode")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The variable is not set.
    #[error("the environment has no {name}, which should hold a secret; set it for the service")]
    Environment {
        /// The variable.
        name: String,
    },
    /// The command failed; its output is not told, since it may be part of the secret.
    #[error("the command {command} gave no secret: {reason}; run it by hand as the same user")]
    Exec {
        /// The command without its arguments.
        command: String,
        /// Exit status, time-out or why it did not start.
        reason: String,
    },
    /// The service manager handed nothing over.
    #[error("no credential {name} is handed over; add LoadCredential={name}:… to the unit")]
    Credential {
        /// The credential.
        name: String,
    },
    /// Nothing but white space.
    #[error("the secret from {from} is empty; put it there")]
    Empty {
        /// Where it is from.
        from: String,
    },
    /// Above [`SECRET_BYTES_MAX`].
    #[error("the secret from {from} is longer than {SECRET_BYTES_MAX} bytes; is it the right one?")]
    TooLong {
        /// Where it is from.
        from: String,
    },
    /// Not UTF-8.
    #[error("the secret from {from} is not UTF-8 text; store it as text")]
    NotText {
        /// Where it is from.
        from: String,
    },
}

/// What opens secrets: the world outside, lent by the node; a table in tests.
pub trait SecretSource {
    /// At most [`SECRET_BYTES_MAX`] + 1 bytes of a file.
    ///
    /// # Errors
    /// [`SecretError::File`].
    fn file(&self, path: &Path) -> Result<Vec<u8>, SecretError>;
    /// A variable of the environment.
    ///
    /// # Errors
    /// [`SecretError::Environment`].
    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretError>;
    /// The standard output of a command, ended by the caller's deadline.
    ///
    /// # Errors
    /// [`SecretError::Exec`].
    fn exec(&self, command: &[String]) -> Result<Vec<u8>, SecretError>;
    /// A credential of the service manager.
    ///
    /// # Errors
    /// [`SecretError::Credential`].
    fn credential(&self, name: &str) -> Result<Vec<u8>, SecretError>;
}

/// Files, the environment and `$CREDENTIALS_DIRECTORY` of this process; commands through `R`,
/// which starts them, ends them at a deadline and caps their output.
#[derive(Debug)]
pub struct ProcessSecrets<R> {
    /// Runs a command: its standard output, or why there is none.
    pub run: R,
}

impl<R> SecretSource for ProcessSecrets<R>
where
    R: Fn(&[String]) -> Result<Vec<u8>, String>,
{
    fn file(&self, path: &Path) -> Result<Vec<u8>, SecretError> {
        read_limited(path).map_err(|source| SecretError::File {
            path: path.to_path_buf(),
            source,
        })
    }

    fn environment(&self, name: &str) -> Result<Vec<u8>, SecretError> {
        let value = std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes);
        value.ok_or_else(|| SecretError::Environment {
            name: name.to_owned(),
        })
    }

    fn exec(&self, command: &[String]) -> Result<Vec<u8>, SecretError> {
        (self.run)(command).map_err(|reason| SecretError::Exec {
            command: command.first().cloned().unwrap_or_default(),
            reason,
        })
    }

    fn credential(&self, name: &str) -> Result<Vec<u8>, SecretError> {
        let missing = || SecretError::Credential {
            name: name.to_owned(),
        };
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(missing)?;
        read_limited(&PathBuf::from(directory).join(name)).map_err(|_| missing())
    }
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let limit = u64::try_from(SECRET_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut content)?;
    Ok(content)
}

impl SecretText {
    /// The secret. One line break at its end is dropped, as editors and `echo` leave it.
    ///
    /// # Errors
    /// [`SecretError`], without any part of the secret.
    pub fn open(&self, source: &dyn SecretSource) -> Result<Secret<String>, SecretError> {
        let bytes = match self {
            Self::File(path) => source.file(path)?,
            Self::Environment(name) => source.environment(name)?,
            Self::Exec(command) => source.exec(command)?,
            Self::Credential(name) => source.credential(name)?,
            Self::Value(secret) => secret.expose().as_bytes().to_vec(),
        };
        let from = || self.describe();
        if bytes.len() > SECRET_BYTES_MAX {
            return Err(SecretError::TooLong { from: from() });
        }
        let bytes = Secret::new(bytes);
        let text = std::str::from_utf8(bytes.expose())
            .map_err(|_| SecretError::NotText { from: from() })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(SecretError::Empty { from: from() });
        }
        Ok(Secret::new(text.to_owned()))
    }

    /// Where it is, as TOML; a secret written down shows redacted.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::File(path) => format!("{{ file = {} }}", quoted(&path.display().to_string())),
            Self::Environment(name) => format!("{{ env = {} }}", quoted(name)),
            Self::Exec(command) => {
                // Arguments may be secrets too: the program's name is enough to know it by.
                let program = command.first().map_or("", String::as_str);
                format!("{{ exec = [{}, …] }}", quoted(program))
            }
            Self::Credential(name) => format!("{{ credential = {} }}", quoted(name)),
            Self::Value(_) => format!("{{ value = {REDACTED:?} }}"),
        }
    }
}

/// Two secrets are the same setting if they are the same text: a reload must see a new passphrase.
/// Compared only by the owner of the file that holds both, so timing tells nobody anything.
impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Exec(one), Self::Exec(two)) => one == two,
            (Self::Environment(one), Self::Environment(two))
            | (Self::Credential(one), Self::Credential(two)) => one == two,
            (Self::Value(one), Self::Value(two)) => one.expose() == two.expose(),
            _ => false,
        }
    }
}

impl Setting for SecretText {
    fn kind() -> String {
        String::from("a secret: { file }, { env }, { exec }, { credential } or { value }")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(written_down(node, text, reading)),
            Value::Table(table) => form(node, table, reading),
            other => {
                let reason = format!("expected a secret, found {}", other.kind());
                reading.wrong(node.span, reason, REMEDY);
                None
            }
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.describe())
    }
}

fn written_down(node: &Node, text: &str, reading: &mut Reading<'_>) -> SecretText {
    let reason = "the secret stands in the configuration itself";
    let remedy = if text.starts_with('$') {
        format!("variables are not expanded in strings; {REMEDY}")
    } else {
        format!("whoever may read the file has it; {REMEDY}")
    };
    reading.warn(node.span, reason, remedy);
    SecretText::Value(Secret::new(text.to_owned()))
}

fn form(node: &Node, table: &Table, reading: &mut Reading<'_>) -> Option<SecretText> {
    let [entry] = table.entries.as_slice() else {
        let reason = format!(
            "a secret has one form, here are {} keys",
            table.entries.len()
        );
        reading.wrong(node.span, reason, REMEDY);
        return None;
    };
    let text = || match &entry.node.value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let secret = match entry.key.as_str() {
        "file" => text().map(|path| SecretText::File(reading.resolve_path(node.span, &path))),
        "env" => text().map(SecretText::Environment),
        "credential" => text()
            .filter(|name| !name.contains('/'))
            .map(SecretText::Credential),
        "exec" => words(&entry.node).map(SecretText::Exec),
        "value" => text().map(|text| written_down(&entry.node, &text, reading)),
        _ => {
            reading.wrong(entry.key_span, "no such form of a secret", REMEDY);
            return None;
        }
    };
    if secret.is_none() {
        let reason = format!("{:?} of a secret is not of the right kind", entry.key);
        reading.wrong(entry.node.span, reason, REMEDY);
    }
    secret
}

fn words(node: &Node) -> Option<Vec<String>> {
    let Value::Array(items) = &node.value else {
        return None;
    };
    let word = |item: &Node| match &item.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let words: Option<Vec<String>> = items.iter().map(word).collect();
    words.filter(|words| {
        words.len() <= EXEC_WORDS_MAX && words.first().is_some_and(|program| !program.is_empty())
    })
}
