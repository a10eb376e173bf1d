//! `ocelli discovery list|diff|approve`: what sources found, what is held back, and accepting it.
//!
//! Does: list discoveries; show what the last run of one would change or changed; approve the held
//! set that was looked at, by its hash. Does not: decide what is held (`model::catalog`).
//! In: a name. Out: items on stdout; `diff` exits 0 without a difference, 3 with a held one.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, ConnectOptions};
use super::exit::{Exit, Failure};
use super::lists::pages;
use super::output::{Column, Format, Listing, OutputOptions, Streams, cell_text, column, wide};
use super::runtime::block_on;

/// An approval is one entry of the catalog: a disk's flush.
const PATIENCE: Duration = Duration::from_secs(30);

const LIST_EXAMPLES: &str = "\
Examples:
  ocelli discovery list
  ocelli discovery list -o wide                  with reasons";

const DIFF_EXAMPLES: &str = "\
Examples:
  ocelli discovery diff cmdb                     what the last run would change, or changed
  ocelli discovery diff cmdb -o json

Exit codes: 0 nothing is held, 3 a set is held, 4 no such discovery";

const APPROVE_EXAMPLES: &str = "\
Examples:
  ocelli discovery approve cmdb                  accept what is held now, and tell what it was
  ocelli discovery approve cmdb --hash 5f1c…     only if it is still what `diff` has shown

Exit codes: 0 accepted, 1 nothing is held or another set is, 4 no such discovery";

/// `ocelli discovery …`
#[derive(Debug, Subcommand)]
pub(crate) enum DiscoveryCommand {
    /// List discoveries: last run, held sets, failures.
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show what the last run of a discovery would change, or changed.
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Accept the set that a discovery holds back.
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(ApproveArgs),
}

/// Arguments of `discovery list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `discovery diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The discovery.
    name: String,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `discovery approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The discovery.
    name: String,
    /// The set that was looked at: the hash that `diff` shows. Default: what is held now.
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

const LIST_COLUMNS: &[Column] = &[
    column("NAME", "name"),
    column("KIND", "kind"),
    column("STATE", "state"),
    column("RESOURCES", "resources"),
    column("WOULD REMOVE", "held.removed"),
    column("LAST RUN", "last_run_s"),
    wide("FINISHED S", "finished_s"),
    wide("REFUSED", "refused"),
    wide("REASON", "held.reason|failure.reason|parked"),
    wide("HASH", "held.hash"),
];

const DIFF_COLUMNS: &[Column] = &[column("CHANGE", "change"), column("RESOURCE", "resource")];

/// Runs `ocelli discovery …`.
pub(crate) fn run(command: DiscoveryCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        DiscoveryCommand::List(args) => list(&args, streams),
        DiscoveryCommand::Diff(args) => diff(&args, streams),
        DiscoveryCommand::Approve(args) => approve(&args, streams),
    }
}

fn list(args: &ListArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let (items, _) = block_on(pages(&client, "/v1/discovery", &[], None))?;
    let document = json!({"items": items, "next": Value::Null});
    let listing = Listing {
        columns: LIST_COLUMNS,
        items: &items,
        document: Some(&document),
    };
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}

async fn get(client: &Client, name: &str) -> Result<Value, Failure> {
    client.get(&format!("/v1/discovery/{name}"), &[]).await
}

fn diff(args: &DiffArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let item = block_on(get(&client, &args.name))?;
    let rows = difference_rows(&item);
    let listing = Listing {
        columns: DIFF_COLUMNS,
        items: &rows,
        document: Some(&item),
    };
    let is_table = matches!(args.output.format, Format::Table | Format::Wide);
    if !is_table || !rows.is_empty() {
        streams.list(args.output.format, &listing)?;
    }
    let name = &args.name;
    let unchanged = cell_text(&item, "difference.unchanged");
    match item["state"].as_str() {
        Some("held") => {
            let (reason, hash) = (
                cell_text(&item, "held.reason"),
                cell_text(&item, "held.hash"),
            );
            streams.say(format!(
                "{name}: held: {reason}; {unchanged} unchanged\n\
                 accept it with: ocelli discovery approve {name} --hash {hash}"
            ));
            Ok(Exit::Partial)
        }
        Some("failed") => {
            let reason = cell_text(&item, "failure.reason");
            streams.say(format!(
                "{name}: failing: {reason}; the last good set stays"
            ));
            Ok(Exit::Done)
        }
        Some("committed") => {
            streams.say(format!("{name}: in force; {unchanged} unchanged"));
            Ok(Exit::Done)
        }
        state => {
            streams.say(format!("{name}: {}", state.unwrap_or("unknown")));
            Ok(Exit::Done)
        }
    }
}

/// A row an id, in the order added, changed, removed, kept; a last one for what is not listed.
fn difference_rows(item: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    for (change, sort) in [
        ("+", "added"),
        ("~", "changed"),
        ("-", "removed"),
        ("=", "kept"),
    ] {
        let of = &item["difference"][sort];
        let ids = of["ids"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows.extend(
            ids.iter()
                .map(|id| json!({"change": change, "resource": id})),
        );
        let count = of["count"].as_u64().unwrap_or_default();
        let more = count.saturating_sub(ids.len() as u64);
        if more > 0 {
            rows.push(json!({"change": change, "resource": format!("and {more} more")}));
        }
    }
    rows
}

fn approve(args: &ApproveArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let name = &args.name;
    let (answer, told) = block_on(async {
        let seen = get(&client, name).await?;
        let hash = match &args.hash {
            Some(hash) => hash.clone(),
            None => held_hash(&seen, name)?,
        };
        let path = format!("/v1/discovery/{name}/approve");
        let answer = client.post(&path, &json!({"hash": hash}), PATIENCE).await?;
        Ok::<_, Failure>((answer, approved_words(&seen, &hash)))
    })?;
    let columns = &[column("APPROVED", "approved")];
    if !matches!(args.output.format, Format::Table | Format::Wide) {
        let items = std::slice::from_ref(&answer);
        let listing = Listing {
            columns,
            items,
            document: Some(&answer),
        };
        streams.list(args.output.format, &listing)?;
    }
    streams.say(format!(
        "{name}: accepted {told}; its source is read again now"
    ));
    Ok(Exit::Done)
}

/// The set that was accepted, as it was seen just before: the node refuses any other.
fn approved_words(seen: &Value, hash: &str) -> String {
    if cell_text(seen, "held.hash") != hash {
        return hash.to_owned();
    }
    let count = |sort: &str| cell_text(seen, &format!("difference.{sort}.count"));
    let (added, changed, removed) = (count("added"), count("changed"), count("removed"));
    format!("{hash} ({added} added, {changed} changed, {removed} removed)")
}

fn held_hash(item: &Value, name: &str) -> Result<String, Failure> {
    let hash = item["held"]["hash"].as_str().map(str::to_owned);
    hash.ok_or_else(|| {
        let text = format!("discovery {name:?} holds nothing back");
        Failure::new(Exit::Failed, text).hint("see `ocelli discovery list`")
    })
}
