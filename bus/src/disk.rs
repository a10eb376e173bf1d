//! What the storage asks of a disk, so that tests can make each of it fail.
//!
//! Does: name the operations, carry them out on Linux. Does not: decide when, or what a failure
//! means (`writer`, `maintenance`). In: paths and bytes. Out: `io::Result` as the kernel gave it.
//! Reading is not part of it: readers see only what is durable, by plain positioned reads.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;

/// Most parts that Linux takes in one `pwritev`.
const IOV_MAX: usize = 1_024;

/// The mutating side of a file system.
pub trait Disk: Send + Sync + 'static {
    /// Makes a new file at `path` with `reserved` bytes set aside, all zero.
    ///
    /// # Errors
    /// As the kernel says; `StorageFull` where the space is not there.
    fn create(&self, path: &Path, reserved: u64) -> io::Result<Box<dyn LogFile>>;

    /// Opens an existing file for writing.
    ///
    /// # Errors
    /// As the kernel says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Replaces the file at `path` by `bytes`, durably: a crash leaves the old or the new one.
    ///
    /// # Errors
    /// As the kernel says; the old file is then still in place.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Moves a file within the file system; durable after [`Self::sync_directory`] of both sides.
    ///
    /// # Errors
    /// As the kernel says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Unlinks a file.
    ///
    /// # Errors
    /// As the kernel says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in `directory` durable.
    ///
    /// # Errors
    /// As the kernel says.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Bytes that this process may still write in the file system of `directory`.
    ///
    /// # Errors
    /// As the kernel says.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// A file that is written at places of the caller's choice.
pub trait LogFile: Send {
    /// Writes all of `parts`, one behind the other, from `offset` on.
    ///
    /// # Errors
    /// As the kernel says; how much was written is then unknown.
    fn write_at(&mut self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Makes the file's bytes durable (fdatasync).
    ///
    /// # Errors
    /// As the kernel says. Final for this file: pages that failed may read back as if written.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Cuts the file to `bytes`, or grows it by zeroes.
    ///
    /// # Errors
    /// As the kernel says.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;
}

/// The disk itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Disk for RealDisk {
    fn create(&self, path: &Path, reserved: u64) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        if reserved > 0 {
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, reserved) {
                Ok(()) => {}
                // Such a file system reserves nothing; a sparse file serves, ENOSPC comes later.
                Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(reserved)?,
                Err(error) => {
                    drop(file);
                    self.remove(path)?;
                    return Err(error.into());
                }
            }
        }
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let beside = Path::new(&name);
        let mut file = File::create(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(beside, path)?;
        path.parent()
            .map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

impl LogFile for RealFile {
    fn write_at(&mut self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        write_all_at(&self.0, offset, parts)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

/// `pwritev` until nothing is left; each round writes at least a byte, so it ends.
fn write_all_at(file: &File, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    let mut offset = offset;
    let mut rest = parts;
    while !rest.is_empty() {
        let vectors = rest.len().min(IOV_MAX);
        match rustix::io::pwritev(file, &rest[..vectors], offset) {
            Ok(0) if rest.iter().all(|part| part.is_empty()) => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads up to `buffer.len()` bytes at `offset`; fewer only at the file's end.
pub(crate) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
