//! Replays: a member of a group is sent what other members acknowledged.
//!
//! Does: find the member that is meant, have the group's own link do it where it stands there, else
//! keep a link of its own until the replay is over. Does not: choose blocks (`uplink`).
//! In: [`ReplayOrder`]s. Out: answers, replays in the list of links.
//! Invariant: never two links to one member: the group's own waits for the end of a replay's, and a
//! replay is given up when the group's own link is lost.

use std::sync::Arc;
use std::time::Duration;

use ocelli_federation::link::{CloseCode, Dialer, Link, Standing};
use ocelli_federation::uplink::{Replay, ReplayState, UplinkEnd, uplink_cursor};
use ocelli_model::clock::Clock;
use tokio::sync::watch;
use tracing::info;

use super::diallers::{Dialled, Diallers, Kept};
use crate::assembly::links::{Direction, ReplayView};
use crate::assembly::replaying::{ReplayError, ReplayOrder, ReplayStarted};
use crate::assembly::wanted::Wanted;

/// How long the member may take to answer and to say what it holds.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A member that is to be refilled.
struct Meant {
    link: String,
    member: String,
    is_linked: bool,
}

/// True for as long as this lives.
struct Refilling(watch::Sender<bool>);

impl Refilling {
    fn begin(flag: &watch::Sender<bool>) -> Self {
        flag.send_replace(true);
        Self(flag.clone())
    }
}

impl Drop for Refilling {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Diallers {
    /// Begins a replay, or says why not.
    pub(super) fn replay(&mut self, order: ReplayOrder) {
        match self.meant(&order) {
            Ok(meant) => self.begin_replay(meant, order),
            // Whoever asked may be gone.
            Err(error) => drop(order.answer.send(Err(error))),
        }
    }

    fn meant(&self, order: &ReplayOrder) -> Result<Meant, ReplayError> {
        let is_up = |one: &&Dialled| one.wanted.direction == Direction::Up;
        let ups = || self.tasks.values().filter(is_up);
        let named: Vec<&Dialled> = ups()
            .filter(|one| one.wanted.name == order.upstream)
            .collect();
        if named.is_empty() {
            let (name, known) = (
                order.upstream.clone(),
                list(ups().map(|one| &one.wanted.name)),
            );
            return Err(ReplayError::UnknownUpstream { name, known });
        }
        let members = || list(named.iter().flat_map(|one| &one.wanted.members));
        let mut fitting = named.iter().filter(|one| {
            let asked = order.member.as_ref();
            asked.is_none_or(|member| one.wanted.members.contains(member))
        });
        let Some(dialled) = fitting.next() else {
            let member = order.member.clone().unwrap_or_default();
            let members = members();
            return Err(ReplayError::UnknownMember { member, members });
        };
        let link = dialled.wanted.id.clone();
        let view = self.shared.links.get(&link);
        let linked = view.as_ref().and_then(|view| view.member.clone());
        let member = order.member.clone().or_else(|| linked.clone());
        let member = member.filter(|_| fitting.next().is_none());
        if dialled.wanted.members.len() == 1 && linked.is_none() {
            return Err(ReplayError::Down { link });
        }
        let Some(member) = member else {
            let members = members();
            return Err(ReplayError::WhichMember { members });
        };
        let last = view.and_then(|view| view.replay);
        if let Some(last) = last.filter(|last| last.replay.state().is_under_way()) {
            let member = last.member;
            return Err(ReplayError::UnderWay { link, member });
        }
        let is_linked = linked.as_ref() == Some(&member);
        Ok(Meant {
            link,
            member,
            is_linked,
        })
    }

    fn begin_replay(&mut self, meant: Meant, order: ReplayOrder) {
        let Some(dialled) = self.tasks.get(&meant.link) else {
            return;
        };
        let replay = match meant.is_linked {
            true => Arc::clone(&dialled.replay),
            false => Arc::new(Replay::with_its_own_link()),
        };
        replay.ask(order.is_dry_run);
        let (links, parts) = (&self.shared.links, &self.shared.parts);
        let view = ReplayView {
            member: meant.member.clone(),
            since: parts.clock.wall(),
            replay: Arc::clone(&replay),
        };
        links.replays(&meant.link, view);
        info!(link = %meant.link, member = %meant.member, order.is_dry_run, "replay asked for");
        let clock = Arc::clone(&parts.clock);
        if !meant.is_linked {
            let (wanted, flag) = (dialled.wanted.clone(), dialled.refilling.clone());
            match self.refill(&wanted, &meant, (Arc::clone(&replay), flag)) {
                Ok(task) => drop(self.refills.insert(meant.link.clone(), task)),
                Err(reason) => replay.fail(&reason),
            }
        }
        tokio::task::spawn_local(answer(meant, order, (replay, clock)));
    }

    fn refill(
        &self,
        wanted: &Wanted,
        meant: &Meant,
        (replay, flag): (Arc<Replay>, watch::Sender<bool>),
    ) -> Result<tokio::task::JoinHandle<()>, String> {
        let dialer = self.dialer(wanted, vec![meant.member.clone()], "");
        let dialer = dialer.ok_or("this node has no certificate to dial with")?;
        let parts = &self.shared.parts;
        let cursor = uplink_cursor(&parts.bus, &meant.link, parts.clock.wall());
        let kept = Kept {
            wanted: wanted.clone(),
            cursor: cursor.map_err(|error| error.to_string())?,
            shared: Arc::clone(&self.shared),
            replay,
            refilling: flag,
        };
        Ok(tokio::task::spawn_local(refill(dialer, kept)))
    }
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    names.join(", ")
}

/// Keeps a link for a replay until that is over, or its member does not answer.
async fn refill(mut dialer: Dialer, kept: Kept) {
    let _refilling = Refilling::begin(&kept.refilling);
    let clock = Arc::clone(&kept.shared.parts.clock);
    loop {
        let Some(standing) = connect(&mut dialer, &kept.replay, &*clock).await else {
            return;
        };
        let link: Arc<dyn Link> = standing.link;
        let mut states = kept.replay.watch();
        let is_failed = |state: &ReplayState| matches!(state, ReplayState::Failed { .. });
        let end = tokio::select! {
            end = kept.uplink(&link) => end,
            _ = states.wait_for(is_failed) => {
                return link.close(CloseCode::Done, "the replay was given up");
            }
        };
        info!(link = %kept.wanted.id, reason = %end, "link of a replay ended");
        match end {
            UplinkEnd::Replayed | UplinkEnd::Drained { .. } => return,
            UplinkEnd::RolledBack { .. } => {
                kept.shared.roll_back.send_replace(true);
                return;
            }
            _ => dialer.lost(),
        }
    }
}

/// A link to the member; `None`: it does not answer, or the replay was given up, which is said.
async fn connect(dialer: &mut Dialer, replay: &Replay, clock: &dyn Clock) -> Option<Standing> {
    let members = dialer.states();
    let mut states = replay.watch();
    let late = clock.sleep_until(clock.monotonic().after(ANSWER_MAX));
    tokio::select! {
        standing = dialer.connect() => Some(standing),
        _ = states.wait_for(|state| !state.is_under_way()) => None,
        () = late => {
            let members = members.borrow();
            let error = members.iter().find_map(|member| member.error.clone());
            let error = error.unwrap_or_else(|| "it does not answer".to_owned());
            replay.fail(&error);
            None
        }
    }
}

/// Tells who asked what came of it.
async fn answer(meant: Meant, order: ReplayOrder, (replay, clock): (Arc<Replay>, Arc<dyn Clock>)) {
    let mut states = replay.watch();
    let is_known = |state: &ReplayState| !matches!(state, ReplayState::Asked { .. });
    let late = clock.sleep_until(clock.monotonic().after(ANSWER_MAX));
    let state = tokio::select! {
        state = states.wait_for(is_known) => state.ok().map(|state| state.clone()),
        () = late => {
            replay.fail("it has not said in time what it holds");
            None
        }
    };
    let Meant { link, member, .. } = meant;
    let answered = match state.unwrap_or_else(|| replay.state()) {
        ReplayState::Planned(plan)
        | ReplayState::Done(plan)
        | ReplayState::Running { plan, .. } => Ok(ReplayStarted { link, member, plan }),
        ReplayState::Failed { reason } => Err(ReplayError::Unreached { member, reason }),
        ReplayState::Idle | ReplayState::Asked { .. } => {
            let reason = "it was given up".to_owned();
            Err(ReplayError::Unreached { member, reason })
        }
    };
    // Whoever asked may be gone.
    drop(order.answer.send(answered));
}
