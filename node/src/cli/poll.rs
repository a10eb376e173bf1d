//! `ocelli poll`: the arguments of one real collection.
//!
//! Does: name the options. Does not: collect.
//! In: the command line. Out: [`PollOptions`].

use super::config_source::ConfigOptions;

/// Examples shown by `ocelli poll --help`.
pub const EXAMPLES: &str = "\
Examples:
  ocelli poll switch1 --plugin interfaces --once --config ocelli.toml
  ocelli poll dc1/switch1 --plugin interfaces --once --trace";

/// Arguments of `poll`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PollOptions {
    /// The resource: its id, site/id, endpoint or full identity.
    pub resource: String,
    /// The polling plugin.
    #[arg(long, value_name = "NAME")]
    pub plugin: String,
    /// Collect once and print Influx lines; nothing is written to the bus.
    #[arg(long, required = true)]
    pub once: bool,
    /// Print each request and reply on stderr.
    #[arg(long)]
    pub trace: bool,
    #[command(flatten)]
    /// Where the configuration is.
    pub config: ConfigOptions,
}
