//! The last configuration that ran, kept for the day when the present one cannot be read.
//!
//! Does: decide between the present configuration, the last good one and refusal; write and read
//! the copy. Does not: know when a configuration has proved good (the node says).
//! In: what `load` gave, the copy's texts. Out: [`StartChoice`]; one file in the data directory.
//! Invariant: the copy is replaced whole by rename, mode 0600, since it may hold secrets.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::load::{Invalid, LoadOptions, Loaded, load};
use crate::source::{Source, SourceId, SourceKind, Sources};
use crate::tree::{self, Value};
use crate::value::quoted;

/// Name of the copy inside the data directory.
pub const LAST_GOOD_FILE: &str = "last-good.toml";
/// Above any copy that was written: what is longer is not ours.
const COPY_BYTES_MAX: u64 = 64 << 20;

/// What a start runs with.
#[derive(Debug)]
pub enum StartChoice {
    /// The present configuration.
    Present(Box<Loaded>),
    /// The copy, because the present one cannot be used for these reasons: say it loudly.
    LastGood(Box<Loaded>, Invalid),
    /// Neither: exit code 78 with these reasons.
    Refused(Invalid),
}

/// Chooses: the present configuration if it can run; else the last good one unless `--strict`.
#[must_use]
pub fn choose(
    present: Result<Loaded, Invalid>,
    last_good: Option<Sources>,
    options: LoadOptions<'_>,
) -> StartChoice {
    let invalid = match present {
        Ok(loaded) => return StartChoice::Present(Box::new(loaded)),
        Err(invalid) => invalid,
    };
    let copy = last_good
        .filter(|_| !options.is_strict)
        .map(|sources| load(sources, options));
    match copy {
        Some(Ok(loaded)) => StartChoice::LastGood(Box::new(loaded), invalid),
        _ => StartChoice::Refused(invalid),
    }
}

/// The data directory that a configuration means, even if it cannot be used otherwise: where to
/// look for the copy.
#[must_use]
pub fn data_dir_of(sources: &Sources) -> Option<PathBuf> {
    let mut found = None;
    for (id, source) in sources.iter() {
        let (table, _) = tree::parse(id, &source.text);
        let node = table.get("node").map(|entry| &entry.node.value);
        let Some(Value::Table(node)) = node else {
            continue;
        };
        if let Some(Value::Text(path)) = node.get("data_dir").map(|entry| &entry.node.value) {
            found = Some(source.base.join(path));
        }
    }
    found
}

/// Writes the copy of the files of `sources` (overrides are given anew at each start).
///
/// # Errors
/// What the file system says; the old copy then stands.
pub fn write_last_good(data_dir: &Path, sources: &Sources) -> std::io::Result<()> {
    let mut text = String::from("# Copy of the last configuration that ran. Written by ocelli.\n");
    for (_, source) in sources.iter() {
        if let SourceKind::File(path) = &source.kind {
            let path = std::path::absolute(path)?;
            let path = quoted(&path.display().to_string());
            text.push_str(&format!(
                "[[file]]\npath = {path}\ntext = {}\n",
                quoted(&source.text)
            ));
        }
    }
    let temporary = data_dir.join(format!("{LAST_GOOD_FILE}.new"));
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, data_dir.join(LAST_GOOD_FILE))?;
    fs::File::open(data_dir)?.sync_all()
}

/// Reads the copy: `None` if there is none, or it is no copy.
///
/// # Errors
/// What the file system says, except that there is no file.
pub fn read_last_good(data_dir: &Path) -> std::io::Result<Option<Sources>> {
    let path = data_dir.join(LAST_GOOD_FILE);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > COPY_BYTES_MAX => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let content = fs::read(&path)?;
    Ok(String::from_utf8(content)
        .ok()
        .and_then(|text| sources_of_copy(&text)))
}

fn sources_of_copy(text: &str) -> Option<Sources> {
    let (table, errors) = tree::parse(SourceId(0), text);
    let Value::Array(files) = &table.get("file")?.node.value else {
        return None;
    };
    let mut sources = Sources::new();
    for file in files {
        let Value::Table(file) = &file.value else {
            return None;
        };
        let text_of = |key| match &file.get(key)?.node.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        sources.push(Source::file(text_of("path")?, text_of("text")?));
    }
    errors.is_empty().then_some(sources)
}
