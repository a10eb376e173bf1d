//! Parsing of /proc on sound and odd text.
//!
//! Does: check values, units and what is skipped. Does not: read this machine.
//! In: texts as proc(5) has them, cut and damaged ones. Out: plain values.

use super::*;

#[test]
fn cpu_lines_give_ticks_and_the_total_is_the_mean() {
    let text =
        b"cpu  20 0 40 600 8 2 4 6 0 0\ncpu0 10 0 20 300 4 1 2 3 0 0\ncpu1 10 0 20 300 4 1 2 3\n\
                 intr 5 6\nbtime 1700000000\ncpu2 1 2\ncpu3 x 0 0 0 0 0 0 0\n";
    let (cpus, boot_s) = stat(text);
    let names: Vec<_> = cpus.iter().map(|cpu| cpu.name.as_str()).collect();
    assert_eq!(
        (names.as_slice(), boot_s),
        (&["total", "0", "1"][..], Some(1_700_000_000))
    );
    assert_eq!(cpus[0].ticks, [10, 0, 20, 300, 4, 1, 2, 3]);
    let (old, _) = stat(b"cpu0 1 2 3 4 5 6 7\n");
    assert_eq!(
        old[0].ticks,
        [1, 2, 3, 4, 5, 6, 7, 0],
        "no steal before Linux 2.6.11"
    );
}

#[test]
fn loads_memory_and_uptime_are_read_or_absent() {
    assert_eq!(
        loadavg(b"0.50 1.25 2.00 1/234 5678\n"),
        Some([0.5, 1.25, 2.0])
    );
    assert_eq!(
        (loadavg(b"0.5 x 1"), loadavg(b""), loadavg(b"1 nan 1")),
        (None, None, None)
    );
    let memory =
        meminfo(b"MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 0 kB\nSwapFree: x\n");
    let expected = Memory {
        total: Some(1_024_000),
        available: Some(409_600),
        swap_total: Some(0),
        swap_free: None,
    };
    assert_eq!(memory, expected);
    assert_eq!(
        meminfo(b"MemTotal: 99999999999999999999 kB"),
        Memory::default()
    );
    assert_eq!(uptime_ns(b"12.50 40.00\n"), Some(12_500_000_000));
    assert_eq!(
        (uptime_ns(b"-1 2"), uptime_ns(b""), uptime_ns(b"\xff")),
        (None, None, None)
    );
}

#[test]
fn network_lines_keep_names_with_colons_and_skip_titles() {
    let text = b"Inter-|   Receive\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
                 eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n lo:1 2 3\n";
    let lines = net_dev(text);
    let names: Vec<_> = lines.iter().map(|line| line.interface.as_str()).collect();
    assert_eq!(names, ["eth0", "eth0:1"]);
    assert_eq!(lines[0].counters, [1, 2, 3, 4, 9, 10, 11, 12]);
}

#[test]
fn disks_are_counted_in_bytes_and_nanoseconds() {
    let text =
        b"   8 0 sda 10 0 20 30 40 0 50 60 0 70 80\n 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n 8 1 sdb 1\n";
    let expected = DiskLine {
        device: "sda".into(),
        counters: [10, 20 * 512, 40, 50 * 512, 70_000_000],
    };
    assert_eq!(diskstats(text), [expected]);
}

#[test]
fn mounts_are_those_of_devices_once_each() {
    let text =
        b"/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/sda1 /var/bind ext4 rw 0 0\n\
                 /dev/sdb1 /my\\040disk xfs rw 0 0\ntmpfs /run tmpfs rw 0 0\n\
                 tmpfs /tmp tmpfs rw 0 0\n\
                 /dev/loop1 /snap/x squashfs ro 0 0\nbroken\n";
    let found = mounts(text);
    let paths: Vec<_> = found.iter().map(|mount| mount.path.as_str()).collect();
    assert_eq!(paths, ["/", "/my disk", "/tmp"]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let with_words = [b"cpu0 MemTotal: eth0: \\04", bytes.as_slice()].concat();
        for bytes in [&bytes, &with_words] {
            drop((stat(bytes), loadavg(bytes), meminfo(bytes), net_dev(bytes)));
            drop((diskstats(bytes), uptime_ns(bytes), mounts(bytes)));
        }
    }
}
