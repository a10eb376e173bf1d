//! Files of keys, certificates and lists: read within limits, replaced whole and durably.
//!
//! Does: read with a size limit and a check of who else may read, write by rename with both syncs.
//! Does not: know what stands in a file.
//! In: a path, bytes, a mode. Out: bytes, or [`FileError`] with path and remedy. Blocking calls.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Mode of keys, tokens and what is beside them: the service's user alone.
pub(super) const MODE_SECRET: u32 = 0o600;
/// Mode of what everyone may see: certificates, roots, lists.
pub(super) const MODE_PUBLIC: u32 = 0o644;
/// Others may not read a key, its group may not write it.
const MODE_UNSAFE: u32 = 0o027;
/// A file of keys or certificates; 32 roots with chains are a hundredth of it.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refuses.
    #[error("cannot {action} {}: {source}; check path and rights", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Larger than allowed.
    #[error("{} has more than {bytes_max} bytes; this is another file than meant", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A key that others can read.
    #[error("{} has mode {mode:04o}; others may not see a key: chmod 600 it", path.display())]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

pub(super) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |source| FileError::Io {
        action,
        path,
        source,
    }
}

/// Reads a file of at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(failed("read", path))?;
    read_open(file, path, bytes_max)
}

/// Reads a file that nobody else may see.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(failed("read", path))?;
    let mode = file.metadata().map_err(failed("read", path))?.mode() & 0o777;
    if mode & MODE_UNSAFE != 0 {
        let path = path.to_owned();
        return Err(FileError::Unsafe { path, mode });
    }
    read_open(file, path, FILE_BYTES_MAX)
}

fn read_open(file: File, path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let mut limited = file.take(bytes_max.saturating_add(1));
    limited
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        let path = path.to_owned();
        return Err(FileError::TooLarge { path, bytes_max });
    }
    Ok(bytes)
}

/// Writes a file whole: the old one or the new one is there at any time, also after power loss.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    // A left-over of a crash may have another mode.
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("replace", beside)(error));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(beside);
    let mut file = file.map_err(failed("write", beside))?;
    file.write_all(bytes).map_err(failed("write", beside))?;
    file.sync_all().map_err(failed("sync", beside))?;
    std::fs::rename(beside, path).map_err(failed("write", path))?;
    sync_parent(path)
}

/// The same for a file that everyone may see.
pub(crate) fn replace_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, bytes, MODE_PUBLIC)
}

/// Appends a line and waits until it is on disk.
pub(super) fn append(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    let file = options
        .append(true)
        .create(true)
        .mode(MODE_SECRET)
        .open(path);
    let mut file = file.map_err(failed("append to", path))?;
    file.write_all(bytes).map_err(failed("append to", path))?;
    file.sync_all().map_err(failed("sync", path))?;
    sync_parent(path)
}

/// Makes a directory for the service's user alone; one that is there is kept.
pub(super) fn make_directory(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(failed("make", path))
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(failed("sync", parent))
}
