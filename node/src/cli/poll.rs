//! `ocelli poll`: one real collection, beside the slots, with nothing written.
//!
//! Does: ask the running node over its socket, which uses the device's own session and budget; with
//! `--config` do the same in this process. Print rows with verdicts, and with `--trace` each step.
//! Does not: write to a bus, touch slots. In: [`PollOptions`]. Out: rows on stdout, words on
//! stderr; exit 1 for a gap, 3 for a partial batch, 4 for what does not exist.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ocelli_actors::{AloneParts, DiscoveryInstance, ProbeOrder, Site, SystemLookup, probe_alone};
use ocelli_model::clock::{Clock, Rng};
use ocelli_model::resource::{NameError, Resource, find_by_name};
use ocelli_plugins::run::{BlockingPool, Run};
use serde_json::{Value, json};

use super::client::ConnectOptions;
use super::config_source::{ConfigOptions, OverrideOptions};
use super::exit::{Exit, Failure};
use super::output::{
    Column, Format, Listing, OutputOptions, Streams, cell_text, column, dimension_text, wide,
};
use super::runtime::block_on;
use crate::assembly::site::{Assembled, Counters, POLLING, assemble, parked_id};
use crate::clock::RealClock;
use crate::poll_report::report_json;
use crate::rng::RealRng;

/// A run may take the deadline of its plugin, which is its interval at most; beyond this nobody
/// waits at a keyboard.
const PATIENCE: Duration = Duration::from_secs(600);
/// A discovery that is read for one run may take this long.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(60);

/// Examples shown by `ocelli poll --help`.
pub const EXAMPLES: &str = "\
Examples:
  ocelli poll switch1 --plugin interfaces --once             by the running node
  ocelli poll dc1/switch1 --plugin interfaces --once --trace each request and reply
  ocelli poll 10.0.0.1 --plugin interfaces --once -o json
  ocelli poll switch1 --plugin interfaces --once --config ocelli.toml   without a node

Nothing is written and no slot is touched. Counters are judged against the values of the last
slot; without a node there are none, so that their verdict is first.";

/// Arguments of `poll`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PollOptions {
    /// The resource: its id, site/id, endpoint, full identity or, of a running node, sysName.
    pub resource: String,
    /// The polling plugin.
    #[arg(long, value_name = "NAME")]
    pub plugin: String,
    /// Collect once; a node polls for ever.
    #[arg(long, required = true)]
    pub once: bool,
    /// Tell each request, reply, retry and table on stderr, with times.
    #[arg(long)]
    pub trace: bool,
    /// Poll from this process by this configuration instead of asking a node.
    #[arg(long, value_name = "PATH", conflicts_with = "at")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    /// Overrides of single keys of `--config`.
    pub overrides: OverrideOptions,
    #[command(flatten)]
    /// Where the node is.
    pub connect: ConnectOptions,
    #[command(flatten)]
    /// Form of the rows.
    pub output: OutputOptions,
}

const COLUMNS: &[Column] = &[
    column("GROUP", "group"),
    column("DIMENSIONS", "dimensions"),
    column("METRIC", "metric"),
    column("TYPE", "type"),
    column("VALUE", "value"),
    column("VERDICT", "verdict"),
    wide("TIME MS", "time_ms"),
];

/// Runs `ocelli poll`.
pub(crate) fn run(options: &PollOptions, streams: &mut Streams) -> Result<Exit, Failure> {
    let report = match &options.config {
        None => block_on(ask_node(options))?,
        Some(path) => block_on(alone(options, path.clone()))?,
    };
    show(&report, options, streams)
}

async fn ask_node(options: &PollOptions) -> Result<Value, Failure> {
    let client = options.connect.client()?;
    let body = json!({
        "resource": options.resource,
        "plugin": options.plugin,
        "trace": options.trace,
    });
    let asked = client.post("/v1/poll", &body, PATIENCE).await;
    asked.map_err(|failure| match failure.exit {
        Exit::Unavailable => {
            failure.hint("start `ocelli run`, or poll without a node by --config FILE")
        }
        _ => failure,
    })
}

// === Without a node ===

async fn alone(options: &PollOptions, config: PathBuf) -> Result<Value, Failure> {
    let overrides = options.overrides.clone();
    let source = ConfigOptions { config, overrides };
    let loaded = source.load()?;
    let directory = crate::run::directory_of(&source.config);
    let assembled = assemble(
        loaded.config,
        &loaded.sources,
        directory,
        &mut Counters::new(),
    );
    let Assembled { site, parked } =
        assembled.map_err(|error| Failure::new(Exit::Configuration, error))?;
    if let Some(reason) = parked.get(&parked_id(POLLING, &options.plugin)) {
        let text = format!("plugin {:?} is parked: {reason}", options.plugin);
        return Err(Failure::new(Exit::Failed, text));
    }
    let resources = discover(&site).await?;
    let resource = find_by_name(&resources, &options.resource).map_err(name_failure)?;
    let paired = site.pairing(resource, &options.plugin);
    paired.map_err(|error| {
        let exit = match error {
            ocelli_actors::PairingError::Unknown { .. } => Exit::NotFound,
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    })?;
    let parts = AloneParts {
        clock: Arc::new(RealClock),
        rng: Box::new(RealRng::default()) as Box<dyn Rng>,
        lookup: Arc::new(SystemLookup),
    };
    let order = ProbeOrder::new(&options.plugin, options.trace);
    let report = probe_alone(parts, &site, resource, &order).await;
    let report = report.map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(report_json(resource, &options.plugin, &report))
}

pub(super) fn name_failure(error: NameError) -> Failure {
    let exit = match error {
        NameError::Unknown { .. } => Exit::NotFound,
        NameError::Ambiguous { .. } => Exit::Usage,
    };
    let hint = match &error {
        // There is no node whose resources could be listed.
        NameError::Unknown { candidates, .. } if candidates.is_empty() => String::new(),
        error => error.hint(),
    };
    Failure::new(exit, &error).hint(hint)
}

/// What the discoveries of the configuration find now; the earlier one wins on equal ids.
async fn discover(site: &Site) -> Result<Vec<Arc<Resource>>, Failure> {
    let mut resources = vec![Arc::clone(&site.own)];
    let blocking = BlockingPool::default();
    for instance in &site.discoveries {
        for resource in discover_one(instance, &blocking).await? {
            if resources.iter().all(|known| known.id() != resource.id()) {
                resources.push(Arc::new(resource));
            }
        }
    }
    Ok(resources)
}

async fn discover_one(
    instance: &DiscoveryInstance,
    blocking: &BlockingPool,
) -> Result<Vec<Resource>, Failure> {
    let clock: &dyn Clock = &RealClock;
    let run = Run {
        clock,
        deadline: clock.monotonic().after(DISCOVERY_LIMIT),
        blocking,
    };
    let found = instance.plugin.discover(run).await.map_err(|error| {
        let text = format!("discovery {:?} failed: {error}", &*instance.name);
        Failure::new(Exit::Failed, text)
    })?;
    Ok(found.resources)
}

// === What is printed ===

fn show(report: &Value, options: &PollOptions, streams: &mut Streams) -> Result<Exit, Failure> {
    let items = report["items"].as_array().cloned().unwrap_or_default();
    let mut rows = items;
    rows.iter_mut().for_each(dimension_text);
    let listing = Listing {
        columns: COLUMNS,
        items: &rows,
        document: Some(report),
    };
    for step in report["steps"].as_array().into_iter().flatten() {
        let after = step["after_ms"].as_f64().unwrap_or_default();
        let (kind, text) = (cell_text(step, "kind"), cell_text(step, "text"));
        streams.say(format!("{after:>10.3} ms  {kind:<12} {text}"));
    }
    if let Some(dropped) = report["steps_dropped"].as_u64().filter(|count| *count > 0) {
        streams.say(format!("{dropped} more steps are not shown"));
    }
    let is_gap = report["outcome"] == "gap";
    if !is_gap || matches!(options.output.format, Format::Json | Format::Yaml) {
        streams.list(options.output.format, &listing)?;
    }
    let took = report["took_ms"].as_f64().unwrap_or_default();
    let whose = format!(
        "{} by {}",
        cell_text(report, "resource"),
        cell_text(report, "plugin")
    );
    let credential = report["credential"]
        .as_str()
        .map(|name| format!(", credential {name:?}"));
    let credential = credential.unwrap_or_default();
    let cause = cell_text(report, "cause");
    match report["outcome"].as_str() {
        Some("complete") => {
            let values = rows.len();
            streams.say(format!(
                "{whose}: {values} values in {took:.1} ms{credential}"
            ));
            Ok(Exit::Done)
        }
        Some("partial") => {
            let reached = cell_text(report, "reached");
            streams.say(format!(
                "{whose}: partial after {took:.1} ms{credential}: {cause} at {reached:?}"
            ));
            Ok(Exit::Partial)
        }
        _ => {
            let text = format!("{whose}: no values after {took:.1} ms{credential}: {cause}");
            Err(Failure::new(Exit::Failed, text).hint(advice(&cause, options.trace)))
        }
    }
}

/// What helps to find out more.
fn advice(cause: &str, is_traced: bool) -> &'static str {
    let kind = cause.split('/').next().unwrap_or(cause);
    match kind {
        "timeout" => "check address, port, firewall and credential: a wrong community is silence",
        "auth" => {
            "check the credential that matches this resource: `ocelli config show --resource`"
        }
        "dns" => "check the endpoint's name, or write its address",
        _ if !is_traced => "add --trace to see each request and reply",
        _ => "",
    }
}
