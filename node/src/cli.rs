//! The command line: one enum of all commands, one place that runs them.
//!
//! Does: parse, set logging up, dispatch, turn how a command ended into its exit code. Does not:
//! know what a command does (one file each).
//! In: the arguments. Out: data on stdout, words on stderr, an [`Exit`].
//! Global options are long only: the letters belong to net-snmp's users.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

mod ca;
pub mod client;
mod completions;
mod config;
mod config_plugins;
mod config_resource;
pub mod config_source;
mod context;
mod contexts;
pub mod demo;
mod discovery;
mod doctor;
pub mod exit;
mod init;
mod lists;
pub mod logging;
mod mesh;
mod mesh_tree;
pub mod output;
pub mod poll;
mod reading;
mod reload;
pub mod run;
pub mod runtime;
mod simulate;
mod snmp;
mod subscribe;
mod uplink;

use exit::{Exit, Failure};
use logging::LogOptions;
use output::Streams;

/// A telemetry collector mesh: discovers, polls, keeps and serves, with a cause for every gap.
#[derive(Debug, Parser)]
#[command(name = "ocelli", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(propagate_version = false, disable_help_subcommand = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    log: LogOptions,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ocelli init --device 10.0.0.1 --community env:C --out ocelli.toml
  ocelli config check ocelli.toml          find mistakes before a node does
  ocelli values                            last values with their age
  ocelli subscribe                         live, one metrics group a line
  ocelli gaps list                         slots without data, and why
  ocelli events list --from -1h            what happened
  ocelli poll switch1 --plugin interfaces --once --trace
  ocelli reload --dry-run                  what a changed file would change
  ocelli snmp walk -c env:C 10.0.0.1 system
  ocelli completions bash > /etc/bash_completion.d/ocelli

Exit codes: 0 done, 1 failed, 2 usage, 3 partial, 4 not found, 69 nobody listens,
78 configuration, 124 time-out, 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until it is told to stop.
    Run(run::RunOptions),
    /// A first look: simulated switches and this machine, live.
    Demo(demo::DemoOptions),
    /// Ask a device and write a configuration for it.
    Init(init::InitArgs),
    /// Check, show, compare or explain configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Resources of a running node.
    #[command(subcommand)]
    Resources(lists::ResourcesCommand),
    /// Plugins of a running node.
    #[command(subcommand)]
    Plugins(lists::PluginsCommand),
    /// Slots without data, and why.
    #[command(subcommand)]
    Gaps(lists::GapsCommand),
    /// What happened: clock steps, held discoveries, crashes, full disks.
    #[command(subcommand)]
    Events(lists::EventsCommand),
    /// The tiers of the mesh.
    #[command(subcommand)]
    Mesh(mesh::MeshCommand),
    /// What a node sends to the tier above.
    #[command(subcommand)]
    Uplink(uplink::UplinkCommand),
    /// Nodes whose data a node holds.
    #[command(subcommand)]
    Nodes(mesh::NodesCommand),
    /// Durable readers of a node.
    #[command(subcommand)]
    Cursors(mesh::CursorsCommand),
    /// How long the disk holds what comes in, and what outage it bridges.
    #[command(after_help = "Examples:\n  ocelli capacity\n  ocelli capacity -o json")]
    Capacity(mesh::AskArgs),
    /// Discoveries of a running node: what is held back, and accepting it.
    #[command(subcommand)]
    Discovery(discovery::DiscoveryCommand),
    /// Run a polling plugin once and show what it reads.
    Poll(poll::PollOptions),
    /// Have a running node read its configuration again.
    Reload(reload::ReloadArgs),
    /// Print the last values that a node holds.
    Values(reading::ValuesArgs),
    /// Print data as it comes, from any point that the node still holds.
    Subscribe(subscribe::SubscribeArgs),
    /// Look at everything that keeps a node from working.
    Doctor(doctor::DoctorArgs),
    /// Print how a node is.
    Status(reading::StatusArgs),
    /// Names for nodes that are asked often.
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// Ask a device by hand, with net-snmp's letters.
    #[command(subcommand)]
    Snmp(snmp::SnmpCommand),
    /// The authority of a mesh: certificates of nodes, join tokens, revocation.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Simulate SNMP agents on loopback addresses.
    Simulate(simulate::SimulateArgs),
    /// Print the completion script of a shell.
    Completions(completions::CompletionsArgs),
}

/// Runs one command line to its end.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    ocelli_federation::identity::install_provider();
    let mut streams = Streams::of_process();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error, &mut streams),
    };
    let log_filter = match cli.command {
        Command::Demo(_) => logging::FILTER_OF_SHOWS,
        _ => logging::FILTER_OF_NODES,
    };
    if let Err(failure) = logging::start(&cli.log, log_filter) {
        return streams.fail(&failure);
    }
    let ended = run(cli.command, &mut streams);
    let ended = ended.and_then(|exit| streams.flush().map(|()| exit));
    ended.unwrap_or_else(|failure| streams.fail(&failure))
}

fn run(command: Command, streams: &mut Streams) -> Result<Exit, Failure> {
    match command {
        Command::Run(options) => crate::run::run(&options),
        Command::Demo(options) => crate::demo::run(&options, streams),
        Command::Init(args) => init::run(&args, streams),
        Command::Config(command) => config::run(command, streams),
        Command::Resources(command) => lists::resources(command, streams),
        Command::Plugins(command) => lists::plugins(command, streams),
        Command::Gaps(command) => lists::gaps(command, streams),
        Command::Events(command) => lists::events(command, streams),
        Command::Doctor(args) => doctor::run(&args, streams),
        Command::Mesh(command) => mesh::mesh(command, streams),
        Command::Uplink(command) => uplink::uplink(command, streams),
        Command::Nodes(command) => mesh::nodes(command, streams),
        Command::Cursors(command) => mesh::cursors(command, streams),
        Command::Capacity(args) => mesh::capacity(&args, streams),
        Command::Discovery(command) => discovery::run(command, streams),
        Command::Poll(options) => poll::run(&options, streams),
        Command::Reload(args) => reload::run(&args, streams),
        Command::Values(args) => reading::values(&args, streams),
        Command::Subscribe(args) => subscribe::subscribe(&args, streams),
        Command::Status(args) => reading::status(&args, streams),
        Command::Context(command) => context::run(command, streams),
        Command::Snmp(command) => snmp::run(command, streams),
        Command::Ca(command) => ca::run(command, streams),
        Command::Simulate(args) => simulate::run(args, streams),
        Command::Completions(args) => completions::run(&args, Cli::command(), streams),
    }
}

/// Help and version go to stdout with 0, mistakes to stderr with 2; clap knows which is which.
fn refuse_usage(error: &clap::Error, streams: &mut Streams) -> Exit {
    let text = if streams.is_styled() {
        error.render().ansi().to_string()
    } else {
        error.render().to_string()
    };
    let written = if error.use_stderr() {
        streams.say_raw(&text);
        Ok(())
    } else {
        streams.print(&text).and_then(|()| streams.flush())
    };
    match written {
        Ok(()) if error.use_stderr() => Exit::Usage,
        Ok(()) => Exit::Done,
        Err(failure) => streams.fail(&failure),
    }
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
