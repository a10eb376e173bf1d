//! `ocelli demo`: the arguments of a first look.
//!
//! Does: name the options. Does not: run the demo.
//! In: the command line. Out: [`DemoOptions`].

use std::time::Duration;

use ocelli_model::units::parse_duration;

use super::output::OutputOptions;

/// Examples shown by `ocelli demo --help`.
pub const EXAMPLES: &str = "\
Examples:
  ocelli demo                              simulated switches and this machine, until Ctrl-C
  ocelli demo --switches 100 --every 5s    a larger site
  ocelli demo --for 30s -o json            one object at the end, for scripts";

/// Arguments of `demo`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoOptions {
    /// End after this time. Default: at Ctrl-C.
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    pub duration: Option<Duration>,
    /// Simulated switches.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub switches: u32,
    /// Length of a slot.
    #[arg(long, default_value = "2s", value_parser = parse_duration, value_name = "DURATION")]
    pub every: Duration,
    #[command(flatten)]
    /// Form of the result.
    pub output: OutputOptions,
}
