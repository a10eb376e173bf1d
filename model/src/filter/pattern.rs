//! LIKE patterns: `%` any run, `_` any one character, ASCII letters without regard to case.
//!
//! Does: match the whole value, in time of at most pattern × value, without recursion.
//! Does not: know an escape; `\` stands for itself. In: pattern text, a value. Out: yes or no.

/// A LIKE pattern, split into its characters once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// `%`; runs of it are one.
    Run,
    /// `_`.
    One,
    /// This character, lower case if it is an ASCII letter.
    Literal(char),
}

impl Pattern {
    /// The pattern written as `text`; each text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut items = Vec::new();
        for character in text.chars() {
            match character {
                '%' if items.last() == Some(&Item::Run) => {}
                '%' => items.push(Item::Run),
                '_' => items.push(Item::One),
                literal => items.push(Item::Literal(literal.to_ascii_lowercase())),
            }
        }
        Self {
            text: text.to_owned(),
            items,
        }
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `value` matches. Allocates nothing.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let mut rest = value.chars();
        let mut at = 0;
        // Where to go on if the present attempt fails: after the last `%`, one character later.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let item = self.items.get(at);
            if item == Some(&Item::Run) {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            let is_match = match (item, ahead.next()) {
                (None, None) => return true,
                (Some(Item::One), Some(_)) => true,
                (Some(Item::Literal(literal)), Some(found)) => {
                    *literal == found.to_ascii_lowercase()
                }
                _ => false,
            };
            if is_match {
                rest = ahead;
                at += 1;
                continue;
            }
            let Some((after_run, mut later)) = retry.take() else {
                return false;
            };
            if later.next().is_none() {
                return false;
            }
            at = after_run;
            rest = later.clone();
            retry = Some((after_run, later));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, exponential and recursive.
    fn by_definition(pattern: &[char], value: &[char]) -> bool {
        match (pattern, value) {
            ([], []) => true,
            (['%', rest @ ..], _) => {
                (0..=value.len()).any(|skipped| by_definition(rest, &value[skipped..]))
            }
            (['_', rest @ ..], [_, tail @ ..]) => by_definition(rest, tail),
            ([literal, rest @ ..], [found, tail @ ..]) => {
                literal.eq_ignore_ascii_case(found) && by_definition(rest, tail)
            }
            _ => false,
        }
    }

    #[test]
    fn the_whole_value_must_match() {
        let check = |pattern: &str, value: &str, expected: bool| {
            assert_eq!(
                Pattern::new(pattern).matches(value),
                expected,
                "{pattern:?} {value:?}"
            );
        };
        check("", "", true);
        check("", "a", false);
        check("%", "", true);
        check("sw", "sw1", false);
        check("sw_", "SW1", true);
        check("sw_", "sw", false);
        check("a_c", "aéc", true);
        check("É", "é", false);
        check("%.example.com", "h1.example.com", true);
        check("a\\%", "a\\b", true);
    }

    #[test]
    fn a_pattern_of_many_runs_ends_in_time() {
        let pattern = Pattern::new(&"%a".repeat(1_000));
        assert!(!pattern.matches(&"b".repeat(4_000)));
        assert!(pattern.matches(&"ba".repeat(1_000)));
    }

    proptest! {
        #[test]
        fn matching_equals_its_definition(pattern in "[ab%_]{0,8}", value in "[abAB]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = by_definition(&chars(&pattern), &chars(&value));
            prop_assert_eq!(Pattern::new(&pattern).matches(&value), expected);
        }
    }
}
