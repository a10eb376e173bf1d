//! The way in of whoever writes the configuration.
//!
//! Does: load a text leniently and strictly, check that each finding has a place in it and that
//! what was taken can be shown and compared. Does not: choose the bytes.
//! In: bytes. Out: nothing, or a panic that is a defect.

use ocelli_config::{LoadOptions, Loaded, Problem, Source, Sources, difference, load, show};

/// A configuration file.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let lines = text.split('\n').count();
    let check = |problem: &Problem| {
        let line = problem.place.line;
        assert!(line <= lines + 1, "line {line} of {lines}");
        assert!(!problem.to_string().is_empty());
    };
    for is_strict in [false, true] {
        match loaded(text, is_strict) {
            Err(problems) => {
                assert!(!problems.is_empty());
                problems.iter().for_each(check);
            }
            Ok(loaded) => {
                loaded.warnings.iter().for_each(check);
                let parked = loaded.parked.iter().flat_map(|item| &item.problems);
                parked.for_each(check);
                assert!(difference(&loaded.config, &loaded.config).is_empty());
                drop(show(&loaded.config));
            }
        }
    }
}

fn loaded(text: &str, is_strict: bool) -> Result<Loaded, Vec<Problem>> {
    let mut sources = Sources::new();
    sources.push(Source::file("/etc/ocelli/ocelli.toml", text));
    let options = LoadOptions {
        hostname: "n1",
        is_strict,
    };
    load(sources, options).map_err(|invalid| invalid.problems)
}
