//! A Rust file as the rules read it: lines, with strings and comments blanked.
//!
//! Does: tell code from text, find where tests begin, find excuses. Does not: build a syntax tree.
//! In: path and text. Out: [`Source`].
//! Invariant: `code` has as many lines as the text, each as long as it was (in characters).

/// A file, ready to be checked.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path below the root, `/` between parts.
    pub path: String,
    /// Lines as written.
    pub lines: Vec<String>,
    /// Lines with strings, characters and comments blanked.
    pub code: Vec<String>,
    /// 0-based line at which `mod tests` begins; the number of lines if there is none.
    pub tests_from: usize,
}

impl Source {
    /// Reads `text` as Rust.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let blanked = blank(text);
        let code: Vec<String> = blanked.lines().map(str::to_owned).collect();
        let tests_from = if is_test_path(path) {
            0
        } else {
            tests_from(&code).unwrap_or(lines.len())
        };
        Self {
            path: path.to_owned(),
            lines,
            code,
            tests_from,
        }
    }

    /// The crate folder: the first part of the path.
    #[must_use]
    pub fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or("")
    }

    /// Lines of code that are no tests, with their 1-based number.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .iter()
            .take(self.tests_from)
            .enumerate()
            .map(|(at, line)| (at + 1, line.as_str()))
    }

    /// Whether the 1-based line carries `// style: <why>`.
    #[must_use]
    pub fn is_excused(&self, line: usize) -> bool {
        let text = line.checked_sub(1).and_then(|at| self.lines.get(at));
        text.and_then(|text| text.split("// style: ").nth(1))
            .is_some_and(|why| why.len() > 5)
    }
}

/// Whether the whole file is test code.
fn is_test_path(path: &str) -> bool {
    let in_folder = ["/tests/", "/benches/", "/examples/", "/fuzz/"];
    path.starts_with("tests/")
        || in_folder.iter().any(|folder| path.contains(folder))
        || path.ends_with("_tests.rs")
}

fn tests_from(code: &[String]) -> Option<usize> {
    let is_gate = |line: &String| line.starts_with("#[cfg(test)]");
    let first = code.iter().position(is_gate)?;
    let module = code
        .iter()
        .skip(first)
        .take(4)
        .find(|line| line.starts_with("mod "))?;
    module.ends_with('{').then_some(first)
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: u32 },
    Text { hashes: Option<usize> },
}

fn blank(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < characters.len() {
        let (taken, next) = step(&characters[at..], inside);
        for character in &characters[at..at + taken] {
            let is_shown = inside == Inside::Code && next == Inside::Code || *character == '\n';
            out.push(if is_shown { *character } else { ' ' });
        }
        inside = next;
        at += taken;
    }
    out
}

/// How many characters belong together here, and what comes after them.
fn step(rest: &[char], inside: Inside) -> (usize, Inside) {
    let starts = |text: &str| {
        text.chars()
            .zip(rest.iter().chain(std::iter::repeat(&'\0')))
            .all(|(a, b)| a == *b)
    };
    match inside {
        Inside::Code if starts("//") => (2, Inside::LineComment),
        Inside::Code if starts("/*") => (2, Inside::BlockComment { depth: 1 }),
        Inside::Code if starts("\"") => (1, Inside::Text { hashes: None }),
        Inside::Code => step_code(rest),
        Inside::LineComment if rest[0] == '\n' => (1, Inside::Code),
        Inside::LineComment => (1, inside),
        Inside::BlockComment { depth } if starts("/*") => {
            (2, Inside::BlockComment { depth: depth + 1 })
        }
        Inside::BlockComment { depth: 1 } if starts("*/") => (2, Inside::Code),
        Inside::BlockComment { depth } if starts("*/") => {
            (2, Inside::BlockComment { depth: depth - 1 })
        }
        Inside::BlockComment { .. } => (1, inside),
        Inside::Text { hashes: None } if starts("\\") => (2.min(rest.len()), inside),
        Inside::Text { hashes: None } if starts("\"") => (1, Inside::Code),
        Inside::Text {
            hashes: Some(hashes),
        } if starts(&format!("\"{}", "#".repeat(hashes))) => (1 + hashes, Inside::Code),
        Inside::Text { .. } => (1, inside),
    }
}

/// Raw strings and characters need a look ahead; the rest is one character of code.
fn step_code(rest: &[char]) -> (usize, Inside) {
    let is_raw = rest[0] == 'r' && matches!(rest.get(1), Some('"' | '#'));
    if is_raw {
        let hashes = rest[1..]
            .iter()
            .take_while(|character| **character == '#')
            .count();
        if rest.get(1 + hashes) == Some(&'"') {
            return (
                2 + hashes,
                Inside::Text {
                    hashes: Some(hashes),
                },
            );
        }
    }
    if rest[0] == '\'' {
        let is_escape = rest.get(1) == Some(&'\\');
        let end = if is_escape {
            rest.iter()
                .skip(3)
                .take(12)
                .position(|character| *character == '\'')
                .map(|at| at + 4)
        } else {
            (rest.get(2) == Some(&'\'')).then_some(3)
        };
        // Without a closing quote it is a lifetime.
        if let Some(end) = end {
            return (end, Inside::Code);
        }
    }
    (1, Inside::Code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_blanked_and_lines_keep_their_place() {
        let check = |text: &str, hidden: &str, shown: &str| {
            let source = Source::new("model/src/a.rs", text);
            let code = source.code.join("\n");
            assert!(
                !code.contains(hidden),
                "{text:?} shows {hidden:?}: {code:?}"
            );
            assert!(code.contains(shown), "{text:?} hides {shown:?}: {code:?}");
        };
        check("let a = \"x.unwrap()\"; b", "unwrap", "; b");
        check("let a = \"\\\"x.unwrap()\"; b", "unwrap", "; b");
        check("a // unwrap\nb", "unwrap", "b");
        check("a /* unwrap /* in */ unwrap */ b", "unwrap", " b");
        check("r#\"un\"wrap\"# ; b", "wrap", "; b");
        check(
            "fn f<'a>(x: &'a str) { '\"'; b() } // unwrap",
            "unwrap",
            "b()",
        );
    }

    #[test]
    fn tests_begin_at_their_module_and_a_file_beside_moves_nothing() {
        let inline = "fn a() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(Source::new("model/src/a.rs", inline).tests_from, 1);
        let beside = "fn a() {}\n#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;\n";
        assert_eq!(Source::new("model/src/a.rs", beside).tests_from, 4);
        assert_eq!(
            Source::new("model/src/a_tests.rs", "fn a() {}\n").tests_from,
            0
        );
    }
}
