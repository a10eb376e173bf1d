//! `resources`, `gaps`, `events`, `plugins`: lists of a running node, and one of their items.
//!
//! Does: page through a list, choose what a table shows. Does not: interpret items: JSON and YAML
//! print them as the node sent them.
//! In: filters and names. Out: items on stdout; 4 for what does not exist, 3 for a list cut short.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, ConnectOptions};
use super::exit::{Exit, Failure};
use super::output::{
    Column, Format, Listing, OutputOptions, Streams, aligned, cell_text, column, wide,
};
use super::runtime::block_on;

/// Items asked for at once: the node's own largest page.
const PAGE_ITEMS: usize = 5_000;

const RESOURCES_EXAMPLES: &str = "\
Examples:
  ocelli resources list
  ocelli resources list -l 'resource_class = \"network\"' -o wide
  ocelli resources list -o csv > resources.csv";

const RESOURCE_EXAMPLES: &str = "\
Examples:
  ocelli resources get switch1
  ocelli resources get dc1/switch1 -o json
  ocelli resources get 10.0.0.1                by its endpoint
  ocelli resources get core-1.example.net      by its device's sysName";

const GAPS_EXAMPLES: &str = "\
Examples:
  ocelli gaps list                               slots without data, and why
  ocelli gaps list --cause timeout --from -1h
  ocelli gaps list --plugin interfaces -o json";

const GAP_EXAMPLES: &str = "\
Examples:
  ocelli gaps get 'dc1/network/switch/cisco/switch1|interfaces|…' -o yaml";

const EVENTS_EXAMPLES: &str = "\
Examples:
  ocelli events list                             what happened, oldest first
  ocelli events list --severity error,warning --from -1h
  ocelli events list --kind discovery_held -o json";

const EVENT_EXAMPLES: &str = "\
Examples:
  ocelli events get 1700000000000-0f2e… -o yaml";

const PLUGINS_EXAMPLES: &str = "\
Examples:
  ocelli plugins list -o wide";

const PLUGIN_EXAMPLES: &str = "\
Examples:
  ocelli plugins get interfaces -o yaml";

/// `ocelli resources …`
#[derive(Debug, Subcommand)]
pub(crate) enum ResourcesCommand {
    /// List resources.
    #[command(after_help = RESOURCES_EXAMPLES)]
    List(ListArgs),
    /// Show one resource.
    #[command(after_help = RESOURCE_EXAMPLES)]
    Get(GetArgs),
}

/// `ocelli plugins …`
#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// List configured plugins.
    #[command(after_help = PLUGINS_EXAMPLES)]
    List(ListArgs),
    /// Show one plugin.
    #[command(after_help = PLUGIN_EXAMPLES)]
    Get(GetArgs),
}

/// `ocelli gaps …`
#[derive(Debug, Subcommand)]
pub(crate) enum GapsCommand {
    /// List slots without data, with their causes.
    #[command(after_help = GAPS_EXAMPLES)]
    List(GapsArgs),
    /// Show one range of such slots, by the id that the list shows with -o wide.
    #[command(after_help = GAP_EXAMPLES)]
    Get(GetArgs),
}

/// `ocelli events …`
#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// List what happened, oldest first.
    #[command(after_help = EVENTS_EXAMPLES)]
    List(EventsArgs),
    /// Show one event, by the id that the list shows with -o wide.
    #[command(after_help = EVENT_EXAMPLES)]
    Get(GetArgs),
}

/// Arguments of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    /// Only what this resource filter matches.
    #[arg(short = 'l', long, value_name = "FILTER")]
    filter: Option<String>,
    /// At most this many items; exit 3 if there are more.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of one item.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// What to show, by id or name.
    name: String,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `gaps list`.
#[derive(Debug, clap::Args)]
pub(crate) struct GapsArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Only gaps of this polling plugin.
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Only gaps of this cause, such as timeout or auth.
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    /// Only gaps of resources of this site.
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// From this time on: RFC 3339, or -15m.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Up to this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
}

/// Arguments of `events list`.
#[derive(Debug, clap::Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    list: ListArgs,
    /// Only events of these kinds, such as clock_stepped, joined by commas.
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Only events of these severities: info, warning, error, joined by commas.
    #[arg(long, value_name = "SEVERITIES")]
    severity: Option<String>,
    /// Only events of this site.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// From this time on: RFC 3339, or -15m.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Up to this time.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
}

const RESOURCE_COLUMNS: &[Column] = &[
    column("RESOURCE", "id"),
    column("ENDPOINT", "endpoint"),
    column("PLUGINS", "plugins"),
    column("OPEN GAPS", "open_gaps"),
    wide("DEVICE", "device"),
    wide("SYSNAME", "system_name"),
    wide("DUPLICATE OF", "duplicate_of"),
    wide("CREATED BY", "created_by"),
    wide("METADATA", "metadata"),
];

const PLUGIN_COLUMNS: &[Column] = &[
    column("NAME", "name"),
    column("ROLE", "role"),
    column("KIND", "kind"),
    column("INTERVAL MS", "interval_ms"),
    column("RESOURCES", "resources"),
    column("PARKED", "parked"),
    wide("ROLLED BACK", "rolled_back"),
    wide("FILTER", "filter"),
];

const EVENT_COLUMNS: &[Column] = &[
    column("TIME", "time_ms"),
    column("SEVERITY", "severity"),
    column("KIND", "kind"),
    column("RESOURCE", "resource"),
    column("TEXT", "text"),
    wide("PLUGIN", "plugin"),
    wide("SITE", "site"),
    wide("ID", "id"),
];

const GAP_COLUMNS: &[Column] = &[
    column("RESOURCE", "resource"),
    column("PLUGIN", "plugin"),
    column("FIRST SLOT", "slot_ms"),
    column("LAST SLOT", "last_slot_ms"),
    column("SLOTS", "slots"),
    column("CAUSE", "cause"),
    wide("REASON", "reason"),
    wide("SEQ", "seq"),
    wide("ORIGIN", "origin"),
    wide("ID", "id"),
];

/// Runs `ocelli resources …`.
pub(crate) fn resources(command: ResourcesCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        ResourcesCommand::List(args) => {
            list(&args, "/v1/resources", &[], (RESOURCE_COLUMNS, streams))
        }
        ResourcesCommand::Get(args) => get(&args, "/v1/resources", (RESOURCE_COLUMNS, streams)),
    }
}

/// Runs `ocelli plugins …`.
pub(crate) fn plugins(command: PluginsCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        PluginsCommand::List(args) => list(&args, "/v1/plugins", &[], (PLUGIN_COLUMNS, streams)),
        PluginsCommand::Get(args) => get(&args, "/v1/plugins", (PLUGIN_COLUMNS, streams)),
    }
}

/// Runs `ocelli gaps …`.
pub(crate) fn gaps(command: GapsCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let args = match command {
        GapsCommand::List(args) => args,
        GapsCommand::Get(args) => return get(&args, "/v1/gaps", (GAP_COLUMNS, streams)),
    };
    let given = [
        ("plugin", &args.plugin),
        ("cause", &args.cause),
        ("site", &args.site),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let query: Vec<(&str, &str)> = given
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)))
        .collect();
    list(&args.list, "/v1/gaps", &query, (GAP_COLUMNS, streams))
}

/// Runs `ocelli events …`.
pub(crate) fn events(command: EventsCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let args = match command {
        EventsCommand::List(args) => args,
        EventsCommand::Get(args) => return get(&args, "/v1/events", (EVENT_COLUMNS, streams)),
    };
    let given = [
        ("kind", &args.kind),
        ("severity", &args.severity),
        ("site", &args.site),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let query: Vec<(&str, &str)> = given
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_deref()?)))
        .collect();
    list(&args.list, "/v1/events", &query, (EVENT_COLUMNS, streams))
}

fn list(
    args: &ListArgs,
    path: &str,
    query: &[(&str, &str)],
    (columns, streams): (&[Column], &mut Streams),
) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let mut query = query.to_vec();
    query.extend(args.filter.as_deref().map(|filter| ("filter", filter)));
    let (items, is_cut) = block_on(pages(&client, path, &query, args.limit))?;
    let document = json!({ "items": items, "next": Value::Null });
    let rows: Vec<Value> = match path {
        "/v1/resources" => items.iter().map(resource_row).collect(),
        _ => items,
    };
    let listing = Listing {
        columns,
        items: &rows,
        document: Some(&document),
    };
    streams.list(args.output.format, &listing)?;
    if is_cut {
        streams.say(format!("cut after {} items; raise --limit", rows.len()));
        return Ok(Exit::Partial);
    }
    Ok(Exit::Done)
}

/// All items of a list up to `limit`, and whether there are more. Ends because each page must
/// bring an item or a `next` of `null`.
pub(crate) async fn pages(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
    limit: Option<usize>,
) -> Result<(Vec<Value>, bool), Failure> {
    let mut items: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let wanted = limit.map_or(PAGE_ITEMS, |limit| (limit - items.len()).min(PAGE_ITEMS));
        let page_size = wanted.max(1).to_string();
        let mut query = query.to_vec();
        query.push(("limit", &page_size));
        query.extend(after.as_deref().map(|after| ("after", after)));
        let mut page = client.get(path, &query).await?;
        let next = page["next"].as_str().map(str::to_owned);
        let new = match page["items"].take() {
            Value::Array(new) => new,
            _ => Vec::new(),
        };
        let is_empty = new.is_empty();
        items.extend(new);
        if limit.is_some_and(|limit| items.len() >= limit) {
            let is_cut = next.is_some() || limit.is_some_and(|limit| items.len() > limit);
            items.truncate(limit.unwrap_or(items.len()));
            return Ok((items, is_cut));
        }
        match next {
            Some(next) if !is_empty => after = Some(next),
            _ => return Ok((items, false)),
        }
    }
}

fn get(
    args: &GetArgs,
    path: &str,
    (columns, streams): (&[Column], &mut Streams),
) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let path = format!("{path}/{}", args.name);
    let item = block_on(client.get(&path, &[]))?;
    show_item(&item, columns, args.output.format, streams)
}

/// One item: two columns for people, the item itself for machines.
fn show_item(
    item: &Value,
    columns: &[Column],
    format: Format,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    if !matches!(format, Format::Table | Format::Wide) {
        let items = std::slice::from_ref(item);
        streams.list(
            format,
            &Listing {
                columns,
                items,
                document: Some(item),
            },
        )?;
        return Ok(Exit::Done);
    }
    let fields = item.as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = fields
        .map(|(key, _)| vec![key.clone(), cell_text(item, key)])
        .collect();
    streams.print(&aligned(&rows, false))?;
    Ok(Exit::Done)
}

/// What a table shows of a resource: its polling plugins by name, and the open gaps among them.
fn resource_row(item: &Value) -> Value {
    let pairs = item["plugins"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let names: Vec<String> = pairs.iter().map(|pair| cell_text(pair, "plugin")).collect();
    let gaps = pairs.iter().filter(|pair| pair["gap_cause"].is_string());
    let gaps: Vec<String> = gaps
        .map(|pair| {
            format!(
                "{}: {}",
                cell_text(pair, "plugin"),
                cell_text(pair, "gap_cause")
            )
        })
        .collect();
    json!({
        "id": item["id"],
        "endpoint": item["resource"]["resource_endpoint"],
        "device": item["device"],
        "system_name": item["system_name"],
        "plugins": names.join(", "),
        "open_gaps": gaps.join(", "),
        "duplicate_of": item["duplicate_of"],
        "created_by": item["resource"]["resource_plugin"],
        "metadata": item["resource"]["resource_metadata"],
    })
}
