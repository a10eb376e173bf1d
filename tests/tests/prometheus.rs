//! A real Prometheus scrapes `/v1/metrics` (the devices) and `/metrics` (the node itself).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::prometheus::Prometheus;
use ocelli_tests::harness::wait_for;
use tempfile::tempdir;

#[test]
fn prometheus_takes_both_expositions_without_an_error() {
    let folder = tempdir().unwrap();
    let node = Node::start(
        folder.path(),
        "[[polling]]\nname = \"this-host\"\nkind = \"host\"\nevery = \"1s\"\n",
    );
    let port = node
        .client
        .url("")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let prometheus = Prometheus::start(folder.path(), port, &["/v1/metrics", "/metrics"]);
    for job in ["/v1/metrics", "/metrics"] {
        let error = wait_for("a scrape", Duration::from_secs(30), || {
            prometheus.last_error(job)
        });
        assert_eq!(error, "", "{job}");
    }
    let load = wait_for("the load of this machine", Duration::from_secs(30), || {
        let series = prometheus.query("load_load1");
        (!series.is_empty()).then_some(series)
    });
    assert_eq!(load.len(), 1, "{load:?}");
    let up = prometheus.query("ocelli_resource_up");
    assert!(!up.is_empty(), "each resource says whether it is up");
    let build = prometheus.query("ocelli_build_info");
    assert_eq!(build.len(), 1, "{build:?}");
    // A gauge made from a counter has a family of its own (`_rate`), the counter ends in `_total`.
    let rates = wait_for("a rate", Duration::from_secs(30), || {
        let series = prometheus.query("{__name__=~\"network_.*_rate\"}");
        (!series.is_empty()).then_some(series)
    });
    let total = prometheus.query("{__name__=~\"network_.*_total\"}");
    assert!(
        !rates.is_empty() && total.len() >= rates.len(),
        "{} {}",
        rates.len(),
        total.len()
    );
}
