//! Proof of `units`: what is read, what is refused and with which words, and the way back.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[test]
fn durations_are_read_as_people_write_them() {
    let check = |text: &str, millis: u64| {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::from_millis(millis)),
            "{text:?}"
        );
    };
    check("30s", 30_000);
    check("5m", 300_000);
    check("250ms", 250);
    check("1h30m", 5_400_000);
    check("1d", 86_400_000);
    check(" 2s ", 2_000);
    check("0", 0);
    check("60", 60_000);
    check("1s500ms", 1_500);
}

#[test]
fn a_text_that_is_no_duration_is_refused_with_what_to_write() {
    let check = |text: &str, expected: &str| {
        let error = parse_duration(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    };
    check("", "write it as 30s");
    check("soon", "write it as 30s");
    check(&"9".repeat(100), "write it as 30s");
    check("1.5s", "1s500ms");
    check("-1s", "whole numbers");
    check("1h30", "did you mean 30m?");
    check("1ns5", "did you mean 5ns?");
    check("5min", "did you mean 5m?");
    check("1h30Min", "did you mean 1h30m?");
    check("5M", "did you mean 5m?");
    check("5 m", "unit \" m\" is unknown");
    check("5parsecs", "units are d h m s ms us ns");
    check("30m1h", "large to small");
    check("1s1s", "large to small");
    check("18446744073709551616", "too long");
    check("18446744073709551615d", "too long");
}

#[test]
fn sizes_are_read_in_binary_units_and_others_are_refused_with_the_right_one() {
    let check = |text: &str, expected: u64| assert_eq!(parse_size(text), Ok(expected), "{text:?}");
    check("64MiB", 64 << 20);
    check("1 GiB", 1 << 30);
    check("2TiB", 2 << 40);
    check("512KiB", 512 << 10);
    check("7B", 7);
    check("1500", 1_500);
    let refuse = |text: &str, expected: &str| {
        let error = parse_size(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    };
    refuse("", "write it as 64MiB");
    refuse("MiB", "write it as 64MiB");
    refuse("1.5GiB", "write it as 64MiB");
    refuse("64MB", "did you mean 64MiB?");
    refuse("64m", "did you mean 64MiB?");
    refuse("10 gallons", "units are B KiB");
    refuse("16777216TiB", "16 EiB");
}

#[test]
fn serde_takes_text_or_integers_and_writes_text() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Settings {
        #[serde(with = "duration")]
        every: Duration,
        #[serde(with = "duration::option", default)]
        timeout: Option<Duration>,
        #[serde(with = "size::option", default)]
        bytes_max: Option<u64>,
        #[serde(with = "size")]
        memory: u64,
    }
    let read = |text: &str| serde_json::from_str::<Settings>(text);
    let settings = read(r#"{"every":60,"timeout":"250ms","memory":"1KiB"}"#).unwrap();
    assert_eq!(settings.every, Duration::from_secs(60));
    assert_eq!(settings.timeout, Some(Duration::from_millis(250)));
    assert_eq!((settings.bytes_max, settings.memory), (None, 1_024));
    assert_eq!(
        serde_json::to_string(&settings).unwrap(),
        r#"{"every":"1m","timeout":"250ms","bytes_max":null,"memory":"1KiB"}"#
    );
    let error = read(r#"{"every":-1,"memory":1}"#).unwrap_err().to_string();
    assert!(error.contains("expected a duration"), "{error}");
    let error = read(r#"{"every":"5min","memory":1}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean 5m?"), "{error}");
}

proptest! {
    #[test]
    fn a_printed_duration_reads_back_as_itself(seconds: u64, nanos in 0u32..1_000_000_000) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn a_printed_size_reads_back_as_itself(bytes: u64, shift in 0u32..64) {
        for bytes in [bytes, bytes >> shift << shift] {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,80}") {
        prop_assert!(parse_duration(&text).is_ok() || parse_duration(&text).is_err());
        prop_assert!(parse_size(&text).is_ok() || parse_size(&text).is_err());
    }
}
