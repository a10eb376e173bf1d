//! `ocelli doctor`: what keeps a node from working, one line a check.
//!
//! Does: load the configuration, ask the running node if there is one, show what the checks found.
//! Does not: check anything itself (`doctor`).
//! In: the command line. Out: a table or a document; exit 1 if a check fails, 78 without a
//! configuration.

use serde_json::{Value, json};

use super::client::{Client, SOCKET_FILE, Target, URL_DEFAULT, parse_url};
use super::config_source::ConfigOptions;
use super::contexts::Context;
use super::exit::{Exit, Failure};
use super::lists::pages;
use super::output::{Column, Listing, OutputOptions, Streams, column};
use super::runtime::block_on;
use crate::doctor::{Finding, Verdict, examine};

const EXAMPLES: &str = "\
Examples:
  ocelli doctor --config /etc/ocelli            before the first start, or while the node runs
  ocelli doctor --config ocelli.toml -o json    one object a check; exit 1 if one fails";

const COLUMNS: &[Column] = &[
    column("VERDICT", "verdict"),
    column("CHECK", "check"),
    column("SUBJECT", "subject"),
    column("REASON", "reason"),
    column("REMEDY", "remedy"),
];

/// How long the running node may take to answer.
const WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Runs `ocelli doctor`.
pub(crate) fn run(args: &DoctorArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let loaded = args.config.load()?;
    let data_dir = loaded.config.node.data_dir.clone();
    let findings = block_on(async {
        let running = match data_dir.join(SOCKET_FILE).exists() {
            true => ask(&data_dir).await,
            false => None,
        };
        Ok(examine(&loaded, running.as_ref()).await)
    })?;
    let items: Vec<Value> = findings.iter().map(Finding::to_json).collect();
    let listing = Listing {
        columns: COLUMNS,
        items: &items,
        document: None,
    };
    streams.list(args.output.format, &listing)?;
    let of = |verdict| findings.iter().filter(|one| one.verdict == verdict).count();
    let (failing, warnings) = (of(Verdict::Failing), of(Verdict::Warning));
    streams.say(format!(
        "{failing} failing, {warnings} warnings, {} checks",
        findings.len()
    ));
    Ok(match failing {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

/// What the node says of itself; `None`: its socket is a former life's, nobody listens.
async fn ask(data_dir: &std::path::Path) -> Option<Value> {
    // Its own socket, whichever node a context names.
    let target = Target {
        socket: Some(data_dir.join(SOCKET_FILE)),
        url: parse_url(URL_DEFAULT).ok()?,
        files: Context::default(),
        wait: WAIT,
    };
    let client = Client::new(target).ok()?;
    let status = client.get("/v1/status", &[]).await.ok()?;
    let links = pages(&client, "/v1/links", &[], None).await;
    let (links, _) = links.unwrap_or_default();
    let capacity = client.get("/v1/capacity", &[]).await.unwrap_or_default();
    Some(json!({ "status": status, "links": links, "capacity": capacity }))
}
