//! `ocelli reload`: have the running node read its configuration again.
//!
//! Does: ask over the node's socket; print what changed, or would with `--dry-run`. Does not: read
//! files itself: the node reads those it was started with.
//! In: [`ReloadArgs`]. Out: changes on stdout; exit 78 if it is refused, 3 if a plugin was rolled
//! back.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::ConnectOptions;
use super::exit::{Exit, Failure};
use super::output::{Format, Listing, OutputOptions, Streams, cell_text, column};
use super::runtime::block_on;

/// Passphrases are stretched, changed plugins tried: half a minute, and as much to spare.
const PATIENCE: Duration = Duration::from_secs(90);

const EXAMPLES: &str = "\
Examples:
  ocelli reload --dry-run                        validate, show what would change
  ocelli reload                                  the same as SIGHUP, with an answer

A changed polling plugin first runs once on a resource that it reads well now. If that fails the
plugin stays as it was, and `ocelli plugins list -o wide` says why.
Exit codes: 0 done, 3 a plugin was rolled back, 78 refused: the configuration in force stays";

/// Arguments of `reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReloadArgs {
    /// Validate and show what would change; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// Runs `ocelli reload`.
pub(crate) fn run(args: &ReloadArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let client = args.connect.client()?;
    let body = json!({"dry_run": args.dry_run});
    let report = block_on(client.post("/v1/reload", &body, PATIENCE))?;
    let texts = |key: &str| {
        let list = report[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let changes = texts("changes");
    if matches!(args.output.format, Format::Table | Format::Wide) {
        for change in &changes {
            streams.print(&format!("{change}\n"))?;
        }
    } else {
        let items: Vec<Value> = changes
            .iter()
            .map(|change| json!({"change": change}))
            .collect();
        let listing = Listing {
            columns: &[column("CHANGE", "change")],
            items: &items,
            document: Some(&report),
        };
        streams.list(args.output.format, &listing)?;
    }
    for warning in texts("warnings") {
        streams.say(format!("warning: {warning}"));
    }
    for key in texts("needs_restart") {
        streams.say(format!("{key} takes effect at the next start"));
    }
    let is_rolled_back = say_trials(&report, streams);
    let count = changes.len();
    streams.say(match report["applied"].as_bool() {
        Some(true) => format!("reloaded; {count} changes"),
        _ => format!("the configuration is good; {count} changes, none applied (dry run)"),
    });
    Ok(if is_rolled_back {
        Exit::Partial
    } else {
        Exit::Done
    })
}

/// Whether any plugin was rolled back.
fn say_trials(report: &Value, streams: &mut Streams) -> bool {
    let mut is_rolled_back = false;
    for trial in report["trials"].as_array().into_iter().flatten() {
        let (plugin, resource) = (cell_text(trial, "plugin"), cell_text(trial, "resource"));
        let failure = cell_text(trial, "failure");
        is_rolled_back |= !failure.is_empty();
        streams.say(match (resource.is_empty(), failure.is_empty()) {
            (true, _) => format!("{plugin}: not tried: no resource is read well by it now"),
            (false, true) => format!("{plugin}: tried on {resource}: good"),
            (false, false) => {
                format!("{plugin}: rolled back: it fails on {resource}: {failure}")
            }
        });
    }
    is_rolled_back
}
