//! Following another node's records.
//!
//! Does: ask, wait until the question is understood, cut what comes into lines. Does not: parse
//! them, dial again, keep cursors (whoever follows does).
//! In: a link, a [`Question`]. Out: lines without their line feed.
//! Slow: what is not read stays in the window of the stream, and then at the serving node, which
//! lets an asker go that takes nothing for 30 s. One silent for [`SILENCE_MAX`] is stuck.

use bytes::Bytes;
use ocelli_bus::read::LineFormat;
use ocelli_model::line_buffer::{LineBuffer, LineTooLong};

use super::SILENCE_MAX;
use super::question::Question;
use crate::frame::{Request, RequestKind};
use crate::link::{Piece, QuicLink, RequestError, RequestLimits, RequestStream};

/// Why nothing more comes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Refused, or the link broke; go on with the last cursor.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A line without end.
    #[error(transparent)]
    LongLine(#[from] LineTooLong),
    /// A block where lines are.
    #[error("the node sent a block where lines were asked for; upgrade the older of both nodes")]
    Block,
}

/// A subscription at another node. Dropping it ends it there.
pub struct RemoteSubscription {
    stream: RequestStream,
    lines: LineBuffer,
    /// Empty lines belong to the format, but for the first.
    keeps_empty: bool,
    has_begun: bool,
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
            lines: LineBuffer::default(),
            keeps_empty: question.format == LineFormat::Sse,
            has_begun: false,
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
            while let Some(line) = self.lines.pop()? {
                // Other empty lines are signs of life.
                if !line.is_empty() || (self.keeps_empty && self.has_begun) {
                    self.has_begun = true;
                    return Ok(Some(line));
                }
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    /// `false`: the node has said all.
    async fn receive(&mut self) -> Result<bool, FollowError> {
        match self.stream.receive().await? {
            Some(Piece::Item(bytes)) => {
                self.lines.push(&bytes);
                Ok(true)
            }
            Some(Piece::Block(_)) => Err(FollowError::Block),
            None => Ok(false),
        }
    }
}
