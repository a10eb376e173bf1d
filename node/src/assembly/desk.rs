//! Where nodes that dial in state their origin: one live link for each.
//!
//! Does: carry out what `LiveOrigins` decides: seat a dialler, let one wait while a dead link may
//! hold its origin, end both where two live nodes state one. Does not: decide.
//! In: origins, links that stand. Out: a [`Seat`] for as long as the link stands, or a refusal.
//! Whether the holder lives shows by bytes that come over its link while another waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ocelli_bus::record::OriginId;
use ocelli_federation::ingest::{LinkNumber, LiveOrigins, OriginClaim, OriginEvent};
use ocelli_federation::link::{CloseCode, Link};
use ocelli_model::clock::Clock;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Between two looks at a contested origin.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
struct State {
    origins: LiveOrigins,
    next: u64,
    /// Links that are seated, with the bytes received when they were last contested.
    seated: BTreeMap<LinkNumber, Arc<dyn Link>>,
    waiting: BTreeMap<LinkNumber, oneshot::Sender<bool>>,
}

/// All claims of a node.
pub(super) struct Desk {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// The right to speak for an origin; given back when dropped.
pub(super) struct Seat {
    desk: Arc<Desk>,
    claim: OriginClaim,
}

impl Desk {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { state, clock })
    }

    /// A seat for a dialler; `None`: another live node states the origin.
    pub(super) async fn claim(self: &Arc<Self>, origin: OriginId) -> Option<Seat> {
        let (claim, mut verdict) = self.begin(origin);
        let seat = Seat {
            desk: Arc::clone(self),
            claim,
        };
        let before = self.received(origin, claim.link);
        loop {
            let pause = self
                .clock
                .sleep_until(self.clock.monotonic().after(LOOK_EVERY));
            tokio::select! {
                told = &mut verdict => return told.unwrap_or(false).then_some(seat),
                () = pause => self.look((origin, claim.link), before),
            }
        }
    }

    /// Ends the links of all that are seated, in order.
    pub(super) async fn dismiss(&self, reason: &str, patience: Duration) {
        let seated: Vec<_> = self.state.lock().seated.values().cloned().collect();
        let ending = seated.iter().map(|link| link.finish(reason, patience));
        join_all(ending).await;
    }

    fn begin(&self, origin: OriginId) -> (OriginClaim, oneshot::Receiver<bool>) {
        let (sender, verdict) = oneshot::channel();
        let mut state = self.state.lock();
        state.next += 1;
        let link = LinkNumber(state.next);
        let claim = OriginClaim { origin, link };
        state.waiting.insert(link, sender);
        let events = state.origins.claim(claim, self.clock.monotonic());
        carry_out(&mut state, events);
        (claim, verdict)
    }

    /// Bytes that came over the link that holds an origin while another waits.
    fn received(&self, origin: OriginId, but: LinkNumber) -> Option<(LinkNumber, u64)> {
        let state = self.state.lock();
        let mut of_origin = state
            .seated
            .iter()
            .filter(|(number, link)| **number != but && link.hello().origin == origin);
        let (number, link) = of_origin.next()?;
        Some((*number, link.statistics().bytes_received))
    }

    fn look(&self, (origin, but): (OriginId, LinkNumber), before: Option<(LinkNumber, u64)>) {
        let now = self.received(origin, but);
        let mut state = self.state.lock();
        let at = self.clock.monotonic();
        let mut events = Vec::new();
        if let (Some((holder, before)), Some((still, after))) = (before, now)
            && holder == still
            && after > before
        {
            let claim = OriginClaim {
                origin,
                link: holder,
            };
            events.extend(state.origins.heard(claim, at));
        }
        events.extend(state.origins.tick(at));
        carry_out(&mut state, events);
    }
}

impl Seat {
    /// The link that stands now.
    pub(super) fn take(&self, link: &Arc<dyn Link>) {
        let mut state = self.desk.state.lock();
        state.seated.insert(self.claim.link, Arc::clone(link));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.desk.state.lock();
        state.seated.remove(&self.claim.link);
        state.waiting.remove(&self.claim.link);
        let events = state.origins.ended(self.claim);
        carry_out(&mut state, events);
    }
}

fn carry_out(state: &mut State, events: Vec<OriginEvent>) {
    for event in events {
        let (link, is_admitted) = match event {
            OriginEvent::Admit(link) => (link, true),
            OriginEvent::Refuse(link) | OriginEvent::Supersede(link) => (link, false),
        };
        if let Some(waiting) = state.waiting.remove(&link) {
            let _it_left = waiting.send(is_admitted);
        } else if let Some(seated) = state.seated.get(&link).filter(|_| !is_admitted) {
            seated.close(CloseCode::Replaced, "another link states this origin");
        }
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
