//! The process as the kernel sees it: `process_*`, by the names that all exporters use.
//!
//! Does: read `/proc/self`. Does not: read a clock; the start time is the kernel's own.
//! In: nothing. Out: rows; what cannot be read is left out.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

use super::{OwnMetric, count};

/// Fields of `/proc/self/stat` after the name, counted from 0 (proc(5) counts the state as 3).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

/// What is used of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// All that can be read.
pub(super) fn rows() -> Vec<OwnMetric> {
    let mut rows = Vec::new();
    let stat = fs::read_to_string("/proc/self/stat").ok();
    if let Some(stat) = stat.as_deref().and_then(parse_stat) {
        stat_rows(&stat, &mut rows);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        let open = open.count().saturating_sub(1);
        let named = ("process_open_fds", "File descriptors open.");
        rows.push(OwnMetric::gauge(named, count(open)));
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let named = ("process_max_fds", "Most file descriptors open at one time.");
        rows.push(OwnMetric::gauge(named, soft as f64));
    }
    rows
}

fn stat_rows(stat: &Stat, rows: &mut Vec<OwnMetric>) {
    let of_system = |variable| sysconf(variable).ok().flatten().map(|value| value as f64);
    if let Some(ticks) = of_system(SysconfVar::CLK_TCK) {
        let cpu = ("process_cpu_seconds", "Processor time, user and system.");
        rows.push(OwnMetric::seconds(cpu, stat.cpu_ticks as f64 / ticks));
        let boot = fs::read_to_string("/proc/stat").ok();
        if let Some(boot) = boot.as_deref().and_then(parse_boot_time) {
            let start = (
                "process_start_time_seconds",
                "Start of the process, Unix time.",
            );
            let seconds = boot as f64 + stat.start_ticks as f64 / ticks;
            rows.push(OwnMetric::gauge(start, seconds));
        }
    }
    if let Some(page_bytes) = of_system(SysconfVar::PAGE_SIZE) {
        let resident = ("process_resident_memory_bytes", "Memory in use.");
        let bytes = stat.resident_pages as f64 * page_bytes;
        rows.push(OwnMetric::gauge(resident, bytes));
    }
    let virtual_memory = ("process_virtual_memory_bytes", "Address space in use.");
    rows.push(OwnMetric::gauge(virtual_memory, stat.virtual_bytes as f64));
    rows.push(OwnMetric::gauge(
        ("process_threads", "Threads."),
        stat.threads as f64,
    ));
}

/// The name stands in brackets and may hold anything, brackets too: fields follow the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: number(USER_TICKS)? + number(SYSTEM_TICKS)?,
        threads: number(THREADS)?,
        start_ticks: number(START_TICKS)?,
        virtual_bytes: number(VIRTUAL_BYTES)?,
        resident_pages: number(RESIDENT_PAGES)?,
    })
}

fn parse_boot_time(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_shifts_no_field() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194304 9 0 0 0 250 50 0 0 20 0 6 0 1234 4096000 77 \
                    18446744073709551615 1";
        let expected = Stat {
            cpu_ticks: 300,
            threads: 6,
            start_ticks: 1_234,
            virtual_bytes: 4_096_000,
            resident_pages: 77,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("7 (x) S 1"), None);
        assert_eq!(
            parse_boot_time("cpu 1 2\nbtime 1700000000\n"),
            Some(1_700_000_000)
        );
    }
}
