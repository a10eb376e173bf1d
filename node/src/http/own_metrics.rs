//! `/metrics`: ocelli itself, as rows by name, help and bounded labels.
//!
//! Does: gather what bus, runtime and process count and hand it to an exposition.
//! Does not: count. In: [`ApiState`]. Out: text; the rows of each part stand in files of their own.
//! Invariant: no label is a resource; labels are plugins, causes, actor kinds and states only.

mod bus;
mod mesh;
mod process;
mod runtime;

use ocelli_model::schema::MetricKind;

use super::ApiState;
use super::exposition::{Exposition, Format, Histogram, Labels, Number, Sample, TooManySeries};
use super::links::Lags;

/// One series of ocelli's own.
#[derive(Debug, Clone)]
pub(super) struct OwnMetric {
    family: &'static str,
    help: &'static str,
    kind: MetricKind,
    labels: Vec<(&'static str, String)>,
    value: Number,
}

/// The name of a family with its help.
type Named = (&'static str, &'static str);

impl OwnMetric {
    /// A counter; the exposition adds `_total`.
    fn counter((family, help): Named, value: u64) -> Self {
        let (kind, value) = (MetricKind::Counter, Number::Unsigned(value));
        Self::new((family, help), kind, value)
    }

    /// A counter of seconds.
    fn seconds((family, help): Named, seconds: f64) -> Self {
        Self::new((family, help), MetricKind::Counter, Number::Float(seconds))
    }

    /// A gauge.
    fn gauge((family, help): Named, value: f64) -> Self {
        Self::new((family, help), MetricKind::Gauge, Number::Float(value))
    }

    fn new((family, help): Named, kind: MetricKind, value: Number) -> Self {
        let labels = Vec::new();
        Self {
            family,
            help,
            kind,
            labels,
            value,
        }
    }

    /// The same with a label.
    fn of(mut self, label: &'static str, value: &str) -> Self {
        self.labels.push((label, value.to_owned()));
        self
    }
}

/// The whole exposition.
///
/// # Errors
/// [`TooManySeries`]: more plugins and causes than an exposition holds.
pub(super) fn render(
    state: &ApiState,
    lags: &Lags,
    format: Format,
) -> Result<String, TooManySeries> {
    let statistics = state.records.bus().statistics();
    let mut rows = node_rows(state);
    rows.extend(mesh::rows(state, lags));
    rows.extend(bus::rows(state.records.bus(), &statistics));
    rows.extend(runtime::rows(&state.view.runtime()));
    rows.extend(process::rows());
    let mut exposition = Exposition::new(format);
    push_all(&mut exposition, &rows)?;
    let (buckets, sum) = bus::fsync(&statistics);
    exposition.push_histogram(&Histogram {
        family: "ocelli_bus_fsync_seconds",
        help: "Time of an fsync of the log.",
        buckets: &buckets,
        sum,
    })?;
    Ok(exposition.render())
}

fn push_all(exposition: &mut Exposition, rows: &[OwnMetric]) -> Result<(), TooManySeries> {
    let (mut labels, mut text) = (Labels::default(), String::new());
    for row in rows {
        labels.clear();
        for (name, value) in &row.labels {
            labels.push(name, value);
        }
        labels.write_to(&mut text);
        exposition.push(Sample {
            family: row.family,
            help: row.help,
            kind: row.kind,
            labels: &text,
            value: row.value,
            time: None,
        })?;
    }
    Ok(())
}

fn node_rows(state: &ApiState) -> Vec<OwnMetric> {
    let build = ("ocelli_build_info", "1, with the version that runs.");
    let resources = ("ocelli_resources", "Resources that this node follows.");
    let plugins = ("ocelli_plugins", "Plugins of the configuration, by role.");
    let parked = (
        "ocelli_plugins_parked",
        "Plugins that do not run; /v1/plugins says why.",
    );
    let ready = ("ocelli_ready", "1 while /readyz says so.");
    let all = state.view.plugins();
    let is_ready = state.view.readiness().iter().all(|check| check.is_ok);
    let mut rows = vec![
        OwnMetric::gauge(build, 1.0).of("version", env!("CARGO_PKG_VERSION")),
        OwnMetric::gauge(ready, f64::from(u8::from(is_ready))),
        OwnMetric::gauge(resources, count(state.view.resources().len())),
    ];
    for role in ["discovery", "enrichment", "polling"] {
        let of_role = || all.iter().filter(|plugin| plugin.role == role);
        let parked_now = of_role().filter(|plugin| plugin.parked.is_some());
        rows.push(OwnMetric::gauge(plugins, count(of_role().count())).of("role", role));
        rows.push(OwnMetric::gauge(parked, count(parked_now.count())).of("role", role));
    }
    rows
}

/// Counts of things are far below 2^53.
fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
#[path = "own_metrics/own_metrics_tests.rs"]
mod tests;
