//! The `origin` file: who this data directory is, and how a copy of it is told from itself.
//!
//! Does: read it, judge whether it still stands where it was written, write a new one.
//! Does not: end the old origin's stream (`bus`).
//! In: the file, its inode and birth time, the machine id, chance for a new id. Out: [`Identity`].
//! A copied directory has another inode or birth time, a cloned machine another machine id: then
//! appending under the old origin could give one seq to two records (design §6, "Rollback").

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ocelli_model::clock::Rng;
use rustix::fs::{AtFlags, StatxFlags};
use serde::{Deserialize, Serialize};

use crate::record::OriginId;

/// Longest `origin` file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4_096;
/// Where Linux names the machine.
const MACHINE_ID_PATH: &str = "/etc/machine-id";

/// Where a file stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    inode: u64,
    /// Seconds and nanoseconds; absent where the file system knows no birth time.
    birth: Option<(i64, u32)>,
    /// Empty where the machine has no id.
    machine: String,
}

/// The file's content: one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OriginFile {
    version: u32,
    origin: OriginId,
    #[serde(flatten)]
    place: Place,
}

/// Who a data directory is from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The origin of all that is appended from now on.
    pub(crate) origin: OriginId,
    /// The origin before, if this directory is a copy.
    pub(crate) copied_from: Option<OriginId>,
}

/// Why the `origin` file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It is damaged; guessing would risk two records under one seq.
    #[error(
        "{path:?} is no origin file ({reason}); restore it, or remove it to begin a new origin"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The disk refused.
    #[error("cannot read or write {path:?}: {source}; check the disk")]
    Io {
        /// The file.
        path: PathBuf,
        /// As the kernel said.
        source: io::Error,
    },
}

/// Reads the origin of a data directory, or gives it a new one.
pub(crate) fn identify(path: &Path, rng: &mut dyn Rng) -> Result<Identity, OriginError> {
    let machine = std::fs::read_to_string(MACHINE_ID_PATH).unwrap_or_default();
    identify_on(path, machine.trim(), rng)
}

fn identify_on(path: &Path, machine: &str, rng: &mut dyn Rng) -> Result<Identity, OriginError> {
    let wrap = |source| OriginError::Io {
        path: path.to_owned(),
        source,
    };
    let copied_from = match read(path)? {
        Some(known) => {
            let file = File::open(path).map_err(wrap)?;
            if known.place == place_of(&file, machine).map_err(wrap)? {
                return Ok(Identity {
                    origin: known.origin,
                    copied_from: None,
                });
            }
            Some(known.origin)
        }
        None => None,
    };
    let high = u128::from(rng.next_u64()) << 64;
    let origin = OriginId(high | u128::from(rng.next_u64()));
    write(path, machine, origin).map_err(wrap)?;
    Ok(Identity {
        origin,
        copied_from,
    })
}

fn read(path: &Path) -> Result<Option<OriginFile>, OriginError> {
    let damaged = |reason: String| OriginError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let wrap = |source| OriginError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrap(error)),
        Ok(metadata) => metadata.len(),
    };
    if bytes > FILE_BYTES_MAX {
        return Err(damaged(format!(
            "{bytes} bytes, {FILE_BYTES_MAX} is the limit"
        )));
    }
    let text = std::fs::read(path).map_err(wrap)?;
    let known: OriginFile =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match known.version {
        1 => Ok(Some(known)),
        version => Err(damaged(format!("version {version}, this build reads 1"))),
    }
}

/// Written beside and renamed: the rename keeps the inode that the content names.
fn write(path: &Path, machine: &str, origin: OriginId) -> io::Result<()> {
    let beside = path.with_extension("new");
    // Not truncated in place: a new file has a new inode and birth time.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&beside)?;
    let place = place_of(&file, machine)?;
    let mut text = serde_json::to_vec(&OriginFile {
        version: 1,
        origin,
        place,
    })?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn place_of(file: &File, machine: &str) -> io::Result<Place> {
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
    let has_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    let birth = has_birth.then_some((found.stx_btime.tv_sec, found.stx_btime.tv_nsec));
    Ok(Place {
        inode: found.stx_ino,
        birth,
        machine: machine.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);

    impl Rng for Counting {
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            self.0
        }
    }

    #[test]
    fn an_origin_stays_where_it_was_written_and_changes_with_a_copy_or_another_machine() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("origin");
        let mut rng = Counting(0);
        let first = identify_on(&path, "m1", &mut rng).unwrap();
        assert_eq!(first.copied_from, None);
        assert_eq!(
            identify_on(&path, "m1", &mut rng).unwrap(),
            first,
            "a restart"
        );

        let copy = root.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        let copied = identify_on(&copy, "m1", &mut rng).unwrap();
        assert_eq!(copied.copied_from, Some(first.origin));
        assert_ne!(copied.origin, first.origin);
        let again = identify_on(&copy, "m1", &mut rng).unwrap();
        assert_eq!((again.origin, again.copied_from), (copied.origin, None));

        let cloned = identify_on(&path, "m2", &mut rng).unwrap();
        assert_eq!(cloned.copied_from, Some(first.origin), "a cloned machine");
    }

    #[test]
    fn a_damaged_origin_file_is_an_error_and_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("origin");
        for text in ["", "{}", "not json", &"x".repeat(5_000)] {
            std::fs::write(&path, text).unwrap();
            let error = identify_on(&path, "m1", &mut Counting(0)).unwrap_err();
            assert!(
                matches!(error, OriginError::Damaged { .. }),
                "{text:.10}: {error}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), *text);
        }
    }
}
