//! Those that are dialled: upstreams and peers, one task each.
//!
//! Does: follow a configuration, dial until a link stands, run its uplink, dial again when it ends.
//! Does not: choose the member of a group or its back-off (`link`), pick blocks (`uplink`).
//! In: configurations. Out: entries in the list of links; `true` in `rolled_back` where a neighbour
//! holds more of the own origin than this disk.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ocelli_bus::DurableCursor;
use ocelli_config::Config;
use ocelli_federation::frame::Role;
use ocelli_federation::identity::{Expected, PeerIdentity};
use ocelli_federation::link::{
    CloseCode, DialFacts, Dialer, DialerOptions, Link, MeshEndpoint, Standing,
};
use ocelli_federation::links::Toward;
use ocelli_federation::membership::outdated;
use ocelli_federation::uplink::{Replay, UplinkEnd, UplinkRun, run_uplink, uplink_cursor};
use ocelli_model::event::Event;
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;
use tracing::{info, warn};

use super::Shared;
use super::derivers::Derivers;
use super::telling::tell;
use super::watching::refusals_of;
use crate::assembly::links::Direction;
use crate::assembly::wanted::{Wanted, forward_of, policy_of, wanted_of};
use crate::rng::RealRng;

/// How long what was handed to a link may take to arrive before the link is made anew.
const ANEW_PATIENCE: Duration = Duration::from_secs(1);

/// The diallers of a node, by link.
pub(super) struct Diallers {
    pub(super) shared: Arc<Shared>,
    endpoint: Arc<MeshEndpoint>,
    pub(super) tasks: BTreeMap<String, Dialled>,
    /// Links that were made for a replay, by the id of the group's own.
    pub(super) refills: BTreeMap<String, Task<()>>,
    derivers: Derivers,
}

/// A neighbour that is dialled.
pub(super) struct Dialled {
    pub(super) wanted: Wanted,
    pub(super) replay: Arc<Replay>,
    /// Whether another link of the group stands, for a replay.
    pub(super) refilling: watch::Sender<bool>,
    task: Task<()>,
}

impl Diallers {
    pub(super) fn new(shared: Arc<Shared>, endpoint: Arc<MeshEndpoint>) -> Self {
        let derivers = Derivers::new(Arc::clone(&shared));
        Self {
            shared,
            endpoint,
            tasks: BTreeMap::new(),
            refills: BTreeMap::new(),
            derivers,
        }
    }

    /// Dials what is wanted and was not, leaves what no longer is.
    pub(super) fn follow(&mut self, config: &Config) {
        self.shared.quotas.store(Arc::new(config.origins.clone()));
        let wanted = wanted_of(config);
        self.derivers.follow(&wanted);
        let gone: Vec<String> = self
            .tasks
            .iter()
            .filter(|(_, running)| !wanted.contains(&running.wanted))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            if let Some(dialled) = self.tasks.remove(&id) {
                dialled.task.abort();
                self.shared.links.unwant(&id);
            }
            if let Some(refill) = self.refills.remove(&id) {
                refill.abort();
            }
        }
        let site = config.node.site.as_str();
        for wanted in wanted {
            if !self.tasks.contains_key(&wanted.id) {
                self.begin(wanted, site);
            }
        }
    }

    fn begin(&mut self, wanted: Wanted, site: &str) {
        let Some(dialer) = self.dialer(&wanted, wanted.members.clone(), site) else {
            return;
        };
        let who = (wanted.direction, wanted.name.as_str());
        self.shared
            .links
            .want(&wanted.id, who, self.shared.parts.clock.wall());
        let replay = Arc::<Replay>::default();
        let refilling = watch::Sender::new(false);
        let parts = (Arc::clone(&replay), refilling.clone());
        let kept = keep(dialer, (wanted.clone(), parts), Arc::clone(&self.shared));
        let task = tokio::task::spawn_local(kept);
        let dialled = Dialled {
            wanted,
            replay,
            refilling,
            task,
        };
        self.tasks.insert(dialled.wanted.id.clone(), dialled);
    }

    /// What dials some members of a group; `None`: this node has no certificate that could.
    pub(super) fn dialer(
        &self,
        wanted: &Wanted,
        members: Vec<String>,
        site: &str,
    ) -> Option<Dialer> {
        let (expected, role) = match wanted.direction {
            Direction::Peer => (Expected::Peer, Role::Peer),
            _ => (Expected::Upstream, Role::Uplink),
        };
        let tls = match self.shared.parts.identity.client_config(expected) {
            // It follows the identity by itself: one is enough for all attempts.
            Ok(tls) => Arc::new(tls),
            Err(error) => {
                warn!(link = %wanted.id, %error, "cannot be dialled");
                return None;
            }
        };
        let origin = self.shared.parts.bus.origin();
        let options = DialerOptions {
            site: site.to_owned(),
            members,
            healthy_for: wanted.healthy_for,
            tls: Arc::new(move || Arc::clone(&tls)),
            facts: Arc::new(move || DialFacts { origin, role }),
            clock: Arc::clone(&self.shared.parts.clock),
            rng: Box::new(RealRng::default()),
        };
        Some(Dialer::new(Arc::clone(&self.endpoint), options))
    }

    /// The node stops: each sends what its neighbour lacks, within its own limit.
    pub(super) async fn drain(self) {
        self.refills.into_values().for_each(|task| task.abort());
        self.shared.stopping.send_replace(true);
        self.derivers.drain().await;
        for dialled in self.tasks.into_values() {
            if let Err(error) = dialled.task.await {
                warn!(%error, "a dialler did not end in order");
            }
        }
    }

    /// Ends all of them.
    pub(super) async fn end(self) {
        self.derivers.end().await;
        let tasks = self.tasks.into_values().map(|dialled| dialled.task);
        for task in tasks.chain(self.refills.into_values()) {
            task.abort();
            let _it_was_told_to_end = task.await;
        }
    }
}

/// Keeps a link for as long as it is wanted.
async fn keep(
    mut dialer: Dialer,
    (wanted, (replay, refilling)): (Wanted, (Arc<Replay>, watch::Sender<bool>)),
    shared: Arc<Shared>,
) {
    let clock = Arc::clone(&shared.parts.clock);
    let id = wanted.id.clone();
    let id = id.as_str();
    let cursor = match uplink_cursor(&shared.parts.bus, id, clock.wall()) {
        Ok(cursor) => cursor,
        Err(error) => {
            shared.links.down(id, &error.to_string(), clock.wall());
            return warn!(link = %id, %error, "cannot be dialled");
        }
    };
    let kept = Kept {
        wanted,
        cursor,
        shared: Arc::clone(&shared),
        replay,
        refilling,
    };
    let mut better = None;
    loop {
        let shown = shared.parts.identity.own();
        let standing = match better.take() {
            Some(better) => better,
            None => match kept.connect(&mut dialer).await {
                Some(standing) => standing,
                None => return,
            },
        };
        match kept.stands(&mut dialer, (standing, &shown)).await {
            Stood::Moved(standing) => better = Some(*standing),
            Stood::Anew => dialer.left(),
            Stood::Ended(UplinkEnd::Drained { .. }) => return,
            Stood::Ended(end) => {
                if matches!(end, UplinkEnd::RolledBack { .. }) {
                    shared.roll_back.send_replace(true);
                }
                dialer.lost();
            }
        }
    }
}

/// A neighbour and how far it is.
pub(super) struct Kept {
    pub(super) wanted: Wanted,
    pub(super) cursor: DurableCursor,
    pub(super) shared: Arc<Shared>,
    pub(super) replay: Arc<Replay>,
    /// Whether another link of the group stands, for a replay.
    pub(super) refilling: watch::Sender<bool>,
}

/// How the life of a link ended.
enum Stood {
    Ended(UplinkEnd),
    /// A better member of the group took its place.
    Moved(Box<Standing>),
    /// It is made anew, with another certificate.
    Anew,
}

impl Kept {
    /// Dials until a link stands. A replay to another member ends first: the group's own link may
    /// go there.
    async fn connect(&self, dialer: &mut Dialer) -> Option<Standing> {
        let id = self.wanted.id.as_str();
        if *self.refilling.borrow() {
            let replay = self.shared.links.get(id).and_then(|view| view.replay);
            if let Some(view) = replay {
                view.replay.fail("the link of the group was lost meanwhile");
            }
            self.until_refilled().await;
        }
        connect(dialer, id, &self.shared).await
    }

    async fn until_refilled(&self) {
        let mut refilling = self.refilling.subscribe();
        // The sender is held here.
        let _is_over = refilling.wait_for(|is_refilling| !is_refilling).await;
    }

    /// Waits for a better member; none while a replay has a link of its own.
    async fn better(&self, dialer: &mut Dialer) -> Standing {
        let mut refilling = self.refilling.subscribe();
        loop {
            self.until_refilled().await;
            tokio::select! {
                standing = dialer.better() => return standing,
                _ = refilling.wait_for(|is_refilling| *is_refilling) => {}
            }
        }
    }

    /// The life of one link: told when it begins and ends, with what goes up over it.
    async fn stands(
        &self,
        dialer: &mut Dialer,
        (standing, shown): (Standing, &Arc<PeerIdentity>),
    ) -> Stood {
        let (id, parts) = (self.wanted.id.as_str(), &self.shared.parts);
        let (clock, began) = (&parts.clock, parts.clock.monotonic());
        let link: Arc<dyn Link> = standing.link;
        let neighbour = link.peer().identity.to_string();
        parts.events.report(Event::LinkUp {
            link: id.to_owned(),
            neighbour: neighbour.clone(),
        });
        let up = (Arc::clone(&link), standing.member.as_str());
        self.shared.links.up(id, up, clock.wall());
        let origins = Arc::clone(&parts.origins);
        let toward = match self.wanted.direction {
            Direction::Peer => Toward::Peer,
            _ => Toward::Above,
        };
        let telling = tell(Arc::clone(&link), origins, (toward, Arc::clone(clock)));
        let end = tokio::select! {
            end = self.uplink(&link) => end,
            // It ends with the link; why that ended is for the uplink to say.
            never = telling.then(|()| pending()) => never,
            // Both stand for a moment. What was on its way to the former is sent again: whoever is
            // above both stores it once.
            standing = self.better(dialer) => {
                info!(link = %id, member = %standing.member, "moving back to a better member");
                link.close(CloseCode::Done, "moved back to a better member");
                return Stood::Moved(Box::new(standing));
            }
            why = outdated(&*link, shown, (&*parts.identity, &**clock)) => {
                info!(link = %id, %why, "link is made anew");
                link.finish(&why.to_string(), ANEW_PATIENCE).await;
                return Stood::Anew;
            }
        };
        let cause = end.to_string();
        self.shared.links.down(id, &cause, clock.wall());
        // A stop is an event of its own, and nothing may come behind what was drained.
        if !matches!(end, UplinkEnd::Drained { .. }) {
            parts.events.report(Event::LinkDown {
                link: id.to_owned(),
                neighbour,
                cause,
                stood_s: clock.monotonic().since(began).as_secs(),
            });
        }
        Stood::Ended(end)
    }

    /// Sends what the neighbour lacks over a link.
    pub(super) fn uplink(&self, link: &Arc<dyn Link>) -> impl Future<Output = UplinkEnd> + use<> {
        let (parts, wanted) = (&self.shared.parts, &self.wanted);
        let heard = (&self.shared.links, &parts.events);
        run_uplink(UplinkRun {
            link: Arc::clone(link),
            bus: Arc::clone(&parts.bus),
            cursor: self.cursor.clone(),
            clock: Arc::clone(&parts.clock),
            policy: policy_of(wanted, &parts.bus),
            forward: forward_of(wanted),
            from_peers: Arc::clone(&self.shared.from_peers),
            refused: refusals_of(&wanted.id, heard, &parts.clock),
            replay: Arc::clone(&self.replay),
            stop: self.shared.stopping.subscribe(),
        })
    }
}

/// Dials until a link stands, and shows why it does not yet. `None`: the node stops.
async fn connect(dialer: &mut Dialer, id: &str, shared: &Shared) -> Option<Standing> {
    let mut stopping = shared.stopping.subscribe();
    let mut states = dialer.states();
    let mut refused = None;
    let connecting = dialer.connect();
    tokio::pin!(connecting);
    loop {
        tokio::select! {
            standing = &mut connecting => return Some(standing),
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return None,
            Ok(()) = states.changed() => {
                let members = states.borrow_and_update();
                let failed = members.iter().find(|member| member.error.is_some());
                let error = failed.and_then(|member| member.error.clone());
                if let Some(error) = &error {
                    shared.links.down(id, error, shared.parts.clock.wall());
                }
                // Once for each reason: attempts go on for as long as nobody mends it.
                let reason = error.filter(|_| failed.is_some_and(|member| member.is_refused));
                if reason != refused && let Some(reason) = reason.clone() {
                    let link = id.to_owned();
                    shared.parts.events.report(Event::LinkRefused { link, reason });
                }
                refused = reason;
            }
        }
    }
}
