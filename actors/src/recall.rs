//! What a former life of the node left on the bus: where each pair's slots go on.
//!
//! Does: read what the bus holds once at the start, keep per pair the last slot that is a batch or
//! in a gap, and the previous counters if the last word is a session record; forget pairs that were
//! released. Does not: decide what the slots since then are (`resource`).
//! In: the bus, before anything is appended. Out: [`Recalled`].
//! Cost: one pass over the segments that are held; head tables alone but for gaps and sessions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ocelli_bus::decoder::{ResolvedHead, decode_entry};
use ocelli_bus::payload::Payload;
use ocelli_bus::record::{DefinitionId, EntryKind, Lane, OriginId, Seq, StreamId};
use ocelli_bus::resolver::Resolver;
use ocelli_bus::{
    Bus, Delivery, Entry, ReadError, ReadFrom, ReaderOptions, SeqRanges, TooManyReaders,
};
use ocelli_model::resource::ResourceId;
use ocelli_model::slot::{Epoch, SlotMs};
use tracing::warn;

use crate::plan::{PairMemory, ResourceMemory};
use crate::saved;

/// What the bus said about the past.
#[derive(Debug, Default)]
pub struct Recalled {
    /// By resource.
    pub resources: HashMap<ResourceId, ResourceMemory>,
    /// Last slot of all pairs: slot time never begins before it.
    pub last_slot: Option<SlotMs>,
}

/// Why the past cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecallError {
    /// No reader.
    #[error(transparent)]
    Readers(#[from] TooManyReaders),
    /// The disk.
    #[error("cannot read what the bus holds: {0}; check the disk")]
    Read(#[from] ReadError),
}

/// The origin that this node had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Which.
    pub origin: OriginId,
    /// What of its data upper tiers hold as this disk does; `None`: the directory is a copy, and
    /// all of it counts. Of an origin that was forsaken, nobody above takes the rest any more: its
    /// slots are told again, as gaps of the new origin.
    pub held_above: Option<SeqRanges>,
}

type PairKey = (DefinitionId, DefinitionId);
type LastSlot = (SlotMs, u32, Epoch);

/// What one origin said.
#[derive(Default)]
struct Past {
    resolver: Resolver,
    pairs: BTreeMap<PairKey, Last>,
    /// Of a forsaken origin.
    held_above: Option<SeqRanges>,
}

/// The last entries of a pair.
#[derive(Debug, Default)]
struct Last {
    slot: Option<LastSlot>,
    /// The slot before the first one that stands in a record which nobody above takes.
    before_lost: Option<LastSlot>,
    /// State of a session record that nothing followed.
    session: Option<Vec<u8>>,
    /// The last word is that nobody polls it here any longer.
    is_released: bool,
    /// It was said by the origin before this one.
    is_of_former: bool,
}

/// Reads the past of this node: of its own origin, and of the `former` one that it had before the
/// data directory was found to be a copy or to have gone back in time.
///
/// # Errors
/// [`RecallError`]; entries that cannot be decoded are left out and logged.
pub async fn recall(bus: &Bus, former: Option<Former>) -> Result<Recalled, RecallError> {
    let origin = bus.origin();
    let (former, held_above) = former.map_or((None, None), |former| {
        (Some(former.origin), former.held_above)
    });
    let wants = move |stream: StreamId, head: &ocelli_bus::block::EntryHead| {
        let is_last_word = matches!(
            head.kind,
            EntryKind::Batch | EntryKind::Gap | EntryKind::Session | EntryKind::Released
        );
        let is_own = stream.origin == origin || Some(stream.origin) == former;
        is_own && (stream.lane == Lane::Definitions || is_last_word)
    };
    let options = ReaderOptions::from(ReadFrom::Oldest)
        .only(wants)
        .with_definitions();
    let mut reader = bus.reader(options)?;
    let mut pasts: BTreeMap<OriginId, Past> = BTreeMap::new();
    if let Some(former) = former {
        pasts.entry(former).or_default().held_above = held_above;
    }
    while let Some(delivery) = reader.next_held().await? {
        let Delivery::Entries(entries) = delivery else {
            continue;
        };
        for entry in &entries {
            take(entry, pasts.entry(entry.stream().origin).or_default());
        }
    }
    Ok(resolve(pasts, former))
}

fn take(entry: &Entry, past: &mut Past) {
    let head = entry.head();
    let is_lost = past.is_lost(entry.seq());
    let Past {
        resolver, pairs, ..
    } = past;
    let taken = match head.kind {
        EntryKind::Definition => entry
            .body()
            .map_err(|error| error.to_string())
            .and_then(|body| resolver.apply(body).map_err(|error| error.to_string())),
        EntryKind::Batch => {
            let last = pairs.entry((head.resource, head.plugin)).or_default();
            let slot = (head.slot, head.interval_ms, head.epoch);
            last.go_on(slot, head.slot, is_lost);
            Ok(())
        }
        EntryKind::Released => {
            let last = pairs.entry((head.resource, head.plugin)).or_default();
            last.is_released = true;
            Ok(())
        }
        EntryKind::Gap | EntryKind::Session => take_payload(entry, pairs, is_lost),
        _ => Ok(()),
    };
    if let Err(error) = taken {
        warn!(seq = entry.seq().0, kind = head.kind.as_str(), %error, "entry not recalled");
    }
}

fn take_payload(
    entry: &Entry,
    pairs: &mut BTreeMap<PairKey, Last>,
    is_lost: bool,
) -> Result<(), String> {
    let head = entry.head();
    let unresolved = ResolvedHead {
        resource: None,
        plugin: None,
        columns: None,
    };
    let body = entry.body().map_err(|error| error.to_string())?;
    let record = decode_entry(entry.stream(), entry.view(), unresolved, body);
    let last = pairs.entry((head.resource, head.plugin)).or_default();
    match record.map_err(|error| error.to_string())?.payload {
        Payload::Gap(gap) => {
            last.go_on((gap.last, gap.interval_ms, gap.epoch), gap.first, is_lost);
        }
        Payload::Session(session) => {
            let slot = (head.slot, head.interval_ms, head.epoch);
            // A session repeats the last slot of its pair: it stands in no record of its own.
            if !is_lost {
                last.go_on(slot, head.slot, is_lost);
            }
            last.session = Some(session.state);
        }
        _ => {}
    }
    Ok(())
}

impl Past {
    /// Whether nobody above takes the record.
    fn is_lost(&self, seq: Seq) -> bool {
        let held = self.held_above.as_ref();
        held.is_some_and(|held| !held.contains(seq))
    }
}

impl Last {
    /// Slots from `first` to that of the entry are told. A late entry never moves the last slot
    /// back.
    fn go_on(&mut self, (slot, interval_ms, epoch): LastSlot, first: SlotMs, is_lost: bool) {
        if is_lost {
            let before = SlotMs(first.0 - i64::from(interval_ms));
            if self.before_lost.is_none_or(|(known, _, _)| before < known) {
                self.before_lost = Some((before, interval_ms, epoch));
            }
            (self.session, self.is_released) = (None, false);
        } else if self.slot.is_none_or(|(last, _, _)| last < slot) {
            self.slot = Some((slot, interval_ms, epoch));
            self.session = None;
            self.is_released = false;
        }
    }
}

/// Ids change over lives and origins: of several entries for one pair the later counts.
fn resolve(pasts: BTreeMap<OriginId, Past>, former: Option<OriginId>) -> Recalled {
    let mut latest: BTreeMap<(ResourceId, Arc<str>), Last> = BTreeMap::new();
    for (
        origin,
        Past {
            resolver, pairs, ..
        },
    ) in pasts
    {
        for ((resource, plugin), last) in pairs {
            let names = (resolver.resource(resource), resolver.plugin(plugin));
            let (Ok(Some(resource)), Ok(Some(plugin))) = names else {
                // Its definitions are gone with their segment: no slot of it is left either.
                continue;
            };
            let is_of_former = Some(origin) == former;
            let last = Last {
                is_of_former,
                slot: last.slot.or(last.before_lost),
                ..last
            };
            let known = latest.entry((resource.id().clone(), plugin)).or_default();
            if known.slot <= last.slot {
                *known = last;
            }
        }
    }
    let mut recalled = Recalled::default();
    for ((resource, plugin), last) in latest {
        recalled.last_slot = recalled.last_slot.max(last.slot.map(|(slot, _, _)| slot));
        if !last.is_released {
            let memory = recalled.resources.entry(resource).or_default();
            remember(memory, plugin, last);
        }
    }
    for memory in recalled.resources.values_mut() {
        memory.is_drained = memory.pairs.values().all(|pair| pair.is_saved);
    }
    recalled
}

fn remember(memory: &mut ResourceMemory, plugin: Arc<str>, last: Last) {
    let is_saved = last.session.is_some();
    let read = last.session.and_then(|state| {
        saved::read(&state)
            .inspect_err(|error| warn!(%error, "session not recalled"))
            .ok()
    });
    let (rate, credential) = read.unwrap_or_default();
    let pair = PairMemory {
        last: last.slot,
        rate,
        is_saved,
    };
    memory.pairs.insert(plugin, pair);
    memory.credential = credential.or(memory.credential.take());
    memory.is_rolled_back |= last.is_of_former;
}
