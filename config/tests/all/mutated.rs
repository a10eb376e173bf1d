//! Broken configurations by the hundred: never a panic, always a place (promise P10).

use ocelli_config::{LoadOptions, Loaded, load};
use proptest::prelude::*;

use crate::{EXAMPLE, OPTIONS, sources_of};

/// Mutations in the fixed list.
const MUTATIONS: u64 = 200;

/// SplitMix64: the same mutations in every run.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// One line of the example made wrong.
fn mutate(seed: u64) -> String {
    let mut state = seed;
    let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
    let target = usize::try_from(next(&mut state)).unwrap_or(0) % lines.len();
    let line = lines[target].clone();
    lines[target] = match next(&mut state) % 9 {
        0 => String::new(),
        1 => line.replacen('=', "", 1),
        2 => line.replacen(['"', '\''], "", 1),
        3 => line.replacen('e', "", 1),
        4 => line
            .split('=')
            .next()
            .map(|key| format!("{key}= -1"))
            .unwrap_or_default(),
        5 => line
            .split('=')
            .next()
            .map(|key| format!("{key}= {{ a = 1 }}"))
            .unwrap_or_default(),
        6 => format!("{line}\n{line}"),
        7 => line.replacen([']', '}'], "", 1),
        _ => line.replacen('=', "= \u{2028}\"é", 1),
    };
    lines.join("\n")
}

/// Every finding of a lenient and of a strict load stands at a place of the text.
fn check_places(text: &str) -> Option<Loaded> {
    let strict = LoadOptions {
        is_strict: true,
        ..OPTIONS
    };
    let lines = text.split('\n').count();
    if let Err(invalid) = load(sources_of(&[text]), strict) {
        assert!(!invalid.problems.is_empty());
        for problem in &invalid.problems {
            assert!(
                (1..=lines + 1).contains(&problem.place.line),
                "{problem}\n{text}"
            );
            assert!(problem.place.column >= 1 && problem.place.file.ends_with("0.toml"));
            assert!(!problem.reason.is_empty() && !problem.remedy.is_empty());
        }
    }
    let loaded = load(sources_of(&[text]), OPTIONS).ok()?;
    for parked in &loaded.parked {
        assert!(!parked.problems.is_empty(), "{parked}");
    }
    Some(loaded)
}

#[test]
fn two_hundred_mutations_never_panic_and_park_at_most_what_they_touch() {
    let whole = check_places(EXAMPLE).unwrap().config;
    let (mut refused, mut parked) = (0, 0);
    for seed in 0..MUTATIONS {
        let Some(loaded) = check_places(&mutate(seed)) else {
            refused += 1;
            continue;
        };
        parked += usize::from(!loaded.parked.is_empty());
        let items = |config: &ocelli_config::Config| {
            config.devices.len()
                + config.discoveries.len()
                + config.enrichments.len()
                + config.pollings.len()
                + config.snmp_credentials.len()
        };
        // A removed header gives one item's keys to its neighbour: two may go, never three.
        assert!(items(&loaded.config) + 2 >= items(&whole), "seed {seed}");
    }
    assert!(
        refused > 20 && parked > 20,
        "refused {refused}, parked {parked}: too tame"
    );
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read_without_a_panic(text in "\\PC{0,200}") {
        check_places(&text);
    }

    #[test]
    fn any_cut_of_the_example_is_refused_or_read(at in 0..EXAMPLE.len(), rest in ".{0,5}") {
        let mut at = at;
        while !EXAMPLE.is_char_boundary(at) { at -= 1; }
        check_places(&format!("{}{rest}", &EXAMPLE[..at]));
    }

    #[test]
    fn nesting_has_a_bound(depth in 1_usize..5_000) {
        check_places(&format!("a = {}", "[".repeat(depth)));
        check_places(&format!("[{}a]", "a.".repeat(depth)));
    }
}
