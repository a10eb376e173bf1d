//! Requests collected for one system call.
//!
//! Does: hand out the buffer of the next request, keep address and owner of each, send them.
//! Does not: open sockets, encode. In: requests written from the back of a buffer. Out: datagrams.
//! Full: the caller sends before it asks for another buffer; what the kernel does not take then is
//! dropped and counted, its operation waits for its time-out and tries again.

use std::io::IoSlice;
use std::net::SocketAddr;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use super::limits::{BATCH_PACKETS, SEND_BYTES_MAX};

/// A request that waits to be sent.
#[derive(Debug, Clone)]
struct Letter {
    address: SocketAddrAny,
    /// Where it begins in its buffer; it ends with the buffer.
    start: usize,
    owner: u32,
}

/// A request that the kernel refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The operation that wrote it.
    pub(crate) owner: u32,
    /// The kernel's reason.
    pub(crate) errno: Errno,
}

/// What one flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// Datagrams that the kernel took.
    pub(crate) sent: usize,
    /// Datagrams dropped because the kernel's buffer is full.
    pub(crate) dropped: usize,
}

/// Up to [`BATCH_PACKETS`] requests.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: Box<[u8]>,
    letters: Vec<Letter>,
}

impl Outbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH_PACKETS * SEND_BYTES_MAX].into_boxed_slice(),
            letters: Vec::with_capacity(BATCH_PACKETS),
        }
    }

    /// Whether it must be flushed before the next request.
    pub(crate) fn is_full(&self) -> bool {
        self.letters.len() >= BATCH_PACKETS
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// The buffer of the next request; empty if the outbox is full.
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        let start = self.letters.len() * SEND_BYTES_MAX;
        let bytes = self.bytes.get_mut(start..start + SEND_BYTES_MAX);
        bytes.unwrap_or_default()
    }

    /// Takes the last `len` bytes of that buffer as a request to `address`.
    pub(crate) fn push(&mut self, len: usize, address: SocketAddr, owner: u32) {
        debug_assert!(!self.is_full(), "flush first");
        self.letters.push(Letter {
            address: address.as_any(),
            start: SEND_BYTES_MAX.saturating_sub(len),
            owner,
        });
    }

    /// Sends all requests; afterwards it is empty. Calls `refused` for each that the kernel
    /// refuses. One system call unless it refuses some.
    pub(crate) fn flush(&mut self, socket: impl AsFd, mut refused: impl FnMut(Refused)) -> Flushed {
        let mut flushed = Flushed::default();
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH_PACKETS] =
            std::array::from_fn(|_| SendAncillaryBuffer::default());
        let slices: [[IoSlice<'_>; 1]; BATCH_PACKETS] = std::array::from_fn(|position| {
            let start = self.letters.get(position).map_or(0, |letter| letter.start);
            let end = (position + 1) * SEND_BYTES_MAX;
            let bytes = self.bytes.get(position * SEND_BYTES_MAX + start..end);
            [IoSlice::new(bytes.unwrap_or_default())]
        });
        let mut headers: Vec<MMsgHdr<'_>> = self
            .letters
            .iter()
            .zip(&slices)
            .zip(&mut controls)
            .map(|((letter, slice), control)| {
                MMsgHdr::new_with_addr(&letter.address, slice, control)
            })
            .collect();
        let mut first = 0;
        let mut is_second_try = false;
        // Each turn sends or refuses one request at least, or is the second try of one.
        while let Some(rest) = headers.get_mut(first..).filter(|rest| !rest.is_empty()) {
            match sendmmsg(&socket, rest, SendFlags::DONTWAIT) {
                Ok(sent) => {
                    first += sent.max(1);
                    flushed.sent += sent;
                    is_second_try = false;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                    flushed.dropped = rest.len();
                    break;
                }
                // The error may be one that an earlier datagram brought (ip(7), IP_RECVERR).
                Err(_) if !is_second_try => is_second_try = true,
                Err(errno) => {
                    if let Some(letter) = self.letters.get(first) {
                        let owner = letter.owner;
                        refused(Refused { owner, errno });
                    }
                    first += 1;
                    is_second_try = false;
                }
            }
        }
        drop(headers);
        self.letters.clear();
        flushed
    }
}
