//! Profiles that come with the program, and those of a directory.
//!
//! Does: name the built-in ones (compiled in), read files, know the value maps that profiles name.
//! Does not: choose a profile for a device. In: a name or a path. Out: a lowered [`Profile`].
//! A file is meant where the name has a `/` or ends in `.yaml`; a file of a directory given to
//! [`ProfileLibrary::with_directory`] goes before a built-in one of the same name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ocelli_model::profile::{Diagnostic, LowerContext, NativeProfile, Profile, ValueMap};
use ocelli_model::suggest::{did_you_mean, nearest};

/// What native profiles end in.
pub const NATIVE_EXTENSION: &str = ".ocelli.yaml";
/// Largest profile read; the parser's own limit is below it.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Diagnostics shown in an error; `profile check` shows all.
const SHOWN_MAX: usize = 20;

const BUILT_IN: [(&str, &str); 1] = [(
    "interfaces",
    include_str!("../profiles/interfaces.ocelli.yaml"),
)];

/// Why there is no such profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Neither built in nor in the directory.
    #[error("there is no profile {name:?}{hint}; built in: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// `; did you mean …?` or nothing.
        hint: String,
        /// Names that exist.
        known: String,
    },
    /// A file that cannot be read.
    #[error("cannot read profile {path}: {reason}; check path and permissions")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// A profile with faults.
    #[error("profile {file} has {} faults:\n{}", .diagnostics.len(), shown(.diagnostics))]
    Faulty {
        /// The file.
        file: String,
        /// Every fault.
        diagnostics: Vec<Diagnostic>,
    },
}

fn shown(diagnostics: &[Diagnostic]) -> String {
    let lines = diagnostics.iter().take(SHOWN_MAX).map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}

/// Where profiles come from.
#[derive(Debug, Clone, Default)]
pub struct ProfileLibrary {
    directory: Option<PathBuf>,
}

impl ProfileLibrary {
    /// The built-in profiles alone.
    #[must_use]
    pub fn built_in() -> Self {
        Self::default()
    }

    /// Also those of a directory; paths of files are relative to it.
    #[must_use]
    pub fn with_directory(directory: PathBuf) -> Self {
        Self {
            directory: Some(directory),
        }
    }

    /// Names of the built-in profiles.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// The profile `name`, lowered for slots of `every_ms`. Reads a file at most: for start and
    /// reload, not for an arbiter.
    ///
    /// # Errors
    /// Each [`ProfileError`].
    pub fn load(&self, name: &str, every_ms: u32) -> Result<Profile, ProfileError> {
        let (file, text) = self.find(name)?;
        let faulty = |diagnostics| ProfileError::Faulty {
            file: file.clone(),
            diagnostics,
        };
        let native = NativeProfile::parse(&file, &text).map_err(faulty)?;
        let maps = value_maps();
        let context = LowerContext {
            every_ms,
            maps: &maps,
        };
        native.lower(&context).map_err(faulty)
    }

    fn find(&self, name: &str) -> Result<(String, String), ProfileError> {
        if name.contains('/') || name.ends_with(".yaml") {
            let base = self.directory.as_deref().unwrap_or(Path::new(""));
            return read(&base.join(name));
        }
        if let Some(directory) = &self.directory {
            let path = directory.join(format!("{name}{NATIVE_EXTENSION}"));
            if path.is_file() {
                return read(&path);
            }
        }
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == name);
        match built_in {
            Some((name, text)) => Ok((format!("{name}{NATIVE_EXTENSION}"), (*text).to_owned())),
            None => Err(ProfileError::Unknown {
                name: name.to_owned(),
                hint: did_you_mean(nearest(name, Self::names())),
                known: Self::names().join(", "),
            }),
        }
    }
}

fn read(path: &Path) -> Result<(String, String), ProfileError> {
    let file = path.display().to_string();
    let unreadable = |reason: String| ProfileError::Unreadable {
        path: file.clone(),
        reason,
    };
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "it has {size} bytes, {FILE_BYTES_MAX} is the limit"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Ok((file, text))
}

// === Value maps ===

/// IANAifType: the names of `ifType`, numbered from 1.
const IANA_IF_TYPE: &str = include_str!("../data/iana_if_type.txt");

/// The maps that profiles may name.
#[must_use]
pub fn value_maps() -> BTreeMap<String, Arc<ValueMap>> {
    BTreeMap::from([("iana_if_type".to_owned(), Arc::new(if_types()))])
}

/// Names of `ifType` by number; what has none is shown as its number.
pub(crate) fn if_types() -> ValueMap {
    let lines = IANA_IF_TYPE.lines().filter(|line| !line.starts_with('#'));
    let names = lines.flat_map(str::split_whitespace);
    (1..).zip(names.map(Arc::from)).collect()
}

#[cfg(test)]
#[path = "profiles_tests.rs"]
mod tests;
