//! The tree keeps its own rules: layering, headers, sizes, banned words, closed configuration.
//!
//! Does: run every tidy rule over every manifest and Rust file of the checkout. Does not: format
//! or lint; `cargo fmt` and clippy do that beside it. A failure lists file, line, rule and fix.

use std::path::Path;

use ocelli_tests::tidy::{Source, check_source, check_tree};

#[test]
fn every_file_of_the_tree_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let violations = check_tree(&root).unwrap();
    let listed: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(
        listed.is_empty(),
        "{} violations:\n{}",
        listed.len(),
        listed.join("\n")
    );
}

#[test]
fn an_excuse_needs_a_reason() {
    let check = |text: &str| check_source(&Source::new("bus/src/a.rs", text)).len();
    assert_eq!(check("//! a\nx.unwrap();\n"), 1);
    assert_eq!(
        check("//! a\nx.unwrap(); // style: proved by the line above\n"),
        0
    );
    assert_eq!(check("//! a\nx.unwrap(); // style: \n"), 1);
}
