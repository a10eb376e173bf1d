//! Single keys set from outside the files: `--set node.name=x`, `OCELLI_SET_NODE_NAME=x`.
//!
//! Does: find the key that is meant and make a source of it, which `merge` lays over the files.
//! Does not: set secrets or items of array tables: the first show in process lists, the second
//! have no name to be told apart by.
//! In: the text of an option, or the variables of the environment. Out: [`Source`]s.

use std::path::PathBuf;

use ocelli_model::suggest::{did_you_mean, nearest};

use crate::reference::reference;
use crate::source::{Source, SourceId, SourceKind};
use crate::tree;
use crate::value::quoted;

/// What a variable of the environment begins with to override a key.
pub const ENVIRONMENT_PREFIX: &str = "OCELLI_SET_";

/// Why a key cannot be set from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverrideError {
    /// No `=`.
    #[error("--set {text:?} has no value; write --set section.key=value")]
    NoValue {
        /// The option as given.
        text: String,
    },
    /// Not a key of a single section.
    #[error(
        "{from} sets no known key{}; see `ocelli config reference`",
        did_you_mean(nearest.as_deref())
    )]
    UnknownKey {
        /// The option or the variable, without its value.
        from: String,
        /// The nearest key.
        nearest: Option<String>,
    },
    /// A credential.
    #[error("{from} would show a secret to every process; put {{ file = … }} into the file")]
    Secret {
        /// The option or the variable, without its value.
        from: String,
    },
    /// An array table.
    #[error("{from} names an array table, whose items have no path; change the file")]
    ArrayTable {
        /// The option or the variable, without its value.
        from: String,
    },
}

/// The source of one `--set section.key=value`. The value is TOML, or text if it is none.
///
/// # Errors
/// [`OverrideError`]; the value is in none of its texts.
pub fn override_of_option(text: &str) -> Result<Source, OverrideError> {
    let Some((path, value)) = text.split_once('=') else {
        let text = text.chars().take(64).collect();
        return Err(OverrideError::NoValue { text });
    };
    let path = path.trim();
    let from = || format!("--set {path}");
    refuse_forbidden(path, from)?;
    let keys = settable_keys();
    let is_known = keys.iter().any(|key| {
        path == key
            || path
                .strip_prefix(key.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
    });
    if !is_known {
        let nearest = nearest(path, keys.iter().map(String::as_str)).map(str::to_owned);
        return Err(OverrideError::UnknownKey {
            from: from(),
            nearest,
        });
    }
    Ok(source(SourceKind::CommandLine, path, value))
}

/// The sources of all variables that begin with [`ENVIRONMENT_PREFIX`], in name order.
///
/// # Errors
/// [`OverrideError`] for the first variable that sets nothing.
pub fn overrides_of_environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Source>, OverrideError> {
    let keys = settable_keys();
    let variable_of = |key: &str| key.replace('.', "_").to_ascii_uppercase();
    let mut variables: Vec<(String, String)> = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
        .collect();
    variables.sort();
    variables
        .into_iter()
        .map(|(name, value)| {
            let wanted = name.trim_start_matches(ENVIRONMENT_PREFIX);
            refuse_forbidden(&wanted.to_ascii_lowercase(), || name.clone())?;
            match keys.iter().find(|key| variable_of(key) == wanted) {
                Some(key) => Ok(source(SourceKind::Environment(name.clone()), key, &value)),
                None => {
                    let names: Vec<String> = keys.iter().map(|key| variable_of(key)).collect();
                    let nearest = nearest(wanted, names.iter().map(String::as_str));
                    let nearest = nearest.map(|near| format!("{ENVIRONMENT_PREFIX}{near}"));
                    Err(OverrideError::UnknownKey {
                        from: name.clone(),
                        nearest,
                    })
                }
            }
        })
        .collect()
}

fn refuse_forbidden(path: &str, from: impl Fn() -> String) -> Result<(), OverrideError> {
    let mut parts = path.split(['.', '_', '[']);
    let section = parts.next().unwrap_or("");
    match section {
        "identity" if parts.next() == Some("token") => Err(OverrideError::Secret { from: from() }),
        "credentials" => Err(OverrideError::Secret { from: from() }),
        "device" | "upstream" | "peer" | "origin" | "discovery" | "enrichment" | "polling" => {
            Err(OverrideError::ArrayTable { from: from() })
        }
        _ => Ok(()),
    }
}

/// `section.key` of every single section.
fn settable_keys() -> Vec<String> {
    let sections = reference();
    let single = sections.iter().filter_map(|section| {
        let name = section.title.strip_prefix('[')?.strip_suffix(']')?;
        (!name.starts_with('[')).then_some((name, &section.fields))
    });
    single
        .flat_map(|(name, fields)| {
            fields
                .iter()
                .map(move |field| format!("{name}.{}", field.key))
        })
        .collect()
}

fn source(kind: SourceKind, path: &str, value: &str) -> Source {
    let as_toml = format!("{path} = {value}\n");
    let (table, errors) = tree::parse(SourceId(0), &as_toml);
    // One entry only: a value must not smuggle in lines of its own.
    let is_toml = errors.is_empty() && table.entries.len() == 1 && !value.contains('\n');
    let text = if is_toml {
        as_toml
    } else {
        format!("{path} = {}\n", quoted(value))
    };
    Source {
        kind,
        text,
        base: PathBuf::new(),
    }
}
