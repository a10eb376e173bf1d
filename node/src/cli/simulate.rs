//! `ocelli simulate`: the arguments of a network that does not exist.
//!
//! Does: name the options. Does not: simulate.
//! In: the command line. Out: [`SimulateOptions`].

use std::net::IpAddr;
use std::path::PathBuf;

/// Examples shown by `ocelli simulate --help`.
pub const EXAMPLES: &str = "\
Examples:
  ocelli simulate --agents 1000 --base 127.1.0.1 --port 1161 --resources-out resources.json
  ocelli simulate --agents 10 --v3-user u:SHA-256:authpass1:AES-128:privpass1
  ocelli simulate --agents 1 --recording switch.snmprec --fault loss=0.1";

/// Arguments of `simulate`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SimulateOptions {
    /// Agents, each with an address of its own.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub agents: u32,
    /// Address of the first agent; the others follow it.
    #[arg(long, default_value = "127.1.0.1", value_name = "ADDRESS")]
    pub base: IpAddr,
    /// UDP port of all agents; 0 takes a free one.
    #[arg(long, default_value_t = 1161, value_name = "PORT")]
    pub port: u16,
    /// Interfaces of each generated switch.
    #[arg(long, default_value_t = 48, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub interfaces: u32,
    /// Community of v1 and v2c.
    #[arg(long, default_value = "public", value_name = "COMMUNITY")]
    pub community: String,
    /// A v3 user, NAME[:AUTH:PASSPHRASE[:PRIV:PASSPHRASE]]; may be given more than once.
    #[arg(long, value_name = "USER")]
    pub v3_user: Vec<String>,
    /// Replay a .snmprec file instead of a generated switch; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub recording: Vec<PathBuf>,
    /// A fault, such as silence, loss=0.1, delay=200ms, reboot, reindex, reset, wrap.
    #[arg(long, value_name = "SPEC")]
    pub fault: Vec<String>,
    /// Seed of all chance: the same seed is the same network.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// Write the agents as resources that `kind = "json"` reads.
    #[arg(long, value_name = "FILE")]
    pub resources_out: Option<PathBuf>,
}
