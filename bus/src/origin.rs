//! The `origin` file: who this data directory is, and how a copy of it is told from itself.
//!
//! Does: read it, judge whether it still stands where it was written, write a new one, forsake one
//! that an upper tier knows to be ahead. Does not: end the old origin's stream (`actors`).
//! In: the file, its inode and birth time, the machine id, chance for a new id. Out: [`Identity`].
//! A copied directory has another inode or birth time, a cloned machine another machine id: then
//! appending under the old origin could give one seq to two records (design §6, "Rollback").

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ocelli_model::clock::Rng;
use rustix::fs::{AtFlags, StatxFlags};
use serde::{Deserialize, Serialize};

use crate::directory::{DataDirectory, DirectoryError};
use crate::record::OriginId;

/// Longest `origin` file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4_096;
/// Most forsaken origins that the file names; the oldest leaves, its records long out of retention.
const FORSAKEN_MAX: usize = 32;
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
    /// The origin of this directory before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<OriginId>,
    /// Whether the one before was forsaken, not copied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_forsaken: bool,
    /// All origins that were forsaken here, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forsaken: Vec<OriginId>,
    #[serde(flatten)]
    place: Place,
}

/// Who a data directory is from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The origin of all that is appended from now on.
    pub(crate) origin: OriginId,
    /// The origin before, if this directory is a copy or went back in time.
    pub(crate) before: Option<OriginId>,
    /// Whether it went back in time, as an upper tier found.
    pub(crate) is_forsaken: bool,
    /// Origins that upper tiers hold otherwise than this directory does, the latest last.
    pub(crate) forsaken: Vec<OriginId>,
}

/// What forsaking an origin changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forsaken {
    /// The origin that nothing is appended under any more.
    pub before: OriginId,
    /// The origin of all that is appended from now on.
    pub origin: OriginId,
}

/// Why an origin cannot be forsaken. It is then as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForsakeError {
    /// The data directory: in use as a rule, since the bus has to be closed before.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The `origin` file.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Nothing was ever written there.
    #[error("data directory {path:?} has no origin yet; there is nothing to forsake")]
    None {
        /// The directory.
        path: PathBuf,
    },
}

/// Gives a data directory whose bus is closed a new origin, since an upper tier holds records of
/// the present one that the directory lacks, or holds otherwise: the disk went back in time (design
/// §6, "Rollback"). What is held stays under the old origin, which the file then names; the next
/// [`crate::RecoveryReport`] does too.
///
/// # Errors
/// [`ForsakeError`].
pub fn forsake_origin(directory: &Path, rng: &mut dyn Rng) -> Result<Forsaken, ForsakeError> {
    let held = DataDirectory::open(directory)?;
    let path = held.origin();
    let known = read(&path)?.ok_or_else(|| ForsakeError::None {
        path: directory.to_owned(),
    })?;
    let machine = std::fs::read_to_string(MACHINE_ID_PATH).unwrap_or_default();
    let mut forsaken = known.forsaken;
    forsaken.push(known.origin);
    forsaken.drain(..forsaken.len().saturating_sub(FORSAKEN_MAX));
    let (before, origin) = (known.origin, new_origin(rng));
    let identity = Identity {
        origin,
        before: Some(before),
        is_forsaken: true,
        forsaken,
    };
    write(&path, machine.trim(), &identity).map_err(|source| OriginError::Io { path, source })?;
    Ok(Forsaken { before, origin })
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
    let (before, forsaken) = match read(path)? {
        Some(known) => {
            let file = File::open(path).map_err(wrap)?;
            if known.place == place_of(&file, machine).map_err(wrap)? {
                return Ok(Identity {
                    origin: known.origin,
                    before: known.before,
                    is_forsaken: known.is_forsaken,
                    forsaken: known.forsaken,
                });
            }
            (Some(known.origin), known.forsaken)
        }
        None => (None, Vec::new()),
    };
    let identity = Identity {
        origin: new_origin(rng),
        before,
        is_forsaken: false,
        forsaken,
    };
    write(path, machine, &identity).map_err(wrap)?;
    Ok(identity)
}

fn new_origin(rng: &mut dyn Rng) -> OriginId {
    let high = u128::from(rng.next_u64()) << 64;
    OriginId(high | u128::from(rng.next_u64()))
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
fn write(path: &Path, machine: &str, identity: &Identity) -> io::Result<()> {
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
        origin: identity.origin,
        before: identity.before,
        is_forsaken: identity.is_forsaken,
        forsaken: identity.forsaken.clone(),
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
        assert_eq!(first.before, None);
        assert_eq!(
            identify_on(&path, "m1", &mut rng).unwrap(),
            first,
            "a restart"
        );

        let copy = root.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        let copied = identify_on(&copy, "m1", &mut rng).unwrap();
        assert_eq!(copied.before, Some(first.origin));
        assert_ne!(copied.origin, first.origin);
        let again = identify_on(&copy, "m1", &mut rng).unwrap();
        assert_eq!(again, copied, "a restart");

        assert!(copied.forsaken.is_empty(), "a copy is not behind");

        let cloned = identify_on(&path, "m2", &mut rng).unwrap();
        assert_eq!(cloned.before, Some(first.origin), "a cloned machine");
    }

    #[test]
    fn forsaken_origins_are_remembered_over_restarts_and_copies_up_to_their_limit() {
        let root = tempfile::tempdir().unwrap();
        let mut rng = Counting(0);
        let path = root.path().join("origin");
        let machine = std::fs::read_to_string(MACHINE_ID_PATH).unwrap_or_default();
        let machine = machine.trim();
        let first = identify_on(&path, machine, &mut rng).unwrap().origin;
        let second = forsake_origin(root.path(), &mut rng).unwrap().origin;
        let known = identify_on(&path, machine, &mut rng).unwrap();
        assert_eq!((known.origin, known.forsaken), (second, vec![first]));
        let copy = root.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        let copied = identify_on(&copy, machine, &mut rng).unwrap();
        assert_eq!(copied.forsaken, vec![first], "the second was only copied");
        for _ in 0..FORSAKEN_MAX {
            forsake_origin(root.path(), &mut rng).unwrap();
        }
        let known = identify_on(&path, machine, &mut rng).unwrap();
        assert_eq!(known.forsaken.len(), FORSAKEN_MAX);
        assert_eq!(known.forsaken[0], second, "the oldest left");
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
