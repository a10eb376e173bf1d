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
  ocelli demo                              two sites, a region, a global; until Ctrl-C
  ocelli demo --story                      cuts a link, mends it, tells what happens
  ocelli demo --nodes 1                    one node: switches, this machine, no mesh
  ocelli demo --switches 100 --every 5s    larger sites
  ocelli demo --for 30s -o json            one object at the end, for scripts";

/// Arguments of `demo`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoOptions {
    /// End after this time. Default: at Ctrl-C.
    #[arg(long = "for", value_parser = parse_duration, value_name = "DURATION")]
    pub duration: Option<Duration>,
    /// Nodes: 4 are two sites, a region and a global; 1 is a site alone.
    #[arg(long, default_value_t = 4, value_name = "COUNT")]
    #[arg(value_parser = parse_nodes)]
    pub nodes: u32,
    /// Play an outage between a site and its region, and tell it. Ends with the story.
    #[arg(long)]
    pub story: bool,
    /// Simulated switches of each site.
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

fn parse_nodes(text: &str) -> Result<u32, String> {
    match text {
        "1" => Ok(1),
        "4" => Ok(4),
        _ => Err("a demo has 1 node or 4".to_owned()),
    }
}
