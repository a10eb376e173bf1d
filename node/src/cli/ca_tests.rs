//! Tests of `ocelli ca` as a script sees it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::tests::ocelli;

struct Shell {
    place: TempDir,
    dir: String,
}

impl Shell {
    /// A directory with an authority of mesh `acme`.
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("ca").display().to_string();
        let shell = Self { place, dir };
        let (code, stdout, words) = shell.ca(&["init", "--mesh", "acme"]);
        assert_eq!((code, stdout.as_str()), (0, ""), "{words}");
        shell
    }

    fn ca(&self, arguments: &[&str]) -> (u8, String, String) {
        let (first, rest) = arguments.split_first().unwrap();
        let head = ["ca", first, "--dir", &self.dir];
        ocelli(&[&head, rest].concat())
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    fn issue(&self, node: &str, more: &[&str]) -> (u8, String, String) {
        let out = self.path("");
        let head = [
            "issue", "--tier", "site", "--name", "dc1", "--node", node, "--out", &out,
        ];
        self.ca(&[&head, more].concat())
    }

    fn listed(&self) -> Vec<Value> {
        let (code, stdout, words) = self.ca(&["list", "-o", "json"]);
        assert_eq!(code, 0, "{words}");
        serde_json::from_str(&stdout).unwrap()
    }
}

#[test]
fn a_certificate_is_issued_with_its_configuration_and_a_key_that_nobody_else_reads() {
    let shell = Shell::new();
    let (code, stdout, words) = shell.issue("a", &["--speaks-for", "dc1", "--speaks-for", "lab"]);
    assert_eq!(code, 0, "{words}");
    assert!(
        words.contains("ocelli://acme/site/dc1/a speaks for dc1, lab"),
        "{words}"
    );
    assert!(
        stdout.starts_with("[identity]\ncertificate = \"/"),
        "{stdout}"
    );
    assert!(!stdout.contains("BEGIN") && !words.contains("BEGIN"));
    let mode = std::fs::metadata(shell.path("a-key.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, stdout, _) = shell.ca(&["show", &shell.path("a.pem"), "-o", "json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, shown["state"].as_str()), (0, Some("valid")));
    assert_eq!(shown["speaks_for"], "dc1, lab");
    let listed = shell.listed();
    assert_eq!(listed[0]["serial"], shown["serial"]);
    assert_eq!(listed[0]["state"], "valid");
    // Again: renewed with the same key.
    let key = std::fs::read(shell.path("a-key.pem")).unwrap();
    assert_eq!(shell.issue("a", &["--days", "7"]).0, 0);
    assert_eq!(std::fs::read(shell.path("a-key.pem")).unwrap(), key);
    let states: Vec<Value> = shell
        .listed()
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert!(
        states.contains(&Value::from("ends_soon")) && states.len() == 2,
        "{states:?}"
    );
}

#[test]
fn a_key_made_on_the_node_is_certified_by_its_request() {
    let shell = Shell::new();
    let out = shell.path("node");
    let whom = [
        "--tier", "site", "--name", "dc1", "--node", "a", "--out", &out,
    ];
    let request = ["ca", "request", "--mesh", "acme"];
    let (code, stdout, words) = ocelli(&[&request[..], &whom].concat());
    assert_eq!(code, 0, "{words}");
    let csr = stdout.trim();
    let (code, _, words) = shell.issue("a", &["--csr", csr]);
    assert_eq!(code, 0, "{words}");
    assert!(
        !std::path::Path::new(&shell.path("a-key.pem")).exists(),
        "no second key"
    );
    let (code, _, words) = shell.issue("b", &["--csr", csr]);
    assert!(
        code == 2 && words.contains("asks for ocelli://acme/site/dc1/a"),
        "{code} {words}"
    );
    std::fs::write(csr, b"rubbish").unwrap();
    let (code, _, words) = shell.issue("a", &["--csr", csr]);
    assert!(
        code == 1 && words.contains("certificate request"),
        "{code} {words}"
    );
}

#[test]
fn revoking_a_node_shows_in_the_list_and_needs_a_valid_certificate() {
    let shell = Shell::new();
    shell.issue("a", &[]);
    let (code, stdout, words) = shell.ca(&["revoke", "a"]);
    assert_eq!(code, 0, "{words}");
    assert!(stdout.contains("ocelli://acme/site/dc1/a"), "{stdout}");
    assert_eq!(shell.listed()[0]["state"], "revoked");
    assert_eq!(shell.ca(&["revoke", "a"]).0, 4);
    let (_, stdout, _) = shell.ca(&["show", "-o", "json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&shown["revocation_list"], &shown["revoked"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn a_token_is_printed_once_and_kept_nowhere() {
    let shell = Shell::new();
    let token = ["token", "--tier", "site", "--name", "dc1", "--ttl", "2h"];
    let (code, stdout, words) = shell.ca(&token);
    assert_eq!(code, 0, "{words}");
    let text = stdout.trim();
    assert!(
        text.starts_with("ocelli-join-") && text.len() == 76,
        "{text}"
    );
    assert!(!words.contains(text));
    let index = std::fs::read_to_string(format!("{}/index.jsonl", shell.dir)).unwrap();
    assert!(!index.contains(&text[12..20]), "{index}");
    let (_, stdout, _) = shell.ca(&["show", "-o", "json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["tokens"][0]["uses_left"], 1);
    assert_eq!(
        shell
            .ca(&["token", "--tier", "site", "--name", "dc1", "--ttl", "x"])
            .0,
        2
    );
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let shell = Shell::new();
    let (code, _, words) = ocelli(&["ca", "list", "--dir", &shell.path("none")]);
    assert!(
        code == 4 && words.contains("ocelli ca init"),
        "{code} {words}"
    );
    let (code, _, words) = shell.ca(&["init", "--mesh", "acme"]);
    assert!(
        code == 1 && words.contains("never overwritten"),
        "{code} {words}"
    );
    let (code, _, words) = shell.issue("../a", &[]);
    assert!(
        code == 2 && words.contains("name of a file"),
        "{code} {words}"
    );
    let (code, _, words) = shell.issue("a", &["--speaks-for", "*"]);
    assert!(
        code == 1 && words.contains("only regions and globals"),
        "{code} {words}"
    );
    assert!(shell.listed().is_empty());
    let (code, _, words) = shell.ca(&["issue", "--tier", "country", "--name", "x", "--node", "y"]);
    assert!(code == 2 && words.contains("country"), "{code} {words}");
    let (code, _, _) = shell.ca(&["show", &shell.path("none.pem")]);
    assert_eq!(code, 4);
    std::fs::write(shell.path("wrong.pem"), "x").unwrap();
    let (code, _, words) = shell.ca(&["show", &shell.path("wrong.pem")]);
    assert!(code == 1 && words.contains("PEM"), "{code} {words}");
}
