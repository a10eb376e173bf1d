//! A link over one QUIC connection, after Welcome.
//!
//! Does: start the tasks of its streams, queue what is sent, answer what came, end once. Does not:
//! read or write streams itself (`streams`), shake hands (`handshake`).
//! In: frames of the user, frames of the tasks. Out: frames, figures, the end.
//! Invariant: whoever ends it, both sides have code and reason, queues are freed, tasks stop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ocelli_bus::limits::BLOCK_BYTES_MAX;
use ocelli_model::clock::Clock;
use parking_lot::Mutex;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::{Notify, Semaphore};
use tracing::{info, warn};

use super::admission::Admitted;
use super::closing;
use super::guard::Guard;
use super::inbox::Inbox;
use super::outbox::{Outbox, Outgoing};
use super::reader::FrameReader;
use super::request::{IncomingRequest, RequestError, RequestLimits, RequestStream};
use super::shares::LinkShare;
use super::streams;
use crate::frame::{
    Channel, Control, Frame, FrameError, FrameKind, Hello, Request, Welcome, encode_control,
    encode_head,
};
use crate::identity::{End, PeerIdentity, Standing};
use crate::link::close::{CloseCode, Closed};
use crate::link::contract::{BoxFuture, Link, SendError, Side};
use crate::link::limits::REQUEST_FRAMES_READ_MAX;
use crate::link::statistics::{FrameCounters, LinkStatistics};
use crate::link::waiting::{wait_for, within};

/// A standing link. Dropping it closes the connection.
pub struct QuicLink(Arc<LinkCore>);

/// What the tasks of a link share.
pub(super) struct LinkCore {
    pub(super) connection: Connection,
    pub(super) side: Side,
    pub(super) peer: Arc<PeerIdentity>,
    pub(super) inbox: Inbox,
    pub(super) control: Outbox,
    /// By [`Channel::index`].
    pub(super) channels: [Outbox; Channel::ALL.len()],
    /// Bit n: the channel with index n has its stream.
    pub(super) channels_open: AtomicU8,
    /// Bytes that the transport has taken of all streams.
    pub(super) written: AtomicU64,
    pub(super) counters: Arc<FrameCounters>,
    pub(super) clock: Arc<dyn Clock>,
    /// Frames of request streams that are being read.
    pub(super) request_frames: Semaphore,
    pub(super) guard: Arc<Guard>,
    hello: Hello,
    welcome: Welcome,
    /// As many as the peer may have streams open.
    requests: Mutex<VecDeque<IncomingRequest>>,
    requested: Notify,
    writers_open: AtomicUsize,
    writer_ended: Notify,
    /// Given back when the link ends.
    place: Mutex<Option<(LinkShare, Option<Admitted>)>>,
}

/// What the handshake leaves to a link.
pub(super) struct Established {
    pub(super) connection: Connection,
    pub(super) side: Side,
    pub(super) peer: Arc<PeerIdentity>,
    pub(super) hello: Hello,
    pub(super) welcome: Welcome,
    pub(super) counters: Arc<FrameCounters>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) place: Option<Admitted>,
    pub(super) share: LinkShare,
    pub(super) guard: Arc<Guard>,
}

impl QuicLink {
    /// Starts the tasks of a link that was just welcomed. Runs inside the endpoint's runtime.
    pub(super) fn start(
        established: Established,
        control: SendStream,
        reader: FrameReader,
    ) -> (Arc<Self>, Arc<LinkCore>) {
        let share = established.share;
        let core = Arc::new(LinkCore {
            connection: established.connection,
            side: established.side,
            peer: established.peer,
            inbox: Inbox::new(share.inbox_bytes(), share.pool()),
            control: Outbox::default(),
            channels: Default::default(),
            channels_open: AtomicU8::new(0),
            written: AtomicU64::new(0),
            counters: established.counters,
            clock: established.clock,
            request_frames: Semaphore::new(REQUEST_FRAMES_READ_MAX),
            guard: established.guard,
            hello: established.hello,
            welcome: established.welcome,
            requests: Mutex::default(),
            requested: Notify::new(),
            writers_open: AtomicUsize::new(0),
            writer_ended: Notify::new(),
            place: Mutex::new(Some((share, established.place))),
        });
        streams::start(&core, control, reader);
        (Arc::new(Self(Arc::clone(&core))), core)
    }

    /// Asks the peer something on a stream of its own; waits while as many are open as it allows.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn open_request(
        &self,
        request: &Request,
        limits: RequestLimits,
    ) -> Result<RequestStream, RequestError> {
        RequestStream::open(Arc::clone(&self.0), request, limits).await
    }

    /// The next request of the peer, its first frame read. Cancel safe.
    ///
    /// # Errors
    /// [`Closed`] when the link has ended.
    pub async fn accept_request(&self) -> Result<IncomingRequest, Closed> {
        let next = wait_for(&self.0.requested, || {
            self.0.requests.lock().pop_front().map(Ok)
        });
        tokio::select! {
            biased;
            request = next => request,
            closed = self.0.inbox.closed() => Err(closed),
        }
    }

    /// The address that the peer's packets come from.
    #[must_use]
    pub fn remote_address(&self) -> std::net::SocketAddr {
        self.0.connection.remote_address()
    }
}

impl LinkCore {
    /// Ends the link; the first call counts, is logged, and tells the peer.
    pub(super) fn end(&self, closed: Closed) {
        if !self.inbox.end(closed.clone()) {
            return;
        }
        closing::close(&self.connection, &closed);
        self.control.end(&closed);
        for channel in &self.channels {
            channel.end(&closed);
        }
        self.requests.lock().clear();
        self.place.lock().take();
        self.writer_ended.notify_waiters();
        let (peer, reason) = (&self.peer.identity, &closed.reason);
        let (code, by_peer) = (closed.code.name(), closed.is_by_peer);
        if closed.code == CloseCode::Done {
            info!(%peer, code, by_peer, %reason, "link ended");
        } else {
            warn!(%peer, code, by_peer, %reason, "link ended");
        }
    }

    /// As what the peer sends frames here.
    pub(super) fn peer_standing(&self) -> Standing {
        Standing {
            dialler: Some(self.hello.tier),
            acceptor: self.welcome.tier,
            role: self.hello.role,
            sender: match self.side {
                Side::Dialler => End::Acceptor,
                Side::Acceptor => End::Dialler,
            },
        }
    }

    /// As what this node sends frames.
    pub(super) fn own_standing(&self) -> Standing {
        Standing {
            sender: match self.side {
                Side::Dialler => End::Dialler,
                Side::Acceptor => End::Acceptor,
            },
            ..self.peer_standing()
        }
    }

    pub(super) fn outboxes(&self) -> impl Iterator<Item = &Outbox> {
        std::iter::once(&self.control).chain(&self.channels)
    }

    pub(super) fn writer_started(&self) {
        self.writers_open.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn writer_finished(&self) {
        self.writers_open.fetch_sub(1, Ordering::AcqRel);
        self.writer_ended.notify_waiters();
    }

    pub(super) fn add_request(&self, request: IncomingRequest) {
        self.requests.lock().push_back(request);
        self.requested.notify_waiters();
    }

    async fn finished(&self) {
        for outbox in self.outboxes() {
            outbox.finish();
        }
        let all_written = || {
            let is_over = self.writers_open.load(Ordering::Acquire) == 0;
            (is_over || self.inbox.ended().is_some()).then_some(())
        };
        wait_for(&self.writer_ended, all_written).await;
    }

    pub(super) async fn send_control(&self, control: Control) -> Result<(), SendError> {
        let head = encode_control(&control)?;
        let payload = Bytes::new();
        self.control.push(Outgoing { head, payload }).await?;
        self.counters.sent(control.kind());
        Ok(())
    }

    async fn send_block(&self, channel: Channel, block: Bytes) -> Result<(), SendError> {
        if self.side == Side::Acceptor {
            return Err(SendError::WrongSide);
        }
        let head = block_head(block.len())?;
        let frame = Outgoing {
            head,
            payload: block,
        };
        // There is an outbox for each channel.
        if let Some(outbox) = self.channels.get(channel.index()) {
            outbox.push(frame).await?;
            self.counters.sent(FrameKind::Block);
        }
        Ok(())
    }
}

fn block_head(bytes: usize) -> Result<Bytes, FrameError> {
    debug_assert!(FrameKind::Block.payload_bytes_max() == BLOCK_BYTES_MAX);
    encode_head(FrameKind::Block, bytes).map(|head| Bytes::copy_from_slice(&head))
}

/// The streams of a request that the peer opened.
pub(super) type Streams = (SendStream, RecvStream);

impl Link for QuicLink {
    fn peer(&self) -> &Arc<PeerIdentity> {
        &self.0.peer
    }

    fn side(&self) -> Side {
        self.0.side
    }

    fn hello(&self) -> &Hello {
        &self.0.hello
    }

    fn welcome(&self) -> &Welcome {
        &self.0.welcome
    }

    fn send_control(&self, control: Control) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(self.0.send_control(control))
    }

    fn send_block(&self, channel: Channel, block: Bytes) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(self.0.send_block(channel, block))
    }

    fn receive(&self) -> BoxFuture<'_, Result<Frame, Closed>> {
        Box::pin(self.0.inbox.pop())
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.0.end(Closed::here(code, reason));
    }

    fn finish(&self, reason: &str, patience: Duration) -> BoxFuture<'_, ()> {
        let reason = reason.to_owned();
        Box::pin(async move {
            let goodbye = Control::Goodbye {
                reason: reason.clone(),
            };
            let said = async {
                // A link that has ended has nothing left to say.
                if self.0.send_control(goodbye).await.is_ok() {
                    self.0.finished().await;
                }
            };
            // Done or not, the link ends now: the patience was the caller's.
            within(&*self.0.clock, patience, said).await;
            self.0.end(Closed::here(CloseCode::Done, reason));
        })
    }

    fn closed(&self) -> BoxFuture<'_, Closed> {
        Box::pin(self.0.inbox.closed())
    }

    fn statistics(&self) -> LinkStatistics {
        let stats = self.0.connection.stats();
        let queued: usize = self.0.outboxes().map(Outbox::bytes).sum();
        LinkStatistics {
            rtt: stats.path.rtt,
            bytes_sent: stats.udp_tx.bytes,
            bytes_received: stats.udp_rx.bytes,
            packets_lost: stats.path.lost_packets,
            packets_sent: stats.path.sent_packets,
            congestion_window_bytes: stats.path.cwnd,
            packet_bytes_max: stats.path.current_mtu,
            queued_bytes: queued as u64,
            frames: self.0.counters.snapshot(),
        }
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        let reason = "the link's handle was dropped";
        self.0.end(Closed::here(CloseCode::Done, reason));
    }
}
