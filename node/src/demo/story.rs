//! The story of a demo: a link is cut for ten seconds and mended, and what the mesh makes of it.
//!
//! Does: cut and mend the line below the region, look at both ends and at the top, tell in plain
//! lines. Does not: judge beyond what it saw: what does not happen in its time is told as such.
//! In: [`Stage`]. Out: lines while it plays, an object at its end. Every wait has an end.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ocelli_model::clock::{Clock, WallMs};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Sender;

use super::hops::Hops;
use super::mesh::{GLOBAL, REGION, SITES};
use super::relay::Relay;
use crate::cli::client::Client;
use crate::clock::RealClock;

/// Undisturbed before the cut, once data is at the top.
const CALM: Duration = Duration::from_secs(4);
/// From cut to mending.
const OUTAGE: Duration = Duration::from_secs(10);
/// How long any step is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often nodes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the story plays with.
pub(super) struct Stage {
    pub(super) line: Rc<Relay>,
    pub(super) site: Rc<Client>,
    pub(super) region: Rc<Client>,
    pub(super) global: Rc<Client>,
    pub(super) hops: Rc<RefCell<Hops>>,
    pub(super) say: Sender<String>,
}

/// Which end of the link is looked at.
#[derive(Debug, Clone, Copy)]
enum End {
    Site,
    Region,
}

/// Of the site that is cut off, at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    at_site: u64,
    backfilled: u64,
}

impl Stage {
    /// Plays it; the facts.
    pub(super) async fn play(self) -> Value {
        let [site, other] = SITES;
        let has_data = || self.last_live().is_some().then_some(());
        if until(PATIENCE, async || has_data()).await.is_none() {
            self.say("no data at the global: there is nothing to tell")
                .await;
            return json!({ "is_told": false });
        }
        wait(CALM).await;
        let mut facts = Map::new();
        let mut fact = |name: &str, value: Value| facts.insert(name.to_owned(), value);
        let before = self.counts();
        let cut = RealClock.wall();
        self.line.cut(true);
        self.say(&format!("the link {site} → {REGION} is cut"))
            .await;
        fact("link", json!(format!("{site} → {REGION}")));
        let (at_site, at_region) =
            tokio::join!(self.down(End::Site, cut), self.down(End::Region, cut));
        fact(
            "down_seen_ms",
            json!({ "site": at_site, "region": at_region }),
        );
        let spent = Duration::from_millis(since(cut).unsigned_abs());
        wait(OUTAGE.saturating_sub(spent)).await;
        let polled = self.counts().at_site - before.at_site;
        let waiting = self.hops.borrow().waiting(site, RealClock.wall());
        let stale = self.last_live().map(|(taken, _)| since(taken));
        fact("batches_during_outage", json!(polled));
        fact("waiting", json!(waiting));
        fact("stale_ms", json!(stale));
        let age = stale.map_or_else(String::new, |ms| format!(", its newest is {ms} ms old"));
        self.say(&format!(
            "{site} went on polling: {polled} batches since the cut, {waiting} wait on its disk; \
             {GLOBAL} has none of them{age}; {other} goes on undisturbed"
        ))
        .await;
        fact("outage_ms", json!(since(cut)));
        self.line.cut(false);
        let mended = RealClock.wall();
        self.say(&format!("the line is mended after {} s", OUTAGE.as_secs()))
            .await;
        facts.extend(self.recover(mended, before).await);
        Value::Object(facts)
    }

    /// Link back, live, backfill.
    async fn recover(&self, mended: WallMs, before: Counts) -> Map<String, Value> {
        let site = SITES[0];
        let back = self.seen(End::Site, mended, true).await;
        let reached = RealClock.wall();
        self.say(&match back {
            Some(ms) => format!("{site} has its link to {REGION} again after {ms} ms"),
            None => format!("{site} has no link after {} s", PATIENCE.as_secs()),
        })
        .await;
        let is_fresh = || self.last_live().filter(|(_, at)| *at > mended);
        let live = until(PATIENCE, async || is_fresh()).await;
        let live_ms = live.map(|(_, at)| at.0 - mended.0);
        let lag_ms = live.map(|(taken, at)| at.0 - taken.0);
        let is_drained = || (self.hops.borrow().waiting(site, reached) == 0).then_some(());
        let drained = until(PATIENCE, async || is_drained()).await;
        let last = self
            .hops
            .borrow()
            .site(site)
            .and_then(|of| of.last_backfill);
        let drained_ms = drained.and(last).map(|at| (at.0 - mended.0).max(0));
        let backfilled = self.counts().backfilled - before.backfilled;
        let lost = self.hops.borrow().waiting(site, reached);
        let missing = until(PATIENCE, async || {
            self.missing().await.filter(|of| *of == 0)
        })
        .await;
        self.say(&format!(
            "live data has a channel of its own: it is at {GLOBAL} {} after the mending, {} after \
             it was measured",
            text_of(live_ms),
            text_of(lag_ms),
        ))
        .await;
        self.say(&format!(
            "what waited came beside it: {backfilled} batches, the last {} after the mending",
            text_of(drained_ms),
        ))
        .await;
        let is_whole = lost == 0 && missing == Some(0);
        self.say(&if is_whole {
            format!("nothing is lost: {GLOBAL} has every record of {site}")
        } else {
            format!("{GLOBAL} still lacks {lost} batches of {site}")
        })
        .await;
        let facts = json!({
            "is_told": true,
            "link_back_ms": back,
            "live_back_ms": live_ms,
            "live_lag_ms": lag_ms,
            "backfilled": backfilled,
            "backfill_done_ms": drained_ms,
            "lost": lost,
            "is_whole": is_whole,
        });
        facts.as_object().cloned().unwrap_or_default()
    }

    /// Says when an end has seen that the link is down.
    async fn down(&self, end: End, cut: WallMs) -> Option<i64> {
        let seen = self.seen(end, cut, false).await;
        let name = match end {
            End::Site => SITES[0],
            End::Region => REGION,
        };
        self.say(&match seen {
            Some(ms) => format!("{name} sees the link as down after {ms} ms"),
            None => format!("{name} has not seen it after {} s", PATIENCE.as_secs()),
        })
        .await;
        seen
    }

    /// When an end's `/v1/links` says what is expected, ms after `then`.
    async fn seen(&self, end: End, then: WallMs, is_up: bool) -> Option<i64> {
        let look = async || {
            let client = match end {
                End::Site => &self.site,
                End::Region => &self.region,
            };
            let links = client.get("/v1/links", &[]).await.ok()?;
            let name = format!("{}/", SITES[0]);
            let items = links["items"].as_array()?;
            let link = items.iter().find(|link| match end {
                End::Site => link["direction"] == "up",
                End::Region => link["name"]
                    .as_str()
                    .is_some_and(|of| of.starts_with(&name)),
            });
            let link = link?;
            // The node's own time of the change, not that of this look at it.
            let changed_ms = link["since_ms"].as_i64()? - then.0;
            (link["is_up"] == is_up && changed_ms >= 0).then_some(changed_ms)
        };
        until(PATIENCE, look).await
    }

    /// Records of the site that the global knows of and has not.
    async fn missing(&self) -> Option<u64> {
        let nodes = self.global.get("/v1/nodes", &[]).await.ok()?;
        let of_site = nodes["items"].as_array()?.iter();
        let mut of_site = of_site.filter(|node| node["site"] == SITES[0]);
        of_site.try_fold(0, |sum, node| Some(sum + node["missing"].as_u64()?))
    }

    fn last_live(&self) -> Option<(WallMs, WallMs)> {
        let hops = self.hops.borrow();
        hops.site(SITES[0]).and_then(|site| site.last_live)
    }

    fn counts(&self) -> Counts {
        let hops = self.hops.borrow();
        let counts = hops.site(SITES[0]).map(|site| Counts {
            at_site: site.at_site,
            backfilled: site.backfilled,
        });
        counts.unwrap_or_default()
    }

    async fn say(&self, text: &str) {
        let _nobody_listens = self.say.send(text.to_owned()).await;
    }
}

fn text_of(ms: Option<i64>) -> String {
    ms.map_or_else(|| "(not seen)".to_owned(), |ms| format!("{ms} ms"))
}

fn since(then: WallMs) -> i64 {
    (RealClock.wall().0 - then.0).max(0)
}

async fn wait(time: Duration) {
    RealClock
        .sleep_until(RealClock.monotonic().after(time))
        .await;
}

/// Looks until there is something to see; `None`: not within `limit`.
async fn until<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = RealClock.monotonic().after(limit);
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if RealClock.monotonic() >= end {
            return None;
        }
        wait(LOOK_EVERY).await;
    }
}
