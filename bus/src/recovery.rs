//! Recovery: what of the segments is valid after a crash, and what is moved aside.
//!
//! Does: read footers, scan segments without one, keep the longest valid prefix, move the rest to
//! `bus/aside/` (never delete), seal what was open. Does not: rebuild views (`rebuild`).
//! In: the data directory. Out: [`LogMap`] and [`RecoveryReport`]. Newest segment first, since what
//! a later segment holds again (after a failed fsync) ends the earlier one.
//! Cost: a footer a segment, and one scan of each segment that was open: one, as a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::coverage::StreamState;
use crate::directory::DataDirectory;
use crate::disk::{Disk, read_at};
use crate::log::{LogMap, SegmentMeta};
use crate::record::{OriginId, Seq, StreamId};
use crate::segment::SegmentNumber;
use crate::segment::header::{HeaderError, SegmentHeader};
use crate::segment::scan::{ScanError, Scanned, Tail, read_sealed, scan};
use crate::thin::bytes_on_disk;
use crate::writer::segment_file::SegmentFile;

/// Bytes moved aside at once.
const COPY_BYTES: usize = 1024 * 1024;

/// Something that recovery could not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// From which segment.
    pub segment: SegmentNumber,
    /// From which byte of it on.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Where they are now.
    pub path: PathBuf,
    /// Why they could not be used.
    pub reason: String,
}

/// What a start found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// The origin that appends from now on.
    pub origin: OriginId,
    /// The origin before, if the directory is a copy or a clone (design §6, "Rollback").
    pub copied_from: Option<OriginId>,
    /// Whether that is so because an upper tier found that the disk went back in time.
    pub is_rolled_back: bool,
    /// Segments held.
    pub segments: u64,
    /// Segments that had no footer and were scanned.
    pub segments_scanned: u64,
    /// What was moved aside.
    pub moved_aside: Vec<MovedAside>,
    /// Highest seq of each stream.
    pub heads: BTreeMap<StreamId, Seq>,
    /// Last values found again.
    pub last_values: u64,
}

/// Why recovery gave up. The data is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// A segment was written by a later version.
    #[error("segment {path:?} has format version {version}; start the version that wrote it")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
    /// The disk refused.
    #[error("cannot recover {path:?}: {source}; check the disk")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// As the kernel said.
        source: io::Error,
    },
}

/// One recovery.
pub(crate) struct Recovery<'a> {
    directory: &'a DataDirectory,
    disk: &'a dyn Disk,
    map: LogMap,
    report: RecoveryReport,
    /// Lowest seq of own streams in later segments.
    superseded: BTreeMap<StreamId, Seq>,
    /// Foreign blocks of later segments that were scanned, each with the checksum of all of it.
    later: BTreeSet<(StreamId, Seq, u32)>,
    /// Lowest seq that each own stream has in any segment.
    own: BTreeMap<StreamId, Seq>,
}

impl<'a> Recovery<'a> {
    /// Recovers all segments of a directory. `removed`: what retention took from it, if a version
    /// that wrote it down did so; an older one removed only what stands before its own lowest seq.
    pub(crate) fn run(
        directory: &'a DataDirectory,
        disk: &'a dyn Disk,
        removed: Option<BTreeMap<StreamId, StreamState>>,
    ) -> Result<(LogMap, RecoveryReport), RecoverError> {
        let is_known = removed.is_some();
        let mut recovery = Self {
            directory,
            disk,
            map: LogMap {
                streams: removed.unwrap_or_default(),
                ..LogMap::default()
            },
            report: RecoveryReport::default(),
            superseded: BTreeMap::new(),
            later: BTreeSet::new(),
            own: BTreeMap::new(),
        };
        let mut files = recovery.files()?;
        files.sort_unstable_by(|one, other| other.cmp(one));
        let mut limit = None;
        for (number, path) in files {
            limit = recovery.take(number, &path, limit)?;
        }
        recovery.sync()?;
        let Self {
            mut map,
            mut report,
            own,
            ..
        } = recovery;
        for (stream, first) in own.into_iter().filter(|_| !is_known) {
            let state = map.streams.entry(stream).or_default();
            state.assume_removed_before(first);
        }
        report.segments = map.segments.len() as u64;
        let head = |(stream, state): (&StreamId, &StreamState)| (*stream, state.covered.highest());
        report.heads = map.streams.iter().map(head).collect();
        Ok((map, report))
    }

    fn files(&self) -> Result<Vec<(SegmentNumber, PathBuf)>, RecoverError> {
        let folder = self.directory.segments();
        let wrap = |source| RecoverError::Io {
            path: folder.clone(),
            source,
        };
        let mut files = Vec::new();
        for file in std::fs::read_dir(&folder).map_err(wrap)? {
            let path = file.map_err(wrap)?.path();
            if let Some(number) = DataDirectory::segment_number(&path) {
                files.push((number, path));
            }
        }
        if self.directory.definitions().exists() {
            files.push((SegmentNumber(0), self.directory.definitions()));
        }
        Ok(files)
    }

    /// Recovers one segment; answers where the one before it ends, if this one says so.
    fn take(
        &mut self,
        number: SegmentNumber,
        path: &Path,
        limit: Option<(SegmentNumber, u64)>,
    ) -> Result<Option<(SegmentNumber, u64)>, RecoverError> {
        let wrap = |source| RecoverError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(wrap)?;
        let limit = limit.filter(|(of, _)| *of == number).map(|(_, end)| end);
        match self.read(&file, limit) {
            Ok(scanned) => {
                let previous_end = scanned.header.previous_end;
                self.keep(path, &file, scanned).map_err(wrap)?;
                let of = SegmentNumber(number.0.saturating_sub(1));
                Ok((previous_end > 0).then_some((of, previous_end)))
            }
            Err(ScanError::Io(source)) => Err(wrap(source)),
            Err(ScanError::Header(HeaderError::Version { version })) => Err(RecoverError::Newer {
                path: path.to_owned(),
                version,
            }),
            Err(ScanError::Header(error)) => {
                self.refuse(number, path, &file, &error).map_err(wrap)?;
                Ok(None)
            }
        }
    }

    fn read(&mut self, file: &File, limit: Option<u64>) -> Result<Scanned, ScanError> {
        if let Some(sealed) = read_sealed(file)? {
            return Ok(sealed);
        }
        self.report.segments_scanned += 1;
        let SegmentHeader { writer, number, .. } = crate::segment::scan::read_header(file)?;
        // Definitions that were carried there may stand in their segment still.
        let may_repeat = limit.is_none() && number.0 > 0;
        let (superseded, later) = (&self.superseded, &self.later);
        let mut here = Vec::new();
        let scanned = scan(file, limit, &mut |block| {
            let header = block.header();
            if header.stream.origin == writer {
                let again = superseded.get(&header.stream);
                return again.is_none_or(|seq| header.last_seq() < *seq);
            }
            let content = crc32c::crc32c(block.bytes());
            let name = (header.stream, header.first_seq, content);
            // After a failed fsync the window was written again, and the header between that would
            // say so may be lost too. A block is written twice for no other reason.
            let is_again = may_repeat && later.contains(&name);
            here.push(name);
            !is_again
        });
        self.later.extend(here);
        scanned
    }

    /// Takes a segment into the map; what is behind its valid part goes aside.
    fn keep(&mut self, path: &Path, file: &File, scanned: Scanned) -> io::Result<()> {
        let number = scanned.header.number;
        if let Tail::Torn { end } = scanned.tail {
            let reason = "no valid frame follows: a write was cut off or the bytes changed";
            self.move_tail(number, file, scanned.end..end, reason)?;
        }
        let is_definitions = number.0 == 0;
        if scanned.index.blocks == 0 && !is_definitions {
            // Nothing of value: an unused segment, or one whose content just went aside.
            return self.disk.remove(path);
        }
        let file_bytes = match scanned.tail {
            Tail::Sealed => bytes_on_disk(&file.metadata()?),
            Tail::Clean | Tail::Torn { .. } if is_definitions => {
                let mut file = self.disk.open(path)?;
                file.set_len(scanned.end)?;
                file.sync_data()?;
                scanned.end
            }
            Tail::Clean | Tail::Torn { .. } => {
                let file = self.disk.open(path)?;
                SegmentFile::resume(number, file, scanned.end, scanned.chain)
                    .seal(&scanned.index)?
            }
        };
        for (stream, facts) in &scanned.index.streams {
            let state = self.map.streams.entry(*stream).or_default();
            state.take_segment(facts);
            let lowest = facts.ranges.lowest().unwrap_or_default();
            if stream.origin == scanned.header.writer {
                let first = self.own.entry(*stream).or_insert(lowest);
                *first = (*first).min(lowest);
            }
            if stream.origin == scanned.header.writer && !is_definitions {
                let first = self.superseded.entry(*stream).or_insert(lowest);
                *first = (*first).min(lowest);
            }
        }
        let meta = SegmentMeta {
            created: scanned.header.created,
            end: scanned.end,
            file_bytes,
            is_sealed: true,
            index: scanned.index,
        };
        self.map.segments.insert(number, meta);
        Ok(())
    }

    /// A file without a valid header: removed if it was never used, moved aside as it is if not.
    fn refuse(
        &mut self,
        number: SegmentNumber,
        path: &Path,
        file: &File,
        error: &HeaderError,
    ) -> io::Result<()> {
        let bytes = file.metadata()?.len();
        if crate::segment::scan::last_nonzero(file, 0, bytes)?.is_none() {
            return self.disk.remove(path);
        }
        let aside = self.aside_path(&format!("{:016}.seg", number.0));
        self.disk.rename(path, &aside)?;
        self.report.moved_aside.push(MovedAside {
            segment: number,
            offset: 0,
            bytes,
            path: aside,
            reason: error.to_string(),
        });
        Ok(())
    }

    fn move_tail(
        &mut self,
        number: SegmentNumber,
        file: &File,
        range: std::ops::Range<u64>,
        reason: &str,
    ) -> io::Result<()> {
        let path = self.aside_path(&format!("{:016}-{}.tail", number.0, range.start));
        let mut aside = self.disk.create(&path, 0)?;
        let mut buffer = vec![0u8; COPY_BYTES];
        let mut at = range.start;
        while at < range.end {
            let want = usize::try_from(range.end - at)
                .unwrap_or(COPY_BYTES)
                .min(COPY_BYTES);
            let read = read_at(file, at, &mut buffer[..want])?;
            if read == 0 {
                break;
            }
            let part = Bytes::copy_from_slice(&buffer[..read]);
            aside.write_at(at - range.start, &mut [io::IoSlice::new(&part)])?;
            at += read as u64;
        }
        aside.sync_data()?;
        self.disk.sync_directory(&self.directory.aside())?;
        self.report.moved_aside.push(MovedAside {
            segment: number,
            offset: range.start,
            bytes: range.end - range.start,
            path,
            reason: reason.to_owned(),
        });
        Ok(())
    }

    /// A path that no earlier recovery used.
    fn aside_path(&self, name: &str) -> PathBuf {
        let folder = self.directory.aside();
        let numbered = |number: u32| match number {
            0 => folder.join(name),
            number => folder.join(format!("{name}.{number}")),
        };
        (0..u32::MAX)
            .map(numbered)
            .find(|path| !path.exists())
            .unwrap_or_else(|| numbered(0))
    }

    fn sync(&self) -> Result<(), RecoverError> {
        for folder in [self.directory.segments(), self.directory.aside()] {
            self.disk
                .sync_directory(&folder)
                .map_err(|source| RecoverError::Io {
                    path: folder.clone(),
                    source,
                })?;
        }
        Ok(())
    }
}
