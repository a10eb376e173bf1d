//! Reading /proc, /sys and the file systems of one machine.
//!
//! Does: open the files below a root, ask file systems for their size. Does not: parse or run on
//! an arbiter: a file system that hangs blocks its thread. In: the root (`/`, in tests a fixture).
//! Out: [`HostReading`]; what cannot be read is absent.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::parse::{self, CpuTicks, DiskLine, Memory, Mount, NetworkLine};

/// Largest file read: /proc/stat of a machine of 8,192 CPUs stays below it.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Megabits in which /sys/class/net/*/speed counts.
const MEGABIT: u64 = 1_000_000;

/// All that one run reads.
#[derive(Debug, Default)]
pub(super) struct HostReading {
    pub(super) cpus: Vec<CpuTicks>,
    pub(super) boot_s: Option<u64>,
    pub(super) loads: Option<[f64; 3]>,
    pub(super) memory: Memory,
    /// With the speed in bit/s, 0 if not known.
    pub(super) network: Vec<(NetworkLine, u64)>,
    pub(super) disks: Vec<DiskLine>,
    pub(super) uptime_ns: Option<u64>,
    pub(super) mounts: Vec<(Mount, Space)>,
    /// The first file that could not be read.
    pub(super) unreadable: Option<String>,
}

/// Size of a file system: bytes and inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Space {
    pub(super) size: u64,
    pub(super) free: u64,
    /// What is left to those who are not root.
    pub(super) available: u64,
    pub(super) inodes_total: u64,
    pub(super) inodes_free: u64,
}

pub(super) fn read(root: &Path) -> HostReading {
    let mut reading = HostReading::default();
    let mut file = |name: &str| {
        let mut bytes = Vec::new();
        let opened = File::open(root.join(name));
        let read = opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        if let Err(error) = read {
            reading
                .unreadable
                .get_or_insert_with(|| format!("/{name}: {error}"));
        }
        bytes
    };
    let (stat, loadavg, meminfo) = (
        file("proc/stat"),
        file("proc/loadavg"),
        file("proc/meminfo"),
    );
    let (net_dev, diskstats) = (file("proc/net/dev"), file("proc/diskstats"));
    let (uptime, mounts) = (file("proc/uptime"), file("proc/self/mounts"));
    (reading.cpus, reading.boot_s) = parse::stat(&stat);
    reading.loads = parse::loadavg(&loadavg);
    reading.memory = parse::meminfo(&meminfo);
    let lines = parse::net_dev(&net_dev).into_iter();
    reading.network = lines
        .map(|line| {
            let speed_bps = speed_bps(root, &line.interface);
            (line, speed_bps)
        })
        .collect();
    reading.disks = parse::diskstats(&diskstats);
    reading.uptime_ns = parse::uptime_ns(&uptime);
    let mounts = parse::mounts(&mounts).into_iter();
    reading.mounts = mounts
        .filter_map(|mount| {
            let space = space_of(&root.join(mount.path.trim_start_matches('/')))?;
            Some((mount, space))
        })
        .collect();
    reading
}

/// A link that is down, and most virtual ones, have no speed (or −1).
fn speed_bps(root: &Path, interface: &str) -> u64 {
    // A name comes from the kernel, but a fixture might hold anything.
    if interface.contains('/') || interface.starts_with('.') {
        return 0;
    }
    let path = root.join("sys/class/net").join(interface).join("speed");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim()
        .parse::<u64>()
        .map_or(0, |megabits| megabits.saturating_mul(MEGABIT))
}

fn space_of(path: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    let space = Space {
        size: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        available: bytes(stat.f_bavail),
        inodes_total: stat.f_files,
        inodes_free: stat.f_ffree,
    };
    (space.size > 0).then_some(space)
}
