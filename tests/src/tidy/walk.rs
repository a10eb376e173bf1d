//! The guided walk of `ARCHITECTURE.md`: what it names must be there.
//!
//! Does: read the walk's lines, find each name in backquotes among the files and definitions of the
//! tree; where a file stands behind a name in brackets, look for the name there. Does not: check
//! that the sample really passes there. In: the map's text, the sources. Out: [`Violation`]s.

use super::Violation;

/// The walk begins at this heading and ends at the next.
const HEADING: &str = "## One sample";
/// Words that begin a definition.
const DEFINED_BY: [&str; 7] = ["fn", "struct", "enum", "trait", "mod", "const", "type"];
/// The map.
pub(super) const MAP: &str = "ARCHITECTURE.md";

/// Path below the root, and text.
pub(super) type SourceText = (String, String);

/// Checks what the walk in `map` names against `sources`.
#[must_use]
pub(super) fn check_walk(map: &str, sources: &[SourceText]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut is_walk = false;
    let mut steps: Vec<(usize, String)> = Vec::new();
    for (position, line) in map.lines().enumerate() {
        if line.starts_with("## ") {
            is_walk = line.starts_with(HEADING);
        } else if is_walk {
            // Joined, since a name and its file may stand on two lines.
            match steps.last_mut() {
                Some((_, step)) if line.starts_with(' ') => {
                    step.push(' ');
                    step.push_str(line.trim());
                }
                _ => steps.push((position + 1, line.to_owned())),
            }
        }
    }
    if steps.is_empty() {
        violations.push(violation(
            1,
            format!("the heading {HEADING:?} is not there"),
        ));
    }
    for (line, step) in &steps {
        let faults = faults_of(step, sources).into_iter();
        violations.extend(faults.map(|fault| violation(*line, fault)));
    }
    violations
}

fn violation(line: usize, fix: String) -> Violation {
    Violation {
        file: MAP.to_owned(),
        line,
        rule: "walk",
        fix,
    }
}

fn faults_of(step: &str, sources: &[SourceText]) -> Vec<String> {
    let mut faults = Vec::new();
    let parts: Vec<&str> = step.split('`').collect();
    // Odd parts stand in backquotes; the text behind each says whether a file follows.
    for at in (1..parts.len()).step_by(2) {
        let name = parts[at];
        if name.starts_with('/') {
            let route = format!("\"{name}\"");
            if !sources.iter().any(|(_, text)| text.contains(&route)) {
                faults.push(format!("no file has the route {name}; name what is there"));
            }
            continue;
        }
        if name.contains('/') || name.ends_with(".rs") {
            if files_of(name, sources).next().is_none() {
                faults.push(format!("there is no {name}; name what is there"));
            }
            continue;
        }
        let is_placed = parts.get(at + 1).is_some_and(|behind| *behind == " (");
        let place = parts.get(at + 2).filter(|_| is_placed).copied();
        let item = name.rsplit("::").next().unwrap_or(name);
        let mut candidates: Box<dyn Iterator<Item = &SourceText>> = match place {
            Some(place) => Box::new(files_of(place, sources)),
            None => Box::new(sources.iter()),
        };
        if !candidates.any(|(_, text)| defines(text, item)) {
            let place = place
                .map(|place| format!(" in {place}"))
                .unwrap_or_default();
            faults.push(format!("nothing defines {name}{place}; name what is there"));
        }
    }
    faults
}

/// Files whose path is `place` or ends with it, or that lie in the folder `place`.
fn files_of<'a>(place: &'a str, sources: &'a [SourceText]) -> impl Iterator<Item = &'a SourceText> {
    sources.iter().filter(move |(path, _)| {
        path == place
            || path.ends_with(&format!("/{place}"))
            || (place.ends_with('/') && path.starts_with(place))
    })
}

/// Whether `text` defines `item`: by a keyword, or as a variant of an enum.
fn defines(text: &str, item: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let by_keyword = DEFINED_BY.iter().any(|keyword| {
        let head = format!("{keyword} {item}");
        text.match_indices(&head)
            .any(|(at, _)| is_end(&text[at + head.len()..]))
    });
    let is_variant = |line: &str| {
        let rest = line.trim_start().strip_prefix(item);
        line.starts_with(' ') && rest.is_some_and(|rest| rest.starts_with([',', '(', ' ']))
    };
    by_keyword || (item.starts_with(char::is_uppercase) && text.lines().any(is_variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nothing_defines_any_more_is_found() {
        let sources = [
            (
                "bus/src/reader.rs".to_owned(),
                "pub struct Reader;\nfn next() {}".to_owned(),
            ),
            (
                "actors/src/wheel.rs".to_owned(),
                "enum M {\n    Wake,\n}\nfn wakes() {}".to_owned(),
            ),
        ];
        let check = |step: &str, expected: &[&str]| {
            let map =
                format!("# A\n`gone`\n\n{HEADING}, to x\n\n1. **A.** {step}\n\n## Next\n`gone`");
            let found = check_walk(&map, &sources);
            let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(texts.len(), expected.len(), "{step}: {texts:?}");
            for (text, part) in texts.iter().zip(expected) {
                assert!(text.starts_with("ARCHITECTURE.md:6: walk: "), "{text}");
                assert!(text.contains(part), "{text}");
            }
        };
        check("a `Reader` (`bus/src/reader.rs`) goes", &[]);
        check(
            "a `Reader::next` sends `M::Wake` from `actors/src/`,\n   `wakes`",
            &[],
        );
        check(
            "`Reader` (`wheel.rs`)",
            &["nothing defines Reader in wheel.rs"],
        );
        check("`Reader::nex`", &["nothing defines Reader::nex;"]);
        check("`wake`", &["nothing defines wake"]);
        check("at `/v1/gone`", &["no file has the route /v1/gone"]);
        check("see `bus/src/gone.rs`", &["there is no bus/src/gone.rs"]);
        assert_eq!(check_walk("# no walk", &sources).len(), 1);
    }
}
