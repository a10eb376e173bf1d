//! How far is the engine from a loop that only sends and receives? Decides the engine's layout.
//!
//! Does: poll 512 agents on loopback addresses by the engine and by a bare loop with the same
//! socket options, destinations, tick and rate, alternating, best of 3; print CPU per reply, the
//! ratio, and M varbinds per CPU-second, for v2c and v3 (SHA-1, AES-128).
//! Does not: judge the agents, which run in a process of their own (this program again).
//! In: `--rate N` replies a second, `--seconds N` a run, `--version 2|3` and `--loop 0|1` (bare,
//! engine) for one alone. Out: lines for people.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "poll/agents.rs"]
mod agents;
#[path = "poll/bare.rs"]
mod bare;
#[path = "poll/polled.rs"]
mod polled;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use ocelli_snmp::usm::{AuthProtocol, Credentials, MasterKeyCache, PrivacyProtocol, UsmUser};

/// Distinct destinations.
pub(crate) const DEVICES: u32 = 512;
/// Columns of the table.
pub(crate) const COLUMNS: u32 = 10;
/// Rows of the table: 51 requests a walk.
pub(crate) const ROWS: u32 = 250;
/// Rows of one reply.
pub(crate) const ROWS_PER_REPLY: u16 = 5;
/// Tick of both loops.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Rounds of which the best counts.
const ROUNDS: usize = 3;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    V2c,
    V3,
}

/// What a loop did in its measured time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) replies: u64,
    pub(crate) varbinds: u64,
    pub(crate) cpu: Duration,
    pub(crate) elapsed: Duration,
}

impl Work {
    fn micros_per_reply(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.replies as f64
    }
}

/// Load of one measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) mode: Mode,
    pub(crate) port: u16,
    /// Replies per second.
    pub(crate) rate: u32,
    pub(crate) measure: Duration,
}

pub(crate) struct RealClock;

impl Clock for RealClock {
    fn monotonic(&self) -> Monotonic {
        let now: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into();
        Monotonic(u64::try_from(now.as_nanos()).unwrap())
    }

    fn wall(&self) -> WallMs {
        let now: Duration = clock_gettime(ClockId::CLOCK_REALTIME).unwrap().into();
        WallMs(i64::try_from(now.as_millis()).unwrap())
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        Box::pin(tokio::time::sleep(at.since(self.monotonic())))
    }
}

pub(crate) struct Xorshift(pub(crate) u64);

impl Rng for Xorshift {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// CPU time of this process.
pub(crate) fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .unwrap()
        .into()
}

/// Where a device is.
pub(crate) fn device(number: u32, port: u16) -> SocketAddrV4 {
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    SocketAddrV4::new(Ipv4Addr::from(first + number), port)
}

/// The user of all agents.
pub(crate) fn user() -> Arc<UsmUser> {
    let credentials = Credentials {
        user: b"monitor",
        auth: Some((AuthProtocol::Sha1, b"authauth1")),
        privacy: Some((PrivacyProtocol::Aes128, b"privpriv1")),
    };
    Arc::new(UsmUser::new(&credentials, &mut MasterKeyCache::default()).unwrap())
}

fn argument(name: &str, default: u32) -> u32 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    let value = arguments.nth(1).and_then(|value| value.parse().ok());
    value.unwrap_or(default)
}

fn start_agents(mode: Mode) -> (Child, u16) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--agents", if mode == Mode::V3 { "3" } else { "2" }])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

fn compare(mode: Mode, rate: u32, measure: Duration) {
    let (mut agents, port) = start_agents(mode);
    let load = Load {
        mode,
        port,
        rate,
        measure,
    };
    let mut best: [Option<Work>; 2] = [None, None];
    for round in 0..ROUNDS {
        for (place, run) in [bare::run as fn(Load) -> Work, polled::run]
            .iter()
            .enumerate()
        {
            let wanted = argument("--loop", u32::MAX);
            if wanted != u32::MAX && u32::try_from(place) != Ok(wanted) {
                continue;
            }
            let work = run(load);
            println!(
                "  round {round} {}: {:.2} us a reply, {:.0} replies/s",
                ["bare  ", "engine"][place],
                work.micros_per_reply(),
                work.replies as f64 / work.elapsed.as_secs_f64(),
            );
            let known = best[place].map_or(f64::MAX, |known| known.micros_per_reply());
            if work.micros_per_reply() < known {
                best[place] = Some(work);
            }
        }
    }
    // The agents end with their standard input.
    drop(agents.stdin.take());
    agents.wait().unwrap();
    let [Some(bare), Some(engine)] = best else {
        return;
    };
    println!(
        "{mode:?}: bare {:.2} us a reply ({:.1} M varbinds/CPU-s), engine {:.2} us \
         ({:.1} M varbinds/CPU-s), bare/engine {:.2} (target {})",
        bare.micros_per_reply(),
        bare.varbinds as f64 / bare.cpu.as_secs_f64() / 1e6,
        engine.micros_per_reply(),
        engine.varbinds as f64 / engine.cpu.as_secs_f64() / 1e6,
        bare.micros_per_reply() / engine.micros_per_reply(),
        if mode == Mode::V3 { "0.70" } else { "0.75" },
    );
}

fn main() {
    // `cargo test --benches` runs benches too: only `cargo bench` measures.
    match argument("--agents", 0) {
        3 => return agents::serve(Mode::V3),
        2 => return agents::serve(Mode::V2c),
        _ => {}
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let measure = Duration::from_secs(argument("--seconds", 2).into());
    let rate = argument("--rate", 100_000);
    println!("{DEVICES} destinations, {rate} replies/s of 50 varbinds, {measure:?} a run");
    let version = argument("--version", 0);
    if version != 3 {
        compare(Mode::V2c, rate, measure);
    }
    if version != 2 {
        compare(Mode::V3, rate / 2, measure);
    }
}
