//! Is the simulator cheap enough to stand opposite a poller under test? It must answer 100,000
//! GETBULKs of 50 variables per CPU-second, or it limits what is measured.
//!
//! Does: ask 256 agents in bursts from one thread, print CPU per answer of the simulator's thread
//! as a ratio to the asking thread's own system calls (the least that any answer costs), best of
//! 3, with the median and p99 of bursts. Does not: check answers.
//! In: nothing. Out: lines for people.

#![expect(clippy::unwrap_used, reason = "a bench: a failure is the report")]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use nix::time::{ClockId, clock_gettime};
use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use ocelli_node::simulate::{SimulateOptions, Simulator, parse_v3_user};
use ocelli_snmp::message::{Version, encode_request};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::pdu::{Request, RequestId, RequestKind};
use ocelli_snmp::v3::{NextStep, Outgoing, Peer, Received};

/// Agents asked; as many addresses as design.md §13 wants.
const AGENTS: u32 = 256;
/// Requests sent by one system call.
const BURST: usize = 64;
/// Bursts of one measurement.
const BURSTS: usize = 2_000;
/// Measurements of which the best counts.
const ROUNDS: usize = 3;

struct BenchClock;

impl Clock for BenchClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(u64::try_from(time(ClockId::CLOCK_BOOTTIME).as_nanos()).unwrap())
    }

    fn wall(&self) -> WallMs {
        WallMs(0)
    }

    fn sleep_until(&self, _at: Monotonic) -> Sleep {
        Box::pin(std::future::pending())
    }
}

fn time(clock: ClockId) -> Duration {
    clock_gettime(clock).unwrap().into()
}

fn columns() -> Vec<EncodedOid> {
    let name = |column: u32| format!("1.3.6.1.2.1.31.1.1.1.{column}");
    (6..11)
        .map(|column| EncodedOid::new(&name(column).parse().unwrap()).unwrap())
        .collect()
}

fn request(names: &[EncodedOid]) -> Request<'_, EncodedOid> {
    let kind = RequestKind::GetBulk {
        non_repeaters: 0,
        max_repetitions: 10,
    };
    Request {
        kind,
        id: RequestId::from_bits(7),
        names,
    }
}

/// One v2c request that all agents take.
fn community_requests(simulator: &Simulator) -> Vec<(Vec<u8>, SockaddrIn)> {
    let mut buffer = [0; 2_000];
    let names = columns();
    let message = encode_request(&mut buffer, Version::V2c, b"public", &request(&names)).unwrap();
    let to = |agent| SockaddrIn::from(simulator.address(agent).unwrap());
    (1..=AGENTS)
        .map(|agent| (message.to_vec(), to(agent)))
        .collect()
}

/// A v3 request for each agent, after discovery.
fn protected_requests(simulator: &Simulator, user: &str) -> Vec<(Vec<u8>, SockaddrIn)> {
    let user = Arc::new(parse_v3_user(user).unwrap());
    let names = columns();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |agent: u32| {
        let address: SocketAddrV4 = simulator.address(agent).unwrap();
        let mut peer = Peer::new(Arc::clone(&user), b"", agent.into());
        loop {
            let (mut buffer, mut answer) = ([0; 2_000], [0; 2_000]);
            let request = request(&names);
            let now = BenchClock.monotonic();
            let sent = match peer.encode(&mut buffer, &request, now).unwrap() {
                Outgoing::Request(sent) => return (sent.to_vec(), address.into()),
                Outgoing::Discovery(sent) => sent,
            };
            socket.send_to(sent, address).unwrap();
            let length = socket.recv(&mut answer).unwrap();
            let Ok(Received::Report(report)) = peer.receive(&mut answer[..length], request.id, now)
            else {
                panic!("no report");
            };
            assert_eq!(report.next, NextStep::SendAgain);
        }
    };
    (1..=AGENTS).map(ask).collect()
}

/// Sends a burst and takes all answers; octets received.
fn burst(
    socket: &UdpSocket,
    requests: &[(Vec<u8>, SockaddrIn)],
    [sending, receiving]: &mut [MultiHeaders<SockaddrIn>; 2],
    buffers: &mut [[u8; 2_048]],
) -> usize {
    let slices: Vec<[IoSlice<'_>; 1]> = requests
        .iter()
        .map(|(message, _)| [IoSlice::new(message)])
        .collect();
    let addresses: Vec<Option<SockaddrIn>> = requests.iter().map(|(_, to)| Some(*to)).collect();
    let flags = MsgFlags::empty();
    sendmmsg(socket.as_raw_fd(), sending, &slices, addresses, [], flags).unwrap();
    let (mut answered, mut octets) = (0, 0);
    while answered < requests.len() {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let descriptor = socket.as_raw_fd();
        for message in recvmmsg(descriptor, receiving, &mut slices, flags, None).unwrap() {
            answered += 1;
            octets += message.bytes;
        }
    }
    octets
}

/// CPU seconds per answer: the simulator's, and the asking thread's.
fn measure(what: &str, requests: &[(Vec<u8>, SockaddrIn)]) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut headers = [(); 2].map(|()| MultiHeaders::preallocate(BURST, None));
    let mut buffers = vec![[0; 2_048]; BURST];
    let mut best: Option<(f64, f64, Vec<Duration>)> = None;
    for _ in 0..ROUNDS {
        let (all, own) = (
            ClockId::CLOCK_PROCESS_CPUTIME_ID,
            ClockId::CLOCK_THREAD_CPUTIME_ID,
        );
        let (all_before, own_before) = (time(all), time(own));
        let mut took = Vec::with_capacity(BURSTS);
        for (_, chunk) in (0..BURSTS).zip(requests.chunks_exact(BURST).cycle()) {
            let before = time(ClockId::CLOCK_MONOTONIC);
            burst(&socket, chunk, &mut headers, &mut buffers);
            took.push(time(ClockId::CLOCK_MONOTONIC) - before);
        }
        let answers = (BURSTS * BURST) as f64;
        let asking = (time(own) - own_before).as_secs_f64() / answers;
        let answering = (time(all) - all_before).as_secs_f64() / answers - asking;
        took.sort_unstable();
        if best.as_ref().is_none_or(|(least, _, _)| answering < *least) {
            best = Some((answering, asking, took));
        }
    }
    let (answering, asking, took) = best.unwrap();
    println!(
        "{what:<20} {:6.2} µs CPU an answer ({:.0} answers per CPU-second), {:.2} × asking; \
         bursts of {BURST}: median {:?}, p99 {:?}",
        answering * 1e6,
        1.0 / answering,
        answering / asking,
        took[took.len() / 2],
        took[took.len() * 99 / 100],
    );
}

fn main() {
    let users = ["monitor,SHA-1,password1,AES-128,password2"];
    let options = SimulateOptions {
        agents: AGENTS,
        port: 0,
        users: users
            .iter()
            .map(|user| parse_v3_user(user).unwrap())
            .collect(),
        ..SimulateOptions::default()
    };
    let simulator = Simulator::start(&options, Arc::new(BenchClock)).unwrap();
    measure("v2c", &community_requests(&simulator));
    measure(
        "v3 SHA-1 AES-128",
        &protected_requests(&simulator, users[0]),
    );
    simulator.stop().unwrap();
}
