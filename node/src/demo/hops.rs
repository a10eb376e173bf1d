//! How late a record is at each tier, as a subscriber of that tier sees it.
//!
//! Does: join the arrivals of one record at site, region and global; keep lags by site and hop;
//! tell what has not come up yet. Does not: subscribe. In: [`Arrived`]. Out: percentiles, counts.
//! Invariant: only live records have lags here; backfill is counted apart.

use std::collections::{BTreeMap, VecDeque};

use ocelli_model::clock::WallMs;
use serde_json::{Value, json};

use super::summary::percentiles_of;
use crate::cli::output::aligned;

/// Names of the tiers, upwards.
pub(super) const TIERS: [&str; 3] = ["site", "region", "global"];
/// The last of [`TIERS`].
pub(super) const TOP: usize = TIERS.len() - 1;
/// Newest lags of a site and hop: ten minutes of a hundred switches.
const LAGS_MAX: usize = 30_000;
/// Records that are awaited at some tier; the oldest are given up.
const AWAITED_MAX: usize = 200_000;

/// A batch at a tier.
#[derive(Debug, Clone)]
pub(super) struct Arrived<'a> {
    pub(super) tier: usize,
    pub(super) site: &'a str,
    pub(super) origin: &'a str,
    pub(super) seq: u64,
    /// When it was measured.
    pub(super) taken: WallMs,
    /// When a subscriber of the tier had it.
    pub(super) at: WallMs,
    pub(super) is_backfill: bool,
}

/// What came of one site.
#[derive(Debug, Default)]
pub(super) struct SiteCount {
    /// Batches at the site itself.
    pub(super) at_site: u64,
    /// Batches at the global.
    pub(super) at_top: u64,
    /// Of those, sent later than live.
    pub(super) backfilled: u64,
    /// When the last of those came.
    pub(super) last_backfill: Option<WallMs>,
    /// The newest batch at the global that was sent live: (measured, arrived).
    pub(super) last_live: Option<(WallMs, WallMs)>,
    /// Lag of each hop and, last, from device to global; ms.
    lags_ms: [VecDeque<i64>; TIERS.len() + 1],
}

#[derive(Debug)]
struct Awaited {
    site: String,
    taken: WallMs,
    at: [Option<WallMs>; TIERS.len()],
    is_backfill: bool,
}

/// All sites' records on their way up.
#[derive(Debug, Default)]
pub(super) struct Hops {
    sites: BTreeMap<String, SiteCount>,
    /// By (seq, origin): the oldest come first.
    awaited: BTreeMap<(u64, String), Awaited>,
}

impl Hops {
    /// Takes an arrival.
    pub(super) fn take(&mut self, arrived: &Arrived<'_>) {
        self.count(arrived);
        let key = (arrived.seq, arrived.origin.to_owned());
        let awaited = self.awaited.entry(key.clone());
        let awaited = awaited.or_insert_with(|| Awaited {
            site: arrived.site.to_owned(),
            taken: arrived.taken,
            at: [None; TIERS.len()],
            is_backfill: false,
        });
        awaited.at[arrived.tier] = Some(arrived.at);
        awaited.is_backfill |= arrived.is_backfill;
        if awaited.at.iter().all(Option::is_some) {
            self.complete(&key);
        } else if self.awaited.len() > AWAITED_MAX {
            self.awaited.pop_first();
        }
    }

    fn count(&mut self, arrived: &Arrived<'_>) {
        let site = self.site_mut(arrived.site);
        match arrived.tier {
            0 => site.at_site += 1,
            TOP if arrived.is_backfill => {
                site.at_top += 1;
                site.backfilled += 1;
                site.last_backfill = Some(arrived.at);
            }
            TOP => {
                site.at_top += 1;
                site.last_live = Some((arrived.taken, arrived.at));
            }
            _ => {}
        }
    }

    fn complete(&mut self, key: &(u64, String)) {
        let Some(awaited) = self.awaited.remove(key) else {
            return;
        };
        if awaited.is_backfill {
            return;
        }
        let mut before = awaited.taken;
        let site = self.site_mut(&awaited.site);
        for (hop, at) in awaited.at.into_iter().flatten().enumerate() {
            note(&mut site.lags_ms[hop], at.0 - before.0);
            before = at;
        }
        note(&mut site.lags_ms[TIERS.len()], before.0 - awaited.taken.0);
    }

    fn site_mut(&mut self, site: &str) -> &mut SiteCount {
        if !self.sites.contains_key(site) {
            self.sites.insert(site.to_owned(), SiteCount::default());
        }
        self.sites.entry(site.to_owned()).or_default()
    }

    /// What came of a site.
    pub(super) fn site(&self, name: &str) -> Option<&SiteCount> {
        self.sites.get(name)
    }

    /// Batches that the site's own subscriber has had since before `until` and the global's has
    /// not.
    pub(super) fn waiting(&self, site: &str, until: WallMs) -> usize {
        let is_waiting = |awaited: &&Awaited| {
            let [here, .., top] = awaited.at;
            awaited.site == site && top.is_none() && here.is_some_and(|at| at <= until)
        };
        self.awaited.values().filter(is_waiting).count()
    }

    /// `[{from, to, lag_ms}]`, over all sites.
    pub(super) fn to_json(&self) -> Value {
        let hop = |index: usize| {
            let from = index.checked_sub(1).map_or("device", |below| TIERS[below]);
            let all: VecDeque<i64> = self
                .sites
                .values()
                .flat_map(|site| site.lags_ms[index].iter().copied())
                .collect();
            let [p50, p99] = percentiles_of(&all, [50, 99]);
            json!({ "from": from, "to": TIERS[index], "lag_ms": { "p50": p50, "p99": p99 } })
        };
        Value::Array((0..TIERS.len()).map(hop).collect())
    }

    /// The path of each site's records with the lag of each hop.
    pub(super) fn table(&self, above: &str, is_styled: bool) -> String {
        let heading = [
            "PATH",
            "TO SITE",
            "TO REGION",
            "TO GLOBAL",
            "WHOLE P50",
            "P99",
        ];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for (name, site) in &self.sites {
            let lag = |hop: usize, percent: usize| {
                let [lag] = percentiles_of(&site.lags_ms[hop], [percent]);
                lag.map_or_else(|| "-".to_owned(), |lag| format!("{lag} ms"))
            };
            let whole = TIERS.len();
            let mut row = vec![format!("devices → {name} → {above} → subscriber")];
            row.extend((0..=whole).map(|hop| lag(hop, 50)));
            row.push(lag(whole, 99));
            rows.push(row);
        }
        aligned(&rows, is_styled)
    }
}

/// Two subscribers of one process may have a record in either order: never below 0.
fn note(lags: &mut VecDeque<i64>, lag_ms: i64) {
    if lags.len() == LAGS_MAX {
        lags.pop_front();
    }
    lags.push_back(lag_ms.max(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(tier: usize, seq: u64, at: i64) -> Arrived<'static> {
        Arrived {
            tier,
            site: "north",
            origin: "o",
            seq,
            taken: WallMs(100),
            at: WallMs(at),
            is_backfill: false,
        }
    }

    #[test]
    fn a_record_has_the_lag_of_each_hop_once_it_is_at_every_tier_in_whatever_order() {
        let mut hops = Hops::default();
        hops.take(&arrived(2, 1, 160));
        hops.take(&arrived(0, 1, 110));
        assert_eq!(hops.to_json()[0]["lag_ms"]["p50"], Value::Null);
        hops.take(&arrived(1, 1, 130));
        let lags = |hop: usize| hops.to_json()[hop]["lag_ms"]["p99"].clone();
        assert_eq!(
            [lags(0), lags(1), lags(2)],
            [json!(10), json!(20), json!(30)]
        );
        assert!(hops.table("west → world", false).contains("60 ms"));
    }

    #[test]
    fn what_only_the_site_has_is_waiting_and_backfill_has_no_lag() {
        let mut hops = Hops::default();
        hops.take(&arrived(0, 1, 110));
        hops.take(&arrived(0, 2, 120));
        assert_eq!(hops.waiting("north", WallMs(110)), 1);
        assert_eq!(hops.waiting("north", WallMs(120)), 2);
        assert_eq!(hops.waiting("south", WallMs(120)), 0);
        for tier in [1, 2] {
            let late = Arrived {
                is_backfill: true,
                ..arrived(tier, 1, 9_000)
            };
            hops.take(&late);
        }
        assert_eq!(hops.waiting("north", WallMs(120)), 1);
        let site = hops.site("north").unwrap();
        assert_eq!((site.at_site, site.at_top, site.backfilled), (2, 1, 1));
        assert_eq!(hops.to_json()[2]["lag_ms"]["p50"], Value::Null);
    }
}
