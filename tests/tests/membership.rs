//! Membership of real nodes: joining with a token, renewal, revocation, roots, and who stays out.
//!
//! Does: an authority by `ocelli ca`, nodes by `ocelli run`, and looks at what both ends of a link
//! say of it. Does not: repeat what `federation::membership` proves with time moved by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes run on real time")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use ocelli_tests::harness::http::Client;
use ocelli_tests::harness::process::{Running, tail};
use ocelli_tests::harness::{built_binary, free_tcp_port, free_udp_port, say, wait_for};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(40);
/// How soon a revocation is in force everywhere (issue 4); one more for a loaded machine.
const REVOKED_WITHIN: Duration = Duration::from_secs(11);

/// A folder with an authority `ca` of mesh `acme` and a folder for each node.
struct World {
    folder: TempDir,
}

/// A node that runs.
struct Node {
    running: Running,
    client: Client,
    folder: PathBuf,
}

/// How a node is to be: tier, site, whom it sends to, where it listens for links.
#[derive(Clone, Copy)]
struct Place<'a> {
    tier: &'a str,
    site: &'a str,
    upstream: Option<u16>,
    quic: Option<u16>,
    identity: &'a str,
    more: &'a str,
}

impl Place<'_> {
    const REGION: Self = Place {
        tier: "region",
        site: "emea",
        upstream: None,
        quic: None,
        identity: "",
        more: "",
    };
    const SITE: Self = Place {
        tier: "site",
        site: "dc1",
        upstream: None,
        quic: None,
        identity: "",
        more: "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n",
    };
}

impl World {
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        world.ocelli(&["ca", "init", "--mesh", "acme"]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `ocelli` in the folder; its stdout.
    fn ocelli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(built_binary("ocelli"));
        let ended = command
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{arguments:?}: {words}");
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// Issues certificate and key of the node `n1` of a place into the folder of its site.
    fn issue(&self, (tier, name): (&str, &str), into: &str, more: &[&str]) {
        let head = [
            "ca", "issue", "--tier", tier, "--name", name, "--node", "n1",
        ];
        self.ocelli(&[&head[..], &["--out", into], more].concat());
    }

    fn token(&self, more: &[&str]) -> String {
        let head = ["ca", "token", "--tier", "site", "--name", "dc1"];
        self.ocelli(&[&head[..], more].concat()).trim().to_owned()
    }

    fn start(&self, place: Place<'_>) -> Node {
        let folder = self.path(place.site);
        std::fs::create_dir_all(&folder).unwrap();
        let http = free_tcp_port();
        let Place {
            tier,
            site,
            identity,
            more,
            ..
        } = place;
        let roots = match identity.contains("roots") {
            true => "",
            false => "roots = [\"../ca/root.pem\"]\n",
        };
        let mut text = format!(
            "[node]\nmesh = \"acme\"\ntier = \"{tier}\"\nsite = \"{site}\"\nname = \"n1\"\n\
             data_dir = \"data\"\n[identity]\ncertificate = \"n1.pem\"\nkey = \"n1-key.pem\"\n\
             {roots}{identity}\n[listen]\nhttp = \"127.0.0.1:{http}\"\n"
        );
        if let Some(quic) = place.quic {
            text += &format!("quic = \"127.0.0.1:{quic}\"\n");
        }
        if let Some(port) = place.upstream {
            text += &format!("[[upstream]]\nname = \"up\"\nconnect = [\"127.0.0.1:{port}\"]\n");
        }
        std::fs::write(folder.join("ocelli.toml"), text + more).unwrap();
        let running = run(&folder);
        let client = Client::new(http);
        Node {
            running,
            client,
            folder,
        }
    }
}

fn run(folder: &Path) -> Running {
    let mut command = Command::new(built_binary("ocelli"));
    command.args(["run", "--log", "json", "--config"]);
    command.arg(folder.join("ocelli.toml"));
    Running::start("node", command, folder)
}

impl Node {
    fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&Client) -> Option<T>) -> T {
        let (running, client) = (&mut self.running, &self.client);
        wait_for(what, PATIENCE, || {
            assert!(
                !running.has_ended(),
                "it ended: {}",
                tail(&running.stderr())
            );
            look(client)
        })
    }

    fn wait_ready(&mut self) {
        self.wait("the node to be ready", |client| {
            client.get("/readyz").filter(|(status, _)| *status == 200)
        });
    }

    /// Waits until `/readyz` says no, with these words.
    fn wait_unready(&mut self, words: &str) {
        let what = format!("a node that is not ready: {words}");
        self.wait(&what, |client| {
            let (status, text) = client.get("/readyz?verbose")?;
            (status == 503 && text.contains("[-] identity") && text.contains(words)).then_some(())
        });
    }

    /// The link with this id, once `is_meant`.
    fn wait_link(&mut self, id: &str, is_meant: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Value::Null;
        let (running, client) = (&mut self.running, &self.client);
        let look = || {
            assert!(
                !running.has_ended(),
                "it ended: {}",
                tail(&running.stderr())
            );
            seen = client.json(&format!("/v1/links/{id}")).unwrap_or_default();
            is_meant(&seen).then(|| seen.clone())
        };
        wait_for(&format!("link {id} to be as meant"), PATIENCE, look)
    }

    fn reload(&self) {
        self.running.signal(Signal::SIGHUP);
    }

    fn holds_records_of(&mut self, site: &str) {
        self.wait(&format!("values of {site}"), |client| {
            let values = client.json(&format!(
                "/v1/values?limit=1&filter=resource_site%20=%20%22{site}%22"
            ))?;
            (!values["items"].as_array()?.is_empty()).then_some(())
        });
    }
}

fn is_up(link: &Value) -> bool {
    link["is_up"] == true
}

fn error_of(link: &Value) -> &str {
    link["error"].as_str().unwrap_or_default()
}

#[test]
fn a_node_with_a_token_waits_for_its_issuer_joins_and_needs_the_token_no_more() {
    let world = World::new();
    let quic = free_udp_port();
    std::fs::create_dir(world.path("dc1")).unwrap();
    let token = world.token(&["--node", "n1"]);
    std::fs::write(world.path("dc1/token"), &token).unwrap();
    let mut site = world.start(Place {
        upstream: Some(quic),
        identity: "token = { file = \"token\" }",
        ..Place::SITE
    });
    // Nobody answers yet: it says so, polls and serves meanwhile.
    site.wait_unready("waits for its certificate");
    site.holds_records_of("dc1");
    assert!(!world.path("dc1/n1.pem").exists());

    world.issue(("region", "emea"), "emea", &[]);
    let mut region = world.start(Place {
        quic: Some(quic),
        more: "[ca]\nissuer = true\ndir = \"../ca\"\n",
        ..Place::REGION
    });
    region.wait_ready();
    site.wait_ready();
    site.wait_link("up/up", is_up);
    region.holds_records_of("dc1");
    let mode = std::fs::metadata(world.path("dc1/n1-key.pem")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let log = site.running.stderr();
    assert!(log.contains("joined the mesh"), "{}", tail(&log));
    assert!(!log.contains(&token) && !region.running.stderr().contains(&token));

    // Its token is used up; with its certificate it starts without one.
    std::fs::remove_file(world.path("dc1/token")).unwrap();
    site.running.signal(Signal::SIGTERM);
    assert!(site.running.wait(PATIENCE).success());
    site.running = run(&site.folder);
    site.wait_ready();
    site.wait_link("up/up", is_up);
}

#[test]
fn a_token_that_does_not_hold_is_told_and_another_one_is_taken_at_a_reload() {
    let world = World::new();
    let quic = free_udp_port();
    world.issue(("region", "emea"), "emea", &[]);
    let mut region = world.start(Place {
        quic: Some(quic),
        more: "[ca]\nissuer = true\ndir = \"../ca\"\n",
        ..Place::REGION
    });
    region.wait_ready();
    std::fs::create_dir(world.path("dc1")).unwrap();
    let write = |token: &str| std::fs::write(world.path("dc1/token"), token).unwrap();
    let (expired, made) = (world.token(&["--ttl", "1s"]), Instant::now());
    let other = world.token(&["--node", "n2"]);
    write("ocelli-join-of-nobody");
    let mut site = world.start(Place {
        upstream: Some(quic),
        identity: "token = { file = \"token\" }",
        ..Place::SITE
    });
    site.wait_unready("join token is not known here");
    wait_for("the token's end", PATIENCE, || {
        (made.elapsed() > Duration::from_secs(2)).then_some(())
    });
    for (token, words) in [(expired, "has expired"), (other, "the proof is good for")] {
        write(&token);
        site.reload();
        site.wait_unready(words);
    }
    write(&world.token(&[]));
    site.reload();
    site.wait_ready();
    site.wait_link("up/up", is_up);
    region.holds_records_of("dc1");
}

#[test]
fn a_certificate_is_renewed_over_the_link_before_it_ends_and_the_link_goes_on() {
    let world = World::new();
    let quic = free_udp_port();
    world.issue(("region", "emea"), "emea", &[]);
    let mut region = world.start(Place {
        quic: Some(quic),
        more: "[ca]\nissuer = true\ndir = \"../ca\"\n",
        ..Place::REGION
    });
    region.wait_ready();
    world.issue(("site", "dc1"), "dc1", &["--valid-for", "30s"]);
    let certificate = || std::fs::read_to_string(world.path("dc1/n1.pem")).unwrap();
    let first = certificate();
    let issued = Instant::now();
    let mut site = world.start(Place {
        upstream: Some(quic),
        ..Place::SITE
    });
    site.wait_ready();
    site.wait_link("up/up", is_up);
    let second = wait_for("the certificate to be renewed", PATIENCE, || {
        Some(certificate()).filter(|now| *now != first)
    });
    say(&format!(
        "renewed {:?} after it was issued, for 30 s",
        issued.elapsed()
    ));
    assert!(issued.elapsed() < Duration::from_secs(30));
    // The first has ended, and so has perhaps the link that was made with it.
    wait_for("the first certificate's end", PATIENCE, || {
        (issued.elapsed() > Duration::from_secs(34)).then_some(())
    });
    site.wait_link("up/up", is_up);
    region.wait_link("down/dc1/n1", is_up);
    let head = |client: &Client| {
        let nodes = client.json("/v1/nodes")?;
        let nodes = nodes["items"].as_array()?.clone();
        let own = nodes.into_iter().find(|node| node["site"] == "dc1")?;
        own["highest_seq"].as_u64()
    };
    let then = region.wait("the site's head", head);
    region.wait("records after the renewal", |client| {
        head(client).filter(|now| *now > then + 3)
    });
    assert_ne!(second, first);
}

#[test]
fn a_revoked_node_is_cut_within_ten_seconds_two_tiers_below_the_issuer_and_both_ends_say_why() {
    let world = World::new();
    let (top, middle) = (free_udp_port(), free_udp_port());
    world.issue(("global", "world"), "world", &[]);
    world.issue(("region", "emea"), "emea", &[]);
    let mut global = world.start(Place {
        tier: "global",
        site: "world",
        quic: Some(top),
        more: "[ca]\nissuer = true\ndir = \"../ca\"\n",
        ..Place::REGION
    });
    let mut region = world.start(Place {
        upstream: Some(top),
        quic: Some(middle),
        ..Place::REGION
    });
    let mut sites = ["dc1", "dc2"].map(|site| {
        world.issue(("site", site), site, &[]);
        world.start(Place {
            site,
            upstream: Some(middle),
            ..Place::SITE
        })
    });
    global.wait_ready();
    for site in &mut sites {
        site.wait_link("up/up", is_up);
    }
    region.wait_link("up/up", is_up);
    let stands_since = region.wait_link("down/dc1/n1", is_up)["since_ms"].clone();

    world.ocelli(&["ca", "revoke", "ocelli://acme/site/dc2/n1"]);
    let revoked = Instant::now();
    let above = region.wait_link("down/dc2/n1", |link| link["is_up"] == false);
    say(&format!("cut {:?} after the revocation", revoked.elapsed()));
    assert!(
        revoked.elapsed() < REVOKED_WITHIN,
        "{:?}",
        revoked.elapsed()
    );
    assert!(error_of(&above).contains("revoked"), "{above}");
    let below = sites[1].wait_link("up/up", |link| error_of(link).contains("revoked"));
    assert_eq!(below["is_up"], false, "{below}");
    // The others stand as they stood, and hold the list themselves.
    let still = region.wait_link("down/dc1/n1", is_up);
    assert_eq!(still["since_ms"], stands_since);
    let lists = world.path("dc1/data/identity");
    wait_for("the list at the other site", PATIENCE, || {
        let lists = std::fs::read_dir(&lists).ok()?;
        lists.flatten().next().map(drop)
    });
}

#[test]
fn a_root_is_exchanged_by_reloads_while_links_stand() {
    let world = World::new();
    world.ocelli(&["ca", "init", "--mesh", "acme", "--dir", "ca2"]);
    let quic = free_udp_port();
    world.issue(("region", "emea"), "emea", &[]);
    world.issue(("site", "dc1"), "dc1", &[]);
    let one = "roots = [\"../ca/root.pem\"]";
    let both = "roots = [\"../ca/root.pem\", \"../ca2/root.pem\"]";
    let two = "roots = [\"../ca2/root.pem\"]";
    let mut region = world.start(Place {
        quic: Some(quic),
        identity: one,
        ..Place::REGION
    });
    let mut site = world.start(Place {
        upstream: Some(quic),
        identity: one,
        ..Place::SITE
    });
    let since = site.wait_link("up/up", is_up)["since_ms"].clone();
    let change = |node: &Node, from: &str, to: &str| {
        let path = node.folder.join("ocelli.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        node.reload();
    };
    let lines = |node: &Node| {
        node.running
            .stderr()
            .matches("configuration reloaded")
            .count()
    };
    let reloaded = |node: &mut Node, times: usize| {
        wait_for("the reload", PATIENCE, || {
            (lines(node) == times).then_some(())
        });
    };
    // Both roots everywhere first: nothing ends.
    for node in [&mut region, &mut site] {
        change(node, one, both);
        reloaded(node, 1);
    }
    assert_eq!(site.wait_link("up/up", is_up)["since_ms"], since);
    // Certificates of the new root, then the old root goes.
    world.issue(("site", "dc1"), "dc1", &["--dir", "ca2"]);
    world.issue(("region", "emea"), "emea", &["--dir", "ca2"]);
    for node in [&mut region, &mut site] {
        node.reload();
        reloaded(node, 2);
    }
    for node in [&mut region, &mut site] {
        change(node, both, two);
        reloaded(node, 3);
    }
    site.wait_link("up/up", is_up);
    let link = region.wait_link("down/dc1/n1", is_up);
    // A node that still has the old root's certificate stays out now.
    world.issue(("site", "dc2"), "dc2", &[]);
    let mut old = world.start(Place {
        site: "dc2",
        upstream: Some(quic),
        identity: both,
        ..Place::SITE
    });
    let refused = old.wait_link("up/up", |link| !error_of(link).is_empty());
    assert_eq!(refused["is_up"], false, "{refused}");
    assert_eq!(
        region.wait_link("down/dc1/n1", is_up)["since_ms"],
        link["since_ms"]
    );
}

/// A node that is not to be let in: what it shows, what it says of its link, what is counted above.
struct Stranger<'a> {
    name: &'a str,
    issue: (&'a str, &'a str),
    more: &'a [&'a str],
    identity: &'a str,
    /// In the error of its link.
    told: &'a str,
    /// Reason in the region's `ocelli_link_refused_peers_total`.
    counted: &'a str,
}

#[test]
fn who_is_not_of_this_mesh_or_not_who_it_says_is_refused_and_both_ends_say_why() {
    let world = World::new();
    world.ocelli(&["ca", "init", "--mesh", "acme", "--dir", "foreign"]);
    let quic = free_udp_port();
    world.issue(("region", "emea"), "emea", &[]);
    let mut region = world.start(Place {
        quic: Some(quic),
        ..Place::REGION
    });
    region.wait_ready();
    for stranger in [
        Stranger {
            name: "foreign authority",
            issue: ("site", "dc2"),
            more: &["--dir", "foreign"],
            identity: "",
            told: "certificate",
            counted: "wrong_authority",
        },
        Stranger {
            name: "expired",
            issue: ("site", "dc3"),
            more: &["--valid-for", "1s"],
            identity: "renew = false",
            told: "xpired",
            counted: "expired",
        },
    ] {
        let (tier, site) = stranger.issue;
        world.issue(stranger.issue, site, stranger.more);
        let issued = Instant::now();
        wait_for("its certificate's end", PATIENCE, || {
            (issued.elapsed() > Duration::from_secs(2)).then_some(())
        });
        let mut node = world.start(Place {
            tier,
            site,
            upstream: Some(quic),
            identity: stranger.identity,
            ..Place::SITE
        });
        let link = node.wait_link("up/up", |link| error_of(link).contains(stranger.told));
        assert_eq!(link["is_up"], false, "{}: {link}", stranger.name);
        let line = format!(
            "ocelli_link_refused_peers_total{{reason=\"{}\"}}",
            stranger.counted
        );
        region.wait(&format!("{}: {line}", stranger.name), |client| {
            let (_, text) = client.get("/metrics")?;
            text.lines()
                .any(|found| found.starts_with(&line))
                .then_some(())
        });
        let words = error_of(&link);
        let about = words.split_once("refused: ").map(|(_, words)| words);
        let about = about.unwrap_or_else(|| panic!("{}: {words}", stranger.name));
        assert!(!about.contains("OtherError("), "{about}");
        // The region's words for what it refused, or for what the stranger refused of it.
        region.wait(&format!("{}: an event", stranger.name), |client| {
            let events = client.json("/v1/events?from=-1h")?;
            let of_stranger = |event: &&Value| {
                let text = event["text"].as_str().unwrap_or_default();
                event["kind"] == "link_refused" && text.contains(about)
            };
            let found = events["items"].as_array()?.iter().find(of_stranger)?;
            let text = found["text"].as_str()?;
            text.starts_with("link from 127.0.0.1 is refused")
                .then_some(())
        });
        say(&format!("{}: {}", stranger.name, error_of(&link)));
    }
}

#[test]
fn a_site_does_not_take_a_site_for_its_upstream_nor_a_certificate_for_another_node() {
    let world = World::new();
    let quic = free_udp_port();
    world.issue(("site", "dc2"), "dc2", &[]);
    let mut above = world.start(Place {
        site: "dc2",
        quic: Some(quic),
        ..Place::SITE
    });
    above.wait_ready();
    world.issue(("site", "dc1"), "dc1", &[]);
    let mut site = world.start(Place {
        upstream: Some(quic),
        ..Place::SITE
    });
    let link = site.wait_link("up/up", |link| {
        error_of(link).contains("not below this node")
    });
    assert_eq!(link["is_up"], false, "{link}");
    // The certificate of dc1 in the folder of dc3.
    world.issue(("site", "dc1"), "dc3", &[]);
    let mut other = world.start(Place {
        site: "dc3",
        upstream: Some(quic),
        ..Place::SITE
    });
    let status = other.running.wait(PATIENCE);
    assert_eq!(status.code(), Some(78), "a matter of configuration");
    let log = other.running.stderr();
    assert!(
        log.contains("[node] says ocelli://acme/site/dc3/n1"),
        "{}",
        tail(&log)
    );
}

#[test]
fn a_site_that_may_not_speak_for_its_own_name_is_refused_with_its_records() {
    let world = World::new();
    let quic = free_udp_port();
    world.issue(("region", "emea"), "emea", &[]);
    world.issue(("site", "dc1"), "dc1", &["--speaks-for", "dc9"]);
    let mut region = world.start(Place {
        quic: Some(quic),
        ..Place::REGION
    });
    let mut site = world.start(Place {
        upstream: Some(quic),
        ..Place::SITE
    });
    site.wait_link("up/up", is_up);
    let words = "speaks for dc9, not for \\\"dc1\\\"";
    wait_for("the refusal at the region", PATIENCE, || {
        region.running.stderr().contains(words).then_some(())
    });
    let values = region.wait("values of the region", |client| client.json("/v1/values"));
    assert_eq!(
        values["items"],
        serde_json::json!([]),
        "nothing of it is served"
    );
}
