//! The pulse of a link, in QUIC datagrams.
//!
//! Does: send a beat each 400 ms, read the peer's, end a link whose peer does not hear this
//! node any more. Does not: judge (`link::pulse`).
//! In: datagrams. Out: datagrams; the link's end with [`CloseCode::Unheard`].
//! Datagrams, since nothing stands before them: neither a full stream nor a user that reads slowly
//! can make a healthy link look dead. A peer that takes none (an older release) has no pulse.

use std::sync::Arc;

use bytes::Bytes;

use super::link::LinkCore;
use crate::link::close::{CloseCode, Closed};
use crate::link::pulse::{BEAT_EVERY, Beat, Pulse};

/// Beats until the link ends.
pub(super) async fn beat(core: Arc<LinkCore>) {
    if core.connection.max_datagram_size().is_none() {
        return;
    }
    let mut pulse = Pulse::new(core.clock.monotonic());
    let mut next = core.clock.monotonic();
    loop {
        tokio::select! {
            datagram = core.connection.read_datagram() => match datagram {
                Ok(bytes) => {
                    if let Some(beat) = Beat::read(&bytes) {
                        pulse.heard(beat, core.clock.monotonic());
                    }
                }
                // The end of the connection, which `watch_end` tells.
                Err(_) => return,
            },
            () = core.clock.sleep_until(next) => {
                if pulse.is_unheard(core.clock.monotonic()) {
                    let reason = "the peer has heard nothing of this node for 3.6 s";
                    core.end(Closed::here(CloseCode::Unheard, reason));
                    return;
                }
                let beat = Bytes::copy_from_slice(&pulse.beat().bytes());
                if let Err(error) = core.connection.send_datagram(beat) {
                    tracing::trace!(%error, "a beat was not sent");
                }
                next = core.clock.monotonic().after(BEAT_EVERY);
            }
            _ = core.inbox.closed() => return,
        }
    }
}
