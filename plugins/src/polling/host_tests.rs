//! The host plugin on a fixture below a temporary root, and on this machine.
//!
//! Does: check groups, units, holes and partial reads. Does not: parse odd text (`parse_tests`).
//! In: files. Out: rows.

use super::*;
use crate::run::{BlockingPool, Run};
use crate::testing::{StoppedClock, resource};
use ocelli_model::clock::Monotonic;

fn poll(root: PathBuf) -> (Rows, Result<PollNotes, PollError>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (resource, blocking) = (resource("host", "none"), BlockingPool::default());
    let run = PollRun {
        run: Run {
            clock: &StoppedClock,
            deadline: Monotonic(u64::MAX),
            blocking: &blocking,
        },
        resource: &resource,
        slot_number: 0,
        snmp: None,
        facts: &[],
    };
    let plugin = HostPolling::with_root(root, 60_000).unwrap();
    let (mut rows, mut scratch) = (Rows::default(), Scratch::default());
    let result = runtime.block_on(plugin.poll(run, &mut rows, &mut scratch));
    (rows, result)
}

fn write(root: &tempfile::TempDir, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

const FILES: [(&str, &str); 8] = [
    (
        "proc/stat",
        "cpu 20 2 40 600 8 2 4 6\ncpu0 20 2 40 600 8 2 4 6\nbtime 1700000000\n",
    ),
    ("proc/loadavg", "0.5 1 2 1/2 3\n"),
    (
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemAvailable: 250 kB\nSwapTotal: 8 kB\nSwapFree: 2 kB\n",
    ),
    ("proc/net/dev", "eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n"),
    ("proc/diskstats", "8 0 sda 1 0 2 0 3 0 4 0 0 5 0\n"),
    ("proc/uptime", "12.5 1\n"),
    ("proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n"),
    ("sys/class/net/eth0/speed", "1000\n"),
];

#[test]
fn every_group_is_filled_by_the_catalogues_names() {
    let root = tempfile::tempdir().unwrap();
    write(&root, &FILES);
    let (rows, result) = poll(root.path().to_owned());
    assert_eq!(
        (result, rows.partial.clone()),
        (Ok(PollNotes::default()), None)
    );
    let counts: Vec<_> = rows.groups.iter().map(GroupRows::len).collect();
    assert_eq!(counts, [2, 1, 1, 1, 1, 1, 1]);
    let gauges = |group: usize| -> Vec<_> {
        rows.groups[group]
            .gauges
            .iter()
            .map(|column| column.get(0))
            .collect()
    };
    assert_eq!(gauges(LOAD), [Some(0.5), Some(1.0), Some(2.0)]);
    let memory = [
        1_024_000.0,
        256_000.0,
        768_000.0,
        75.0,
        8_192.0,
        2_048.0,
        6_144.0,
    ];
    assert_eq!(gauges(MEMORY), memory.map(Some));
    assert_eq!(gauges(UPTIME), [Some(12.5e9), Some(1.7e18)]);
    assert_eq!(
        (
            rows.groups[NETWORK].speed_bps.as_slice(),
            rows.facts.sys_uptime_ticks
        ),
        (&[1_000_000_000][..], Some(1_250))
    );
    let disk = &rows.groups[DISK];
    let used: Vec<_> = disk
        .gauges
        .iter()
        .map(|column| column.get(0).unwrap())
        .collect();
    assert!(
        used[0] >= used[2] && (0.0..=100.0).contains(&used[3]),
        "{used:?}"
    );
    assert_eq!(
        (disk.dimensions.get(0, 0), disk.dimensions.get(0, 2)),
        (Some("/"), Some("ext4"))
    );
}

#[test]
fn cpu_shares_are_sums_of_ticks_whose_rate_is_percent() {
    let root = tempfile::tempdir().unwrap();
    write(&root, &FILES);
    let mut state = ocelli_model::rate::RateState::default();
    let plugin = HostPolling::with_root(root.path().to_owned(), 1_000).unwrap();
    let mut values = Vec::new();
    for (seconds, stat) in [
        (0, "cpu0 100 0 50 0 0 0 0 0\n"),
        (10, "cpu0 400 100 250 390 0 5 5 0\n"),
    ] {
        write(&root, &[("proc/stat", stat)]);
        let mut rows = Rows::default();
        plugin.fill(&read::read(root.path()), WallMs(seconds * 1_000), &mut rows);
        state.advance(&plugin.rates, &mut rows, 10_000, &mut values);
    }
    let names = plugin.schema.groups[CPU].counters.iter().enumerate();
    let shares: Vec<_> = names
        .map(|(at, def)| (def.name.as_str(), values[CPU].rate(at, 0)))
        .collect();
    let expected = [
        ("user", 40.0),
        ("system", 21.0),
        ("idle", 39.0),
        ("iowait", 0.0),
        ("steal", 0.0),
        ("busy", 61.0),
    ];
    assert_eq!(shares, expected.map(|(name, share)| (name, Some(share))));
}

#[test]
fn a_file_that_cannot_be_read_costs_its_group_alone_and_is_named() {
    let root = tempfile::tempdir().unwrap();
    write(&root, &FILES);
    std::fs::remove_file(root.path().join("proc/loadavg")).unwrap();
    let (rows, result) = poll(root.path().to_owned());
    assert!(result.is_ok() && rows.groups[LOAD].is_empty() && rows.groups[CPU].len() == 2);
    let cause = rows.partial.unwrap().cause.to_string();
    assert!(cause.starts_with("plugin_error//proc/loadavg: "), "{cause}");
    let (_, result) = poll(root.path().join("empty"));
    assert!(result.unwrap_err().to_string().contains("/proc/stat"));
}

#[test]
fn this_machine_has_cpus_memory_and_an_uptime() {
    let (rows, result) = poll(PathBuf::from("/"));
    assert!(result.is_ok(), "{result:?}");
    for group in [CPU, LOAD, MEMORY, UPTIME] {
        assert!(!rows.groups[group].is_empty(), "{}", GROUPS[group].0);
    }
}
