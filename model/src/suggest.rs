//! "Did you mean": the known name nearest to a misspelt one.
//!
//! Does: compare names by edit distance without regard to case. Does not: know any list of names.
//! In: what was written and the names that exist. Out: the nearest, if it is near enough to help.

/// Longer words are no misspelt names; bounds the table to 64 × 64 cells.
const NAME_CHARS_MAX: usize = 64;

/// The name of `known` nearest to `given`: at most a third of its letters differ (one at least).
/// Ties go to the first. `None` if nothing is near.
///
/// ```
/// use ocelli_model::suggest::nearest;
/// assert_eq!(nearest("resorce_class", ["resource_class", "resource_id"]), Some("resource_class"));
/// assert_eq!(nearest("colour", ["resource_class"]), None);
/// ```
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given: Vec<char> = lower(given)?;
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let Some(letters) = lower(name) else { continue };
        let allowed = (letters.len().max(given.len()) / 3).max(1);
        let distance = edit_distance(&given, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `; did you mean NAME?` or nothing: the tail of an error text.
#[must_use]
pub fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

fn lower(name: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = name.chars().take(NAME_CHARS_MAX + 1).collect();
    (letters.len() <= NAME_CHARS_MAX)
        .then(|| letters.iter().map(char::to_ascii_lowercase).collect())
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one to the other.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, from_letter) in from.iter().enumerate() {
        let mut current = Vec::with_capacity(to.len() + 1);
        current.push(row + 1);
        for (column, to_letter) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(from_letter != to_letter);
            let mut cost = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let is_swap = row > 0
                && column > 0
                && from[row - 1] == *to_letter
                && to[column - 1] == *from_letter;
            if is_swap {
                cost = cost.min(before_last[column - 1] + 1);
            }
            current.push(cost);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let known = ["resource_site", "resource_id", "every", "timeout"];
        let check = |given: &str, expected: Option<&str>| {
            assert_eq!(nearest(given, known), expected, "{given:?}");
        };
        check("resource_sit", Some("resource_site"));
        check("RESOURCE_SITE", Some("resource_site"));
        check("eveyr", Some("every"));
        check("time_out", Some("timeout"));
        check("x", None);
        check("", None);
        check(&"a".repeat(10_000), None);
    }

    #[test]
    fn a_swap_of_neighbours_counts_once() {
        let distance = |from: &str, to: &str| {
            edit_distance(
                &from.chars().collect::<Vec<_>>(),
                &to.chars().collect::<Vec<_>>(),
            )
        };
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
