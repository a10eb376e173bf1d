//! The floor: a loop that sends requests encoded before and receives replies without reading them.
//!
//! Does: the same socket options, window, destinations, rate and tick as the engine; for v3 the
//! same cryptography on top. Does not: match, decode, time out (a reply that is late by 1 s is
//! given up so that its destination is asked again).
//! In: a load. Out: work.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use ocelli_model::clock::{Clock, Monotonic};
use ocelli_snmp::message::{Version, encode_request};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::pdu::{Request, RequestId, RequestKind};
use ocelli_snmp::v3::{Outgoing, Peer};
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use super::agents::column;
use super::{
    COLUMNS, DEVICES, Load, Mode, ROWS_PER_REPLY, RealClock, TICK, Work, cpu, device, user,
};

const BATCH: usize = 64;
const DATAGRAM: usize = 9_280;
const LOST_AFTER_NANOS: u64 = 1_000_000_000;

struct Destination {
    address: SocketAddrAny,
    packet: Vec<u8>,
    peer: Option<Peer>,
    asked_at: Option<Monotonic>,
}

struct Loop {
    socket: UdpSocket,
    destinations: Vec<Destination>,
    names: Vec<EncodedOid>,
    next: usize,
    bytes: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
    replies: u64,
    reply_bytes_min: usize,
}

/// Runs the loop and measures all but its first half second.
pub(crate) fn run(load: Load) -> Work {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(measure(load))
}

async fn measure(load: Load) -> Work {
    let clock = RealClock;
    let mut bare = Loop::new(load);
    let warm = clock.monotonic().after(load.measure / 4);
    bare.poll_until(load, warm).await;
    let (cpu_before, replies, started) = (cpu(), bare.replies, clock.monotonic());
    bare.poll_until(load, started.after(load.measure)).await;
    let replies = bare.replies - replies;
    Work {
        replies,
        varbinds: replies * 50,
        cpu: cpu() - cpu_before,
        elapsed: clock.monotonic().since(started),
    }
}

impl Loop {
    fn new(load: Load) -> Self {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).ok();
        setsockopt(&socket, sockopt::SndBufForce, &(4 << 20)).ok();
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).unwrap();
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true).unwrap();
        let names: Vec<EncodedOid> = (0..COLUMNS)
            .map(|number| EncodedOid::new(&column(number).parse().unwrap()).unwrap())
            .collect();
        let user = user();
        let destination = |number| {
            let mut buffer = vec![0; 1_472];
            let request = request(&names);
            let packet = encode_request(&mut buffer, Version::V2c, b"public", &request).unwrap();
            Destination {
                address: SocketAddr::from(device(number, load.port)).as_any(),
                packet: packet.to_vec(),
                peer: (load.mode == Mode::V3).then(|| Peer::new(Arc::clone(&user), b"", 7)),
                asked_at: None,
            }
        };
        let destinations = (0..DEVICES).map(destination).collect();
        let control = Some(nix::cmsg_space!(TimeSpec));
        Self {
            socket,
            destinations,
            names,
            next: 0,
            bytes: vec![0; BATCH * DATAGRAM],
            headers: MultiHeaders::preallocate(BATCH, control),
            replies: 0,
            reply_bytes_min: usize::MAX,
        }
    }

    async fn poll_until(&mut self, load: Load, end: Monotonic) {
        let clock = RealClock;
        let started = clock.monotonic();
        let mut sent = 0;
        loop {
            let now = clock.monotonic();
            if now >= end {
                return;
            }
            while self.receive() == BATCH {}
            let elapsed = u64::try_from(now.since(started).as_micros()).unwrap();
            let due = usize::try_from(elapsed * u64::from(load.rate) / 1_000_000).unwrap();
            while sent < due {
                let count = self.send((due - sent).min(BATCH), now);
                sent += count;
                if count == 0 {
                    break;
                }
            }
            clock.sleep_until(now.after(TICK)).await;
        }
    }

    fn receive(&mut self) -> usize {
        let mut found = [(0, 0); BATCH];
        let mut count = 0;
        {
            let mut chunks = self.bytes.chunks_exact_mut(DATAGRAM);
            let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
            let flags = MsgFlags::MSG_DONTWAIT;
            let fd = self.socket.as_raw_fd();
            let Ok(messages) = recvmmsg(fd, &mut self.headers, slices.iter_mut(), flags, None)
            else {
                return 0;
            };
            for message in messages {
                let ip = message.address.map_or(0, |from| u32::from(from.ip()));
                found[count] = (ip.wrapping_sub(0x7f01_0001) as usize, message.bytes);
                count += 1;
            }
        }
        for (position, (number, len)) in found[..count].iter().enumerate() {
            let Some(destination) = self.destinations.get_mut(*number) else {
                continue;
            };
            destination.asked_at = None;
            self.replies += 1;
            self.reply_bytes_min = self.reply_bytes_min.min(*len);
            if let Some(peer) = &mut destination.peer {
                let start = position * DATAGRAM;
                let datagram = &mut self.bytes[start..start + len];
                let id = RequestId::from_bits(1);
                peer.receive(datagram, id, RealClock.monotonic()).ok();
            }
        }
        count
    }

    /// Sends to the next destinations that wait for no answer; returns to how many.
    fn send(&mut self, wanted: usize, now: Monotonic) -> usize {
        let mut chosen = Vec::with_capacity(BATCH);
        for _ in 0..self.destinations.len() {
            if chosen.len() == wanted {
                break;
            }
            let number = self.next;
            self.next = (self.next + 1) % self.destinations.len();
            let destination = &mut self.destinations[number];
            let is_free = destination
                .asked_at
                .is_none_or(|at| now.0.saturating_sub(at.0) > LOST_AFTER_NANOS);
            if is_free {
                destination.asked_at = Some(now);
                if let Some(peer) = &mut destination.peer {
                    destination.packet.resize(1_472, 0);
                    let buffer = &mut destination.packet;
                    let request = request(&self.names);
                    let written = peer.encode(buffer, &request, now).unwrap();
                    let (Outgoing::Discovery(message) | Outgoing::Request(message)) = written;
                    let len = message.len();
                    destination.packet.drain(..1_472 - len);
                }
                chosen.push(number);
            }
        }
        let slices: Vec<[IoSlice<'_>; 1]> = chosen
            .iter()
            .map(|number| [IoSlice::new(&self.destinations[*number].packet)])
            .collect();
        let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = chosen
            .iter()
            .map(|_| SendAncillaryBuffer::default())
            .collect();
        let mut headers: Vec<MMsgHdr<'_>> = chosen
            .iter()
            .zip(&slices)
            .zip(&mut controls)
            .map(|((number, slice), control)| {
                MMsgHdr::new_with_addr(&self.destinations[*number].address, slice, control)
            })
            .collect();
        if !headers.is_empty() {
            sendmmsg(&self.socket, &mut headers, SendFlags::DONTWAIT).ok();
        }
        chosen.len()
    }
}

fn request(names: &[EncodedOid]) -> Request<'_, EncodedOid> {
    Request {
        kind: RequestKind::GetBulk {
            non_repeaters: 0,
            max_repetitions: ROWS_PER_REPLY,
        },
        id: RequestId::from_bits(1),
        names,
    }
}
