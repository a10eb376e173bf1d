//! The contract of a link between two nodes, after the handshake.
//!
//! Does: say what the users of a link (`uplink`, `ingest`) rely on, so that QUIC and memory are the
//! same to them. Does not: move a byte. In: frames to send. Out: frames of the peer, or the end.
//! Invariants: order within the control stream and within a channel is kept; nothing is lost while
//! the link stands; once [`Link::receive`] has answered an error it answers the same for ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::close::{CloseCode, Closed};
use super::statistics::LinkStatistics;
use crate::frame::{Channel, Control, Frame, FrameError, Hello, Welcome};
use crate::identity::PeerIdentity;

/// A future of a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which end of a link a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Opened it: sends blocks.
    Dialler,
    /// Took it: acknowledges.
    Acceptor,
}

/// Why a frame was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The link has ended; the frame may or may not have reached the peer if others did before it.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The frame passes a limit; the link stands.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Only the dialler has channels for blocks; the link stands.
    #[error("blocks go from the dialler to the acceptor; dial the peer to send it blocks")]
    WrongSide,
}

impl SendError {
    /// Whether another link may take the same frame.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Frame(_) | Self::WrongSide => false,
        }
    }
}

/// An established link, after Welcome. Dropping the last handle closes it with [`CloseCode::Done`].
pub trait Link: Send + Sync + 'static {
    /// Who the peer is, from its certificate.
    fn peer(&self) -> &Arc<PeerIdentity>;

    /// Which end this is.
    fn side(&self) -> Side;

    /// What the dialler said.
    fn hello(&self) -> &Hello;

    /// What the acceptor answered; its `version` is the one to speak.
    fn welcome(&self) -> &Welcome;

    /// Hands a control frame over; waits while the queue of the control stream is full. Cancel
    /// safe: a dropped future has sent the whole frame or nothing.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Frame`].
    fn send_control(&self, control: Control) -> BoxFuture<'_, Result<(), SendError>>;

    /// Hands a block over; waits while the channel's queue is full, which is how the peer's flow
    /// control is felt. Channels do not wait for one another. Cancel safe likewise.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::Frame`] for a block above 1 MiB,
    /// [`SendError::WrongSide`].
    fn send_block(&self, channel: Channel, block: Bytes) -> BoxFuture<'_, Result<(), SendError>>;

    /// The next frame of any stream; where several wait, control first, then the channels in their
    /// order. For one caller at a time. Cancel safe: a frame is answered once or kept.
    ///
    /// # Errors
    /// [`Closed`], after what had come before the end was answered or was lost with it.
    fn receive(&self) -> BoxFuture<'_, Result<Frame, Closed>>;

    /// Ends the link at once; what was handed over and has not reached the peer is lost. The first
    /// call counts.
    fn close(&self, code: CloseCode, reason: &str);

    /// Ends the link in order: Goodbye, streams finished, what was handed over reaches the peer or
    /// `patience` is over, then closed with [`CloseCode::Done`].
    fn finish(&self, reason: &str, patience: Duration) -> BoxFuture<'_, ()>;

    /// Waits for the end. For any number of callers.
    fn closed(&self) -> BoxFuture<'_, Closed>;

    /// Figures since the link stands.
    fn statistics(&self) -> LinkStatistics;
}
