//! `ocelli simulate`: a network that does not exist, until Ctrl-C or SIGTERM.
//!
//! Does: read the arguments, run the simulator. Does not: simulate (`crate::simulate`).
//! In: the command line. Out: `ready` on stdout, files; exit 0 when stopped.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use ocelli_model::secret::Secret;

use super::exit::{Exit, Failure};
use super::output::Streams;
use super::runtime::run_until_stopped;
use crate::clock::RealClock;
use crate::simulate::{self, MESSAGE_OCTETS_MAX, SimulateOptions, parse_fault, parse_v3_user};

const EXAMPLES: &str = "\
Examples:
  ocelli simulate --agents 1000 --base 127.1.0.1 --port 1161 --resources-out resources.json
  ocelli simulate --agents 10 --v3-user monitor,SHA-256,authpass1,AES-128,privpass1
  ocelli simulate --recording switch.snmprec --fault silence:agents=1,from=10s,for=20s

Faults: silence, loss=0.1, delay=200ms, reboot, reindex, reset, wrap, wrong-source, garbage, stuck,
endless, toobig=20, foreign-id; each with :agents=3-5+9,from=10s,for=20s.
SIGUSR1 writes the counts.";

/// Arguments of `simulate`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SimulateArgs {
    /// Agents, each with an address of its own.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    agents: u32,
    /// Address of the first agent; the others follow it.
    #[arg(long, default_value = "127.1.0.1", value_name = "ADDRESS")]
    base: Ipv4Addr,
    /// UDP port of all agents; 0 takes a free one.
    #[arg(long, default_value_t = 1161, value_name = "PORT")]
    port: u16,
    /// Interfaces of each generated switch.
    #[arg(long, default_value_t = 48, value_name = "COUNT")]
    interfaces: u32,
    /// Community of v1 and v2c.
    #[arg(long, default_value = "public", value_name = "COMMUNITY")]
    community: Secret<String>,
    /// A v3 user, NAME[,AUTH,PASSPHRASE[,PRIV,PASSPHRASE]]; may be given more than once.
    #[arg(long, value_name = "USER")]
    v3_user: Vec<Secret<String>>,
    /// Replay a .snmprec file in place of a generated switch; may be given more than once.
    #[arg(long, value_name = "FILE")]
    recording: Vec<PathBuf>,
    /// A fault, such as loss=0.1:agents=3; may be given more than once.
    #[arg(long, value_name = "SPEC")]
    fault: Vec<String>,
    /// Seed of all chance: the same seed is the same network.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Largest answer, bytes.
    #[arg(long, default_value_t = MESSAGE_OCTETS_MAX, value_name = "BYTES")]
    message_bytes_max: usize,
    /// Site of the resources.
    #[arg(long, default_value = "sim", value_name = "NAME")]
    site: String,
    /// Write the agents as resources that `kind = "json"` reads.
    #[arg(long, value_name = "FILE")]
    resources_out: Option<PathBuf>,
    /// Write how often each agent was asked for each OID, at the end and on SIGUSR1.
    #[arg(long, value_name = "FILE")]
    counts_out: Option<PathBuf>,
}

/// Runs `ocelli simulate`.
pub(crate) fn run(args: SimulateArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let options = options(args)?;
    run_until_stopped(|stop| async {
        let ended = simulate::run(options, Arc::new(RealClock), stop, streams.data()).await;
        ended
            .map(|()| Exit::Done)
            .map_err(|error| Failure::new(Exit::Failed, error))
    })
}

fn options(args: SimulateArgs) -> Result<SimulateOptions, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error);
    let users = args.v3_user.iter().map(|text| parse_v3_user(text.expose()));
    let faults = args.fault.iter().map(|text| parse_fault(text));
    Ok(SimulateOptions {
        agents: args.agents,
        base: args.base,
        port: args.port,
        interfaces: args.interfaces,
        community: args.community.expose().clone(),
        users: users
            .collect::<Result<_, _>>()
            .map_err(|error| usage(&error))?,
        recordings: args.recording,
        faults: faults
            .collect::<Result<_, _>>()
            .map_err(|error| usage(&error))?,
        seed: args.seed,
        message_octets_max: args.message_bytes_max,
        resources_out: args.resources_out,
        counts_out: args.counts_out,
        site: args.site,
    })
}
