//! What a neighbour refused of what this node sent, as a state of the link.
//!
//! Does: sum refusals up by reason, say when one is to be told. Does not: log, send, decide what is
//! sent again (`uplink`). In: refused blocks with the time. Out: [`Refusal`]s, [`RefusalTold`]s.
//! Memory: one entry for each reason.

use std::collections::BTreeMap;
use std::time::Duration;

use ocelli_bus::record::OriginId;
use ocelli_model::clock::WallMs;

use crate::frame::{RefusedBlock, RefusedReason};

/// Least time between two tellings of one reason.
pub const REFUSAL_TOLD_EVERY: Duration = Duration::from_secs(60);
/// A refusal that passes by itself is shown for so long after the last one.
const PASSING_SHOWN: Duration = Duration::from_secs(60);

/// Refusals of one reason since the link stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusedReason,
    /// When the first one came.
    pub since: WallMs,
    /// When the last one came.
    pub last: WallMs,
    /// Records refused; one that is sent and refused again counts again.
    pub records: u64,
    /// Whose records the last one was.
    pub origin: OriginId,
    /// What the neighbour said of the last one.
    pub detail: String,
    told: Option<WallMs>,
    untold: u64,
}

impl Refusal {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self.reason {
            RefusedReason::Scope => {
                "issue this node a certificate that names the site (`ocelli ca issue`), or take \
                 the resources of that site away from it"
            }
            RefusedReason::Damaged => "see the log of both nodes; the disk or the line is faulty",
            RefusedReason::Quota => "raise the origin's share at the neighbour (`[[origin]]`)",
            RefusedReason::SecondGeneration => {
                "the neighbour knows another life of this site; decide there: `ocelli mesh adopt`"
            }
            RefusedReason::Busy => "the neighbour's disk or queue is full; free space there",
            RefusedReason::NeedsDefinitions | RefusedReason::Order | RefusedReason::Other(_) => {
                "it is sent again by itself; if it lasts, see the neighbour's log"
            }
        }
    }
}

/// A refusal that is to be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalTold {
    /// As it stands.
    pub refusal: Refusal,
    /// Records since the last telling.
    pub records: u64,
}

/// Refusals of a link, by reason.
#[derive(Debug, Clone, Default)]
pub struct Refusals(BTreeMap<RefusedReason, Refusal>);

impl Refusals {
    /// Takes one; an answer is to be told. What passes by itself is shown and not told.
    pub fn note(&mut self, block: &RefusedBlock, now: WallMs) -> Option<RefusalTold> {
        let records = block.range.last.0.saturating_sub(block.range.first.0) + 1;
        let refusal = self.0.entry(block.reason).or_insert_with(|| Refusal {
            reason: block.reason,
            since: now,
            last: now,
            records: 0,
            origin: block.stream.origin,
            detail: String::new(),
            told: None,
            untold: 0,
        });
        refusal.last = now;
        refusal.records += records;
        refusal.untold += records;
        refusal.origin = block.stream.origin;
        block.detail.clone_into(&mut refusal.detail);
        let is_due = refusal
            .told
            .is_none_or(|told| now.0.saturating_sub(told.0) >= millis(REFUSAL_TOLD_EVERY));
        if !block.reason.needs_a_person() || !is_due {
            return None;
        }
        refusal.told = Some(now);
        let records = std::mem::take(&mut refusal.untold);
        let refusal = refusal.clone();
        Some(RefusalTold { refusal, records })
    }

    /// Those that are in force: for good, or not long ago.
    #[must_use]
    pub fn list(&self, now: WallMs) -> Vec<Refusal> {
        let is_shown = |refusal: &&Refusal| {
            let age_ms = now.0.saturating_sub(refusal.last.0);
            !refusal.reason.is_transient() || age_ms <= millis(PASSING_SHOWN)
        };
        self.0.values().filter(is_shown).cloned().collect()
    }

    /// The link begins anew: what is still wrong will be refused again.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use ocelli_bus::SeqRange;
    use ocelli_bus::record::{Seq, StreamId};

    use super::*;

    fn block(reason: RefusedReason, (first, last): (u64, u64)) -> RefusedBlock {
        RefusedBlock {
            stream: StreamId::data(OriginId(9)),
            range: SeqRange {
                first: Seq(first),
                last: Seq(last),
            },
            reason,
            detail: format!("block from {first}"),
        }
    }

    #[test]
    fn a_refusal_for_good_is_told_at_once_then_each_minute_with_its_count_and_stays_shown() {
        let mut refusals = Refusals::default();
        let mut note = |range, at| {
            let told = refusals.note(&block(RefusedReason::Scope, range), WallMs(at));
            told.map(|told| (told.records, told.refusal.records, told.refusal.detail))
        };
        assert_eq!(note((1, 3), 0), Some((3, 3, "block from 1".to_owned())));
        assert_eq!(note((4, 4), 10), None);
        assert_eq!(note((5, 6), 59_999), None);
        assert_eq!(
            note((7, 7), 60_000),
            Some((4, 7, "block from 7".to_owned()))
        );
        let shown = refusals.list(WallMs(9_000_000));
        assert_eq!(
            (shown.len(), shown[0].since, shown[0].records),
            (1, WallMs(0), 7)
        );
        refusals.clear();
        assert!(refusals.list(WallMs(9_000_000)).is_empty());
    }

    #[test]
    fn a_refusal_that_passes_is_shown_for_a_minute_and_never_told() {
        let mut refusals = Refusals::default();
        assert_eq!(
            refusals.note(&block(RefusedReason::Quota, (1, 2)), WallMs(5)),
            None
        );
        assert_eq!(refusals.list(WallMs(60_005)).len(), 1);
        assert!(refusals.list(WallMs(60_006)).is_empty());
    }

    #[test]
    fn every_reason_has_a_hint() {
        let mut refusals = Refusals::default();
        for reason in RefusedReason::ALL {
            refusals.note(&block(*reason, (1, 1)), WallMs(0));
        }
        let shown = refusals.list(WallMs(0));
        assert_eq!(shown.len(), RefusedReason::ALL.len());
        assert!(shown.iter().all(|refusal| refusal.hint().len() > 20));
    }
}
