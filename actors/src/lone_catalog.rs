//! The catalog of a lone node: commands appended durably to a log of its own.
//!
//! Does: open the generation at the first start, append each command and fsync before it is
//! applied, read the log back, replace it by a snapshot when it has grown. Does not: decide
//! commands (`model::catalog`). Implements the trait that `raft` will.
//! In: [`Command`]. Out: [`Applied`], durable; [`State`] snapshots.
//! File: envelopes (`model::codec`), a state first if the log was compacted, then commands;
//! a torn tail is cut off and kept beside the log.
//! Cost: one fsync a command, on the blocking pool; a discovery commits 64 KiB at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ocelli_model::catalog::{
    Applied, COMMAND_BYTES_MAX, CatalogLog, Command, Proposal, ProposeError, State, next_generation,
};
use ocelli_model::clock::Clock;
use ocelli_model::codec::{self, EncodeError, Kind};
use parking_lot::Mutex;
use tracing::{info, warn};

/// Version of commands and states in the log.
const VERSION: u16 = 1;
/// Largest state: some 100,000 resources of 1 KiB, with room.
const STATE_BYTES_MAX: usize = 512 << 20;
/// What decoding a command may allocate.
const COMMAND_DECODE_BYTES_MAX: usize = 4 * COMMAND_BYTES_MAX;
/// A log is replaced by a snapshot when it is longer than this and than twice the last snapshot:
/// reading it back takes some 50 ms.
const COMPACT_BYTES_MIN: u64 = 8 << 20;
/// The log.
const LOG_FILE: &str = "catalog.log";
/// A snapshot under construction.
const NEW_FILE: &str = "catalog.new";
/// What a torn tail is moved to.
const TORN_FILE: &str = "catalog.torn";

/// Why the catalog's log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenCatalogError {
    /// The file system.
    #[error("cannot use {path}: {source}; check owner, mode and disk")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A sound envelope in the middle that is no command.
    #[error("{path} holds what is no catalog at byte {at}: {reason}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// A first command cannot be written.
    #[error("cannot open a generation: {0}")]
    Propose(#[from] ProposeError),
}

/// The catalog of a lone node.
pub struct LoneCatalog {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    state: ArcSwap<State>,
    /// Held while one command is appended, on a blocking thread: commands have an order.
    log: Mutex<Log>,
}

struct Log {
    file: File,
    bytes: u64,
    snapshot_bytes: u64,
    /// An append failed: what stands behind `bytes` is not known until it is cut off.
    is_unsound: bool,
}

impl LoneCatalog {
    /// Opens the log in `directory`, which exists; a new one begins with a generation.
    ///
    /// # Errors
    /// [`OpenCatalogError`]; the log is as before.
    pub fn open(directory: &Path, clock: &dyn Clock) -> Result<Self, OpenCatalogError> {
        let path = directory.join(LOG_FILE);
        let io = |source| OpenCatalogError::Io {
            path: path.clone(),
            source,
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io(error)),
        };
        let Replayed {
            state,
            sound_bytes,
            snapshot_bytes,
        } = replay(&path, &bytes)?;
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .append(true)
            .read(true)
            .open(&path)
            .map_err(io)?;
        if sound_bytes < bytes.len() as u64 {
            let torn = directory.join(TORN_FILE);
            std::fs::write(&torn, &bytes[index(sound_bytes)..]).map_err(io)?;
            file.set_len(sound_bytes)
                .and_then(|()| file.sync_data())
                .map_err(io)?;
            warn!(at = sound_bytes, path = %torn.display(), "torn end of the catalog moved aside");
        }
        sync_directory(directory).map_err(io)?;
        let log = Log {
            file,
            bytes: sound_bytes,
            snapshot_bytes,
            is_unsound: false,
        };
        let inner = Inner {
            directory: directory.to_owned(),
            state: ArcSwap::from_pointee(state),
            log: Mutex::new(log),
        };
        let catalog = Self {
            inner: Arc::new(inner),
        };
        if catalog.state().epoch().generation == 0 {
            let seconds = u64::try_from(clock.wall().0 / 1_000).unwrap_or(0);
            let generation = next_generation(seconds, None);
            catalog.inner.append(Command::Open { generation })?;
            info!(generation, "catalog begins");
        }
        Ok(catalog)
    }
}

impl CatalogLog for LoneCatalog {
    fn propose(&self, command: Command) -> Proposal<'_> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let appended = tokio::task::spawn_blocking(move || inner.append(command));
            appended.await.unwrap_or_else(|error| {
                Err(ProposeError::Unavailable {
                    reason: error.to_string(),
                })
            })
        })
    }

    fn state(&self) -> Arc<State> {
        self.inner.state.load_full()
    }
}

impl Inner {
    /// Appends, syncs, then applies.
    fn append(&self, command: Command) -> Result<Applied, ProposeError> {
        let mut bytes = Vec::new();
        let encoded = codec::encode::<COMMAND_BYTES_MAX>(
            Kind::CATALOG_COMMAND,
            VERSION,
            &command,
            &mut bytes,
        );
        encoded.map_err(refused)?;
        let mut log = self.log.lock();
        log.append(&bytes).map_err(|error| storage(&error))?;
        let mut state = State::clone(&self.state.load());
        let applied = state.apply(command);
        self.state.store(Arc::new(state));
        if log.bytes > COMPACT_BYTES_MIN && log.bytes > 2 * log.snapshot_bytes {
            // The command is durable: a snapshot that fails is tried again with the next one.
            if let Err(error) = self.compact(&mut log) {
                warn!(%error, "catalog not compacted; it is tried again");
            }
        }
        Ok(applied)
    }

    /// Replaces the log by a snapshot of the state.
    fn compact(&self, log: &mut Log) -> Result<(), ProposeError> {
        let mut bytes = Vec::new();
        let state = self.state.load();
        codec::encode::<STATE_BYTES_MAX>(Kind::CATALOG_STATE, VERSION, &**state, &mut bytes)
            .map_err(refused)?;
        let new = self.directory.join(NEW_FILE);
        let replace = || -> io::Result<File> {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            let path = self.directory.join(LOG_FILE);
            std::fs::rename(&new, &path)?;
            sync_directory(&self.directory)?;
            OpenOptions::new().append(true).read(true).open(&path)
        };
        log.file = replace().map_err(|error| storage(&error))?;
        log.bytes = bytes.len() as u64;
        log.snapshot_bytes = log.bytes;
        Ok(())
    }
}

impl Log {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_unsound {
            self.file.set_len(self.bytes)?;
        }
        self.is_unsound = true;
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.is_unsound = false;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

struct Replayed {
    state: State,
    sound_bytes: u64,
    snapshot_bytes: u64,
}

/// Applies what the log holds, as far as its envelopes are sound.
fn replay(path: &Path, bytes: &[u8]) -> Result<Replayed, OpenCatalogError> {
    let mut state = State::default();
    let mut rest = bytes;
    let mut snapshot_bytes = 0;
    while !rest.is_empty() {
        let at = (bytes.len() - rest.len()) as u64;
        let Ok((envelope, behind)) = codec::open(rest, STATE_BYTES_MAX) else {
            return Ok(Replayed {
                state,
                sound_bytes: at,
                snapshot_bytes,
            });
        };
        let damaged = |reason: String| OpenCatalogError::Damaged {
            path: path.to_owned(),
            at,
            reason,
        };
        match envelope.kind {
            Kind::CATALOG_STATE => {
                let decoded = envelope.decode::<State, STATE_BYTES_MAX>();
                state = decoded.map_err(|error| damaged(error.to_string()))?;
                snapshot_bytes = (rest.len() - behind.len()) as u64;
            }
            Kind::CATALOG_COMMAND => {
                let decoded = envelope.decode::<Command, COMMAND_DECODE_BYTES_MAX>();
                state.apply(decoded.map_err(|error| damaged(error.to_string()))?);
            }
            Kind(kind) => return Err(damaged(format!("an entry of kind {kind}"))),
        }
        rest = behind;
    }
    Ok(Replayed {
        state,
        sound_bytes: bytes.len() as u64,
        snapshot_bytes,
    })
}

fn refused(error: EncodeError) -> ProposeError {
    match error {
        EncodeError::TooLarge { bytes, .. } => ProposeError::TooLarge { bytes },
        error => ProposeError::Storage {
            reason: error.to_string(),
        },
    }
}

fn storage(error: &io::Error) -> ProposeError {
    ProposeError::Storage {
        reason: error.to_string(),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "lone_catalog_tests.rs"]
mod tests;
