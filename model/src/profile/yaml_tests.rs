//! The YAML tree: what is refused where, limits, texts kept as written.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: YAML texts. Out: trees or findings.

use super::*;

fn refused(text: &str) -> (Code, usize, usize, String) {
    let finding = parse(text).unwrap_err();
    (
        finding.code,
        finding.place.line,
        finding.place.column,
        finding.path,
    )
}

#[test]
fn what_native_files_must_not_have_is_refused_at_its_place() {
    let check = |text: &str, code: Code, line: usize, column: usize, path: &str| {
        assert_eq!(
            refused(text),
            (code, line, column, path.to_owned()),
            "{text:?}"
        );
    };
    check("a: 1\nb: 2\na: 3\n", Code::DuplicateKey, 3, 1, "");
    check("x:\n  a: 1\n  a: 2\n", Code::DuplicateKey, 3, 3, "x");
    check("x: [1, &here 2]\n", Code::Anchor, 1, 14, "x[1]");
    check("x: {a: *here}\n", Code::Syntax, 1, 8, "");
    check("a: &b 1\nc: *b\n", Code::Anchor, 1, 7, "a");
    check("a: !!str 1\n", Code::Anchor, 1, 10, "a");
    check("a: &b [1]\n", Code::Anchor, 1, 7, "a");
    check("? [1, 2]\n: 3\n", Code::Name, 1, 3, "");
    check("a: 1\n---\nb: 2\n", Code::Syntax, 3, 1, "");
    check("", Code::Syntax, 1, 1, "");
}

#[test]
fn depth_size_and_number_of_values_are_limited() {
    let deep = format!(
        "{}1{}",
        "[".repeat(DEPTH_MAX + 1),
        "]".repeat(DEPTH_MAX + 1)
    );
    assert_eq!(refused(&deep).0, Code::Limit);
    let fitting = format!("{}1{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
    assert!(parse(&fitting).is_ok());
    assert_eq!(refused(&"#".repeat(FILE_BYTES_MAX + 1)).0, Code::Limit);
    let wide: String = (0..=KEYS_MAX).map(|key| format!("k{key}: 1\n")).collect();
    assert_eq!(refused(&wide).0, Code::Limit);
    assert_eq!(
        refused(&format!("[{}]", "1,".repeat(NODES_MAX))).0,
        Code::Limit
    );
}

#[test]
fn scalars_keep_their_text_and_maps_their_order() {
    let node = parse("b: 1.3\na: \"1.30\"\n\"no\": on\n").unwrap();
    let Value::Map(pairs) = node.value else {
        panic!("{node:?}");
    };
    let keys: Vec<_> = pairs
        .iter()
        .map(|(key, _)| (key.text.as_str(), key.is_plain))
        .collect();
    assert_eq!(keys, [("b", true), ("a", true), ("no", false)]);
    let scalar = |text: &str, is_plain| Value::Scalar {
        text: text.to_owned(),
        is_plain,
    };
    let values: Vec<_> = pairs.into_iter().map(|(_, node)| node.value).collect();
    assert_eq!(
        values,
        [
            scalar("1.3", true),
            scalar("1.30", false),
            scalar("on", true)
        ]
    );
}

#[test]
fn plain_words_that_yaml_reads_as_no_text_are_known() {
    for text in ["null", "~", "true", "1", "1.3", "-2e5", "0x10"] {
        assert!(is_core_literal(text), "{text}");
    }
    for text in ["on", "no", "1.3.6", "infinite", "nan", "a1"] {
        assert!(!is_core_literal(text), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[-a-c:{}\\[\\],&*!|>'\"#? \n\t0-9é]{0,80}") {
        drop(parse(&text));
    }
}
