//! Tests of what a demo shows: the order, the units, the verdicts, and gaps that leave no rates.

use ocelli_model::batch::Verdict::{First, Rate, Reset};

use super::super::samples::{batch, gap};
use super::*;

const BITS_OF_LINK: &[&str] = &["bits_in", "bits_out"];

/// Rates are growth over two seconds.
fn two_switches() -> Live {
    let mut live = Live::default();
    live.take(&batch(
        "quiet",
        1,
        &[(
            "interface",
            BITS_OF_LINK,
            &[("Gi1", &[(2_000, Rate), (4_000, Rate)])],
        )],
    ));
    live.take(&batch(
        "busy",
        2,
        &[(
            "interface",
            BITS_OF_LINK,
            &[
                ("Gi1", &[(2_000_000, Rate), (0, Reset)]),
                ("Gi2", &[(0, First), (0, First)]),
            ],
        )],
    ));
    live
}

#[test]
fn the_busiest_interface_stands_first_and_a_direction_without_a_rate_says_why() {
    let text = two_switches().tables(false);
    let lines: Vec<&str> = text.lines().collect();
    let cells = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(cells(1), "busy Gi1 1.00 Mbit/s - reset");
    assert_eq!(cells(2), "quiet Gi1 1.00 kbit/s 2.00 kbit/s rate");
    assert_eq!(cells(3), "busy Gi2 - - first");
    assert_eq!(lines[4], "the busiest 3 of 3 interfaces");
}

#[test]
fn a_device_with_a_gap_shows_no_rates_until_its_next_batch() {
    let mut live = two_switches();
    live.take(&gap("busy", 3));
    let text = live.tables(false);
    assert!(!text.contains("busy  ") && text.contains("quiet"), "{text}");
    assert!(live.has_rates());
    live.take(&gap("quiet", 4));
    assert!(!live.has_rates());
}

#[test]
fn first_values_alone_are_no_rates() {
    let mut live = Live::default();
    let rows: &[_] = &[("Gi1", &[(0, First), (0, First)][..])];
    live.take(&batch("new", 1, &[("interface", BITS_OF_LINK, rows)]));
    assert!(!live.has_rates());
}

#[test]
fn the_machines_network_is_in_bits_and_without_its_loopback() {
    let mut live = Live::default();
    let network: &[_] = &[
        ("lo", &[(9_000_000, Rate), (9_000_000, Rate)][..]),
        ("eth0", &[(2_000, Rate), (4_000, Rate)][..]),
        ("eth1", &[(2_000, Rate), (0, First)][..]),
    ];
    live.take(&batch(
        "here",
        1,
        &[
            (
                "cpu",
                &["busy"],
                &[("0", &[(90, Rate)]), ("total", &[(50, Rate)])],
            ),
            ("network", &["rx_bytes", "tx_bytes"], network),
        ],
    ));
    let text = live.tables(false);
    let line = text.lines().find(|line| line.starts_with("this machine"));
    let line = line.unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        line.join(" "),
        "this machine - 25.00 % - 16.00 kbit/s 16.00 kbit/s"
    );
}

#[test]
fn a_name_cannot_move_the_cursor() {
    let mut live = Live::default();
    let rows: &[_] = &[("Gi1\u{1b}[2J", &[(2_000, Rate), (2_000, Rate)][..])];
    live.take(&batch("new", 1, &[("interface", BITS_OF_LINK, rows)]));
    assert!(!live.tables(false).contains('\u{1b}'));
}
