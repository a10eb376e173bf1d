//! Words that must not stand in product code, each with its place of exception and its remedy.
//!
//! Does: search blanked code line by line. Does not: replace clippy, which knows types; this rule
//! also holds where clippy is told to look away.
//! In: a source. Out: violations that say what to use instead.

use super::{Source, Violation};

struct Ban {
    rule: &'static str,
    words: &'static [&'static str],
    /// Path prefixes where it may stand.
    allowed: &'static [&'static str],
    fix: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        rule: "unwrap",
        words: &[".unwrap()", ".unwrap_err()"],
        allowed: &[],
        fix: "return an error, or expect(\"why it holds\") for an invariant proved above",
    },
    Ban {
        rule: "unbounded channel",
        words: &[
            "unbounded_channel",
            "unbounded()",
            "UnboundedSender",
            "mpsc::channel()",
        ],
        allowed: &[],
        fix: "give a capacity and an overflow rule",
    },
    Ban {
        rule: "do_send",
        words: &[".do_send("],
        allowed: &[],
        fix: "use try_send: do_send passes the mailbox capacity by",
    },
    Ban {
        rule: "clock",
        words: &[
            "Instant::now",
            "SystemTime::now",
            "thread::sleep",
            "tokio::time::sleep",
        ],
        allowed: &["node/src/clock"],
        fix: "take time as an argument or through model::clock::Clock",
    },
    Ban {
        rule: "chance",
        words: &["rand::", "getrandom"],
        allowed: &["node/src/rng"],
        fix: "take chance through model::clock::Rng",
    },
    Ban {
        rule: "unsafe",
        words: &["unsafe {", "unsafe fn", "unsafe impl"],
        allowed: &[],
        fix: "stay in safe Rust; an exception needs a module of its own named in ARCHITECTURE.md",
    },
    Ban {
        rule: "unfinished",
        words: &["todo!(", "unimplemented!(", "dbg!("],
        allowed: &[],
        fix: "finish it or leave it out",
    },
];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (line, code) in source.product_lines() {
        let broken = BANS.iter().filter(|ban| {
            let is_allowed = ban
                .allowed
                .iter()
                .any(|prefix| source.path.starts_with(prefix));
            !is_allowed && ban.words.iter().any(|word| has_word(code, word))
        });
        violations.extend(broken.map(|ban| Violation {
            file: source.path.clone(),
            line,
            rule: ban.rule,
            fix: ban.fix.to_owned(),
        }));
    }
    for (at, code) in source.code.iter().enumerate() {
        if code.trim_start().starts_with("#[ignore") {
            let (file, fix) = (source.path.clone(), "make it run or remove it".to_owned());
            violations.push(Violation {
                file,
                line: at + 1,
                rule: "ignored test",
                fix,
            });
        }
    }
    violations.extend(check_open_structs(source));
    violations
}

/// `rand::` must not match `operand::`.
fn has_word(code: &str, word: &str) -> bool {
    let begins_name = word.starts_with(|first: char| first.is_alphanumeric());
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !begins_name || !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

/// In `config`, a struct that is read from a file refuses keys that it does not know.
fn check_open_structs(source: &Source) -> Vec<Violation> {
    if source.folder() != "config" {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut attributes = String::new();
    for (line, code) in source.product_lines() {
        let code = code.trim();
        if code.starts_with("#[") || attributes.ends_with(',') || attributes.ends_with('(') {
            attributes.push_str(code);
            continue;
        }
        let is_struct = code.contains("struct ") && code.ends_with('{');
        let is_read = attributes.contains("Deserialize");
        if is_struct && is_read && !attributes.contains("deny_unknown_fields") {
            let (file, rule) = (source.path.clone(), "open struct");
            let fix = "add #[serde(deny_unknown_fields)]: a typo must not pass".to_owned();
            violations.push(Violation {
                file,
                line,
                rule,
                fix,
            });
        }
        attributes.clear();
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ban_is_seen_in_code_and_not_in_tests_or_its_own_place() {
        for ban in BANS {
            for word in ban.words {
                let source = Source::new("bus/src/a.rs", &format!("    let a = x({word}\n"));
                let found = check(&source);
                assert!(found.iter().any(|found| found.rule == ban.rule), "{word}");
                let in_tests = Source::new("bus/src/a_tests.rs", &format!("    {word}\n"));
                assert!(check(&in_tests).is_empty(), "{word} in tests");
                for prefix in ban.allowed {
                    let allowed = Source::new(&format!("{prefix}.rs"), &format!("    {word}\n"));
                    assert!(
                        check(&allowed).iter().all(|found| found.rule != ban.rule),
                        "{word}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_name_that_ends_alike_is_no_ban() {
        assert!(
            check(&Source::new(
                "bus/src/a.rs",
                "operand::x(); round_unbounded_channels\n"
            ))
            .is_empty()
        );
    }

    #[test]
    fn an_ignored_test_is_seen_wherever_it_stands() {
        let source = Source::new("tests/tests/a.rs", "//! a\n    #[ignore]\n    fn t() {}\n");
        assert_eq!(check(&source).len(), 1);
    }

    #[test]
    fn an_open_struct_is_refused_in_config_only() {
        let open = "#[derive(Debug, Deserialize)]\npub struct A {\n";
        let closed = "#[derive(Deserialize)]\n#[serde(deny_unknown_fields)]\npub struct A {\n";
        assert_eq!(check(&Source::new("config/src/a.rs", open)).len(), 1);
        assert!(check(&Source::new("config/src/a.rs", closed)).is_empty());
        assert!(check(&Source::new("bus/src/a.rs", open)).is_empty());
    }
}
