//! Reading expressions: precedence, and each way a text is none.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: expression texts. Out: their trees with all parentheses, or place and reason.

use super::*;

/// The tree with all parentheses.
fn shown(expression: &Expression) -> String {
    match expression {
        Expression::Number(number) => number.to_string(),
        Expression::Text(text) => format!("{text:?}"),
        Expression::Missing => "missing".into(),
        Expression::IntervalS => "interval_s".into(),
        Expression::Name { name, .. } => name.clone(),
        Expression::Unary(unary, inner) => format!("{unary:?}({})", shown(inner)),
        Expression::Binary(binary, left, right) => {
            format!("({} {binary:?} {})", shown(left), shown(right))
        }
        Expression::Choose(parts) => {
            let [condition, if_true, if_false] = &**parts;
            format!(
                "({} ? {} : {})",
                shown(condition),
                shown(if_true),
                shown(if_false)
            )
        }
    }
}

#[test]
fn operators_bind_as_documented() {
    let check = |text: &str, expected: &str| {
        assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
    };
    check("a + b * c - d", "((a Add (b Multiply c)) Subtract d)");
    check("a ?? b * 8", "(a FirstPresent (b Multiply 8))");
    check("a ?? 0 == 0", "((a FirstPresent 0) Equal 0)");
    check("not a == b and c or d", "((Not((a Equal b)) And c) Or d)");
    check("a ? b : c ? d : e", "(a ? b : (c ? d : e))");
    check("-a × 2 ÷ 1e3", "((Minus(a) Multiply 2) Divide 1000)");
    check(
        "present(a) or missing(b ?? c)",
        "(IsPresent(a) Or IsMissing((b FirstPresent c)))",
    );
    check("a ? missing : interval_s", "(a ? missing : interval_s)");
    check("index.peer == 'x' ", "(index.peer Equal \"x\")");
    check("1.5e-3", "0.0015");
}

#[test]
fn a_text_that_is_no_expression_is_refused_at_its_place() {
    let check = |text: &str, offset: usize, part: &str| {
        let error = parse(text).unwrap_err();
        assert_eq!(error.offset, offset, "{text}: {error:?}");
        assert!(error.message.contains(part), "{text}: {error:?}");
    };
    check("", 0, "a value is missing");
    check("a +", 3, "a value is missing");
    check("a b", 2, "`b` stands where the end");
    check("a < b < c", 6, "do not chain");
    check("(a", 2, "`)` is missing");
    check("a ? b", 5, "`:` is missing");
    check("a $ b", 2, "'$' has no meaning");
    check("1.2.3", 0, "no number");
    check("a == 'x", 5, "never closed");
    check("a + or", 4, "`or` stands where a value");
    check("present a", 8, "`(`");
    check(&"(".repeat(NESTING_MAX + 1), NESTING_MAX, "nested deeper");
    check(&"-".repeat(NESTING_MAX + 1), NESTING_MAX, "nested deeper");
    check(&format!("{}a", "not ".repeat(30)), 96, "nested deeper");
    check(
        &vec!["a"; TOKENS_MAX].join("+"),
        TOKENS_MAX,
        "more than 256",
    );
    check(&"a".repeat(TEXT_BYTES_MAX + 1), 0, "longer than");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        drop(parse(&text));
    }

    #[test]
    fn no_mix_of_its_own_words_panics(
        words in proptest::collection::vec(
            proptest::sample::select(&["a", "(", ")", "-", "not", "?", ":", "??", "1", "and", "*",
                "present", "missing", "'", "<", "é"][..]), 0..300),
    ) {
        drop(parse(&words.join(" ")));
    }
}
