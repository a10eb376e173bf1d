//! A follower: one subscription over any number of connections.
//!
//! Does: dial, go on by the last cursor after an interruption, at the next node if there are
//! several, drop what came before. Does not: end, but for a refusal that will not change.
//! In: [`Settings`], a clock. Out: [`Item`]s, pulled one by one: who does not pull leaves the rest
//! at the node, which reads it from its disk later. Memory: a line, and [`crate::SEEN_MAX`] names.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::line_buffer::LineTooLong;
use reqwest::Client;

use crate::backoff::pause;
use crate::http::{self, HttpStream};
#[cfg(feature = "quic")]
use crate::quic::{LinkLines, LinkLinesError, MeshClient, question_of};
use crate::record::{Item, RecordTextError};
use crate::seen::Seen;
use crate::settings::{NodeUrl, Settings, SettingsError};

/// A connection that held for so long was a good one: the next pause is the shortest again.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// Why a follower ends, or a connection did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The node refuses, and will again: another filter, cursor or token is needed.
    #[error("the node refuses ({code}): {reason}; {hint}")]
    Refused {
        /// As in HTTP.
        code: u16,
        /// What the node says.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The connection is gone; a follower dials again by itself.
    #[error("the connection is gone: {reason}")]
    Lost {
        /// What is known.
        reason: String,
    },
    /// A line without end.
    #[error(transparent)]
    LongLine(#[from] LineTooLong),
    /// A line that is no record.
    #[error(transparent)]
    Text(#[from] RecordTextError),
}

impl FollowError {
    /// Whether the same question may be answered later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lost { .. } => true,
            Self::Refused { .. } | Self::LongLine(_) | Self::Text(_) => false,
        }
    }

    /// The innermost cause of an error, as a lost connection.
    pub(crate) fn lost(error: &dyn std::error::Error) -> Self {
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let reason = format!("{error}: {cause}");
        Self::Lost { reason }
    }
}

/// What a follower has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Records handed out.
    pub records: u64,
    /// Records that came again and were dropped.
    pub repeats: u64,
    /// Connections that were begun.
    pub connections: u64,
    /// Why the last connection ended, or did not begin.
    pub last_loss: Option<String>,
}

enum Stream {
    Http(HttpStream),
    #[cfg(feature = "quic")]
    Quic(Box<LinkLines>),
}

/// Follows the records of a node, or of several that hold the same.
pub struct Follower {
    settings: Settings,
    clock: Arc<dyn Clock>,
    http: Client,
    #[cfg(feature = "quic")]
    mesh: Option<MeshClient>,
    /// Where to go on from.
    from: String,
    seen: Seen,
    stream: Option<(Stream, Monotonic)>,
    /// Of `settings.nodes`, the one asked last.
    node: usize,
    failures: u32,
    /// Spreads the pauses of clients that lost the same node.
    own: u64,
    statistics: Statistics,
}

impl Follower {
    /// A follower; nothing is dialled yet.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        if settings.nodes.is_empty() {
            return Err(SettingsError::NoNode);
        }
        let is_secure =
            |node: &NodeUrl| matches!(node, NodeUrl::Http(url) if url.scheme() == "https");
        #[cfg(feature = "quic")]
        let has_links = settings
            .nodes
            .iter()
            .any(|node| matches!(node, NodeUrl::Quic { .. }));
        Ok(Self {
            http: http::client(&settings.proofs, settings.nodes.iter().any(is_secure))?,
            #[cfg(feature = "quic")]
            mesh: has_links
                .then(|| MeshClient::new(&settings.proofs))
                .transpose()?,
            from: settings.from.clone(),
            settings,
            clock,
            seen: Seen::default(),
            stream: None,
            node: 0,
            failures: 0,
            own: RandomState::new().hash_one(0u8),
            statistics: Statistics::default(),
        })
    }

    /// The next item, however long it takes. Not to be cancelled but to end the follower.
    ///
    /// # Errors
    /// [`FollowError`] that is not transient; asking again asks the node again.
    pub async fn next(&mut self) -> Result<Item, FollowError> {
        loop {
            let line = match self.next_line().await {
                Ok(line) => line,
                Err(error) if error.is_transient() => {
                    self.note_loss(&error);
                    continue;
                }
                Err(error) => {
                    self.stream = None;
                    return Err(error);
                }
            };
            match Item::parse(&line)? {
                Item::Record(record) => {
                    let seq = record.seq;
                    if seq.is_some_and(|seq| !self.seen.is_new(&record.origin, seq)) {
                        self.statistics.repeats += 1;
                        continue;
                    }
                    self.statistics.records += 1;
                    return Ok(Item::Record(record));
                }
                Item::Cursor(cursor) => {
                    self.from.clone_from(&cursor);
                    return Ok(Item::Cursor(cursor));
                }
                item => return Ok(item),
            }
        }
    }

    /// Where another follower would go on: the last cursor, or where this one began.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.from
    }

    /// What it has seen so far.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    async fn next_line(&mut self) -> Result<Bytes, FollowError> {
        if self.stream.is_none() {
            self.dial().await?;
        }
        let Some((stream, _)) = &mut self.stream else {
            let reason = "no connection".to_owned();
            return Err(FollowError::Lost { reason });
        };
        let line = match stream {
            Stream::Http(stream) => stream.next_line(&*self.clock).await?,
            #[cfg(feature = "quic")]
            Stream::Quic(stream) => stream.next_line().await?,
        };
        line.ok_or_else(|| FollowError::Lost {
            reason: "the node ended the stream".to_owned(),
        })
    }

    /// Waits as long as past failures say, then asks the next node.
    async fn dial(&mut self) -> Result<(), FollowError> {
        let wait = pause(self.failures, self.own);
        let until = self.clock.monotonic().after(wait);
        if !wait.is_zero() {
            self.clock.sleep_until(until).await;
        }
        let node = self.settings.nodes[self.node % self.settings.nodes.len()].clone();
        if self.from == "now" {
            // What comes while a first connection is lost is asked for by its time.
            self.from = self.clock.wall().0.to_string();
        }
        let stream = match &node {
            NodeUrl::Http(url) => {
                let place = (self.from.as_str(), &*self.clock);
                let begun = HttpStream::begin((&self.http, url), &self.settings, place);
                Stream::Http(begun.await?)
            }
            #[cfg(feature = "quic")]
            NodeUrl::Quic { host, port } => {
                let mesh = self.mesh.as_ref().ok_or_else(|| FollowError::Lost {
                    reason: "no identity".to_owned(),
                })?;
                let question = question_of(&self.settings, (&self.from, self.clock.wall()))?;
                let begun = mesh.begin((host, *port), &question, &self.clock).await;
                Stream::Quic(Box::new(begun.map_err(|error| match error {
                    LinkLinesError::Asked(error) => error,
                    error => FollowError::lost(&error),
                })?))
            }
        };
        self.statistics.connections += 1;
        self.stream = Some((stream, self.clock.monotonic()));
        Ok(())
    }

    fn note_loss(&mut self, error: &FollowError) {
        let begun = self.stream.take().map(|(_, begun)| begun);
        let held = begun.map(|begun| self.clock.monotonic().since(begun));
        if held.is_some_and(|held| held >= GOOD_AFTER) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.node = self.node.wrapping_add(1);
        self.statistics.last_loss = Some(error.to_string());
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Follower")
            .field("from", &self.from)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}
