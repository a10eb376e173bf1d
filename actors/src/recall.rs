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
use ocelli_bus::record::{DefinitionId, EntryKind, Lane, OriginId, StreamId};
use ocelli_bus::resolver::Resolver;
use ocelli_bus::{Bus, Delivery, Entry, ReadError, ReadFrom, ReaderOptions, TooManyReaders};
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

type PairKey = (DefinitionId, DefinitionId);

/// What one origin said.
#[derive(Default)]
struct Past {
    resolver: Resolver,
    pairs: BTreeMap<PairKey, Last>,
}

/// The last entries of a pair.
#[derive(Debug, Default)]
struct Last {
    slot: Option<(SlotMs, u32, Epoch)>,
    /// State of a session record that nothing followed.
    session: Option<Vec<u8>>,
    /// The last word is that nobody polls it here any longer.
    is_released: bool,
    /// It was said by the origin before this one.
    is_of_former: bool,
}

/// Reads the past of this node: of its own origin, and of the `former` one that it had before the
/// data directory was found to be a copy.
///
/// # Errors
/// [`RecallError`]; entries that cannot be decoded are left out and logged.
pub async fn recall(bus: &Bus, former: Option<OriginId>) -> Result<Recalled, RecallError> {
    let origin = bus.origin();
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

fn take(entry: &Entry, Past { resolver, pairs }: &mut Past) {
    let head = entry.head();
    let taken = match head.kind {
        EntryKind::Definition => entry
            .body()
            .map_err(|error| error.to_string())
            .and_then(|body| resolver.apply(body).map_err(|error| error.to_string())),
        EntryKind::Batch => {
            let last = pairs.entry((head.resource, head.plugin)).or_default();
            last.go_on((head.slot, head.interval_ms, head.epoch));
            Ok(())
        }
        EntryKind::Released => {
            let last = pairs.entry((head.resource, head.plugin)).or_default();
            last.is_released = true;
            Ok(())
        }
        EntryKind::Gap | EntryKind::Session => take_payload(entry, pairs),
        _ => Ok(()),
    };
    if let Err(error) = taken {
        warn!(seq = entry.seq().0, kind = head.kind.as_str(), %error, "entry not recalled");
    }
}

fn take_payload(entry: &Entry, pairs: &mut BTreeMap<PairKey, Last>) -> Result<(), String> {
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
        Payload::Gap(gap) => last.go_on((gap.last, gap.interval_ms, gap.epoch)),
        Payload::Session(session) => {
            last.go_on((head.slot, head.interval_ms, head.epoch));
            last.session = Some(session.state);
        }
        _ => {}
    }
    Ok(())
}

impl Last {
    /// A late entry never moves the last slot back.
    fn go_on(&mut self, (slot, interval_ms, epoch): (SlotMs, u32, Epoch)) {
        if self.slot.is_none_or(|(last, _, _)| last < slot) {
            self.slot = Some((slot, interval_ms, epoch));
            self.session = None;
            self.is_released = false;
        }
    }
}

/// Ids change over lives and origins: of several entries for one pair the later counts.
fn resolve(pasts: BTreeMap<OriginId, Past>, former: Option<OriginId>) -> Recalled {
    let mut latest: BTreeMap<(ResourceId, Arc<str>), Last> = BTreeMap::new();
    for (origin, Past { resolver, pairs }) in pasts {
        for ((resource, plugin), last) in pairs {
            let names = (resolver.resource(resource), resolver.plugin(plugin));
            let (Ok(Some(resource)), Ok(Some(plugin))) = names else {
                // Its definitions are gone with their segment: no slot of it is left either.
                continue;
            };
            let is_of_former = Some(origin) == former;
            let last = Last {
                is_of_former,
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
