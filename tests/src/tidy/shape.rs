//! Shape: headers, columns, function and file lengths.
//!
//! Does: measure formatted code (a function ends at the first `}` at the indent of its `fn`).
//! Does not: judge test code, but for headers and columns.
//! In: a source. Out: violations with the number measured.

use super::{COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX, Source, Violation};

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |line: usize, rule: &'static str, fix: String| {
        violations.push(Violation {
            file: source.path.clone(),
            line,
            rule,
            fix,
        });
    };
    let header = source
        .lines
        .iter()
        .take_while(|line| line.starts_with("//!"))
        .count();
    if header == 0 {
        let fix = "open with //! lines: does, does not, in, out".to_owned();
        report(1, "header", fix);
    }
    let product = source.tests_from.min(source.lines.len());
    if product > FILE_LINES_MAX {
        let fix =
            format!("{product} lines; split by responsibility, {FILE_LINES_MAX} is the limit");
        report(product, "file length", fix);
    }
    for (at, line) in source.lines.iter().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !line.contains("://") {
            let fix = format!("{columns} columns; {COLUMNS_MAX} is the limit");
            report(at + 1, "columns", fix);
        }
    }
    for (at, name, lines) in functions(source) {
        if lines > FUNCTION_LINES_MAX {
            let fix = format!(
                "fn {name} has {lines} lines, {FUNCTION_LINES_MAX} is the limit; keep branches, \
                 move steps out"
            );
            report(at + 1, "function length", fix);
        }
    }
    violations
}

/// (0-based line, name, lines) of each function outside tests.
fn functions(source: &Source) -> Vec<(usize, String, usize)> {
    let mut open: Vec<(usize, usize, String)> = Vec::new();
    let mut found = Vec::new();
    for (number, line) in source.product_lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(name) = function_name(line.trim_start()) {
            let ends_here = line.trim_end().ends_with([';', '}']);
            if !ends_here {
                open.retain(|(other, ..)| *other < indent);
                open.push((indent, number - 1, name.to_owned()));
            }
        } else if line.trim_end() == format!("{}}}", " ".repeat(indent)) {
            let ending = open.iter().position(|(other, ..)| *other == indent);
            if let Some((_, start, name)) = ending.map(|position| open.remove(position)) {
                found.push((start, name, number - start));
            }
        } else if line.trim_start().starts_with(')') && line.trim_end().ends_with(';') {
            open.retain(|(other, ..)| *other != indent);
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(|character: char| !character.is_alphanumeric() && character != '_')
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        check(&Source::new("model/src/a.rs", text))
            .into_iter()
            .map(|found| found.rule)
            .collect()
    }

    #[test]
    fn each_limit_is_met_at_its_number_and_broken_one_beyond() {
        let function =
            |lines: usize| format!("//! a\nfn f() {{\n{}}}\n", "    x();\n".repeat(lines - 2));
        assert!(rules(&function(FUNCTION_LINES_MAX)).is_empty());
        assert_eq!(
            rules(&function(FUNCTION_LINES_MAX + 1)),
            ["function length"]
        );
        let file = |lines: usize| format!("//! a\n{}", "const A: u8 = 0;\n".repeat(lines - 1));
        assert!(rules(&file(FILE_LINES_MAX)).is_empty());
        assert_eq!(rules(&file(FILE_LINES_MAX + 1)), ["file length"]);
        let line = |columns: usize| format!("//! {}\n", "ä".repeat(columns - 4));
        assert!(rules(&line(COLUMNS_MAX)).is_empty());
        assert_eq!(rules(&line(COLUMNS_MAX + 1)), ["columns"]);
        assert_eq!(rules("fn f() {}\n"), ["header"]);
    }

    #[test]
    fn a_long_function_in_tests_is_left_alone() {
        let body = "        x();\n".repeat(80);
        let text = format!("//! a\n#[cfg(test)]\nmod tests {{\n    fn f() {{\n{body}    }}\n}}\n");
        assert!(rules(&text).is_empty());
    }
}
