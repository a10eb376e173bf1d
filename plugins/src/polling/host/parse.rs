//! What /proc says, parsed.
//!
//! Does: read the text of each file, skip lines that are not as documented (proc(5)).
//! Does not: open files. In: bytes. Out: plain values; a field that is missing makes its line
//! missing, never the file. Works in whole units of the kernel: ticks, KiB, sectors, ms.

/// Most CPUs, interfaces, devices or mounts taken of one file.
pub(super) const LINES_MAX: usize = 8_192;
/// A sector of /proc/diskstats, whatever the device's own is.
const SECTOR_BYTES: u64 = 512;
const KIB: u64 = 1_024;

/// Ticks (1/100 s) of one CPU, or of all together, since boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CpuTicks {
    /// `0`, `1`, …; `total` for all.
    pub(super) name: String,
    /// user, nice, system, idle, iowait, irq, softirq, steal. Guests are in user already.
    pub(super) ticks: [u64; CPU_STATES],
}

/// States of a CPU in /proc/stat that are counted here.
pub(super) const CPU_STATES: usize = 8;

/// Lines `cpu…` of /proc/stat and `btime`, seconds since 1970.
pub(super) fn stat(bytes: &[u8]) -> (Vec<CpuTicks>, Option<u64>) {
    let mut cpus = Vec::new();
    let mut boot_s = None;
    for (word, fields) in lines(bytes) {
        if word == "btime" {
            boot_s = fields.first().and_then(|field| field.parse().ok());
        }
        let Some(name) = word.strip_prefix("cpu") else {
            continue;
        };
        let mut ticks = [0; CPU_STATES];
        // Kernels before 2.6.11 lack steal; it is 0 then.
        let read = fields.iter().take(CPU_STATES).map(|field| field.parse());
        let read: Result<Vec<u64>, _> = read.collect();
        let Some(read) = read.ok().filter(|read| read.len() >= CPU_STATES - 1) else {
            continue;
        };
        ticks
            .iter_mut()
            .zip(read)
            .for_each(|(into, ticks)| *into = ticks);
        let name = if name.is_empty() { "total" } else { name };
        cpus.push(CpuTicks {
            name: name.to_owned(),
            ticks,
        });
    }
    average_total(&mut cpus);
    (cpus, boot_s)
}

/// The line of all CPUs as the mean CPU, so that its shares are of 100 % like the others'.
fn average_total(cpus: &mut [CpuTicks]) {
    let count = cpus.iter().filter(|cpu| cpu.name != "total").count().max(1) as u64;
    for cpu in cpus.iter_mut().filter(|cpu| cpu.name == "total") {
        cpu.ticks.iter_mut().for_each(|ticks| *ticks /= count);
    }
}

/// 1, 5 and 15 minutes of /proc/loadavg.
pub(super) fn loadavg(bytes: &[u8]) -> Option<[f64; 3]> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut fields = text
        .split_ascii_whitespace()
        .map(|field| field.parse::<f64>().ok());
    let loads = [fields.next()??, fields.next()??, fields.next()??];
    loads.iter().all(|load| load.is_finite()).then_some(loads)
}

/// Bytes, of /proc/meminfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Memory {
    pub(super) total: Option<u64>,
    pub(super) available: Option<u64>,
    pub(super) swap_total: Option<u64>,
    pub(super) swap_free: Option<u64>,
}

/// Reads /proc/meminfo. Before Linux 3.14 there is no MemAvailable: absent.
pub(super) fn meminfo(bytes: &[u8]) -> Memory {
    let mut memory = Memory::default();
    for (word, fields) in lines(bytes) {
        let into = match word {
            "MemTotal:" => &mut memory.total,
            "MemAvailable:" => &mut memory.available,
            "SwapTotal:" => &mut memory.swap_total,
            "SwapFree:" => &mut memory.swap_free,
            _ => continue,
        };
        let kib: Option<u64> = fields.first().and_then(|field| field.parse().ok());
        *into = kib.and_then(|kib| kib.checked_mul(KIB));
    }
    memory
}

/// Counters of a network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct NetworkLine {
    pub(super) interface: String,
    /// bytes, packets, errors, dropped; received, then transmitted.
    pub(super) counters: [u64; 8],
}

/// Reads /proc/net/dev: two lines of titles, then `name: 16 numbers`.
pub(super) fn net_dev(bytes: &[u8]) -> Vec<NetworkLine> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().take(LINES_MAX).filter_map(|line| {
        let (name, fields) = line.rsplit_once(':')?;
        let read: Result<Vec<u64>, _> = fields.split_ascii_whitespace().map(str::parse).collect();
        let read = read.ok().filter(|read| read.len() >= 16)?;
        let counters = [
            read[0], read[1], read[2], read[3], read[8], read[9], read[10], read[11],
        ];
        let interface = name.trim().to_owned();
        (!interface.is_empty()).then_some(NetworkLine {
            interface,
            counters,
        })
    });
    lines.collect()
}

/// Counters of a block device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DiskLine {
    pub(super) device: String,
    /// reads, read bytes, writes, written bytes, ns in which something was in progress.
    pub(super) counters: [u64; 5],
}

/// Reads /proc/diskstats; devices that never did anything (loop0 …, ram0 …) are left out.
pub(super) fn diskstats(bytes: &[u8]) -> Vec<DiskLine> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().take(LINES_MAX).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let bytes = |at: usize| Some(number(at)?.wrapping_mul(SECTOR_BYTES));
        let io_ns = number(12)?.wrapping_mul(1_000_000);
        let counters = [number(3)?, bytes(5)?, number(7)?, bytes(9)?, io_ns];
        let is_used = counters.iter().any(|counter| *counter > 0);
        is_used.then(|| DiskLine {
            device: fields[2].to_owned(),
            counters,
        })
    });
    lines.collect()
}

/// Nanoseconds since boot, of /proc/uptime.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: not negative and below a thousand years"
)]
pub(super) fn uptime_ns(bytes: &[u8]) -> Option<u64> {
    const SECONDS_MAX: f64 = 31_557_600_000.0;
    let text = std::str::from_utf8(bytes).ok()?;
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    (0.0..SECONDS_MAX)
        .contains(&seconds)
        .then_some((seconds * 1e9) as u64)
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    pub(super) path: String,
    pub(super) kind: String,
}

/// Reads /proc/self/mounts: file systems that hold data of a device, each device once (bind mounts
/// repeat it), where it is mounted last.
pub(super) fn mounts(bytes: &[u8]) -> Vec<Mount> {
    let text = String::from_utf8_lossy(bytes);
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.lines().take(LINES_MAX) {
        let mut fields = line.split(' ').map(unescape);
        let (Some(device), Some(path), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let holds_data = device.starts_with("/dev/")
            || matches!(
                kind.as_str(),
                "zfs" | "btrfs" | "overlay" | "nfs" | "nfs4" | "tmpfs"
            );
        let is_pseudo = matches!(kind.as_str(), "squashfs" | "iso9660")
            || (kind == "tmpfs" && path != "/tmp")
            || (kind == "overlay" && path != "/");
        if !holds_data || is_pseudo || !path.starts_with('/') {
            continue;
        }
        let is_known = |known: &Mount| known.device == device && device.starts_with("/dev/");
        if !mounts
            .iter()
            .any(|known| is_known(known) || known.path == path)
        {
            mounts.push(Mount { device, path, kind });
        }
    }
    mounts
}

/// `\040` is a blank (getmntent(3)).
fn unescape(field: &str) -> String {
    let octets = field.as_bytes();
    let mut plain = Vec::with_capacity(octets.len());
    let mut at = 0;
    while let Some(octet) = octets.get(at) {
        let digits = octets.get(at + 1..at + 4).filter(|_| *octet == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(escaped) => {
                plain.push(escaped);
                at += 4;
            }
            None => {
                plain.push(*octet);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// First word and the rest of each line; lines that are not text are skipped.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&str, Vec<&str>)> {
    bytes
        .split(|octet| *octet == b'\n')
        .take(LINES_MAX)
        .filter_map(|line| {
            let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
            Some((fields.next()?, fields.collect()))
        })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
