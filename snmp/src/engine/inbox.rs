//! Where datagrams land: one buffer for a batch, shared by all sockets of an engine.
//!
//! Does: hold the bytes of up to [`BATCH_PACKETS`] datagrams and what the kernel says of each.
//! Does not: receive (`socket` fills it), parse.
//! In: a batch. Out: datagrams, mutable, since v3 is decrypted in place. Allocated once; a page of
//! a slot that no long datagram ever touched is never resident (256 KiB of 594 KB usually are).

use std::io::IoSliceMut;
use std::net::SocketAddr;

use ocelli_model::clock::WallMs;

use super::limits::{BATCH_PACKETS, RECEIVE_BYTES_MAX};

/// What the kernel says of one datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Bytes received, at most [`RECEIVE_BYTES_MAX`].
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// When the kernel got it, if it says so.
    pub(crate) stamp: Option<WallMs>,
    /// Whether it was longer than the buffer.
    pub(crate) is_cut: bool,
}

/// One batch of datagrams.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Box<[u8]>,
    arrivals: Vec<Arrival>,
}

impl Inbox {
    /// An empty one; the only allocation.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH_PACKETS * RECEIVE_BYTES_MAX].into_boxed_slice(),
            arrivals: Vec::with_capacity(BATCH_PACKETS),
        }
    }

    /// The buffers for a batch, and where to note what came in them; nothing is noted yet.
    pub(crate) fn refill(&mut self) -> ([[IoSliceMut<'_>; 1]; BATCH_PACKETS], &mut Vec<Arrival>) {
        self.arrivals.clear();
        let mut chunks = self.bytes.chunks_exact_mut(RECEIVE_BYTES_MAX);
        let slices = std::array::from_fn(|_| {
            let chunk = chunks.next().unwrap_or_default();
            [IoSliceMut::new(chunk)]
        });
        (slices, &mut self.arrivals)
    }

    /// Datagrams in this batch.
    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// The `position`-th datagram of this batch.
    pub(crate) fn datagram(&mut self, position: usize) -> Option<(Arrival, &mut [u8])> {
        let arrival = *self.arrivals.get(position)?;
        let start = position * RECEIVE_BYTES_MAX;
        let bytes = self.bytes.get_mut(start..start + arrival.len)?;
        Some((arrival, bytes))
    }
}
