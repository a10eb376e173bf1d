//! The layering table: who may import whom.
//!
//! Does: read `[dependencies]` of manifests and `ocelli_*` paths of sources against one table.
//! Does not: look at dev-dependencies of `tests`, which may see everything.
//! In: manifest or source text. Out: violations that name both rows.

use super::{Source, Violation};

/// Row of each crate; a crate imports only from rows below its own, never from its own row.
const ROWS: &[(&str, u8)] = &[
    ("model", 0),
    ("config", 1),
    ("bus", 1),
    ("snmp", 1),
    ("raft", 1),
    ("plugins", 2),
    ("federation", 2),
    ("client", 3),
    ("actors", 3),
    ("node", 4),
    ("tests", 5),
];

fn row_of(folder: &str) -> Option<u8> {
    ROWS.iter()
        .find(|(name, _)| *name == folder)
        .map(|(_, row)| *row)
}

/// Checks the workspace dependencies, the licence and the lints of a crate's manifest.
pub(super) fn check_manifest(path: &str, text: &str) -> Vec<Violation> {
    let Some((folder, rest)) = path.split_once('/') else {
        return Vec::new();
    };
    if rest != "Cargo.toml" {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut section = String::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        }
        let imported = line
            .strip_prefix("ocelli-")
            .and_then(|rest| rest.split(['.', ' ', '=']).next());
        if section.ends_with("dependencies")
            && let Some(imported) = imported
        {
            violations.extend(check_edge(path, at + 1, folder, imported));
        }
        if line.contains("git =") || line.contains("git=") {
            let fix = "depend on a registry release; git sources are not reproducible".to_owned();
            violations.push(Violation {
                file: path.to_owned(),
                line: at + 1,
                rule: "git source",
                fix,
            });
        }
    }
    for (needed, fix) in [
        (
            "license.workspace = true",
            "add license.workspace = true under [package]",
        ),
        ("[lints]\nworkspace = true", "add [lints] workspace = true"),
    ] {
        if !text.contains(needed) {
            let fix = fix.to_owned();
            violations.push(Violation {
                file: path.to_owned(),
                line: 1,
                rule: "manifest",
                fix,
            });
        }
    }
    violations
}

/// Checks each `ocelli_…` path of a source.
pub(super) fn check_imports(source: &Source) -> Vec<Violation> {
    let folder = source.folder();
    let mut violations = Vec::new();
    for (line, code) in source.code.iter().enumerate() {
        for (at, _) in code.match_indices("ocelli_") {
            let is_start =
                !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            let name = &code[at + "ocelli_".len()..];
            let end = name
                .find(|after: char| !after.is_alphanumeric())
                .unwrap_or(name.len());
            if is_start && name[end..].starts_with("::") {
                violations.extend(check_edge(&source.path, line + 1, folder, &name[..end]));
            }
        }
    }
    violations
}

fn check_edge(path: &str, line: usize, importer: &str, imported: &str) -> Option<Violation> {
    let (from, to) = (row_of(importer)?, row_of(imported)?);
    if importer == imported || to < from {
        return None;
    }
    let fix = format!(
        "{importer} (row {from}) must not import {imported} (row {to}); move what both need to a \
         row below"
    );
    Some(Violation {
        file: path.to_owned(),
        line,
        rule: "layering",
        fix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = "license.workspace = true\n[lints]\nworkspace = true\n";

    #[test]
    fn a_manifest_that_imports_up_or_sideways_is_refused() {
        let check = |folder: &str, dependency: &str, expected: usize| {
            let text = format!("{TAIL}[dependencies]\nocelli-{dependency}.workspace = true\n");
            let found = check_manifest(&format!("{folder}/Cargo.toml"), &text);
            assert_eq!(
                found.len(),
                expected,
                "{folder} imports {dependency}: {found:?}"
            );
        };
        check("bus", "model", 0);
        check("bus", "snmp", 1);
        check("model", "bus", 1);
        check("plugins", "federation", 1);
        check("tests", "node", 0);
        check("actors", "node", 1);
    }

    #[test]
    fn a_path_in_code_counts_and_one_in_a_comment_does_not() {
        let check = |text: &str, expected: usize| {
            let found = check_imports(&Source::new("snmp/src/a.rs", text));
            assert_eq!(found.len(), expected, "{text}: {found:?}");
        };
        check("use ocelli_model::oid::Oid;", 0);
        check("use ocelli_bus::Bus;", 1);
        check("// ocelli_bus::Bus", 0);
        check("let x = ocelli_plugins::registry();", 1);
        check("ocelli_snmp::engine", 0);
    }

    #[test]
    fn a_manifest_without_licence_or_lints_or_with_git_is_refused() {
        assert_eq!(check_manifest("bus/Cargo.toml", "[package]\n").len(), 2);
        let text = format!("{TAIL}[dependencies]\nx = {{ git = \"https://example.com\" }}\n");
        assert_eq!(check_manifest("bus/Cargo.toml", &text).len(), 1);
        assert!(
            check_manifest("Cargo.toml", "").is_empty(),
            "the root has no row"
        );
    }
}
