//! One UDP socket of an engine: opened with its options, drained and flushed in batches.
//!
//! Does: kernel timestamps (`SO_TIMESTAMPNS`), large buffers, `IP_RECVERR` so that an ICMP error
//! reaches the operation that it is about. Does not: know requests.
//! In: [`Inbox`], [`Outbox`]. Out: datagrams. One system call for up to 64 of them each way.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg,
    recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use ocelli_model::clock::WallMs;
use socket2::{Domain, Protocol, Socket, Type};

use super::inbox::{Arrival, Inbox};
use super::limits::{BATCH_PACKETS, SOCKET_RECEIVE_BYTES, SOCKET_SEND_BYTES};
use super::outbox::Outbox;

/// Errors read from the error queue per call; the rest waits for the next tick.
const ERRORS_PER_CALL_MAX: usize = 64;
/// Bytes of our own request that an ICMP error quotes and we look at: enough for the request id.
const QUOTED_BYTES_MAX: usize = 512;

/// Why no socket could be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a UDP socket at {local}: {source}; check `snmp.source` and the file limit")]
pub struct OpenError {
    /// The local address asked for.
    pub local: SocketAddr,
    /// The kernel's reason.
    #[source]
    pub source: io::Error,
}

/// What the kernel says about a datagram that we sent.
#[derive(Debug)]
pub(crate) struct SendError<'a> {
    /// What happened to it.
    pub(crate) errno: Errno,
    /// Its first bytes.
    pub(crate) quoted: &'a [u8],
}

/// The headers of one family, filled by the kernel.
enum Headers {
    V4(MultiHeaders<SockaddrIn>),
    V6(MultiHeaders<SockaddrIn6>),
}

/// One socket.
pub(crate) struct EngineSocket {
    socket: Socket,
    headers: Headers,
    pub(crate) outbox: Outbox,
}

impl EngineSocket {
    /// Binds to `local` (port 0 as a rule) with all options set before the first datagram.
    pub(crate) fn open(local: SocketAddr) -> Result<Self, OpenError> {
        let socket = open(local).map_err(|source| OpenError { local, source })?;
        let timestamp = Some(nix::cmsg_space!(TimeSpec));
        let headers = match local.ip() {
            IpAddr::V4(_) => Headers::V4(MultiHeaders::preallocate(BATCH_PACKETS, timestamp)),
            IpAddr::V6(_) => Headers::V6(MultiHeaders::preallocate(BATCH_PACKETS, timestamp)),
        };
        Ok(Self {
            socket,
            headers,
            outbox: Outbox::new(),
        })
    }

    /// Fills `inbox` with what has come, at most one batch.
    ///
    /// # Errors
    /// An error that an earlier send brought; read it by [`EngineSocket::errors`] and go on.
    pub(crate) fn receive(&mut self, inbox: &mut Inbox) -> Result<(), Errno> {
        let fd = self.socket.as_raw_fd();
        let result = match &mut self.headers {
            Headers::V4(headers) => receive(fd, headers, inbox),
            Headers::V6(headers) => receive(fd, headers, inbox),
        };
        match result {
            Err(Errno::EAGAIN | Errno::EINTR) | Ok(()) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Reads what ICMP said about datagrams of ours.
    pub(crate) fn errors(&self, mut handle: impl FnMut(SendError<'_>)) {
        for _ in 0..ERRORS_PER_CALL_MAX {
            let fd = self.socket.as_raw_fd();
            let more = match self.headers {
                Headers::V4(_) => next_error::<SockaddrIn>(fd, &mut handle),
                Headers::V6(_) => next_error::<SockaddrIn6>(fd, &mut handle),
            };
            if !more {
                return;
            }
        }
    }
}

impl AsFd for EngineSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl EngineSocket {
    /// The outbox and the socket it goes to, borrowed apart.
    pub(crate) fn sending(&mut self) -> (&mut Outbox, BorrowedFd<'_>) {
        (&mut self.outbox, self.socket.as_fd())
    }
}

fn open(local: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(local);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    // As root the limit of the system is passed; otherwise it holds, which is fine too.
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_RECEIVE_BYTES).is_err() {
        socket.set_recv_buffer_size(SOCKET_RECEIVE_BYTES)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_SEND_BYTES).is_err() {
        socket.set_send_buffer_size(SOCKET_SEND_BYTES)?;
    }
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    match domain {
        Domain::IPV6 => {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        }
        _ => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
    }
    socket.bind(&local.into())?;
    Ok(socket)
}

/// One `recvmmsg`. The kernel writes one timestamp into each header's control space and the
/// address into its name, so their sizes never shrink between calls.
fn receive<S>(fd: i32, headers: &mut MultiHeaders<S>, inbox: &mut Inbox) -> Result<(), Errno>
where
    S: SockaddrLike + Copy + Into<SocketAddr>,
{
    let (mut slices, arrivals) = inbox.refill();
    let flags = MsgFlags::MSG_DONTWAIT;
    for message in recvmmsg(fd, headers, slices.iter_mut(), flags, None)? {
        let Some(from) = message.address else {
            continue;
        };
        arrivals.push(Arrival {
            len: message.bytes,
            from: from.into(),
            stamp: message.cmsgs().ok().and_then(stamp),
            is_cut: message.flags.contains(MsgFlags::MSG_TRUNC),
        });
    }
    Ok(())
}

fn stamp(mut controls: impl Iterator<Item = ControlMessageOwned>) -> Option<WallMs> {
    controls.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => {
            Some(WallMs(time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000))
        }
        _ => None,
    })
}

/// Takes one error off the queue; false when there is none.
fn next_error<S>(fd: i32, handle: &mut impl FnMut(SendError<'_>)) -> bool
where
    S: SockaddrLike + Copy,
{
    let mut quoted = [0; QUOTED_BYTES_MAX];
    let mut slices = [io::IoSliceMut::new(&mut quoted)];
    let mut control = nix::cmsg_space!(TimeSpec, [u8; 64]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let Ok(message) = recvmsg::<S>(fd, &mut slices, Some(&mut control), flags) else {
        return false;
    };
    let errno = message.cmsgs().ok().and_then(|mut controls| {
        controls.find_map(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                i32::try_from(error.ee_errno).ok().map(Errno::from_raw)
            }
            _ => None,
        })
    });
    let len = message.bytes;
    if let Some(errno) = errno {
        handle(SendError {
            errno,
            quoted: quoted.get(..len).unwrap_or_default(),
        });
    }
    true
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
