//! The way to the writer: a queue bounded in bytes and items, acknowledged after fsync.
//!
//! Does: take blocks from arbiters, hand out id ranges. Does not: stamp or write.
//! In: sealed blocks. Out: an [`Acknowledgement`] each. Full: `submit` waits (data flows one way,
//! so no cycle can form), `try_submit` refuses and gives the block back.
//! Order: what one task submits, awaiting each submission, is appended in that order; so
//! definitions are submitted before the block that uses them.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll};

use ocelli_model::batch::Batch;
use ocelli_model::resource::Resource;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::block::SealedBlock;
use crate::foreign::{ForeignBlock, IngestError, RefusedForeign};
use crate::limits::BLOCK_BYTES_MAX;
use crate::record::{Lane, Seq, StreamId};
use crate::segment::index::SeqRange;
use crate::shared::{DiskState, Shared};

/// What a block takes of the queue at least, bytes: this bounds the number of items too.
pub(crate) const CHARGE_BYTES_MIN: usize = 4 * 1024;
/// Places of the queue beside blocks: flushes and the drain.
pub(crate) const CONTROL_ITEMS: usize = 64;

/// Where the entries of a block ended up, durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Their stream.
    pub stream: StreamId,
    /// Their seqs.
    pub range: SeqRange,
    /// All of them were held before, or are held with another block of the same commit: nothing was
    /// written for this one.
    pub is_duplicate: bool,
}

/// Why a block was not taken. It can be offered again, or its slots become gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue holds as much as it may.
    #[error("the bus's queue is full; offer the block again later or wait with `submit`")]
    QueueFull,
    /// Nothing can be written now.
    #[error("the disk is full; free space, then what is measured from now on is kept")]
    DiskFull,
    /// The bus is closed or its writer is gone.
    #[error("the bus is closed; open it again")]
    Closed,
}

impl SubmitError {
    /// Whether the same block may be taken later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            SubmitError::QueueFull | SubmitError::DiskFull => true,
            SubmitError::Closed => false,
        }
    }
}

/// A block that was not taken, with the reason.
#[derive(Debug)]
pub struct Refused {
    /// The block, unstamped.
    pub block: SealedBlock,
    /// Why.
    pub error: SubmitError,
}

/// Why a block that was taken did not become durable. Its seqs go to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The disk became full.
    #[error("the disk became full before the block was durable; free space")]
    DiskFull,
    /// Writing failed on several segments in a row.
    #[error(
        "the disk refused the block on {attempts} segments in a row ({reason}); check the disk"
    )]
    Disk {
        /// Segments tried.
        attempts: u32,
        /// The last error.
        reason: String,
    },
    /// The writer ended before the block was durable.
    #[error("the bus closed before the block was durable; open it again")]
    Closed,
    /// A foreign block of lane 1 that does not continue what is held of its stream.
    #[error(
        "a block of {stream} begins at seq {first}, seq {awaited} is awaited; send lane 1 from \
         there on, in order"
    )]
    AwaitsDefinitionsBefore {
        /// The stream, of lane 1.
        stream: StreamId,
        /// First seq of the block.
        first: Seq,
        /// The seq that is awaited.
        awaited: Seq,
    },
    /// A foreign block of data whose definitions are not held yet.
    #[error(
        "a block of {stream} needs lane 1 up to seq {needs}, held is seq {held}; send lane 1 first"
    )]
    AwaitsDefinitions {
        /// The stream, of lane 0.
        stream: StreamId,
        /// The seq of lane 1 that is awaited.
        needs: Seq,
        /// The last seq of lane 1 that is held.
        held: Seq,
    },
    /// A foreign block that would begin one range more of its stream than are kept.
    #[error(
        "{stream} is held in {ranges} pieces already; send what is missing from seq {missing} on \
         first"
    )]
    TooManyHoles {
        /// The stream.
        stream: StreamId,
        /// Ranges held.
        ranges: usize,
        /// The lowest seq that is not held.
        missing: Seq,
    },
}

impl AppendError {
    /// Whether the same block may be taken later. A block of the own origin then has to be
    /// submitted anew, a foreign one is offered again as it is.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            AppendError::DiskFull
            | AppendError::Disk { .. }
            | AppendError::AwaitsDefinitionsBefore { .. }
            | AppendError::AwaitsDefinitions { .. }
            | AppendError::TooManyHoles { .. } => true,
            AppendError::Closed => false,
        }
    }
}

/// All ids of lane 1 are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all definition ids of this origin are used; remove the `origin` file to begin a new one")]
pub struct IdsExhausted;

/// Ends when the block is durable, or will never be. Dropping it does not take the block back.
#[derive(Debug)]
pub struct Acknowledgement(oneshot::Receiver<Result<Committed, AppendError>>);

impl Future for Acknowledgement {
    type Output = Result<Committed, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(AppendError::Closed)))
    }
}

impl Acknowledgement {
    /// Waits on a thread of the bus's own; never on one that runs tasks.
    pub(crate) fn wait_blocking(self) -> Result<Committed, AppendError> {
        self.0.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }
}

/// A block on its way.
pub(crate) struct Submission {
    pub(crate) lane: Lane,
    pub(crate) block: SealedBlock,
    pub(crate) answer: oneshot::Sender<Result<Committed, AppendError>>,
    /// Given back when the block is durable or refused.
    pub(crate) room: OwnedSemaphorePermit,
}

/// A foreign block on its way.
pub(crate) struct Ingestion {
    pub(crate) block: ForeignBlock,
    pub(crate) answer: oneshot::Sender<Result<Committed, AppendError>>,
    /// Given back when the block is durable or refused.
    pub(crate) room: OwnedSemaphorePermit,
}

/// What the writer is asked for.
pub(crate) enum Command {
    Append(Submission),
    Ingest(Ingestion),
    /// Commit what is written, then answer.
    Flush(oneshot::Sender<()>),
    /// Commit, seal, answer, end.
    Drain(oneshot::Sender<()>),
}

/// Appends to the bus. Clones share the queue.
#[derive(Clone)]
pub struct BusHandle {
    shared: Arc<Shared>,
    sender: SyncSender<Command>,
    room: Arc<Semaphore>,
}

impl BusHandle {
    pub(crate) fn new(shared: Arc<Shared>, sender: SyncSender<Command>) -> Self {
        let room = Arc::new(Semaphore::new(shared.options.queue_bytes_max));
        Self {
            shared,
            sender,
            room,
        }
    }

    /// Hands a block to the writer, waiting for room in the queue.
    ///
    /// # Errors
    /// [`Refused`] with the block if the disk is full or the bus closed.
    pub async fn submit(&self, lane: Lane, block: SealedBlock) -> Result<Acknowledgement, Refused> {
        let room = Arc::clone(&self.room)
            .acquire_many_owned(self.charge(block.len()))
            .await;
        match room {
            Ok(room) => self.send(lane, block, room),
            Err(_closed) => Err(Refused {
                block,
                error: SubmitError::Closed,
            }),
        }
    }

    /// Hands a block to the writer if the queue has room.
    ///
    /// # Errors
    /// [`Refused`] with the block if the queue or the disk is full or the bus closed.
    pub fn try_submit(&self, lane: Lane, block: SealedBlock) -> Result<Acknowledgement, Refused> {
        match Arc::clone(&self.room).try_acquire_many_owned(self.charge(block.len())) {
            Ok(room) => self.send(lane, block, room),
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(Refused {
                block,
                error: SubmitError::QueueFull,
            }),
            Err(tokio::sync::TryAcquireError::Closed) => Err(Refused {
                block,
                error: SubmitError::Closed,
            }),
        }
    }

    fn send(
        &self,
        lane: Lane,
        block: SealedBlock,
        room: OwnedSemaphorePermit,
    ) -> Result<Acknowledgement, Refused> {
        // Definitions are taken even then: they wait for space, so that no id is ever undefined.
        if lane == Lane::Data && self.shared.status.borrow().disk == DiskState::Full {
            crate::statistics::Counters::add(&self.shared.counters.disk_full_blocks, 1);
            return Err(Refused {
                block,
                error: SubmitError::DiskFull,
            });
        }
        let (answer, answered) = oneshot::channel();
        let command = Command::Append(Submission {
            lane,
            block,
            answer,
            room,
        });
        // `room` was granted, so there is a place: the channel has one for each smallest charge.
        match self.sender.try_send(command) {
            Ok(()) => Ok(Acknowledgement(answered)),
            Err(error) => {
                let (std::sync::mpsc::TrySendError::Full(command)
                | std::sync::mpsc::TrySendError::Disconnected(command)) = error;
                match command {
                    Command::Append(back) => Err(Refused {
                        block: back.block,
                        error: SubmitError::Closed,
                    }),
                    Command::Ingest(_) | Command::Flush(_) | Command::Drain(_) => {
                        Ok(Acknowledgement(answered))
                    }
                }
            }
        }
    }

    /// Hands a block of another origin to the writer, waiting for room in the queue. It is appended
    /// byte for byte, within the same group commits as all else. One that is held already is
    /// acknowledged as a duplicate; one that is held in part is appended whole, and readers pass
    /// over the seqs that they had. What cannot be taken yet (lane 1 out of order, definitions that
    /// are missing) is said by the acknowledgement: see [`AppendError::is_transient`].
    ///
    /// # Errors
    /// [`RefusedForeign`] with the block: [`IngestError::OwnOrigin`], or the disk is full or the
    /// bus closed.
    pub async fn ingest(&self, block: ForeignBlock) -> Result<Acknowledgement, RefusedForeign> {
        let refuse = |block, error| Err(RefusedForeign { block, error });
        let stream = block.stream();
        if stream.origin == self.shared.origin {
            return refuse(block, IngestError::OwnOrigin { stream });
        }
        let charge = self.charge(block.bytes().len());
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(charge).await else {
            return refuse(block, SubmitError::Closed.into());
        };
        // Foreign definitions are refused too: the lower tier still has them.
        if self.shared.status.borrow().disk == DiskState::Full {
            crate::statistics::Counters::add(&self.shared.counters.disk_full_blocks, 1);
            return refuse(block, SubmitError::DiskFull.into());
        }
        let (answer, answered) = oneshot::channel();
        let command = Command::Ingest(Ingestion {
            block,
            answer,
            room,
        });
        match self.sender.try_send(command) {
            Ok(()) => Ok(Acknowledgement(answered)),
            Err(
                std::sync::mpsc::TrySendError::Full(command)
                | std::sync::mpsc::TrySendError::Disconnected(command),
            ) => match command {
                Command::Ingest(back) => refuse(back.block, SubmitError::Closed.into()),
                Command::Append(_) | Command::Flush(_) | Command::Drain(_) => {
                    Ok(Acknowledgement(answered))
                }
            },
        }
    }

    fn charge(&self, block_bytes: usize) -> u32 {
        let bytes = block_bytes.clamp(CHARGE_BYTES_MIN, self.shared.options.queue_bytes_max);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Shows subscribers a batch that was refused because the disk is full; otherwise nothing.
    pub fn show_volatile(&self, resource: &Arc<Resource>, plugin: &Arc<str>, batch: &Batch) {
        if self.shared.status.borrow().disk == DiskState::Full {
            let (views, origin) = (&self.shared.views, self.shared.origin);
            views.volatile.show(origin, (resource, plugin), batch);
        }
    }

    /// Ids for new definitions of this origin, for the caller alone.
    ///
    /// # Errors
    /// [`IdsExhausted`] after 2^32 definitions.
    pub fn reserve_ids(&self, count: u32) -> Result<Range<u32>, IdsExhausted> {
        let take = |next: u32| next.checked_add(count);
        let taken = self
            .shared
            .next_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken
            .map(|first| first..first + count)
            .map_err(|_| IdsExhausted)
    }

    /// Ends when all that was submitted before is durable or refused.
    ///
    /// # Errors
    /// [`SubmitError::QueueFull`] if too many flushes wait, [`SubmitError::Closed`].
    pub async fn flush(&self) -> Result<(), SubmitError> {
        let (answer, answered) = oneshot::channel();
        self.sender
            .try_send(Command::Flush(answer))
            .map_err(|error| match error {
                std::sync::mpsc::TrySendError::Full(_) => SubmitError::QueueFull,
                std::sync::mpsc::TrySendError::Disconnected(_) => SubmitError::Closed,
            })?;
        answered.await.map_err(|_| SubmitError::Closed)
    }

    pub(crate) fn send_drain(&self, answer: oneshot::Sender<()>) -> Result<(), SubmitError> {
        self.room.close();
        self.sender
            .try_send(Command::Drain(answer))
            .map_err(|_| SubmitError::Closed)
    }

    /// Bytes that the queue holds.
    pub(crate) fn queue_bytes(&self) -> usize {
        self.shared
            .options
            .queue_bytes_max
            .saturating_sub(self.room.available_permits())
    }
}

/// Places that the channel needs for a queue of `bytes_max`.
pub(crate) fn channel_items(bytes_max: usize) -> usize {
    bytes_max / CHARGE_BYTES_MIN + 1 + CONTROL_ITEMS
}

const _: () = assert!(CHARGE_BYTES_MIN < BLOCK_BYTES_MAX);
