//! `ocelli snmp`: ask a device by hand, with the engine that polls and net-snmp's letters.
//!
//! Does: get, walk, bulkwalk, table, translate; print like net-snmp. Does not: read MIB files,
//! set values, or use the configuration.
//! In: the command line. Out: varbinds on stdout; 124 for silence, 3 for a walk cut short.

use clap::Subcommand;
use ocelli_model::clock::Clock as _;
use ocelli_model::oid::Oid;
use ocelli_snmp::engine::{
    ExchangeError, GetError, GetPlan, Received, VarbindSink, WalkEnd, WalkPlan,
};
use ocelli_snmp::oid::Index;
use ocelli_snmp::value::Value;

use super::exit::{Exit, Failure};
use super::output::{Streams, aligned};
use super::runtime::block_on;
use crate::clock::RealClock;
use print::Style;
use session::{Opened, SessionOptions, Transfer};

pub(crate) mod dump;
pub(crate) mod names;
pub(crate) mod print;
pub(crate) mod session;

/// What net-snmp asks for in one GETBULK.
const REPETITIONS_DEFAULT: u16 = 10;
/// Time-outs that a whole walk may take: a table of a big chassis comes in thousands of replies.
const WALK_PATIENCE: u32 = 1_000;
/// What is walked if nothing is named.
const WALK_ROOT: &str = "mib-2";

const GET_EXAMPLES: &str = "\
Examples:
  ocelli snmp get -v 2c -c env:C 10.0.0.1 sysName.0 sysUpTime.0
  ocelli snmp get -v 3 -u monitor -a SHA-256 -A @auth -x AES -X @priv 10.0.0.1 .1.3.6.1.2.1.1.5.0";

const WALK_EXAMPLES: &str = "\
Examples:
  ocelli snmp walk -v 2c -c env:C 10.0.0.1 system
  ocelli snmp walk -v 1 -c public -On 10.0.0.1 1.3.6.1.2.1.2
  ocelli snmp walk -d -c env:C 10.0.0.1 system      each datagram, secrets as **";

const BULKWALK_EXAMPLES: &str = "\
Examples:
  ocelli snmp bulkwalk -c env:C -Cr25 10.0.0.1 ifXTable
  ocelli snmp bulkwalk -c env:C -OnUet udp6:[2001:db8::1]:161 ifTable";

const TABLE_EXAMPLES: &str = "\
Examples:
  ocelli snmp table -c env:C 10.0.0.1 ifTable";

const TRANSLATE_EXAMPLES: &str = "\
Examples:
  ocelli snmp translate 1.3.6.1.2.1.31.1.1.1.6
  ocelli snmp translate -On IF-MIB::ifHCInOctets.1
  ocelli snmp translate -Of sysName.0";

/// What `ocelli snmp` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum SnmpCommand {
    /// Read single values.
    #[command(after_help = GET_EXAMPLES)]
    Get(GetArgs),
    /// Read a subtree by GETNEXT.
    #[command(after_help = WALK_EXAMPLES)]
    Walk(WalkArgs),
    /// Read a subtree by GETBULK.
    #[command(after_help = BULKWALK_EXAMPLES)]
    Bulkwalk(WalkArgs),
    /// Read a table and print it as one.
    #[command(after_help = TABLE_EXAMPLES)]
    Table(WalkArgs),
    /// Print the name of a number, or the number of a name.
    #[command(after_help = TRANSLATE_EXAMPLES)]
    Translate(TranslateArgs),
}

/// `-O`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PrintOptions {
    /// How to print: n f s S q Q v t x a e U.
    #[arg(short = 'O', default_value = "", value_name = "LETTERS", value_parser = Style::parse)]
    style: Style,
}

/// Arguments of `snmp get`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    print: PrintOptions,
    /// The agent: HOST, HOST:PORT, udp:HOST:PORT or udp6:[ADDRESS]:PORT.
    agent: String,
    /// Names or numbers.
    #[arg(required = true, value_name = "OID")]
    oids: Vec<String>,
}

/// Arguments of `snmp walk`, `bulkwalk` and `table`.
#[derive(Debug, clap::Args)]
pub(crate) struct WalkArgs {
    #[command(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    print: PrintOptions,
    /// r25: rows of one GETBULK.
    #[arg(short = 'C', value_name = "rCOUNT", value_parser = parse_repetitions)]
    repetitions: Option<u16>,
    /// The agent: HOST, HOST:PORT, udp:HOST:PORT or udp6:[ADDRESS]:PORT.
    agent: String,
    /// A name or a number.
    #[arg(default_value = WALK_ROOT, value_name = "OID")]
    oid: String,
}

/// Arguments of `snmp translate`.
#[derive(Debug, clap::Args)]
pub(crate) struct TranslateArgs {
    #[command(flatten)]
    print: PrintOptions,
    /// Names or numbers.
    #[arg(required = true, value_name = "OID")]
    oids: Vec<String>,
}

fn parse_repetitions(text: &str) -> Result<u16, String> {
    let count = text.strip_prefix('r').and_then(|count| count.parse().ok());
    count
        .filter(|count| (1..=500).contains(count))
        .ok_or_else(|| "write -Cr25, 1 to 500".to_owned())
}

/// Runs `ocelli snmp …`.
pub(crate) fn run(command: SnmpCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        SnmpCommand::Get(args) => block_on(get(&args, streams)),
        SnmpCommand::Walk(args) => block_on(walk(&args, false, streams)),
        SnmpCommand::Bulkwalk(args) => block_on(walk(&args, true, streams)),
        SnmpCommand::Table(args) => block_on(table(&args, streams)),
        SnmpCommand::Translate(args) => translate(&args, streams),
    }
}

fn parse_oid(text: &str) -> Result<Oid, Failure> {
    names::parse(text).map_err(|error| Failure::new(Exit::Usage, error))
}

// === get ===

/// Keeps each varbind as the text that will be printed.
struct Texts<F> {
    print: F,
    /// By column, the index and the text.
    cells: Vec<(usize, Vec<u32>, String)>,
}

impl<F: Fn(usize, &[u32], &Value<'_>) -> String> VarbindSink for Texts<F> {
    fn varbind(&mut self, column: usize, index: Index<'_>, value: Value<'_>, _: Received) {
        let index: Vec<u32> = index.arcs().collect();
        let text = (self.print)(column, &index, &value);
        self.cells.push((column, index, text));
    }
}

async fn get(args: &GetArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let oids: Vec<Oid> = args
        .oids
        .iter()
        .map(|text| parse_oid(text))
        .collect::<Result<_, _>>()?;
    let plan = GetPlan::new(&oids).map_err(|error| Failure::new(Exit::Usage, error))?;
    let transfer = Transfer {
        is_bulk: false,
        max_repetitions: 1,
    };
    let opened = args.session.open(&args.agent, transfer, streams).await?;
    let deadline = RealClock.monotonic().after(args.session.patience());
    let style = args.print.style;
    let shown = oids.clone();
    let print = move |column: usize, _: &[u32], value: &Value<'_>| {
        shown
            .get(column)
            .map_or_else(String::new, |oid| style.line(oid, value))
    };
    let sink = Texts {
        print,
        cells: Vec::new(),
    };
    let (result, mut sink) = opened.session.get(&plan, deadline, sink).await;
    sink.cells.sort();
    for (_, _, line) in &sink.cells {
        streams.print(&format!("{line}\n"))?;
    }
    let outcome = result.map_err(|error| get_failure(&error))?;
    for failure in &outcome.failed_names {
        let name = oids
            .get(failure.position)
            .map(|oid| style.oid(oid))
            .unwrap_or_default();
        streams.say(format!(
            "{name}: the agent answered {}",
            failure.status.name()
        ));
    }
    let is_partial = !outcome.failed_names.is_empty();
    Ok(if is_partial {
        Exit::Partial
    } else {
        Exit::Done
    })
}

pub(crate) fn get_failure(error: &GetError) -> Failure {
    match error {
        GetError::Exchange(error) => exchange_failure(error),
        error => Failure::new(Exit::Failed, error),
    }
}

/// Silence is a time-out, all else a failure; the engine's words name address and remedy.
pub(crate) fn exchange_failure(error: &ExchangeError) -> Failure {
    let exit = match error {
        ExchangeError::Timeout { .. } | ExchangeError::Deadline { .. } => Exit::TimedOut,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

// === walk ===

async fn walk(args: &WalkArgs, is_bulk: bool, streams: &mut Streams) -> Result<Exit, Failure> {
    let root = parse_oid(&args.oid)?;
    let style = args.print.style;
    let opened = open_for_walk(args, is_bulk, streams).await?;
    let under = root.clone();
    let print = move |_: usize, index: &[u32], value: &Value<'_>| {
        under
            .child(index)
            .map_or_else(|_| String::new(), |oid| style.line(&oid, value))
    };
    let (cells, end) = walk_cells(args, &opened, &root, print).await?;
    if cells.is_empty() && end == Exit::Done {
        // As net-snmp does: a leaf is no subtree, but it has a value.
        return get_leaf(args, &opened, &root, streams).await;
    }
    for (_, _, line) in &cells {
        streams.print(&format!("{line}\n"))?;
    }
    Ok(end)
}

async fn open_for_walk(
    args: &WalkArgs,
    is_bulk: bool,
    streams: &mut Streams,
) -> Result<Opened, Failure> {
    let max_repetitions = args.repetitions.unwrap_or(REPETITIONS_DEFAULT);
    args.session
        .open(
            &args.agent,
            Transfer {
                is_bulk,
                max_repetitions,
            },
            streams,
        )
        .await
}

/// Cells by column and index, as the sink printed them.
type Cells = Vec<(usize, Vec<u32>, String)>;

async fn walk_cells<F>(
    args: &WalkArgs,
    opened: &Opened,
    root: &Oid,
    print: F,
) -> Result<(Cells, Exit), Failure>
where
    F: Fn(usize, &[u32], &Value<'_>) -> String + 'static,
{
    let plan = WalkPlan::new([root]).map_err(|error| Failure::new(Exit::Usage, error))?;
    let patience = args.session.patience().saturating_mul(WALK_PATIENCE);
    let deadline = RealClock.monotonic().after(patience);
    let sink = Texts {
        print,
        cells: Vec::new(),
    };
    let (outcome, sink) = opened.session.walk(&plan, deadline, sink).await;
    match (&outcome.end, outcome.partial_reason()) {
        (WalkEnd::Failed(error), _) if sink.cells.is_empty() => Err(exchange_failure(error)),
        (_, None) => Ok((sink.cells, Exit::Done)),
        (_, Some(reason)) => {
            tracing::warn!(reason, "walk was cut short");
            Ok((sink.cells, Exit::Partial))
        }
    }
}

async fn get_leaf(
    args: &WalkArgs,
    opened: &Opened,
    oid: &Oid,
    streams: &mut Streams,
) -> Result<Exit, Failure> {
    let plan = GetPlan::new([oid]).map_err(|error| Failure::new(Exit::Usage, error))?;
    let deadline = RealClock.monotonic().after(args.session.patience());
    let (style, shown) = (args.print.style, oid.clone());
    let print = move |_: usize, _: &[u32], value: &Value<'_>| style.line(&shown, value);
    let sink = Texts {
        print,
        cells: Vec::new(),
    };
    let (result, sink) = opened.session.get(&plan, deadline, sink).await;
    result.map_err(|error| get_failure(&error))?;
    for (_, _, line) in &sink.cells {
        streams.print(&format!("{line}\n"))?;
    }
    Ok(Exit::Done)
}

// === table ===

async fn table(args: &WalkArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let root = parse_oid(&args.oid)?;
    let style = args.print.style;
    let opened = open_for_walk(args, true, streams).await?;
    // A table is table.entry(1).column.index; an entry may be named itself.
    let is_entry = names::find(&root).is_some_and(|(known, _)| known.name.ends_with("Entry"));
    let entry = if is_entry {
        root.clone()
    } else {
        child(&root, 1)?
    };
    let quick = Style::parse("Q").unwrap_or(style);
    let print = move |_: usize, _: &[u32], value: &Value<'_>| quick.value(value);
    let (cells, end) = walk_cells(args, &opened, &entry, print).await?;
    streams.print(&format!("SNMP table: {}\n\n", style.oid(&root)))?;
    streams.print(&table_text(&entry, &cells, style))?;
    Ok(end)
}

fn child(oid: &Oid, arc: u32) -> Result<Oid, Failure> {
    oid.child(&[arc])
        .map_err(|error| Failure::new(Exit::Usage, error))
}

/// Rows by index, columns by number; a cell that the agent left out is `?`, as net-snmp has it.
fn table_text(entry: &Oid, cells: &[(usize, Vec<u32>, String)], style: Style) -> String {
    let mut rows: std::collections::BTreeMap<&[u32], std::collections::BTreeMap<u32, &str>> =
        std::collections::BTreeMap::new();
    let mut columns = std::collections::BTreeSet::new();
    for (_, place, text) in cells {
        if let Some((column, index)) = place.split_first() {
            columns.insert(*column);
            rows.entry(index).or_default().insert(*column, text);
        }
    }
    let heading = |column: &u32| {
        let name = entry
            .child(&[*column])
            .map(|oid| style.oid(&oid))
            .unwrap_or_default();
        name.rsplit("::").next().unwrap_or_default().to_owned()
    };
    let mut lines = vec![
        std::iter::once("index".to_owned())
            .chain(columns.iter().map(heading))
            .collect(),
    ];
    for (index, row) in &rows {
        let index: Vec<String> = index.iter().map(u32::to_string).collect();
        let cells = columns
            .iter()
            .map(|column| row.get(column).map_or("?", |text| *text).to_owned());
        lines.push(std::iter::once(index.join(".")).chain(cells).collect());
    }
    aligned(&lines, false)
}

// === translate ===

fn translate(args: &TranslateArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    for text in &args.oids {
        let oid = parse_oid(text)?;
        streams.print(&format!("{}\n", args.print.style.oid(&oid)))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_row_per_index_and_question_marks_for_holes() {
        let entry: Oid = "1.3.6.1.2.1.2.2.1".parse().unwrap();
        let cell = |column: u32, index: u32, text: &str| (0, vec![column, index], text.to_owned());
        let cells = [cell(2, 1, "\"lo\""), cell(2, 2, "\"e0\""), cell(8, 2, "1")];
        let text = table_text(&entry, &cells, Style::default());
        assert_eq!(
            text,
            "index  ifDescr  ifOperStatus\n1      \"lo\"     ?\n2      \"e0\"     1\n"
        );
    }

    #[test]
    fn repetitions_are_written_as_net_snmp_writes_them() {
        assert_eq!(parse_repetitions("r25"), Ok(25));
        for bad in ["25", "r", "r0", "r501", "rx"] {
            assert!(parse_repetitions(bad).is_err(), "{bad}");
        }
    }
}
