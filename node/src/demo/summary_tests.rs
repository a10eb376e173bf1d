//! Tests of a demo's last words: what counts, once, and what is told of lags.

use ocelli_model::batch::Verdict::{First, Rate};

use super::super::samples::{batch, gap};
use super::*;

/// Two batches, the second 90 ms late, one of them twice, and a gap of two slots.
fn summary() -> Summary {
    let mut summary = Summary::new(1);
    let rows: &[_] = &[("Gi1", &[(10, Rate)][..]), ("Gi2", &[(0, First)][..])];
    let first = batch("a", 1, &[("interface", &["bits_in"], rows)]);
    let second = batch("b", 2, &[("interface", &["bits_in"], rows)]);
    let after = Duration::from_millis;
    summary.take(&first, WallMs(1_010), after(4_000));
    summary.take(&second, WallMs(1_090), after(5_000));
    summary.take(&second, WallMs(9_999), after(6_000));
    summary.take(&gap("a", 3), WallMs(1_500), after(7_000));
    summary
}

#[test]
fn every_entry_counts_once_and_a_second_time_as_a_duplicate() {
    let expected = json!({
        "nodes": 1,
        "resources": 2,
        "batches": 2,
        "samples": 10,
        "rates": 2,
        "gaps": { "timeout": 2 },
        "duplicates": 1,
        "lag_ms": { "p50": 10, "p99": 90 },
        "first_rate_ms": 4_000,
    });
    assert_eq!(summary().to_json(), expected);
}

#[test]
fn the_line_says_the_same_and_nothing_of_lags_without_a_batch() {
    let text = summary().to_string();
    assert!(
        text.contains("2 batches, 10 samples of which 2 rates; gaps: 2 timeout; dup"),
        "{text}"
    );
    assert!(
        text.contains("10 ms after the collection (p99 90 ms)"),
        "{text}"
    );
    let text = Summary::new(1).to_string();
    assert!(
        text.contains("gaps: none") && !text.contains("p99"),
        "{text}"
    );
}

#[test]
fn no_more_lags_are_kept_than_the_limit_and_the_newest_stay() {
    let mut summary = Summary::new(1);
    (0..LAGS_MAX).for_each(|_| summary.note_lag(1));
    summary.note_lag(5);
    assert_eq!(summary.lags_ms.len(), LAGS_MAX);
    assert_eq!(summary.percentiles([100]), [Some(5)]);
}
