//! Tests of names, pages and methods; who may use which route is in `access`.

use ocelli_config::ProcessSecrets;

use super::*;

/// The access list of these lines, and nobody else.
fn list(text: &str) -> AccessList {
    let mut sources = ocelli_config::Sources::new();
    sources.push(ocelli_config::Source::file("/etc/ocelli.toml", text));
    let options = ocelli_config::LoadOptions {
        hostname: "n1",
        is_strict: true,
    };
    let loaded = ocelli_config::load(sources, options).unwrap();
    let run: crate::secrets::Runner = |_| Err("nothing is run".into());
    AccessList::open(&loaded.config, &ProcessSecrets { run }).0
}

fn judged(host: &str, origin: Option<&str>, rule: Option<Option<Rule>>, has_token: bool) -> bool {
    let list = list("[http]\nhosts = [\"ocelli.example.com\"]\n");
    let caller = list
        .caller(
            Came::Loopback,
            Proof::default(),
            ocelli_model::clock::WallMs(0),
        )
        .unwrap();
    let head = Head {
        method: &Method::GET,
        rule,
        host: Some(host),
        origin,
        has_token,
        own_address: IpAddr::from([192, 0, 2, 7]),
        hosts: list.hosts(),
    };
    head.judge(&caller).is_none()
}

#[test]
fn only_own_names_and_own_pages_are_answered() {
    let check = |host: &str, origin: Option<&str>, is_allowed: bool| {
        let is_answered = judged(host, origin, Some(Some(Rule::Resources)), false);
        assert_eq!(is_answered, is_allowed, "{host} {origin:?}");
    };
    check("localhost:7780", None, true);
    check("127.0.0.1:7780", None, true);
    check("127.9.8.7", None, true);
    check("[::1]:7780", None, true);
    check("192.0.2.7:7780", None, true);
    check("OCELLI.example.com:7780", None, true);
    check("192.0.2.8:7780", None, false);
    check("evil.example.com", None, false);
    check("localhost.evil.example.com:7780", None, false);
    check("", None, false);
    check("localhost:7780", Some("http://localhost:7780"), true);
    check("localhost:7780", Some("http://evil.example.com"), false);
    check("localhost:7780", Some("null"), false);
}

#[test]
fn a_token_is_answered_under_any_name_but_not_from_a_foreign_page() {
    let rule = Some(Some(Rule::Resources));
    assert!(judged("proxy.example.com", None, rule, true));
    assert!(!judged(
        "proxy.example.com",
        Some("http://evil.example.com"),
        rule,
        true
    ));
}

#[test]
fn a_path_without_a_row_for_the_method_is_refused_and_an_unknown_path_goes_on_to_404() {
    assert!(!judged("localhost", None, Some(None), false));
    assert!(judged("localhost", None, None, false));
}

#[test]
fn any_scheme_but_bearer_is_a_token_that_nobody_has() {
    assert_eq!(bearer("Bearer abc"), "abc");
    assert_eq!(bearer("bearer  abc "), "abc");
    assert_eq!(bearer("Basic YWJj"), "Basic YWJj");
}
