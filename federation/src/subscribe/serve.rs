//! Answering subscriptions of whoever dialled: one task for each, over the engine of `bus`.
//!
//! Does: read the question, narrow it to the asker's scope, send lines and cursors as they come.
//! Does not: filter, conflate or read the log (`bus::read`), accept links.
//! In: request streams. Out: lines in Item frames, then a trailer; [`Served`] for logs and tests.
//! Slow: each asker waits in its own stream and reads from disk what it missed; one that takes no
//! piece within [`TAKEN_WITHIN`] is let go, its cursor goes on. Memory: a piece and a line each.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ocelli_bus::read::{
    Item, LineWriter, ORDER_LAG, RecordSource, Subscription, SubscriptionError, SubscriptionRequest,
};
use ocelli_model::clock::Clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::lines::Lines;
use super::question::Question;
use super::{ALIVE_EVERY, QuestionError};
use crate::frame::{RequestKind, Trailer};
use crate::identity::SiteScope;
use crate::link::{
    Closed, IncomingRequest, Link, Piece, QuicLink, RequestError, RequestLimits, RequestStream,
};

/// Who takes no piece for so long is let go.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// What an asker may say after its question, bytes: its trailer.
const AFTERWARDS_BYTES_MAX: u64 = 8 << 10;
/// Subscriptions of one link; QUIC has no more request streams either.
const SUBSCRIPTIONS_PER_LINK_MAX: usize = 16;

/// How a subscription ended.
#[derive(Debug)]
pub enum Served {
    /// The asker left.
    Left,
    /// It was refused.
    Refused {
        /// As in HTTP.
        code: u16,
        /// What the asker was told.
        reason: String,
    },
    /// The asker does not take what it asked for, or its link ended.
    Lost(RequestError),
    /// The log cannot be read any more.
    Failed(SubscriptionError),
}

/// A subscription that was let in.
struct Begun {
    subscription: Subscription,
    lines: Lines,
    _place: OwnedSemaphorePermit,
}

struct Refusal {
    code: u16,
    reason: String,
}

/// Answers subscriptions of all links of a node.
pub struct SubscriptionServer {
    records: Arc<RecordSource>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

impl SubscriptionServer {
    /// A server over the records of a node; `subscriptions_max` counts those of all links.
    #[must_use]
    pub fn new(
        records: Arc<RecordSource>,
        clock: Arc<dyn Clock>,
        subscriptions_max: usize,
    ) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(subscriptions_max));
        Arc::new(Self {
            records,
            clock,
            places,
        })
    }

    /// Answers the requests of a link until it ends: subscriptions, narrowed to the sites of the
    /// peer's certificate; anything else is refused. For links of clients, and of neighbours that
    /// ask for nothing else.
    pub async fn serve_link(self: Arc<Self>, link: Arc<QuicLink>) -> Closed {
        let mut asked = JoinSet::new();
        loop {
            let is_full = asked.len() >= SUBSCRIPTIONS_PER_LINK_MAX;
            tokio::select! {
                request = link.accept_request(), if !is_full => match request {
                    Ok(request) => {
                        let (server, peer) = (Arc::clone(&self), Arc::clone(link.peer()));
                        asked.spawn(async move {
                            let served = server.serve(request, &peer.scope).await;
                            tracing::debug!(peer = %peer.identity, ?served, "request ended");
                        });
                    }
                    Err(closed) => return closed,
                },
                Some(_) = asked.join_next() => {}
            }
        }
    }

    /// Answers one request until the asker leaves. `scope`: the sites that it may read.
    pub async fn serve(&self, request: IncomingRequest, scope: &SiteScope) -> Served {
        let (request, mut stream) = request.accept(RequestLimits {
            bytes_max: AFTERWARDS_BYTES_MAX,
            piece_time_max: TAKEN_WITHIN,
        });
        let begun = match request.kind {
            RequestKind::Subscribe => self.begin(&request.body, scope),
            other => {
                let reason = format!("this node does not answer {other:?} here; ask another");
                Err(Refusal { code: 501, reason })
            }
        };
        match begun {
            Ok(begun) => self.send(begun, &mut stream).await,
            Err(refusal) => refuse(&mut stream, refusal).await,
        }
    }

    fn begin(&self, body: &[u8], scope: &SiteScope) -> Result<Begun, Refusal> {
        let question = Question::decode(body)?;
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Refusal {
            code: 429,
            reason: "as many subscriptions are open as there may be; end one".to_owned(),
        })?;
        let request = SubscriptionRequest {
            selection: question.selection(scope),
            from: question.from,
            mode: question.mode,
            include: question.include,
            rebase: question.rebase,
        };
        let subscription = Subscription::begin(&self.records, request)?.with_volatile();
        let subscription = if question.is_in_order {
            subscription.in_order(ORDER_LAG)
        } else {
            subscription
        };
        let form = (question.format, question.cursors);
        let writer = LineWriter::new(form, &self.records, subscription.selection());
        Ok(Begun {
            subscription,
            lines: Lines::new(writer),
            _place: place,
        })
    }

    async fn send(&self, begun: Begun, stream: &mut RequestStream) -> Served {
        let Begun {
            mut subscription,
            mut lines,
            _place,
        } = begun;
        // The asker waits for it.
        lines.put_understood();
        loop {
            let item = match self.next(&mut subscription, &mut lines, stream).await {
                Ok(item) => item,
                Err(Served::Failed(error)) => {
                    let reason = error.to_string();
                    // What it was told does not change what happened.
                    let _told = refuse(stream, Refusal { code: 503, reason }).await;
                    return Served::Failed(error);
                }
                Err(served) => return served,
            };
            lines.put(&item);
            lines.put_cursor(&subscription, self.clock.monotonic());
            if lines.is_full()
                && let Err(error) = flush(&mut lines, stream).await
            {
                return Served::Lost(error);
            }
        }
    }

    /// The next item. Before it waits, what is written is sent; while it waits, it sees the asker
    /// leave, and says from time to time that the node lives.
    async fn next(
        &self,
        subscription: &mut Subscription,
        lines: &mut Lines,
        stream: &mut RequestStream,
    ) -> Result<Item, Served> {
        let mut next = pin!(subscription.next());
        let at_hand = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
        if let Poll::Ready(item) = at_hand {
            return item.map_err(Served::Failed);
        }
        loop {
            // Not beside `next`: a send that is given up breaks the stream.
            flush(lines, stream).await.map_err(Served::Lost)?;
            let idle = self.clock.monotonic().after(ALIVE_EVERY);
            tokio::select! {
                item = &mut next => return item.map_err(Served::Failed),
                () = stream.gone() => return Err(Served::Left),
                () = self.clock.sleep_until(idle) => lines.put_alive(),
            }
        }
    }
}

async fn flush(lines: &mut Lines, stream: &mut RequestStream) -> Result<(), RequestError> {
    while let Some(piece) = lines.piece() {
        stream.send(Piece::Item(piece)).await?;
    }
    Ok(())
}

async fn refuse(stream: &mut RequestStream, refusal: Refusal) -> Served {
    let Refusal { code, reason } = refusal;
    let trailer = Trailer::Failed {
        code,
        reason: reason.clone(),
    };
    match stream.end(&trailer).await {
        Ok(()) => Served::Refused { code, reason },
        Err(error) => Served::Lost(error),
    }
}

impl From<QuestionError> for Refusal {
    fn from(error: QuestionError) -> Self {
        let reason = error.to_string();
        Self { code: 400, reason }
    }
}

impl From<SubscriptionError> for Refusal {
    fn from(error: SubscriptionError) -> Self {
        let code = match error {
            SubscriptionError::OtherSelection => 400,
            _ => 503,
        };
        let reason = error.to_string();
        Self { code, reason }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
