//! `values`, `status`: what a node holds now, how it is.
//!
//! Does: pass filters on, print what comes. Does not: follow (`subscribe`).
//! In: options. Out: items on stdout.

use serde_json::{Value, json};

use super::client::ConnectOptions;
use super::exit::{Exit, Failure};
use super::lists::pages;
use super::output::{
    Column, Format, Listing, OutputOptions, Streams, aligned, cell_text, column, dimension_text,
    wide,
};
use super::runtime::block_on;

const VALUES_EXAMPLES: &str = "\
Examples:
  ocelli values                                  last values with their age
  ocelli values --metric bits_in -l 'resource_id = \"switch1\"'
  ocelli values -o json";

const STATUS_EXAMPLES: &str = "\
Examples:
  ocelli status
  ocelli status -o json";

/// What of the data is wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct SelectOptions {
    /// Only resources that this filter matches.
    #[arg(short = 'l', long, value_name = "FILTER")]
    pub(super) filter: Option<String>,
    /// Only these metrics groups; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(super) group: Vec<String>,
    /// Only these metrics; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(super) metric: Vec<String>,
}

/// Arguments of `values`.
#[derive(Debug, clap::Args)]
#[command(after_help = VALUES_EXAMPLES)]
pub(crate) struct ValuesArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    select: SelectOptions,
    /// At most this many values; exit 3 if there are more.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl SelectOptions {
    /// As parameters of a reading route.
    pub(super) fn query(&self) -> Vec<(&str, &str)> {
        let mut query: Vec<(&str, &str)> = Vec::new();
        query.extend(self.filter.as_deref().map(|filter| ("filter", filter)));
        query.extend(self.group.iter().map(|group| ("group", group.as_str())));
        query.extend(self.metric.iter().map(|metric| ("metric", metric.as_str())));
        query
    }
}

// === values ===

const VALUE_COLUMNS: &[Column] = &[
    column("RESOURCE", "resource"),
    column("GROUP", "group"),
    column("DIMENSIONS", "dimensions"),
    column("METRIC", "metric"),
    column("TYPE", "type"),
    column("VALUE", "value"),
    column("AGE MS", "age_ms"),
    wide("VERDICT", "verdict"),
    wide("PLUGIN", "plugin"),
    wide("TIME MS", "time_ms"),
];

/// Runs `ocelli values`.
pub(crate) fn values(args: &ValuesArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let query = args.select.query();
    let (items, is_cut) = block_on(pages(&client, "/v1/values", &query, args.limit))?;
    let document = json!({ "items": items, "next": Value::Null });
    let mut rows = items;
    rows.iter_mut().for_each(dimension_text);
    let listing = Listing {
        columns: VALUE_COLUMNS,
        items: &rows,
        document: Some(&document),
    };
    streams.list(args.output.format, &listing)?;
    if is_cut {
        streams.say(format!("cut after {} values; raise --limit", rows.len()));
        return Ok(Exit::Partial);
    }
    Ok(Exit::Done)
}

// === status ===

/// Runs `ocelli status`.
pub(crate) fn status(args: &StatusArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let document = block_on(client.get("/v1/status", &[]))?;
    let columns = &[column("KEY", "key"), column("VALUE", "value")];
    let mut rows = Vec::new();
    flatten("", &document, &mut rows);
    if matches!(args.output.format, Format::Table | Format::Wide) {
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|(key, value)| vec![key, value])
            .collect();
        streams.print(&aligned(&rows, false))?;
        return Ok(Exit::Done);
    }
    let items: Vec<Value> = rows
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let listing = Listing {
        columns,
        items: &items,
        document: Some(&document),
    };
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}

/// Objects as dotted keys; lists as they are.
fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(&path, value, rows);
            }
        }
        _ => rows.push((path.to_owned(), cell_text(&json!({ "v": value }), "v"))),
    }
}
