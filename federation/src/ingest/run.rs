//! The shell of an ingest: one link, one bus, one core.
//!
//! Does: turn frames, acknowledgements of the bus and time into inputs, effects into blocks for the
//! bus and frames. Does not: decide (`core`), judge entries (`inspect`), listen (`link`), hold what
//! the links of a node share (`node`).
//! In: an established link of which this node is the acceptor. Out: [`IngestEnd`].
//! Full: the bus's queue makes this wait, and with it the link, so the sender feels it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_bus::block::BlockHeader;
use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{AppendError, Committed, ForeignBlock, IngestError, SeqRange, SeqRanges};
use tokio::task::JoinSet;

use super::core::IngestCore;
use super::elsewhere::Followed;
use super::judge::Judge;
use super::node::{Audit, IngestNode};
use super::types::{Arrived, BlockNumber, IngestEffect, IngestInput, IngestPolicy};
use crate::frame::{
    Channel, Control, Frame, RefusedBlock, RefusedReason, Role, StreamCoverage, StreamRanges,
};
use crate::link::{CloseCode, Closed, Link, SendError};

/// How often time is told to the core.
const TICK: Duration = Duration::from_secs(1);
/// Why an ingest ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestEnd {
    /// The link ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// Something cannot be said to the dialler, although the link stands.
    #[error(transparent)]
    Send(SendError),
    /// A neighbour holds records of the own origin that this disk has not.
    #[error(
        "a neighbour sent {stream} up to {last}, which this node should have written and has not: \
         its disk is an old copy; begin a new origin before the next append"
    )]
    RolledBack {
        /// The stream of the own origin.
        stream: StreamId,
        /// Its last seq.
        last: Seq,
    },
    /// The bus takes nothing more.
    #[error("the bus is closed; open it again")]
    BusClosed,
}

impl From<SendError> for IngestEnd {
    /// A link that ended while something was said is a link that ended.
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed(closed) => Self::Closed(closed),
            error @ (SendError::Frame(_) | SendError::WrongSide) => Self::Send(error),
        }
    }
}

/// With whether nothing of the block had been withheld.
type Answer = (BlockNumber, bool, Result<Committed, AppendError>);

struct Shell {
    node: Arc<IngestNode>,
    link: Arc<dyn Link>,
    /// What became durable over other links.
    elsewhere: Followed,
    core: IngestCore,
    next_block: u64,
    /// Blocks that wait for definitions, and those that the core just named.
    blocks: BTreeMap<BlockNumber, ForeignBlock>,
    answers: JoinSet<Answer>,
    judge: Judge,
    /// Newly durable, told together.
    durable: BTreeMap<StreamId, SeqRanges>,
    controls: Vec<Control>,
    end: Option<IngestEnd>,
    /// Of the node's sum of bytes that wait for definitions, those of this link.
    held_bytes: u64,
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.node.note_held(self.held_bytes, 0);
    }
}

/// Takes what the dialler sends until the link ends.
pub async fn run_ingest(link: Arc<dyn Link>, node: Arc<IngestNode>) -> IngestEnd {
    let clock = Arc::clone(&node.clock);
    let mut shell = Shell::new(Arc::clone(&link), node);
    if let Err(error) = shell.tell_coverage().await {
        return error.into();
    }
    let mut tick_at = clock.monotonic().after(TICK);
    loop {
        // Not only when nothing else happens: what waits here too long is refused under load too.
        if clock.monotonic() >= tick_at {
            tick_at = clock.monotonic().after(TICK);
            shell.tick().await;
        }
        if let Err(error) = shell.flush().await {
            return error.into();
        }
        if let Some(end) = shell.end.take() {
            return end;
        }
        tokio::select! {
            frame = link.receive() => match frame {
                Ok(Frame::Block { channel, block }) => shell.came(channel, block).await,
                Ok(Frame::Control(Control::Heads(heads))) => {
                    shell.node.watch.heads(&link, &heads);
                    for head in heads {
                        shell.elsewhere.follow(head.stream);
                        shell.on(IngestInput::Head(head.stream)).await;
                    }
                }
                Ok(Frame::Control(Control::Origins(words))) => {
                    shell.node.watch.origins(&link, &words);
                }
                Ok(Frame::Control(_)) => {}
                Err(closed) => return closed.into(),
            },
            Some(Ok(answer)) = shell.answers.join_next() => shell.answered(answer).await,
            () = shell.elsewhere.due(&*clock) => shell.stored_elsewhere().await,
            () = clock.sleep_until(tick_at) => {}
        }
    }
}

impl Shell {
    fn new(link: Arc<dyn Link>, node: Arc<IngestNode>) -> Self {
        Self {
            elsewhere: node.elsewhere.join(),
            node,
            link,
            core: IngestCore::new(IngestPolicy::default()),
            next_block: 0,
            blocks: BTreeMap::new(),
            answers: JoinSet::new(),
            judge: Judge::default(),
            durable: BTreeMap::new(),
            controls: Vec::new(),
            end: None,
            held_bytes: 0,
        }
    }

    async fn tell_coverage(&self) -> Result<(), SendError> {
        let bus = &self.node.bus;
        let told = bus.coverage().into_iter().map(|(stream, ranges)| {
            let head = bus.head_mark(stream);
            StreamCoverage {
                stream,
                ranges,
                head,
            }
        });
        let mut frames = Control::coverage(told.collect());
        let end = frames.pop();
        // Read after the coverage: of what was covered then, nothing withheld passes for held.
        let skipped = bus.skipped().into_iter();
        let skipped = skipped.map(|(stream, ranges)| StreamRanges { stream, ranges });
        frames.extend(Control::skipped(skipped.collect()));
        for frame in frames.into_iter().chain(end) {
            self.link.send_control(frame).await?;
        }
        Ok(())
    }

    /// Says what there is to say, newly durable ranges of a stream together.
    async fn flush(&mut self) -> Result<(), SendError> {
        while let Some(Ok(answer)) = self.answers.try_join_next() {
            self.answered(answer).await;
        }
        let durable = std::mem::take(&mut self.durable).into_iter();
        let durable = durable.map(|(stream, ranges)| StreamRanges { stream, ranges });
        let mut controls = std::mem::take(&mut self.controls);
        controls.extend(Control::durable(durable.collect()));
        for control in controls {
            self.link.send_control(control).await?;
        }
        Ok(())
    }

    async fn tick(&mut self) {
        let limited: Vec<_> = self.core.limited().collect();
        for origin in limited {
            let quota = self.node.quota_of(origin);
            self.on(IngestInput::Quota { origin, quota }).await;
        }
        self.on(IngestInput::Tick).await;
    }

    async fn came(&mut self, channel: Channel, bytes: Bytes) {
        let block = match ForeignBlock::read(bytes.clone()) {
            Ok(block) => block,
            Err(error) => {
                self.damaged(&bytes, error.to_string()).await;
                return;
            }
        };
        let (stream, range) = (block.stream(), block.range());
        let bus = &self.node.bus;
        let is_held = bus.holds(&block);
        if stream.origin == bus.origin() && !is_held {
            let last = range.last;
            self.end = Some(IngestEnd::RolledBack { stream, last });
            return;
        }
        self.elsewhere.follow(stream);
        self.next_block += 1;
        let arrived = Arrived {
            block: BlockNumber(self.next_block),
            channel,
            stream,
            range,
            bytes: bytes.len() as u64,
            needs_def: block.header().needs_def,
            is_held,
            definitions_to: self.definitions_to(stream.origin),
            held_room: self.node.held_room(),
            quota: self.node.quota_of(stream.origin),
        };
        self.blocks.insert(arrived.block, block);
        self.on(IngestInput::Arrived(arrived)).await;
    }

    async fn damaged(&mut self, bytes: &[u8], detail: String) {
        match BlockHeader::read(bytes) {
            Ok(header) => {
                let (first, last) = (header.first_seq, header.last_seq());
                let (stream, range) = (header.stream, SeqRange { first, last });
                self.on(IngestInput::Damaged {
                    stream,
                    range,
                    detail,
                })
                .await;
            }
            // Not even its name can be read: the sender cannot be told which block it was.
            Err(_unreadable) => self.link.close(CloseCode::Protocol, &detail),
        }
    }

    fn definitions_to(&self, origin: OriginId) -> Seq {
        let held = self.node.bus.coverage_of(StreamId::definitions(origin));
        Seq(held.first_missing().0 - 1)
    }

    async fn stored_elsewhere(&mut self) {
        let now = self.node.clock.monotonic();
        for (stream, ranges) in self.elsewhere.take(now) {
            for range in ranges.iter() {
                self.on(IngestInput::StoredElsewhere { stream, range })
                    .await;
            }
            if stream.lane == Lane::Definitions {
                let (origin, to) = (stream.origin, self.definitions_to(stream.origin));
                self.on(IngestInput::DefinitionsAt { origin, to }).await;
            }
        }
    }

    async fn answered(&mut self, (block, is_whole, answer): Answer) {
        let (reason, detail) = match answer {
            Ok(Committed { stream, range, .. }) => {
                // Whoever has more of a block than came here goes on to send it.
                if is_whole {
                    self.elsewhere.tell(stream, range);
                }
                self.on(IngestInput::Stored(block)).await;
                return;
            }
            Err(error) => (reason_of(&error), error.to_string()),
        };
        self.on(IngestInput::Rejected {
            block,
            reason,
            detail,
        })
        .await;
    }

    /// One input and all that follows from it.
    async fn on(&mut self, input: IngestInput) {
        let mut inputs = vec![input];
        // Each round ends blocks that were accepted in the one before: there are finitely many.
        while let Some(input) = inputs.pop() {
            let now = self.node.clock.monotonic();
            let effects = self.core.on(input, now);
            self.held_bytes = self.node.note_held(self.held_bytes, self.core.held_bytes());
            for effect in effects {
                match effect {
                    IngestEffect::Accept { block, is_backfill } => {
                        inputs.extend(self.accept(block, is_backfill).await);
                    }
                    other => self.say(other),
                }
            }
        }
    }

    fn say(&mut self, effect: IngestEffect) {
        match effect {
            IngestEffect::Accept { .. } => {}
            IngestEffect::Drop(block) => drop(self.blocks.remove(&block)),
            IngestEffect::Durable { stream, range } => {
                self.durable.entry(stream).or_default().insert(range);
            }
            IngestEffect::Refuse {
                stream,
                range,
                reason,
                detail,
            } => {
                let refused = RefusedBlock {
                    stream,
                    range,
                    reason,
                    detail,
                };
                self.controls.push(Control::Refused(refused));
            }
            IngestEffect::Throttle {
                origin,
                bytes_per_second,
            } => {
                self.controls.push(Control::Throttle {
                    origin,
                    bytes_per_second,
                });
            }
            IngestEffect::Reached {
                origin,
                bytes_per_second,
            } => {
                let peer = &self.link.peer().identity;
                self.node.watch.reached(peer, origin, bytes_per_second);
            }
            IngestEffect::Audit {
                reason,
                origin,
                count,
                detail,
            } => {
                let peer = self.link.peer().identity.to_string();
                let audit = Audit {
                    peer,
                    reason,
                    origin,
                    count,
                    detail,
                };
                self.node.watch.refused(audit);
            }
        }
    }

    /// Hands a block to the bus, in the order of acceptance. An answer: it was not taken.
    async fn accept(&mut self, number: BlockNumber, is_backfill: bool) -> Option<IngestInput> {
        let block = self.blocks.remove(&number)?;
        let (stream, range) = (block.stream(), block.range());
        let peer = Arc::clone(self.link.peer());
        let rejected = |(reason, detail)| IngestInput::Rejected {
            block: number,
            reason,
            detail,
        };
        let held = (self.node.bus.definitions(), &*self.node.roster);
        let now = self.node.clock.wall();
        if let Err(refusal) = self.judge.judge(&block, &peer, held, now).await {
            return Some(rejected(refusal));
        }
        if self.link.hello().role == Role::Peer {
            self.node.from_peers.note(&peer.identity, stream, range);
        }
        let is_whole = block.skipped().is_empty();
        let block = block.with_backfill(is_backfill);
        match self.node.bus.handle().ingest(block).await {
            Ok(answer) => {
                self.answers
                    .spawn(async move { (number, is_whole, answer.await) });
                None
            }
            Err(refused) => {
                if let IngestError::Submit(error) = &refused.error
                    && !error.is_transient()
                {
                    self.end = Some(IngestEnd::BusClosed);
                }
                Some(rejected((RefusedReason::Busy, refused.error.to_string())))
            }
        }
    }
}

fn reason_of(error: &AppendError) -> RefusedReason {
    match error {
        AppendError::AwaitsDefinitionsBefore { .. } => RefusedReason::Order,
        AppendError::AwaitsDefinitions { .. } => RefusedReason::NeedsDefinitions,
        _ => RefusedReason::Busy,
    }
}
