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
use ocelli_model::catalog::State;
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
    /// Where what the disk held ends for those above, if it is a copy or went back in time. A pair
    /// of which nothing is known may have been polled since by the life that the disk lacks.
    pub lost_since: Option<SlotMs>,
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
    /// It is the origin that this node had before.
    is_former: bool,
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

impl Recalled {
    /// Memories of all that begins with the node: those recalled and, where the disk is a copy or
    /// went back in time, of the catalog's of which nothing is known.
    pub(crate) fn memories(self, catalog: &State) -> HashMap<ResourceId, ResourceMemory> {
        let resources = catalog.resources().map(|(resource, _)| resource.id());
        self.with_unknown(resources)
    }

    fn with_unknown<'a>(
        self,
        resources: impl Iterator<Item = &'a ResourceId>,
    ) -> HashMap<ResourceId, ResourceMemory> {
        let mut memories = self.resources;
        let Some(since) = self.lost_since else {
            return memories;
        };
        for resource in resources {
            let memory = memories.entry(resource.clone()).or_default();
            memory.lost_since = Some(since);
            memory.is_rolled_back = true;
        }
        memories
    }
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
        let past = pasts.entry(former).or_default();
        (past.held_above, past.is_former) = (held_above, true);
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
    /// Where the records that those above take end in time: the last slot of any pair in them. A
    /// copy was made after it, so a pair that is first named in a later record may have been polled
    /// from there on by the life that the disk lost.
    fn lost_since(&self) -> Option<SlotMs> {
        let pairs = self.pairs.values().filter(|_| self.is_former);
        let lost = pairs.clone().filter_map(|last| last.before_lost);
        let held = pairs.filter_map(|last| last.slot);
        let at = |(slot, _, _): LastSlot| slot;
        held.map(at).max().or(lost.map(at).min())
    }

    /// Whether nobody above takes the record.
    fn is_lost(&self, seq: Seq) -> bool {
        let held = self.held_above.as_ref();
        held.is_some_and(|held| !held.contains(seq))
    }
}

impl Last {
    /// The last slot that those above know, on the pair's own grid.
    fn told(&self, lost_since: Option<SlotMs>) -> Option<LastSlot> {
        self.slot.or_else(|| {
            let (before, interval_ms, epoch) = self.before_lost?;
            let step = i64::from(interval_ms.max(1));
            let ahead = lost_since.map_or(0, |since| before.0.saturating_sub(since.0).max(0));
            let steps = ahead.div_euclid(step) + i64::from(ahead.rem_euclid(step) > 0);
            let slot = SlotMs(before.0 - steps.saturating_mul(step));
            Some((slot, interval_ms, epoch))
        })
    }

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
    let mut lost_since = None;
    for (origin, past) in pasts {
        let since = past.lost_since();
        lost_since = lost_since.max(since);
        let Past {
            resolver, pairs, ..
        } = past;
        for ((resource, plugin), last) in pairs {
            let names = (resolver.resource(resource), resolver.plugin(plugin));
            let (Ok(Some(resource)), Ok(Some(plugin))) = names else {
                // Its definitions are gone with their segment: no slot of it is left either.
                continue;
            };
            let is_of_former = Some(origin) == former;
            let last = Last {
                is_of_former,
                slot: last.told(since),
                ..last
            };
            let known = latest.entry((resource.id().clone(), plugin)).or_default();
            if known.slot <= last.slot {
                *known = last;
            }
        }
    }
    let mut recalled = Recalled {
        lost_since,
        ..Recalled::default()
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_MS: u32 = 1_000;

    /// What was said of a pair: slots, each with whether nobody above takes its record.
    fn said(slots: &[(i64, bool)]) -> Last {
        let mut last = Last::default();
        for (slot, is_lost) in slots {
            let told = (SlotMs(*slot), EVERY_MS, Epoch::default());
            last.go_on(told, SlotMs(*slot), *is_lost);
        }
        last
    }

    fn past(pairs: &[&[(i64, bool)]], is_rolled_back: bool) -> Past {
        let keys = (1..).map(|number| (DefinitionId::NONE, DefinitionId(number)));
        let pairs = keys.zip(pairs);
        Past {
            pairs: pairs.map(|(key, slots)| (key, said(slots))).collect(),
            is_former: is_rolled_back,
            ..Past::default()
        }
    }

    fn told(past: &Past) -> Vec<Option<i64>> {
        let since = past.lost_since();
        let pairs = past.pairs.values();
        let slot = |last: &Last| last.told(since).map(|(slot, _, _)| slot.0);
        pairs.map(slot).collect()
    }

    #[test]
    fn a_pair_first_named_after_the_copy_goes_on_where_the_copy_ends() {
        let check = |pairs: &[&[(i64, bool)]], expected: &[i64]| {
            let expected: Vec<_> = expected.iter().copied().map(Some).collect();
            assert_eq!(told(&past(pairs, true)), expected, "{pairs:?}");
        };
        // The copy ends at 5,300. The second pair was polled by the life that is lost, then first
        // at 9,100 by the short life: the slots from 6,100 on are told again.
        check(
            &[&[(5_300, false), (9_300, true)], &[(9_100, true)]],
            &[5_300, 5_100],
        );
        check(&[&[(5_300, false)], &[(9_300, true)]], &[5_300, 5_300]);
        check(
            &[&[(5_300, false)], &[(4_100, true), (9_100, true)]],
            &[5_300, 3_100],
        );
        // Nothing is held above: the earliest word of any pair stands for the copy's end.
        check(
            &[&[(7_300, true)], &[(9_100, true), (10_100, true)]],
            &[6_300, 6_100],
        );
    }

    #[test]
    fn a_life_that_lost_nothing_goes_on_where_each_pair_ends() {
        let known = past(&[&[(5_300, false)], &[(9_100, false)]], false);
        assert_eq!(told(&known), [Some(5_300), Some(9_100)]);
        assert_eq!(known.lost_since(), None);
    }

    #[test]
    fn resources_of_which_nothing_is_known_begin_where_a_disk_that_went_back_ends() {
        let id = ResourceId::new(["dc1", "network", "switch", "generic", "one"]).unwrap();
        for lost_since in [None, Some(SlotMs(5_300))] {
            let recalled = Recalled {
                lost_since,
                ..Recalled::default()
            };
            let memories = recalled.with_unknown(std::iter::once(&id));
            let memory = memories.get(&id);
            assert_eq!(memory.and_then(|memory| memory.lost_since), lost_since);
            assert_eq!(
                memory.is_some_and(|it| it.is_rolled_back),
                lost_since.is_some()
            );
        }
    }
}
