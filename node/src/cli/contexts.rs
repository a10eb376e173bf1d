//! Named nodes of one user: `~/.config/ocelli/contexts.toml`.
//!
//! Does: read and write the file whole, find the one in use. Does not: dial, hold secrets: tokens
//! and keys are files that it names.
//! In: the file. Out: [`Contexts`].
//! Limits: a name is of letters, digits, `-`, `_` and `.`, at most [`NAME_CHARS_MAX`] of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::exit::{Exit, Failure};

/// Longest name of a context.
const NAME_CHARS_MAX: usize = 64;
/// Largest file: some thousand contexts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One named node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Its address.
    pub(crate) at: Option<String>,
    /// File with the token that it wants.
    pub(crate) token_file: Option<PathBuf>,
    /// Authorities of its certificate.
    pub(crate) ca: Option<PathBuf>,
    /// What is shown to it.
    pub(crate) cert: Option<PathBuf>,
    /// The key of `cert`.
    pub(crate) key: Option<PathBuf>,
}

/// All of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Context {
    /// What is given here, and the rest of `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            at: self.at.or(other.at),
            token_file: self.token_file.or(other.token_file),
            ca: self.ca.or(other.ca),
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
        }
    }

    /// Names and values of what is set; files by path, never by content.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let all = [
            ("at", self.at.clone()),
            ("token_file", file(&self.token_file)),
            ("ca", file(&self.ca)),
            ("cert", file(&self.cert)),
            ("key", file(&self.key)),
        ];
        let set = all.into_iter();
        set.filter_map(|(name, value)| value.map(|value| (name, value)))
            .collect()
    }
}

impl Contexts {
    /// Those of who runs this; none without a file.
    ///
    /// # Errors
    /// The file cannot be read, or not be understood.
    pub(crate) fn of_user() -> Result<Self, Failure> {
        path_of_user().map_or(Ok(Self::default()), |path| Self::read(&path))
    }

    /// Those of a file; none if there is no file.
    ///
    /// # Errors
    /// As [`Contexts::of_user`].
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            let text = format!("cannot use {}: {error}", path.display());
            Failure::new(Exit::Failed, text).hint("mend the file, or remove it")
        };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                return Err(failed(&format!("it has over {FILE_BYTES_MAX} bytes")));
            }
            _ => {}
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        toml::from_str(&text).map_err(|error| failed(&error))
    }

    /// Writes them whole: a crash leaves the file as it was.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(
                Exit::Failed,
                format!("cannot write {}: {error}", path.display()),
            )
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let beside = path.with_extension("toml.new");
        let write = || {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&beside)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, path)
        };
        write().map_err(failed)
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        if let Some(current) = &self.current {
            text += &format!("current = {}\n", quoted(current));
        }
        for (name, context) in &self.contexts {
            text += &format!("\n[contexts.{}]\n", quoted(name));
            for (field, value) in context.fields() {
                text += &format!("{field} = {}\n", quoted(&value));
            }
        }
        text
    }

    /// The one named, else the one in use; `None`: neither.
    ///
    /// # Errors
    /// A name that is not known.
    pub(crate) fn chosen(&self, named: Option<&str>) -> Result<Option<Context>, Failure> {
        let Some(name) = named.or(self.current.as_deref()) else {
            return Ok(None);
        };
        self.get(name).cloned().map(Some)
    }

    /// # Errors
    /// [`Exit::NotFound`] with the names that are known.
    pub(crate) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let hint = if known.is_empty() {
                "make one: ocelli context set NAME --at URL".to_owned()
            } else {
                format!("known: {}", known.join(", "))
            };
            Failure::new(Exit::NotFound, format!("no context is named {name:?}")).hint(hint)
        })
    }
}

/// Where the contexts of who runs this are; `None` without a home.
pub(crate) fn path_of_user() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(config.join("ocelli/contexts.toml"))
}

/// # Errors
/// [`Exit::Usage`] for a name that could not be typed or told apart.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_plain) {
        return Ok(());
    }
    let text = format!("{name:?} cannot name a context");
    let hint = format!("use 1 to {NAME_CHARS_MAX} letters, digits, dots, - and _");
    Err(Failure::new(Exit::Usage, text).hint(hint))
}

/// As a TOML string: its escapes are JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
#[path = "contexts_tests.rs"]
mod tests;
