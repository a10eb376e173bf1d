//! The data directory: where each file stands, and the lock that keeps a second process out.
//!
//! Does: make the folders, take the lock, name paths. Does not: read or write the files themselves.
//! In: the configured `data_dir`. Out: [`DataDirectory`], held as long as the bus is open.
//! Layout: `lock`, `origin`, `bus/segments/NUMBER.seg`, `bus/aside/`, `bus/cursors.json`,
//! `bus/coverage.json`, `bus/checkpoint`, `bus/definitions.seg`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::segment::SegmentNumber;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Another process holds it.
    #[error("data directory {path:?} is in use by another process; stop it or change `data_dir`")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing can be written there.
    #[error("data directory {path:?} is read-only; remount it or choose another `data_dir`")]
    ReadOnly {
        /// The directory.
        path: PathBuf,
    },
    /// It is another user's.
    #[error("data directory {path:?} is not ours to write; change its owner or `data_dir`")]
    Denied {
        /// The directory.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot prepare data directory {path:?}: {source}; check the path and the disk")]
    Io {
        /// The directory.
        path: PathBuf,
        /// As the kernel said.
        source: io::Error,
    },
}

/// An open data directory. The lock ends with [`Self::release`], or with the process.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    root: PathBuf,
    /// Held for its flock.
    lock: File,
}

impl DataDirectory {
    /// Makes what is missing and takes the lock.
    pub(crate) fn open(root: &Path) -> Result<Self, DirectoryError> {
        let wrap = |error: io::Error| explain(root, error);
        for folder in ["bus/segments", "bus/aside"] {
            std::fs::create_dir_all(root.join(folder)).map_err(wrap)?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(root.join("lock"))
            .map_err(wrap)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                root: root.to_owned(),
                lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::InUse {
                path: root.to_owned(),
            }),
            Err(error) => Err(wrap(error.into())),
        }
    }

    /// Gives the directory free. For the keeper, once nothing will be written any more: readers
    /// that are still open may go on reading.
    pub(crate) fn release(&self) {
        if let Err(error) = rustix::fs::flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!(%error, "the data directory stays locked until the process ends");
        }
    }

    /// The folder of the segments.
    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("bus/segments")
    }

    /// Where what recovery could not use is kept.
    pub(crate) fn aside(&self) -> PathBuf {
        self.root.join("bus/aside")
    }

    /// The file of a segment. Names sort as the numbers do. Number 0 is [`Self::definitions`].
    pub(crate) fn segment(&self, number: SegmentNumber) -> PathBuf {
        if number.0 == 0 {
            return self.definitions();
        }
        self.root.join(format!("bus/segments/{:016}.seg", number.0))
    }

    /// A segment that is being written anew, before it takes its place.
    pub(crate) fn thinned(&self) -> PathBuf {
        self.root.join("bus/thinned.new")
    }

    /// Lane 1 of the segments that retention took.
    pub(crate) fn definitions(&self) -> PathBuf {
        self.root.join("bus/definitions.seg")
    }

    /// The durable cursors.
    pub(crate) fn cursors(&self) -> PathBuf {
        self.root.join("bus/cursors.json")
    }

    /// What retention removed of each stream.
    pub(crate) fn coverage(&self) -> PathBuf {
        self.root.join("bus/coverage.json")
    }

    /// Places of the last values.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join("bus/checkpoint")
    }

    /// Who this directory is.
    pub(crate) fn origin(&self) -> PathBuf {
        self.root.join("origin")
    }

    /// The number in a segment's file name.
    pub(crate) fn segment_number(path: &Path) -> Option<SegmentNumber> {
        let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
        let is_number = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_digit());
        is_number
            .then(|| name.parse().ok())
            .flatten()
            .map(SegmentNumber)
    }
}

fn explain(root: &Path, source: io::Error) -> DirectoryError {
    let path = root.to_owned();
    match source.kind() {
        io::ErrorKind::ReadOnlyFilesystem => DirectoryError::ReadOnly { path },
        io::ErrorKind::PermissionDenied => DirectoryError::Denied { path },
        _ => DirectoryError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_of_a_directory_is_refused_until_the_first_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDirectory::open(root.path()).unwrap();
        let second = DataDirectory::open(root.path()).unwrap_err();
        assert!(matches!(second, DirectoryError::InUse { .. }), "{second}");
        drop(first);
        DataDirectory::open(root.path()).unwrap();
    }

    #[test]
    fn each_reason_why_a_directory_cannot_be_used_has_its_own_error() {
        let root = Path::new("/x");
        let read_only = explain(root, io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(matches!(read_only, DirectoryError::ReadOnly { .. }));
        let denied = explain(root, io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, DirectoryError::Denied { .. }));
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDirectory::open(file.path()).unwrap_err();
        assert!(matches!(error, DirectoryError::Io { .. }), "{error}");
    }

    #[test]
    fn only_names_that_we_write_are_segments() {
        let number = |name: &str| DataDirectory::segment_number(Path::new(name));
        assert_eq!(number("a/0000000000000012.seg"), Some(SegmentNumber(12)));
        for name in [
            "12.seg",
            "0000000000000012.seg.new",
            "+000000000000012.seg",
            "x",
        ] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
