//! Tests of contexts: what is written is read, names and files are checked.

use super::*;

fn lab() -> Context {
    Context {
        at: Some("https://10.0.0.1:7780".to_owned()),
        token_file: Some(PathBuf::from("/etc/it's \"quoted\"\\token")),
        ca: Some(PathBuf::from("/etc/ünicode.pem")),
        cert: None,
        key: None,
    }
}

#[test]
fn what_is_written_is_read_and_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/contexts.toml");
    assert_eq!(Contexts::read(&path).unwrap(), Contexts::default());
    let mut contexts = Contexts::default();
    contexts.contexts.insert("lab".to_owned(), lab());
    contexts
        .contexts
        .insert("a.b".to_owned(), Context::default());
    contexts.current = Some("lab".to_owned());
    contexts.write(&path).unwrap();
    assert_eq!(Contexts::read(&path).unwrap(), contexts);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let chosen = |named| contexts.chosen(named).unwrap().unwrap();
    assert_eq!(chosen(None), lab(), "the one in use");
    assert_eq!(chosen(Some("a.b")), Context::default());
    assert_eq!(Contexts::default().chosen(None).unwrap(), None);
}

#[test]
fn what_cannot_be_used_is_refused_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contexts.toml");
    let check = |text: &str, expected: &str| {
        std::fs::write(&path, text).unwrap();
        let failure = Contexts::read(&path).unwrap_err();
        let is_told = failure.text.contains(expected) && failure.text.contains("contexts.toml");
        assert!(is_told, "{text:?}: {failure:?}");
    };
    check("current = 7", "line 1");
    check(
        "[contexts.lab]\ntoken = \"in clear\"",
        "unknown field `token`",
    );
    check("[contexts.lab", "line 1");
    check(&"#".repeat((1 << 20) + 1), "bytes");
    let unknown = Contexts::default().chosen(Some("lab")).unwrap_err();
    assert_eq!(unknown.exit, Exit::NotFound);
    for name in ["", "a b", "../x", &"n".repeat(65)] {
        assert_eq!(check_name(name).unwrap_err().exit, Exit::Usage, "{name:?}");
    }
    check_name("lab-2.eu").unwrap();
}
