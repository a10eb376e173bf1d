//! The tidy rules: what every file of the tree must keep, checked as text.
//!
//! Does: hold the layering table and the limits as data, walk the tree, collect violations.
//! Does not: parse Rust fully; `source` blanks strings and comments, the rules read what is left.
//! In: the root of the tree. Out: [`Violation`]s, each with file, line, rule and the fix.
//! A rule is broken only with `// style: <why>` on the line.

use std::fmt;
use std::path::{Path, PathBuf};

mod banned;
mod layers;
mod shape;
mod source;
mod walk;

pub use source::Source;

/// Longest line, characters.
pub const COLUMNS_MAX: usize = 100;
/// Longest function, from its `fn` line to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Longest file, tests aside.
pub const FILE_LINES_MAX: usize = 500;

/// A rule that a line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path below the root.
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// Short name of the rule.
    pub rule: &'static str,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            rule,
            fix,
        } = self;
        write!(formatter, "{file}:{line}: {rule}: {fix}")
    }
}

/// Checks every manifest and Rust file below `root`, and what the map names.
///
/// # Errors
/// An I/O error with the path that could not be read.
pub fn check_tree(root: &Path) -> Result<Vec<Violation>, String> {
    let mut violations = Vec::new();
    let mut sources = Vec::new();
    for path in files_below(root)? {
        let name = relative(root, &path);
        let is_manifest = path.file_name().is_some_and(|file| file == "Cargo.toml");
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if !is_manifest && !is_rust {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if is_manifest {
            violations.extend(layers::check_manifest(&name, &text));
        } else {
            violations.extend(check_source(&Source::new(&name, &text)));
            sources.push((name, text));
        }
    }
    let map = std::fs::read_to_string(root.join(walk::MAP))
        .map_err(|error| format!("cannot read {}: {error}", walk::MAP))?;
    violations.extend(walk::check_walk(&map, &sources));
    Ok(violations)
}

/// Checks one Rust file.
#[must_use]
pub fn check_source(source: &Source) -> Vec<Violation> {
    let mut violations = layers::check_imports(source);
    violations.extend(shape::check(source));
    violations.extend(banned::check(source));
    violations.retain(|violation| !source.is_excused(violation.line));
    violations
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

/// All files but those of version control, build output and fuzz corpora.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut folders = vec![root.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let is_left_out = name.starts_with('.') || name == "target" || name == "corpus";
            match path.is_dir() {
                _ if is_left_out => {}
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}
