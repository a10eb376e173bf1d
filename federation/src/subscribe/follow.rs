//! Following another node's records.
//!
//! Does: ask, wait until the question is understood, cut what comes into lines. Does not: parse
//! them, dial again, keep cursors (whoever follows does).
//! In: a link, a [`Question`]. Out: lines without their line feed.
//! Slow: what is not read stays in the window of the stream, and then at the serving node, which
//! lets an asker go that takes nothing for 30 s. One silent for [`SILENCE_MAX`] is stuck.

use bytes::{Bytes, BytesMut};

use super::SILENCE_MAX;
use super::question::Question;
use crate::frame::{Request, RequestKind};
use crate::link::{Piece, QuicLink, RequestError, RequestLimits, RequestStream};

/// Longest line, bytes: a batch of 3,000 interfaces has 8 MiB.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Refused, or the link broke; go on with the last cursor.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A line without end.
    #[error("a line has over {LINE_BYTES_MAX} bytes; ask for fewer groups or metrics")]
    LongLine,
    /// A block where lines are.
    #[error("the node sent a block where lines were asked for; upgrade the older of both nodes")]
    Block,
}

/// A subscription at another node. Dropping it ends it there.
pub struct RemoteSubscription {
    stream: RequestStream,
    waiting: BytesMut,
    /// Bytes of `waiting` that are known to hold no line feed.
    searched: usize,
}

impl RemoteSubscription {
    /// Asks, and waits until the question is understood.
    ///
    /// # Errors
    /// [`FollowError::Request`]; of it `Failed` is the node's refusal.
    pub async fn begin(link: &QuicLink, question: &Question) -> Result<Self, FollowError> {
        let request = Request {
            kind: RequestKind::Subscribe,
            body: question.encode(),
        };
        let limits = RequestLimits {
            bytes_max: u64::MAX,
            piece_time_max: SILENCE_MAX,
        };
        let stream = link.open_request(&request, limits).await?;
        let mut subscription = Self {
            stream,
            waiting: BytesMut::new(),
            searched: 0,
        };
        // The first piece is a sign of life, or the refusal is its error.
        subscription.receive().await?;
        Ok(subscription)
    }

    /// The next line, without its line feed; `None` when the node has ended the subscription. Not
    /// to be cancelled but to end the subscription.
    ///
    /// # Errors
    /// [`FollowError`]; the subscription is over, its last cursor goes on.
    pub async fn next_line(&mut self) -> Result<Option<Bytes>, FollowError> {
        loop {
            while let Some(line) = self.line_at_hand() {
                // Empty lines are signs of life.
                if !line.is_empty() {
                    return Ok(Some(line));
                }
            }
            if self.waiting.len() > LINE_BYTES_MAX {
                return Err(FollowError::LongLine);
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    fn line_at_hand(&mut self) -> Option<Bytes> {
        let unsearched = self.waiting.get(self.searched..).unwrap_or_default();
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.waiting.len();
            return None;
        };
        let mut line = self.waiting.split_to(self.searched + at + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        Some(line.freeze())
    }

    /// `false`: the node has said all.
    async fn receive(&mut self) -> Result<bool, FollowError> {
        match self.stream.receive().await? {
            Some(Piece::Item(bytes)) => {
                self.waiting.extend_from_slice(&bytes);
                Ok(true)
            }
            Some(Piece::Block(_)) => Err(FollowError::Block),
            None => Ok(false),
        }
    }
}
