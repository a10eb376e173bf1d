//! `mesh`, `nodes`, `capacity`, `cursors`: where the node stands among others and on its disk.
//!
//! Does: show the tree of tiers, what the disk bridges, how far readers have come; reset and forget
//! a cursor. Does not: compute: the node does. In: names. Out: tables, or what the node sent.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, ConnectOptions};
use super::exit::{Exit, Failure};
use super::lists::pages;
use super::output::{
    Column, Format, Listing, OutputOptions, Streams, aligned, cell_text, column, wide,
};
use super::runtime::block_on;

const MESH_EXAMPLES: &str = "\
Examples:
  ocelli mesh status                       tiers, nodes, how old their newest data is
  ocelli mesh status --at http://region-a:7780 --token-file token
  ocelli mesh status -o json";

const CURSORS_EXAMPLES: &str = "\
Examples:
  ocelli cursors list
  ocelli cursors reset archive             read all that is held once more
  ocelli cursors forget archive            hold no segment for it any more";

/// `ocelli mesh …`
#[derive(Debug, Subcommand)]
pub(crate) enum MeshCommand {
    /// Show the tiers and nodes whose data this node holds, with its age and what is missing.
    #[command(after_help = MESH_EXAMPLES)]
    Status(AskArgs),
}

/// `ocelli nodes …`
#[derive(Debug, Subcommand)]
pub(crate) enum NodesCommand {
    /// List nodes whose data this node holds.
    #[command(after_help = "Examples:\n  ocelli nodes list -o wide")]
    List(AskArgs),
    /// Show one node, by name or origin.
    #[command(after_help = "Examples:\n  ocelli nodes get n1 -o yaml")]
    Get(NamedArgs),
}

/// `ocelli cursors …`
#[derive(Debug, Subcommand)]
pub(crate) enum CursorsCommand {
    /// List durable readers and how far they have come.
    #[command(after_help = CURSORS_EXAMPLES)]
    List(AskArgs),
    /// Put a cursor to the beginning: its reader reads all that is held once more.
    #[command(after_help = "Examples:\n  ocelli cursors reset archive")]
    Reset(NamedArgs),
    /// End a cursor: it holds no segment any more.
    #[command(after_help = "Examples:\n  ocelli cursors forget archive")]
    Forget(NamedArgs),
}

/// Arguments of what asks a node one thing.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of what names one thing.
#[derive(Debug, clap::Args)]
pub(crate) struct NamedArgs {
    /// Its name, as the list shows it.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

const NODE_COLUMNS: &[Column] = &[
    column("TIER", "tier"),
    column("SITE", "site"),
    column("NODE", "node"),
    column("OWN", "is_own"),
    column("AGE MS", "age_ms"),
    column("MISSING", "missing"),
    column("BYTES", "bytes"),
    wide("HIGHEST SEQ", "highest_seq"),
    wide("HOURS HELD", "hours_held"),
    wide("BYTES A DAY", "bytes_per_day"),
    wide("MESH", "mesh"),
    wide("ORIGIN", "origin"),
];

const CURSOR_COLUMNS: &[Column] = &[
    column("NAME", "name"),
    column("KIND", "kind"),
    column("IDLE MS", "idle_ms"),
    wide("MOVED MS", "moved_ms"),
    wide("STREAMS", "streams"),
];

/// Runs `ocelli nodes …`.
pub(crate) fn nodes(command: NodesCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        NodesCommand::List(args) => list(&args, "/v1/nodes", (NODE_COLUMNS, streams)),
        NodesCommand::Get(args) => {
            let client = args.connect.client()?;
            let node = block_on(client.get(&format!("/v1/nodes/{}", args.name), &[]))?;
            show(&node, NODE_COLUMNS, (args.output.format, streams))
        }
    }
}

/// Runs `ocelli cursors …`.
pub(crate) fn cursors(command: CursorsCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let (args, method, done) = match command {
        CursorsCommand::List(args) => {
            return list(&args, "/v1/cursors", (CURSOR_COLUMNS, streams));
        }
        CursorsCommand::Reset(args) => (args, reqwest::Method::POST, "reset"),
        CursorsCommand::Forget(args) => (args, reqwest::Method::DELETE, "forgotten"),
    };
    let client = args.connect.client()?;
    let path = format!("/v1/cursors/{}", args.name);
    block_on(client.change(method, &path))?;
    streams.say(format!("cursor {:?} is {done}", args.name));
    Ok(Exit::Done)
}

/// Runs `ocelli capacity`.
pub(crate) fn capacity(args: &AskArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let document = block_on(client.get("/v1/capacity", &[]))?;
    if !matches!(args.output.format, Format::Table | Format::Wide) {
        return show(&document, NODE_COLUMNS, (args.output.format, streams));
    }
    let text = |key| cell_text(&document, key);
    let rows = [
        ("bytes on disk", text("bytes")),
        ("of at most", text("bytes_max")),
        ("bytes a day", text("bytes_per_day")),
        ("full in seconds", text("full_in_s")),
        ("outage bridged, seconds", text("outage_s")),
        ("retention, seconds", text("retention_s")),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    streams.print(&aligned(&rows, false))?;
    let origins = document["origins"].as_array().cloned().unwrap_or_default();
    let listing = Listing {
        columns: NODE_COLUMNS,
        items: &origins,
        document: None,
    };
    streams.print("\n")?;
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}

/// Runs `ocelli mesh …`.
pub(crate) fn mesh(command: MeshCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let MeshCommand::Status(args) = command;
    let client = args.connect.client()?;
    let document = block_on(status_of(&client))?;
    if !matches!(args.output.format, Format::Table | Format::Wide) {
        return show(&document, NODE_COLUMNS, (args.output.format, streams));
    }
    streams.print(&tree(&document))?;
    Ok(Exit::Done)
}

/// The node that was asked, and everyone whose data it holds.
async fn status_of(client: &Client) -> Result<Value, Failure> {
    let node = client.get("/v1/status", &[]).await?;
    let (nodes, _) = pages(client, "/v1/nodes", &[], None).await?;
    Ok(json!({ "node": node, "nodes": nodes }))
}

/// Tiers from the top, each with its sites, each with its nodes.
fn tree(document: &Value) -> String {
    let own = &document["node"];
    let mut tiers: BTreeMap<(u8, String), Vec<&Value>> = BTreeMap::new();
    for node in document["nodes"].as_array().into_iter().flatten() {
        let tier = cell_text(node, "tier");
        let rank = match tier.as_str() {
            "global" => 0,
            "region" => 1,
            "site" => 2,
            _ => 3,
        };
        tiers.entry((rank, tier)).or_default().push(node);
    }
    let asked = format!(
        "asked: {} ({} {}), version {}\n",
        cell_text(own, "node"),
        cell_text(own, "tier"),
        cell_text(own, "site"),
        cell_text(own, "version")
    );
    let mut rows = Vec::new();
    for ((rank, tier), mut nodes) in tiers {
        nodes.sort_by_key(|node| (cell_text(node, "site"), cell_text(node, "node")));
        for node in nodes {
            let mark = if node["is_own"] == json!(true) {
                "*"
            } else {
                " "
            };
            let indent = "  ".repeat(usize::from(rank));
            let name = format!(
                "{indent}{mark} {tier} {}/{}",
                cell_text(node, "site"),
                cell_text(node, "node")
            );
            let missing = match node["missing"].as_u64() {
                Some(0) | None => String::new(),
                Some(missing) => format!("{missing} records missing"),
            };
            rows.push(vec![name, newest(node), missing]);
        }
    }
    asked + &aligned(&rows, false)
}

fn newest(node: &Value) -> String {
    match node["age_ms"].as_f64() {
        Some(age_ms) => format!("newest {:.1} s ago", age_ms / 1_000.0),
        None => "no data".to_owned(),
    }
}

fn list(
    args: &AskArgs,
    path: &str,
    (columns, streams): (&[Column], &mut Streams),
) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let (items, _) = block_on(pages(&client, path, &[], None))?;
    let document = json!({ "items": items, "next": Value::Null });
    let listing = Listing {
        columns,
        items: &items,
        document: Some(&document),
    };
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}

fn show(
    item: &Value,
    columns: &[Column],
    (format, streams): (Format, &mut Streams),
) -> Result<Exit, Failure> {
    let items = std::slice::from_ref(item);
    let listing = Listing {
        columns,
        items,
        document: Some(item),
    };
    streams.list(format, &listing)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_stands_on_its_head_global_first_and_marks_the_node_asked() {
        let document = json!({
            "node": {"node": "r1", "tier": "region", "site": "emea", "version": "1.2.3"},
            "nodes": [
                {"tier": "site", "site": "dc2", "node": "n1", "age_ms": null, "missing": 0},
                {"tier": "site", "site": "dc1", "node": "n1", "age_ms": 1_500, "missing": 7},
                {"tier": "region", "site": "emea", "node": "r1", "is_own": true, "age_ms": 20},
            ],
        });
        let shown = tree(&document);
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert!(
            lines[0].starts_with("asked: r1 (region emea), version 1.2.3"),
            "{shown}"
        );
        assert!(lines[1].starts_with("  * region emea/r1"), "{shown}");
        assert!(lines[2].starts_with("      site dc1/n1"), "{shown}");
        assert!(lines[2].contains("newest 1.5 s ago") && lines[2].contains("7 records missing"));
        assert!(
            lines[3].contains("dc2/n1") && lines[3].contains("no data"),
            "{shown}"
        );
    }
}
