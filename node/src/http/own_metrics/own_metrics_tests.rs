//! Tests of both expositions over real sockets: content, lint, promtool, openapi.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use ocelli_actors::{PluginCounts, RuntimeCounts};
use ocelli_model::gap::GapKind;

use super::super::exposition::Format;
use super::super::reading_tests::{get_accepting, node, with_server};
use super::*;

fn counts() -> RuntimeCounts {
    let plugin = PluginCounts {
        runs: 9,
        batches: 7,
        gap_slots: vec![(GapKind::Timeout, 2)],
        ..PluginCounts::default()
    };
    RuntimeCounts {
        actors: vec![("resource", Default::default())],
        refusals: vec![("queue_full", 3)],
        plugins: vec![("interfaces".into(), plugin)],
        ..RuntimeCounts::default()
    }
}

/// All rows that a node can have.
async fn all_rows() -> Vec<OwnMetric> {
    let node = node().await;
    let mut rows = node_rows(&node.state);
    let statistics = node.state.records.bus().statistics();
    rows.extend(bus::rows(node.state.records.bus(), &statistics));
    rows.extend(runtime::rows(&counts()));
    rows.extend(process::rows());
    rows
}

#[actix_rt::test]
async fn names_have_a_prefix_a_base_unit_and_one_help_each() {
    let mut helps = BTreeMap::new();
    for row in all_rows().await {
        let name = row.family;
        assert!(
            name.starts_with("ocelli_") || name.starts_with("process_"),
            "{name}"
        );
        assert!(!name.ends_with("_total"), "{name}: the exposition adds it");
        for unit in [
            "_ms",
            "_us",
            "_micros",
            "_millis",
            "_kib",
            "_mib",
            "_percent",
            "_info_info",
        ] {
            assert!(!name.ends_with(unit), "{name} is not in base units");
        }
        assert!(
            row.help.ends_with('.') && row.help.len() > 5,
            "{name}: {:?}",
            row.help
        );
        let known = helps.entry(name).or_insert((row.help, row.kind));
        assert_eq!(
            *known,
            (row.help, row.kind),
            "{name} has two helps or kinds"
        );
    }
}

#[actix_rt::test]
async fn labels_are_of_a_closed_list_and_none_is_a_resource() {
    let allowed = [
        "actor", "cause", "kind", "plugin", "reason", "role", "state", "version",
    ];
    for row in all_rows().await {
        for (label, value) in &row.labels {
            assert!(
                allowed.contains(label),
                "{} has the label {label}",
                row.family
            );
            assert!(
                !value.contains('/'),
                "{}: {value} looks like a resource",
                row.family
            );
        }
    }
}

#[test]
fn runtime_counts_come_out_under_their_names() {
    let mut exposition = Exposition::new(Format::Text004);
    push_all(&mut exposition, &runtime::rows(&counts())).unwrap();
    let text = exposition.render();
    for line in [
        "ocelli_batches_total{plugin=\"interfaces\"} 7",
        "ocelli_gaps_total{plugin=\"interfaces\",cause=\"timeout\"} 2",
        "ocelli_bus_refusals_total{reason=\"queue_full\"} 3",
        "ocelli_actor_restarts_total{actor=\"resource\"} 0",
        "ocelli_snmp_timeouts_total 0",
        "# TYPE ocelli_batches_total counter",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
}

#[actix_rt::test]
async fn a_scraper_gets_the_format_that_it_accepts() {
    let node = node().await;
    with_server(&node, async |base| {
        let check = async |path: &str, accept: &str, (kind, end): (&str, bool)| {
            let (status, content_type, text) = get_accepting(format!("{base}{path}"), accept).await;
            assert_eq!(status, 200, "{path}: {text}");
            assert!(content_type.starts_with(kind), "{path}: {content_type}");
            assert_eq!(text.ends_with("# EOF\n"), end, "{path} {accept}");
            text
        };
        let open = "application/openmetrics-text;version=1.0.0";
        let own = check("/metrics", open, ("application/openmetrics-text", true)).await;
        assert!(own.contains("ocelli_build_info{version=\""), "{own}");
        assert!(own.contains("process_resident_memory_bytes "), "{own}");
        assert!(
            own.contains("ocelli_bus_fsync_seconds_bucket{le=\"+Inf\"} "),
            "{own}"
        );
        check(
            "/metrics",
            "text/plain",
            ("text/plain; version=0.0.4", false),
        )
        .await;
        check("/v1/metrics", open, ("application/openmetrics-text", true)).await;
        let theirs = "/v1/metrics?naming=snmp_exporter";
        let theirs = check(theirs, open, ("text/plain; version=0.0.4", false)).await;
        assert!(theirs.contains("ifHCInOctets{"), "{theirs}");
        let none = check("/v1/metrics?group=other", open, ("application", true)).await;
        assert!(!none.contains("bits_in"), "{none}");
        let others = "/v1/metrics?filter=resource_id%20=%20%22b2%22";
        let others = check(others, open, ("application", true)).await;
        assert!(!others.contains("bits_in"), "{others}");
    })
    .await;
}

/// What promtool says, and whether it could read the text; `None` without promtool.
fn promtool(text: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().ok()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[actix_rt::test]
async fn promtool_finds_nothing_to_complain_of() {
    let node = node().await;
    with_server(&node, async |base| {
        let (_, _, own) = get_accepting(format!("{base}/metrics"), "text/plain").await;
        let (_, _, devices) = get_accepting(format!("{base}/v1/metrics"), "text/plain").await;
        assert!(devices.contains("interface_bits_in_total{"), "{devices}");
        let Some((is_clean, said)) = promtool(&own) else {
            eprintln!("SKIPPED: promtool is not installed (Debian package prometheus)");
            return;
        };
        assert!(is_clean, "{said}");
        // Names of devices are theirs to choose; what promtool cannot read is ours.
        let (_, said) = promtool(&devices).unwrap();
        assert!(!said.contains("error while linting"), "{said}");
        let (is_clean, _) = promtool("ocelli_x{ 1\n").unwrap();
        assert!(!is_clean, "promtool accepts what is no exposition");
    })
    .await;
}
