//! `mesh`, `nodes`, `capacity`, `cursors`: where the node stands among others and on its disk.
//!
//! Does: show the tree of tiers, what the disk bridges, how far readers have come; reset and forget
//! a cursor; adopt and forget what is below. Does not: compute: the node does.
//! In: names. Out: tables, or what the node sent.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::ConnectOptions;
use super::exit::{Exit, Failure};
use super::lists::pages;
use super::mesh_tree;
use super::output::{
    Column, Format, Listing, OutputOptions, Streams, aligned, cell_text, column, wide,
};
use super::runtime::block_on;

/// How long the node may take to carry out an order: a file is written.
const ORDER_PATIENCE: Duration = Duration::from_secs(30);

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
    /// Take records of a site or node whose data directory is new: its disk was exchanged.
    #[command(after_help = "Examples:\n  ocelli mesh adopt dc1\n  ocelli mesh adopt dc1/n1")]
    Adopt(AdoptArgs),
    /// Expect nothing more of a site or node that is gone for good; its records stay until
    /// retention ends them. Without --yes it only says what that would be.
    #[command(
        after_help = "Examples:\n  ocelli mesh forget dc9\n  ocelli mesh forget dc9/n1 --yes"
    )]
    Forget(ForgetArgs),
}

/// Arguments of `mesh adopt`.
#[derive(Debug, clap::Args)]
pub(crate) struct AdoptArgs {
    /// A site, or one node of it.
    #[arg(value_name = "SITE|SITE/NODE")]
    name: String,
    #[command(flatten)]
    connect: ConnectOptions,
}

/// Arguments of `mesh forget`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForgetArgs {
    /// A site, or one node of it.
    #[arg(value_name = "SITE|SITE/NODE")]
    name: String,
    /// Do it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connect: ConnectOptions,
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
    column("STATE", "state"),
    column("AGE MS", "age_ms"),
    column("MISSING", "missing"),
    column("BYTES", "bytes"),
    wide("HIGHEST SEQ", "highest_seq"),
    wide("HOURS HELD", "hours_held"),
    wide("BYTES A DAY", "bytes_per_day"),
    wide("CAUSE", "cause"),
    wide("MESH", "mesh"),
    wide("ORIGIN", "origin"),
];

/// Of `capacity`: what an origin takes of the disk, and for how long it is there.
const ORIGIN_COLUMNS: &[Column] = &[
    column("TIER", "tier"),
    column("SITE", "site"),
    column("NODE", "node"),
    column("STATE", "state"),
    column("BYTES", "bytes"),
    column("BYTES A DAY", "bytes_per_day"),
    column("HOURS HELD", "hours_held"),
    wide("ORIGIN", "origin"),
];

/// Of `capacity`: for whom the disk holds what, and how long each may be away.
const READER_COLUMNS: &[Column] = &[
    column("READER", "name"),
    column("IDLE MS", "idle_ms"),
    column("BYTES TO TAKE", "bytes"),
    column("OUTAGE BRIDGED S", "outage_s"),
    wide("KIND", "kind"),
];

const CURSOR_COLUMNS: &[Column] = &[
    column("NAME", "name"),
    column("KIND", "kind"),
    column("IDLE MS", "idle_ms"),
    column("HOLDS SEGMENTS", "holds_segments"),
    wide("LETS GO IN S", "lets_go_in_s"),
    wide("UNTAKEN BYTES", "untaken_bytes"),
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
    let format = args.output.format;
    if !matches!(format, Format::Table | Format::Wide) {
        let items = document["origins"].as_array().cloned().unwrap_or_default();
        return document_of(&document, (&items, ORIGIN_COLUMNS), (format, streams));
    }
    let text = |key| cell_text(&document, key);
    let rows = [
        ("bytes on disk", text("bytes")),
        ("of at most", text("bytes_max")),
        (
            "bytes a day",
            text("bytes_per_day").trim_end_matches(".0").to_owned(),
        ),
        ("full in seconds", text("full_in_s")),
        ("outage bridged, seconds", text("outage_s")),
        ("retention, seconds", text("retention_s")),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    streams.print(&aligned(&rows, false))?;
    let readers = rounded(&document["readers"]);
    let origins = rounded(&document["origins"]);
    for (items, columns) in [(readers, READER_COLUMNS), (origins, ORIGIN_COLUMNS)] {
        let listing = Listing {
            columns,
            items: &items,
            document: None,
        };
        streams.print("\n")?;
        streams.list(format, &listing)?;
    }
    Ok(Exit::Done)
}

/// The rows of a list for people: bytes and hours without more digits than they are known to.
fn rounded(list: &Value) -> Vec<Value> {
    let mut rows = list.as_array().cloned().unwrap_or_default();
    for row in &mut rows {
        if let Some(bytes) = row["bytes_per_day"].as_f64() {
            row["bytes_per_day"] = json!(format!("{bytes:.0}"));
        }
        if let Some(hours) = row["hours_held"].as_f64() {
            row["hours_held"] = json!(format!("{hours:.2}"));
        }
    }
    rows
}

/// A document for programs, whose lines are `items` where the form has lines.
fn document_of(
    document: &Value,
    (items, columns): (&[Value], &[Column]),
    (format, streams): (Format, &mut Streams),
) -> Result<Exit, Failure> {
    let listing = Listing {
        columns,
        items,
        document: Some(document),
    };
    streams.list(format, &listing)?;
    Ok(Exit::Done)
}

/// Runs `ocelli mesh …`.
pub(crate) fn mesh(command: MeshCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        MeshCommand::Status(args) => {
            let client = args.connect.client()?;
            let document = block_on(mesh_tree::ask(&client))?;
            let format = args.output.format;
            if !matches!(format, Format::Table | Format::Wide) {
                let items = document["nodes"].as_array().cloned().unwrap_or_default();
                return document_of(&document, (&items, NODE_COLUMNS), (format, streams));
            }
            streams.print(&mesh_tree::shown(&document))?;
            Ok(Exit::Done)
        }
        MeshCommand::Adopt(args) => adopt(&args, streams),
        MeshCommand::Forget(args) => forget(&args, streams),
    }
}

fn adopt(args: &AdoptArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let body = json!({ "name": args.name });
    let answer = block_on(client.post("/v1/mesh/adopt", &body, ORDER_PATIENCE))?;
    for one in answer["adopted"].as_array().into_iter().flatten() {
        streams.say(format!(
            "generation {} of {}/{} is taken from now on; {} stays known",
            cell_text(one, "generation"),
            cell_text(one, "site"),
            cell_text(one, "node"),
            cell_text(one, "before"),
        ));
    }
    Ok(Exit::Done)
}

fn forget(args: &ForgetArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let body = json!({ "name": args.name, "dry_run": !args.yes });
    let answer = block_on(client.post("/v1/mesh/forget", &body, ORDER_PATIENCE))?;
    for origin in answer["origins"].as_array().into_iter().flatten() {
        let (node, bytes) = (cell_text(origin, "node"), cell_text(origin, "bytes"));
        let origin = cell_text(origin, "origin");
        streams.say(format!(
            "{node}: origin {origin}, {bytes} bytes stay until retention"
        ));
    }
    for link in answer["links"].as_array().into_iter().flatten() {
        streams.say(format!("link {}", link.as_str().unwrap_or_default()));
    }
    streams.say(format!("{} last values", cell_text(&answer, "values")));
    streams.say(match args.yes {
        true => format!("{:?} is forgotten", args.name),
        false => "nothing is forgotten yet: repeat with --yes".to_owned(),
    });
    Ok(Exit::Done)
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
    document_of(
        item,
        (std::slice::from_ref(item), columns),
        (format, streams),
    )
}
