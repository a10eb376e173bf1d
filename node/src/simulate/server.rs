//! The one socket of all agents, and the thread that serves it.
//!
//! Does: receive in batches, hand each datagram to the agent whose address it was sent to, answer
//! from that address, hold answers back that a fault delays. Does not: decide what to answer.
//! In: datagrams to any address of 127/8 at one port. Out: answers.
//! Full: beyond [`DELAYED_MAX`] delayed answers, further ones are dropped and counted; what the
//! kernel cannot send is dropped and counted, as a network would.
//!
//! One socket bound to all addresses serves thousands of agents: `IP_PKTINFO` tells which address
//! was asked and chooses the one that answers. nix shares control messages among all messages of
//! one `sendmmsg`, so answers are sent one by one (2 µs each).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, RcvBufForce};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg,
    setsockopt,
};
use ocelli_model::clock::{Clock, Monotonic};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};

use super::agent::{Agent, Shared};
use super::reply::Reply;

/// Datagrams received by one system call.
const BATCH: usize = 64;
/// Room for one request; longer ones are cut and so malformed.
const REQUEST_OCTETS_MAX: usize = 4_096;
/// Answers that faults hold back at one time, about 100 MB at most.
const DELAYED_MAX: usize = 65_536;
/// Kernel buffer for requests, in octets: thousands of agents may be asked in one burst.
const RECEIVE_BUFFER_OCTETS: usize = 16 << 20;
/// How soon a stop is seen, and how late a delayed answer may be while nothing comes.
const IDLE_WAKE: Duration = Duration::from_millis(20);
/// The same while answers are held back.
const DELAYED_WAKE: Duration = Duration::from_millis(1);
/// Longest noise that the garbage fault sends.
const GARBAGE_OCTETS_MAX: u64 = 200;
/// Where answers of the wrong-source fault come from.
const WRONG_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);

/// Agents with what they share; the server's thread and the handle of the simulator see it.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) base: Ipv4Addr,
    pub(super) agents: Vec<Mutex<Agent>>,
    pub(super) shared: Shared,
    pub(super) stop: AtomicBool,
    pub(super) dropped: AtomicU64,
}

impl Fleet {
    /// The agent with this address.
    pub(super) fn at(&self, address: Ipv4Addr) -> Option<&Mutex<Agent>> {
        let distance = u32::from(address).checked_sub(u32::from(self.base))?;
        self.agents.get(usize::try_from(distance).ok()?)
    }
}

/// A socket for all addresses of the loopback device at `port` (0: any free one).
pub(super) fn bind(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Refused without privileges on old kernels: foreign datagrams are dropped by address too.
    let _unprivileged = socket.bind_device(Some(b"lo")).is_err();
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    setsockopt(&socket, Ipv4PacketInfo, &true)?;
    if setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_OCTETS).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS)?;
    }
    socket.set_read_timeout(Some(IDLE_WAKE))?;
    Ok(socket)
}

/// A datagram of a batch.
#[derive(Clone, Copy)]
struct Arrived {
    octets: usize,
    from: SockaddrIn,
    to: Ipv4Addr,
}

/// An answer that waits.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    due: Monotonic,
    /// Tells apart what is due together; also keeps the order of arrival.
    number: u64,
    source: Ipv4Addr,
    to: (u32, u16),
    message: Box<[u8]>,
}

/// What the thread owns.
pub(super) struct Server {
    fleet: Arc<Fleet>,
    clock: Arc<dyn Clock>,
    socket: Socket,
    delayed: BinaryHeap<Reverse<Delayed>>,
    sent_later: u64,
}

impl Server {
    pub(super) fn new(fleet: Arc<Fleet>, clock: Arc<dyn Clock>, socket: Socket) -> Self {
        Self {
            fleet,
            clock,
            socket,
            delayed: BinaryHeap::new(),
            sent_later: 0,
        }
    }

    /// Serves until [`Fleet::stop`] is set.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut headers = MultiHeaders::preallocate(BATCH, Some(cmsg_space!(in_pktinfo)));
        let mut buffers = vec![[0; REQUEST_OCTETS_MAX]; BATCH];
        let mut reply = Reply::new();
        let mut arrived = Vec::with_capacity(BATCH);
        let mut wake = IDLE_WAKE;
        while !self.fleet.stop.load(Ordering::Relaxed) {
            arrived.clear();
            self.receive(&mut headers, &mut buffers, &mut arrived)?;
            let now = self.clock.monotonic();
            for (datagram, buffer) in arrived.iter().zip(&mut buffers) {
                if let Some(octets) = buffer.get_mut(..datagram.octets) {
                    self.answer(datagram, octets, now, &mut reply);
                }
            }
            self.send_due(self.clock.monotonic());
            let wanted = if self.delayed.is_empty() {
                IDLE_WAKE
            } else {
                DELAYED_WAKE
            };
            if wanted != wake {
                wake = wanted;
                self.socket.set_read_timeout(Some(wake))?;
            }
        }
        Ok(())
    }

    /// Waits for one datagram, then takes those that are there too.
    fn receive(
        &self,
        headers: &mut MultiHeaders<SockaddrIn>,
        buffers: &mut [[u8; REQUEST_OCTETS_MAX]],
        arrived: &mut Vec<Arrived>,
    ) -> io::Result<()> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = match recvmmsg(self.socket.as_raw_fd(), headers, &mut slices, flags, None) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for message in received {
            let to = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|control| match control {
                    ControlMessageOwned::Ipv4PacketInfo(packet) => {
                        Some(Ipv4Addr::from(u32::from_be(packet.ipi_addr.s_addr)))
                    }
                    _ => None,
                })
            });
            // A datagram without either has no octets to answer, but keeps its buffer's place.
            let none = (SockaddrIn::new(0, 0, 0, 0, 0), Ipv4Addr::UNSPECIFIED);
            let (from, to) = message.address.zip(to).unwrap_or(none);
            arrived.push(Arrived {
                octets: message.bytes,
                from,
                to,
            });
        }
        Ok(())
    }

    fn answer(&mut self, arrived: &Arrived, octets: &mut [u8], now: Monotonic, reply: &mut Reply) {
        let fleet = Arc::clone(&self.fleet);
        let Some(agent) = fleet.at(arrived.to) else {
            return;
        };
        let mut agent = agent.lock();
        let active = agent.active(now.since(fleet.shared.started));
        let Some(message) = agent.receive(octets, (&fleet.shared, now), &active, reply) else {
            return;
        };
        if active.is_garbage {
            let length = usize::try_from(1 + agent.draw() % GARBAGE_OCTETS_MAX).unwrap_or(1);
            let length = length.min(message.len());
            for octet in &mut message[..length] {
                *octet = agent.draw().to_le_bytes()[0];
            }
            return self.send(&message[..length], arrived.to, arrived.from);
        }
        let source = if active.is_wrong_source {
            WRONG_SOURCE
        } else {
            arrived.to
        };
        match active.delay {
            None => self.send(message, source, arrived.from),
            Some(_) if self.delayed.len() >= DELAYED_MAX => self.count_dropped(),
            Some(delay) => {
                self.sent_later += 1;
                self.delayed.push(Reverse(Delayed {
                    due: now.after(delay),
                    number: self.sent_later,
                    source,
                    to: (u32::from(arrived.from.ip()), arrived.from.port()),
                    message: (&*message).into(),
                }));
            }
        }
    }

    fn send_due(&mut self, now: Monotonic) {
        while let Some(Reverse(first)) = self.delayed.peek()
            && first.due <= now
        {
            let Some(Reverse(due)) = self.delayed.pop() else {
                return;
            };
            let (address, port) = due.to;
            let to = SocketAddrV4::new(Ipv4Addr::from(address), port);
            self.send(&due.message, due.source, to.into());
        }
    }

    fn send(&self, message: &[u8], source: Ipv4Addr, to: SockaddrIn) {
        let source = in_addr {
            s_addr: u32::from(source).to_be(),
        };
        let packet = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: source,
            ipi_addr: source,
        };
        let control = [ControlMessage::Ipv4PacketInfo(&packet)];
        let slices = [IoSlice::new(message)];
        let flags = MsgFlags::MSG_DONTWAIT;
        if sendmsg(self.socket.as_raw_fd(), &slices, &control, flags, Some(&to)).is_err() {
            self.count_dropped();
        }
    }

    fn count_dropped(&self) {
        self.fleet.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
