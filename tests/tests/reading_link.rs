//! The command line as a reader over a link of the mesh, `quic://`.
//!
//! Does: read a node with `ocelli subscribe` over HTTP and over a link, compare the lines of each
//! format; go on over one where the other ended; be refused. Does not: look into lines.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ocelli_federation::identity::Tier;
use ocelli_tests::harness::mesh::{Mesh, MeshNodeOptions};
use ocelli_tests::harness::{built_binary, free_udp_port, wait_for};
use serde_json::Value;

/// This machine, each second.
const POLLING: &str = "[[polling]]\nname = \"machine\"\nkind = \"host\"\nevery = \"1s\"\n";
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines that are compared: some batches and what stands between them.
const LINES: &str = "24";

fn options(tier: Tier, site: &str, upstreams: Vec<u16>) -> MeshNodeOptions {
    let config = if tier == Tier::Site { POLLING } else { "" };
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

/// Exit code, stdout, stderr of `ocelli subscribe`.
fn subscribe(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(built_binary("ocelli"));
    for name in ["OCELLI_URL", "OCELLI_CONTEXT", "OCELLI_CA", "OCELLI_CERT"] {
        command.env_remove(name);
    }
    command.env("HOME", folder).current_dir(folder);
    let output = command.arg("subscribe").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or(-1);
    (code, text(&output.stdout), text(&output.stderr))
}

/// Options that show an identity whose files lie in `folder`.
fn proofs<'a>(ca: &'a str, certificate: &'a str, key: &'a str) -> [&'a str; 6] {
    ["--ca", ca, "--cert", certificate, "--key", key]
}

#[test]
fn a_link_gives_the_lines_of_http_in_each_format_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    let top = mesh.start(&options(Tier::Global, "world", vec![]));
    let (http, port) = (top.client.url(""), top.quic);
    mesh.start(&options(Tier::Site, "dc1", vec![port]));
    wait_for("values at the top", PATIENCE, || {
        let values = mesh.nodes["world"].client.json("/v1/values?limit=1")?;
        (!values["items"].as_array()?.is_empty()).then_some(())
    });
    // A region's identity, of no node that runs.
    drop(mesh.material(Tier::Region, "desk"));
    let quic = format!("quic://127.0.0.1:{port}");
    let shown = proofs("ca/root.pem", "desk/node.pem", "desk/node-key.pem");
    let read = |at: &str, more: &[&str]| {
        let all = [&["--at", at, "--limit", LINES], &shown[..], more].concat();
        let all = if at == http {
            [&["--at", at, "--limit", LINES], more].concat()
        } else {
            all
        };
        let (code, lines, said) = subscribe(folder.path(), &all);
        assert_eq!(code, 0, "{at} {more:?}: {said}");
        assert_eq!(lines.lines().count().to_string(), LINES, "{at} {more:?}");
        lines
    };
    for format in ["ndjson", "records", "sse", "influx"] {
        for include in [&[][..], &["--include", "gaps,events,cursors"]] {
            let more = [&["--from", "oldest", "--format", format], include].concat();
            assert_eq!(read(&http, &more), read(&quic, &more), "{more:?}");
        }
    }
    let narrow = [
        "--from",
        "oldest",
        "-l",
        "resource_site = \"dc1\"",
        "--group",
        "cpu,memory",
    ];
    assert_eq!(read(&http, &narrow), read(&quic, &narrow));

    // A cursor of the one is the other's.
    let of_lines = |lines: &str| -> Vec<Value> {
        let lines = lines.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let first = of_lines(&read(&quic, &["--from", "oldest", "--format", "records"]));
    let mut cursors = first.iter().filter_map(|line| line["cursor"].as_str());
    let cursor = cursors.next_back().unwrap().to_owned();
    let on = ["--format", "records", "--from", &cursor];
    let (over_http, over_link) = (read(&http, &on), read(&quic, &on));
    assert_eq!(over_http, over_link);
    let key = |line: &Value| (line["origin"].to_string(), line["seq"].as_u64());
    let after = of_lines(&over_link);
    let at = first
        .iter()
        .rposition(|line| line["cursor"] == cursor)
        .unwrap();
    let mut again = first[..at].iter().filter(|line| line["seq"].is_u64());
    assert!(again.all(|line| after.iter().all(|later| key(later) != key(line))));
}

#[test]
fn who_is_not_of_the_mesh_or_asks_what_is_none_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let mut mesh = Mesh::new(folder.path());
    let port = mesh.start(&options(Tier::Global, "world", vec![])).quic;
    drop(mesh.material(Tier::Region, "desk"));
    let strangers = Mesh::new(&folder.path().join("other"));
    drop(strangers.material(Tier::Region, "desk"));
    let at = format!("quic://127.0.0.1:{port}");
    let own = proofs("ca/root.pem", "desk/node.pem", "desk/node-key.pem");
    let check = |at: &str, more: &[&str], expected: (i32, &str)| {
        let (code, out, said) = subscribe(folder.path(), &[&["--at", at], more].concat());
        assert_eq!(code, expected.0, "{at} {more:?}: {said}");
        assert!(
            out.is_empty() && said.contains(expected.1),
            "{more:?}: {said}"
        );
    };
    let with = |more: &[&'static str]| [&own[..], more].concat();
    check(&at, &[], (2, "--cert FILE"));
    check(&at, &own[..4], (2, "--key"));
    check(&at, &with(&["--format", "xml"]), (2, "ndjson, records"));
    check(&at, &with(&["--mode", "slow"]), (2, "durable, latest"));
    check(&at, &with(&["--include", "words"]), (2, "gaps, events"));
    check(&at, &with(&["--from", "yesterday"]), (2, "-15m"));
    check(&at, &with(&["-l", "resource_site ="]), (2, "resource_site"));
    check(
        &at,
        &with(&["--from", "1~0000000000000007"]),
        (2, "rebase=true"),
    );
    let foreign = proofs(
        "other/ca/root.pem",
        "other/desk/node.pem",
        "other/desk/node-key.pem",
    );
    check(&at, &foreign, (1, "certificates of one mesh"));
    let nobody = format!("quic://127.0.0.1:{}", free_udp_port());
    check(&nobody, &own, (69, "nobody answers"));
    check("quic://127.0.0.1", &own, (2, "names no port"));
}
