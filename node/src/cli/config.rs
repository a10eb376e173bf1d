//! `ocelli config`: find mistakes, show what applies, compare, print the reference.
//!
//! Does: read files, print findings and values. Does not: talk to a node or change anything.
//! In: [`ConfigCommand`]. Out: findings on stderr, data on stdout; exit 78 for mistakes.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use ocelli_config::{
    Loaded, Place, Problem, data_dir_of, difference, load, open_credentials, read_last_good,
    read_path, reference_markdown, show,
};
use serde_json::{Value, json};

use super::config_plugins::{PluginFault, plugin_faults};
use super::config_source::{ConfigOptions, GivenConfig, host_name, invalid_failure, read_failure};
use super::exit::{Exit, Failure};
use super::output::{Column, Format, Listing, OutputOptions, Streams, column};
use crate::cli::config_resource;
use crate::run::directory_of;
use crate::secrets::process_secrets;

/// What `ocelli config` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Find every mistake; exit 78 if there is one.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Print every effective value and where it is from.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Print the reference of all keys as Markdown.
    #[command(after_help = "Example:\n  ocelli config reference | less")]
    Reference,
    /// Print what differs between two configurations.
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  ocelli config check ocelli.toml
  ocelli config check /etc/ocelli/ --secrets     a directory; also open each secret
  ocelli config check ocelli.toml -o json        findings for an editor";

const SHOW_EXAMPLES: &str = "\
Examples:
  ocelli config show ocelli.toml
  ocelli config show ocelli.toml --resource switch1 -o json
                                                 what applies to one resource, and why
  ocelli config show --set node.name=x           of $OCELLI_CONFIG or /etc/ocelli/ocelli.toml";

const DIFF_EXAMPLES: &str = "\
Examples:
  ocelli config diff ocelli.toml                 against the last one that ran
  ocelli config diff new.toml --against old.toml";

/// Arguments of `config check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: GivenConfig,
    /// Also open each secret.
    #[arg(long)]
    secrets: bool,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `config show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    config: GivenConfig,
    /// A resource of the configured discoveries: its id, site/id, endpoint or full identity.
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
}

/// Arguments of `config diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    config: GivenConfig,
    /// What to compare with. Default: the copy of the last one that ran, in the data directory.
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
}

/// Runs `ocelli config …`.
pub(crate) fn run(command: ConfigCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Check(args) => check(&args, streams),
        ConfigCommand::Show(args) => show_values(&args, streams),
        ConfigCommand::Reference => {
            streams.print(&reference_markdown())?;
            Ok(Exit::Done)
        }
        ConfigCommand::Diff(args) => diff(&args, streams),
    }
}

// === check ===

/// What a check found.
#[derive(Debug, Default)]
struct Findings {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Sections of which no plugin can be made.
    plugins: Vec<PluginFault>,
    /// Credentials that cannot be opened: the name and the reason.
    credentials: Vec<(String, String)>,
}

impl Findings {
    fn is_good(&self) -> bool {
        self.errors.is_empty() && self.plugins.is_empty() && self.credentials.is_empty()
    }
}

const FINDING_COLUMNS: &[Column] = &[
    column("LEVEL", "level"),
    column("FILE", "file"),
    column("LINE", "line"),
    column("COLUMN", "column"),
    column("REASON", "reason"),
    column("REMEDY", "remedy"),
];

fn check(args: &CheckArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let given = args.config.clone().options();
    let sources = given.sources()?;
    let mut findings = Findings::default();
    let mut summary = String::new();
    match load(sources, given.overrides.load_options(&host_name())) {
        Err(invalid) => findings.errors = invalid.problems,
        Ok(loaded) => {
            summary = summary_of(&loaded, &given.config);
            findings.errors = loaded
                .parked
                .iter()
                .flat_map(|item| item.problems.clone())
                .collect();
            findings.warnings.clone_from(&loaded.warnings);
            findings.plugins = plugin_faults(&loaded, directory_of(&given.config));
            if args.secrets {
                let opened = open_credentials(&loaded.config, &process_secrets());
                let failed = opened.failed.into_iter();
                findings.credentials = failed
                    .map(|(name, error)| (name, error.to_string()))
                    .collect();
            }
        }
    }
    tell(&findings, args.output.format, streams)?;
    if findings.is_good() {
        streams.say(summary);
        return Ok(Exit::Done);
    }
    Ok(Exit::Configuration)
}

fn summary_of(loaded: &Loaded, path: &Path) -> String {
    let config = &loaded.config;
    format!(
        "{}: good: {} discoveries, {} enrichments, {} pollings, {} credentials, {} warnings",
        path.display(),
        config.discoveries.len(),
        config.enrichments.len(),
        config.pollings.len(),
        config.snmp_credentials.len(),
        loaded.warnings.len(),
    )
}

/// As a table the findings are words; in any other form they are data.
fn tell(findings: &Findings, format: Format, streams: &mut Streams) -> Result<(), Failure> {
    if matches!(format, Format::Table | Format::Wide) {
        for error in &findings.errors {
            streams.say(format!("error: {error}\n"));
        }
        for warning in &findings.warnings {
            streams.say(format!("warning: {warning}\n"));
        }
        for fault in &findings.plugins {
            let place = fault.place.as_ref().map(|place| format!("{place}: "));
            let place = place.unwrap_or_default();
            streams.say(format!("error: {place}{}\n", fault.error));
        }
        for (name, reason) in &findings.credentials {
            streams.say(format!("error: credential {name:?}: {reason}\n"));
        }
        return Ok(());
    }
    let mut items: Vec<Value> = Vec::new();
    items.extend(
        findings
            .errors
            .iter()
            .map(|problem| finding("error", problem)),
    );
    items.extend(
        findings
            .warnings
            .iter()
            .map(|problem| finding("warning", problem)),
    );
    items.extend(findings.plugins.iter().map(|fault| {
        json!({
            "level": "error",
            "file": fault.place.as_ref().map(|place| &place.file),
            "line": fault.place.as_ref().map(|place| place.line),
            "column": fault.place.as_ref().map(|place| place.column),
            "reason": fault.error,
        })
    }));
    items.extend(
        findings.credentials.iter().map(
            |(name, reason)| json!({ "level": "error", "credential": name, "reason": reason }),
        ),
    );
    let listing = Listing {
        columns: FINDING_COLUMNS,
        items: &items,
        document: None,
    };
    streams.list(format, &listing)
}

fn finding(level: &str, problem: &Problem) -> Value {
    json!({
        "level": level,
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "reason": problem.reason,
        "remedy": problem.remedy,
    })
}

// === show ===

const VALUE_COLUMNS: &[Column] = &[
    column("KEY", "key"),
    column("VALUE", "value"),
    column("FROM", "from"),
];

fn show_values(args: &ShowArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let loaded = args.config.clone().options().load()?;
    let items = match &args.resource {
        None => all_values(&loaded),
        Some(name) => config_resource::effective_values(&loaded, name)?,
    };
    let listing = Listing {
        columns: VALUE_COLUMNS,
        items: &items,
        document: None,
    };
    streams.list(args.output.format, &listing)?;
    for parked in &loaded.parked {
        streams.say(format!("warning: {parked}; `ocelli config check` says why"));
    }
    Ok(Exit::Done)
}

fn all_values(loaded: &Loaded) -> Vec<Value> {
    let sections = show(&loaded.config);
    let values = sections.iter().flat_map(|section| {
        section
            .values
            .iter()
            .map(|(key, value)| (format!("{}.{key}", section.path), value))
    });
    values
        .map(|(path, value)| value_item(&path, value, loaded.place_of(&path)))
        .collect()
}

/// One line of `config show`.
pub(crate) fn value_item(key: &str, value: &str, place: Option<&Place>) -> Value {
    let from = place.map_or_else(|| String::from("default"), ToString::to_string);
    json!({ "key": key, "value": value, "from": from })
}

// === diff ===

fn diff(args: &DiffArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let given = args.config.clone().options();
    let new = given.load()?;
    let options = given.overrides.load_options(&new.config.node.name);
    let old = match &args.against {
        Some(path) => {
            let sources = read_path(path).map_err(|error| read_failure(&error))?;
            load(sources, options).map_err(|error| invalid_failure(&error))?
        }
        None => last_good(&given, options)?,
    };
    let told = difference(&old.config, &new.config);
    let items: Vec<Value> = told
        .changes
        .iter()
        .map(|change| json!({ "change": change.to_string() }))
        .collect();
    if matches!(args.output.format, Format::Table | Format::Wide) {
        let lines: String = told
            .changes
            .iter()
            .map(|change| format!("{change}\n"))
            .collect();
        streams.print(&lines)?;
    } else {
        let columns = &[column("CHANGE", "change")];
        streams.list(
            args.output.format,
            &Listing {
                columns,
                items: &items,
                document: None,
            },
        )?;
    }
    let restart: Vec<&str> = told.needs_restart().collect();
    match (told.is_empty(), restart.is_empty()) {
        (true, _) => streams.say("no difference"),
        (false, true) => {}
        (false, false) => streams.say(format!("takes a restart: {}", restart.join(", "))),
    }
    Ok(Exit::Done)
}

fn last_good(
    config: &ConfigOptions,
    options: ocelli_config::LoadOptions<'_>,
) -> Result<Loaded, Failure> {
    let sources = config.sources()?;
    let data_dir = data_dir_of(&sources).unwrap_or_else(|| PathBuf::from(crate::DATA_DIR_DEFAULT));
    let missing = |reason: &str| {
        let text = format!(
            "no copy of an earlier configuration in {}{reason}",
            data_dir.display()
        );
        Failure::new(Exit::NotFound, text).hint("name one with --against")
    };
    let copy = read_last_good(&data_dir).map_err(|error| missing(&format!(": {error}")))?;
    let copy = copy.ok_or_else(|| missing(""))?;
    let copy = config.overrides.lay_over(copy)?;
    load(copy, options).map_err(|error| invalid_failure(&error))
}
