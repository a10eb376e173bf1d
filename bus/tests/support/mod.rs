//! What the tests of the bus share: a clock that stands still, chance from a counter, blocks, and a
//! disk that fails when told.
//!
//! Does: stand in for the edges. Does not: assert.
//! In: nothing. Out: doubles of `Clock`, `Rng`, `Disk`; blocks whose bodies say who they are.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ocelli_bus::block::{BlockBuilder, EntryHead, SealedBlock, Stamp};
use ocelli_bus::disk::{Disk, LogFile, RealDisk};
use ocelli_bus::record::{DefinitionId, EntryKind, OriginId, Seq, StreamId};
use ocelli_bus::{
    Bus, BusOptions, Delivery, Entry, ForeignBlock, ReadFrom, ReaderOptions, RecoveryReport,
};
use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use ocelli_model::slot::SlotMs;

/// A clock that moves when told.
#[derive(Debug, Default)]
pub struct StillClock(pub AtomicI64);

impl Clock for StillClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(self.0.load(Ordering::Relaxed).unsigned_abs() * 1_000_000)
    }

    fn wall(&self) -> WallMs {
        WallMs(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, _at: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

/// Numbers that follow one another, mixed.
pub struct CountingRng(pub u64);

impl Rng for CountingRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0 ^ (self.0 >> 29)
    }
}

/// A directory in memory where there is one, for tests that open hundreds of times.
pub fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// What a kill at this moment leaves of a data directory, at another place.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&source, &target),
            kind if kind.is_file() => drop(std::fs::copy(source, target).unwrap()),
            _ => {}
        }
    }
}

/// A runtime for one test.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Small segments, otherwise the defaults.
pub fn small_options() -> BusOptions {
    BusOptions {
        segment_bytes: 64 * 1024,
        spare_space_bytes: 0,
        low_space_bytes: 0,
        queue_bytes_max: 4 * 1024 * 1024,
        ..BusOptions::default()
    }
}

/// Opens a bus on a disk.
pub fn open_on(
    root: &Path,
    options: BusOptions,
    disk: Arc<dyn Disk>,
) -> (Bus, RecoveryReport, Arc<StillClock>) {
    let clock = Arc::new(StillClock(AtomicI64::new(1_000_000)));
    let rng = Box::new(CountingRng(seed(root)));
    let (bus, report) = Bus::open_on(root, options, disk, (Arc::clone(&clock) as _, rng)).unwrap();
    (bus, report, clock)
}

/// Opens a bus on the real disk.
pub fn open(root: &Path, options: BusOptions) -> (Bus, RecoveryReport) {
    let (bus, report, _) = open_on(root, options, Arc::new(RealDisk));
    (bus, report)
}

fn seed(root: &Path) -> u64 {
    use std::os::unix::ffi::OsStrExt;
    let bytes = root.as_os_str().as_bytes();
    bytes.iter().fold(7, |sum: u64, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
    })
}

/// A block of `count` events whose bodies begin with `first`, `first + 1` …, padded to `bytes`.
pub fn events(first: u64, count: u64, bytes: usize) -> SealedBlock {
    let mut builder = BlockBuilder::new();
    for number in first..first + count {
        let head = EntryHead::bare(EntryKind::Event, WallMs(1_000));
        builder.push(&head, &body(number, bytes)).unwrap();
    }
    builder.seal().unwrap()
}

/// A block of one batch of a pair.
pub fn batch(resource: u32, plugin: u32, slot: i64, body: &[u8]) -> SealedBlock {
    let mut builder = BlockBuilder::new();
    let head = EntryHead {
        resource: DefinitionId(resource),
        plugin: DefinitionId(plugin),
        slot: SlotMs(slot),
        interval_ms: 1_000,
        ..EntryHead::bare(EntryKind::Batch, WallMs(slot))
    };
    builder.push(&head, body).unwrap();
    builder.seal().unwrap()
}

/// Incompressible bytes that begin with a number.
pub fn body(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    let mut state = number;
    while body.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        body.push(state.to_le_bytes()[7]);
    }
    body
}

/// The number that a body begins with.
pub fn number_of(entry: &Entry) -> u64 {
    u64::from_le_bytes(*entry.body().unwrap().first_chunk().unwrap())
}

/// (seq, number) of all that is held, in log order.
pub async fn held(bus: &Bus) -> Vec<(u64, u64)> {
    let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest)).unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = reader.next_held().await.unwrap() {
        if let Delivery::Entries(entries) = delivery {
            found.extend(
                entries
                    .iter()
                    .map(|entry| (entry.seq().0, number_of(entry))),
            );
        }
    }
    found
}

/// (seq, number) of a stream in log order.
pub async fn held_of(bus: &Bus, stream: StreamId) -> Vec<(u64, u64)> {
    let mut reader = bus.reader(ReaderOptions::from(ReadFrom::Oldest)).unwrap();
    let mut found = Vec::new();
    while let Some(delivery) = reader.next_held().await.unwrap() {
        if let Delivery::Entries(entries) = delivery {
            let of_stream = entries.iter().filter(|entry| entry.stream() == stream);
            found.extend(of_stream.map(|entry| (entry.seq().0, number_of(entry))));
        }
    }
    found
}

// === A disk that fails when told ===

/// How many more operations of a kind succeed; negative: all.
#[derive(Debug)]
pub struct Faults {
    pub syncs_left: AtomicI64,
    pub writes_left: AtomicI64,
    /// Failing syncs and writes from there on; then all is well again.
    pub failures_left: AtomicI64,
    pub free_bytes: AtomicU64,
    pub syncs: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            syncs_left: AtomicI64::new(-1),
            writes_left: AtomicI64::new(-1),
            failures_left: AtomicI64::new(0),
            free_bytes: AtomicU64::new(u64::MAX),
            syncs: AtomicU64::new(0),
        }
    }
}

impl Faults {
    fn fails(&self, left: &AtomicI64) -> bool {
        let spend = |left: i64| (left > 0).then_some(left - 1);
        if left.load(Ordering::SeqCst) < 0 {
            return false;
        }
        if left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
            .is_ok()
        {
            return false;
        }
        let fails = self
            .failures_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
            .is_ok();
        if !fails {
            left.store(-1, Ordering::SeqCst);
        }
        fails
    }
}

/// The real disk with faults.
#[derive(Clone, Default)]
pub struct FaultyDisk(pub Arc<Faults>);

struct FaultyFile(Box<dyn LogFile>, Arc<Faults>);

impl Disk for FaultyDisk {
    fn create(&self, path: &Path, reserved: u64) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile(
            RealDisk.create(path, reserved)?,
            Arc::clone(&self.0),
        )))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile(
            RealDisk.open(path)?,
            Arc::clone(&self.0),
        )))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        RealDisk.replace(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_directory(directory)
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        Ok(self.0.free_bytes.load(Ordering::SeqCst))
    }
}

impl LogFile for FaultyFile {
    fn write_at(&mut self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        if self.1.fails(&self.1.writes_left) {
            // A torn write: the first half of the first part arrives.
            let part = parts.first().map(|part| part.to_vec()).unwrap_or_default();
            self.0
                .write_at(offset, &mut [IoSlice::new(&part[..part.len() / 2])])?;
            return Err(io::Error::other("injected write error"));
        }
        self.0.write_at(offset, parts)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if self.1.fails(&self.1.syncs_left) {
            return Err(io::Error::other("injected fsync error"));
        }
        self.0.sync_data()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

/// A block of another origin with one event, whose body begins with its seq.
pub fn foreign_event(origin: OriginId, seq: u64) -> ForeignBlock {
    let mut block = events(seq, 1, 90);
    block.stamp(&Stamp {
        stream: StreamId::data(origin),
        first_seq: Seq(seq),
        needs_def: Seq(0),
    });
    ForeignBlock::read(block.into_bytes().into()).unwrap()
}
