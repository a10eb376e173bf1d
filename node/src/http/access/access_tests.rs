//! The matrix of promise P13 for HTTP: every identity against every route, and the shares.

use actix_web::ResponseError as _;
use ocelli_config::{LoadOptions, ProcessSecrets, Source, Sources, load};
use ocelli_model::clock::{Monotonic, WallMs};

use super::quota::{Pace, Slots};
use super::*;
use crate::http::openapi;

/// Every kind of access there is; tokens are `TOKEN-of-NAME-000`, in hexadecimal nowhere.
const ACCESSES: &str = r#"
[http]
subscriptions_max = 3
[http.tls]
cert = "c"
key = "k"
client_ca = "a"
[[http.access]]
name = "reader"
token = { value = "TOKEN-of-reader-000" }
subscriptions_max = 2
[[http.access]]
name = "narrow"
token = { value = "TOKEN-of-narrow-000" }
filter = 'resource_site = "dc1"'
[[http.access]]
name = "operator"
token = { value = "TOKEN-of-operator-000" }
role = "operate"
[[http.access]]
name = "admin"
token = { value = "TOKEN-of-admin-000" }
role = "admin"
[[http.access]]
name = "ended"
token = { value = "TOKEN-of-ended-000" }
role = "admin"
expires = "1970-01-01T00:00:01Z"
[[http.access]]
name = "narrow-operator"
token = { value = "TOKEN-of-narrow-operator-000" }
role = "operate"
filter = 'resource_site = "dc1"'
[[http.access]]
name = "certified"
san = "operator.example.com"
role = "operate"
[[http.access]]
name = "certified-once"
san = "former.example.com"
role = "admin"
expires = "1970-01-01T00:00:01Z"
[[http.access]]
name = "hashed"
sha256 = "1d8ad5ac0b0b5ae5d3a19e54e3ad3ec8ed5ee8cd3d6fdd4ea5a8e37cd2ae6da4"
"#;

const NOW: WallMs = WallMs(2_000);

fn list(text: &str) -> (AccessList, Vec<(String, Unusable)>) {
    let mut sources = Sources::new();
    sources.push(Source::file("/etc/ocelli.toml", text));
    let options = LoadOptions {
        hostname: "n1",
        is_strict: true,
    };
    let loaded = load(sources, options).unwrap_or_else(|error| panic!("{error}"));
    let run: crate::secrets::Runner = |_| Err("nothing is run".into());
    AccessList::open(&loaded.config, &ProcessSecrets { run })
}

/// 200, or the status of the refusal.
fn status(list: &AccessList, (came, token, san): Identity<'_>, rule: Rule) -> u16 {
    let names: Vec<String> = san.iter().map(ToString::to_string).collect();
    let proof = Proof {
        token,
        names: &names,
    };
    let refused = match list.caller(came, proof, NOW) {
        Ok(caller) => verdict(&caller, rule),
        Err(refused) => Some(refused),
    };
    refused.map_or(200, |error| error.status_code().as_u16())
}

type Identity<'a> = (Came, Option<&'a str>, Option<&'a str>);

/// An identity, and what it gets of routes that are open, of resources, of the node, of operators.
const IDENTITIES: [(Identity<'static>, [u16; 4]); 17] = [
    ((Came::Loopback, None, None), [200, 200, 200, 403]),
    ((Came::Network, None, None), [200, 401, 401, 401]),
    ((Came::Socket, None, None), [200, 200, 200, 200]),
    (
        (Came::Network, Some("TOKEN-of-reader-000"), None),
        [200, 200, 200, 403],
    ),
    (
        (Came::Network, Some("TOKEN-of-narrow-000"), None),
        [200, 200, 404, 404],
    ),
    (
        (Came::Network, Some("TOKEN-of-operator-000"), None),
        [200, 200, 200, 200],
    ),
    (
        (Came::Network, Some("TOKEN-of-admin-000"), None),
        [200, 200, 200, 200],
    ),
    (
        (Came::Network, Some("TOKEN-of-narrow-operator-000"), None),
        [200, 200, 404, 404],
    ),
    (
        (Came::Network, Some("TOKEN-of-ended-000"), None),
        [401, 401, 401, 401],
    ),
    (
        (Came::Loopback, Some("TOKEN-of-ended-000"), None),
        [401, 401, 401, 401],
    ),
    (
        (Came::Loopback, Some("TOKEN-of-nobody-000"), None),
        [401, 401, 401, 401],
    ),
    (
        (Came::Network, Some("TOKEN-of-reader-00"), None),
        [401, 401, 401, 401],
    ),
    ((Came::Network, Some(""), None), [401, 401, 401, 401]),
    (
        (Came::Network, None, Some("operator.example.com")),
        [200, 200, 200, 200],
    ),
    (
        (Came::Network, None, Some("other.example.com")),
        [200, 401, 401, 401],
    ),
    (
        (Came::Network, None, Some("former.example.com")),
        [200, 401, 401, 401],
    ),
    (
        (
            Came::Network,
            Some("TOKEN-of-nobody-000"),
            Some("operator.example.com"),
        ),
        [401; 4],
    ),
];

#[test]
fn every_identity_gets_of_every_route_what_its_row_says_and_nothing_else() {
    let (list, unusable) = list(ACCESSES);
    assert!(unusable.is_empty(), "{unusable:?}");
    let mut pairs = 0;
    for (identity, [open, resources, node, operate]) in IDENTITIES {
        let routes = openapi::ROUTES.iter();
        let rows =
            routes.flat_map(|route| route.methods.iter().map(move |method| (*method, route)));
        for (method, route) in rows {
            let (path, rule) = (route.path, route.rule);
            let expected = match rule {
                Rule::Open => open,
                Rule::Resources => resources,
                Rule::Node => node,
                Rule::Operate => operate,
            };
            let got = status(&list, identity, rule);
            assert_eq!(got, expected, "{identity:?} {method} {path}");
            pairs += 1;
        }
    }
    assert!(pairs >= 200, "{pairs} pairs are too few for promise P13");
}

#[test]
fn an_insecure_listener_is_read_by_all_and_changed_by_nobody() {
    let (list, _) = list("[http]\ninsecure = true\n");
    let check = |rule, expected| {
        assert_eq!(status(&list, (Came::Network, None, None), rule), expected);
    };
    check(Rule::Resources, 200);
    check(Rule::Node, 200);
    check(Rule::Operate, 403);
}

#[test]
fn an_access_that_cannot_be_used_lets_nobody_in_and_says_why() {
    let check = |proof: &str, part: &str| {
        let text = format!("[[http.access]]\nname = \"a\"\n{proof}\n");
        let (list, unusable) = list(&text);
        assert!(unusable[0].1.to_string().contains(part), "{unusable:?}");
        let short = (Came::Network, Some("short-canary"), None);
        assert_eq!(status(&list, short, Rule::Resources), 401);
        assert!(!format!("{unusable:?} {list:?}").contains("canary"));
    };
    check("token = { value = \"short-canary\" }", "less than 16 bytes");
    check("token = { file = \"/no/such/file\" }", "/no/such/file");
}

#[test]
fn a_token_is_kept_as_a_hash_only() {
    let (list, _) = list(ACCESSES);
    assert!(!format!("{list:?}").contains("TOKEN-of"));
}

#[test]
fn a_hash_of_the_configuration_is_as_good_as_its_token() {
    use sha2::{Digest as _, Sha256};
    let hash: String = Sha256::digest("the-token-of-a-script")
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let (list, _) = list(&format!(
        "[[http.access]]\nname = \"a\"\nsha256 = \"{hash}\"\n"
    ));
    let check = |token, expected| {
        assert_eq!(
            status(&list, (Came::Network, Some(token), None), Rule::Resources),
            expected
        );
    };
    check("the-token-of-a-script", 200);
    check(&hash, 401);
}

#[test]
fn places_for_subscriptions_are_counted_per_caller_and_for_all() {
    let (list, _) = list(ACCESSES);
    let caller = |token| {
        let proof = Proof {
            token: Some(token),
            names: &[],
        };
        list.caller(Came::Network, proof, NOW).unwrap()
    };
    let (reader, admin) = (caller("TOKEN-of-reader-000"), caller("TOKEN-of-admin-000"));
    let held = [reader.subscribe().unwrap(), reader.subscribe().unwrap()];
    assert_eq!(
        reader.subscribe().unwrap_err().status_code().as_u16(),
        429,
        "its own limit"
    );
    let last = admin.subscribe().unwrap();
    assert_eq!(
        admin.subscribe().unwrap_err().status_code().as_u16(),
        429,
        "that of all"
    );
    drop(held);
    assert!(reader.subscribe().is_ok() && last.len() == 3);
}

#[test]
fn a_node_with_little_memory_says_that_it_has_no_more() {
    let (list, _) = list(
        "[node]\nmemory_max = \"64MiB\"\n[[http.access]]\nname = \"all\"\n\
         token = { value = \"TOKEN-of-reader-000\" }\nsubscriptions_max = 100000\n",
    );
    let proof = Proof {
        token: Some("TOKEN-of-reader-000"),
        names: &[],
    };
    let caller = list.caller(Came::Network, proof, NOW).unwrap();
    // A quarter of 64 MiB, 64 KiB each.
    let held: Vec<_> = (0..256).map(|_| caller.subscribe().unwrap()).collect();
    let refused = caller.subscribe().unwrap_err();
    assert_eq!(refused.status_code().as_u16(), 503);
    assert!(refused.to_string().contains("memory_share"), "{refused}");
    drop(held);
    assert!(
        caller.subscribe().is_ok(),
        "what was refused holds no place"
    );
}

#[test]
fn a_pace_lets_a_burst_through_and_then_makes_wait() {
    let pace = Pace::new(1_000);
    let at = |ms: u64| Monotonic(ms * 1_000_000);
    assert_eq!(pace.wait_after(1_000, at(0)).as_millis(), 0);
    assert_eq!(pace.wait_after(500, at(0)).as_millis(), 500);
    assert_eq!(
        pace.wait_after(500, at(1_500)).as_millis(),
        0,
        "time has paid for the burst"
    );
    assert!(Slots::new(0).take().is_none());
}
