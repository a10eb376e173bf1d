//! Links to other nodes, as people see them: who, which way, since when, and why not.
//!
//! Does: note what dialling, taking and ending of links say, show it. Does not: dial or take
//! (`federation`). In: changes. Out: [`LinkView`]s by id, for `/v1/links`, `/metrics`, `/readyz`.
//! Memory: an upstream and a peer keep their entry; of those from below, those that ended last
//! stay, `ENDED_MAX` at most.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_federation::frame::{RefusedBlock, Role};
use ocelli_federation::link::{Link, LinkStatistics};
use ocelli_federation::links::{Refusal, RefusalTold, Refusals};
use ocelli_federation::uplink::Replay;
use ocelli_model::clock::WallMs;
use parking_lot::Mutex;

/// Ended links from below that are still shown: a large region after a cut of all its sites.
const ENDED_MAX: usize = 1_024;

/// Which way data goes, seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To an upstream.
    Up,
    /// To a peer, or from one.
    Peer,
    /// From a node below.
    Down,
}

impl Direction {
    /// The word of lists and labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Peer => "peer",
            Self::Down => "down",
        }
    }
}

/// A link, or the lack of one.
#[derive(Clone)]
pub struct LinkView {
    /// Unique on this node: `up/NAME`, `up/NAME/ADDRESS`, `peer/NAME`, `down/SITE/NODE`.
    pub id: String,
    /// Which way.
    pub direction: Direction,
    /// Name of the upstream or peer; the site and name of the node below.
    pub name: String,
    /// The durable cursor by which it is known how far the other side is; empty: none.
    pub cursor: String,
    /// Who stands there; `None`: never reached.
    pub neighbour: Option<String>,
    /// Its release.
    pub build: Option<String>,
    /// Whether it stands.
    pub is_up: bool,
    /// Since when it stands or does not.
    pub since: WallMs,
    /// Why it does not stand.
    pub error: Option<String>,
    /// Which member of the group stands there, `host:port`; `None`: no link, or it was taken.
    pub member: Option<String>,
    /// The last replay over this link, or to another member of its group.
    pub replay: Option<ReplayView>,
    refusals: Refusals,
    link: Option<Arc<dyn Link>>,
}

/// A replay (`uplink replay`), as it stands.
#[derive(Clone)]
pub struct ReplayView {
    /// To which member of the group.
    pub member: String,
    /// When it was asked for.
    pub since: WallMs,
    /// How far it is.
    pub replay: Arc<Replay>,
}

impl LinkView {
    /// Figures of the transport while the link stands.
    #[must_use]
    pub fn statistics(&self) -> Option<LinkStatistics> {
        self.link.as_ref().map(|link| link.statistics())
    }

    /// What the neighbour refuses of what is sent over this link.
    #[must_use]
    pub fn refused(&self, now: WallMs) -> Vec<Refusal> {
        self.refusals.list(now)
    }
}

/// All links of a node.
#[derive(Default)]
pub struct Links(Mutex<BTreeMap<String, LinkView>>);

impl Links {
    /// All, by id.
    #[must_use]
    pub fn list(&self) -> Vec<LinkView> {
        self.0.lock().values().cloned().collect()
    }

    /// Forgets an entry that does not stand; `false` if there is none, `None` if it stands.
    pub fn forget(&self, id: &str) -> Option<bool> {
        let mut links = self.0.lock();
        match links.get(id) {
            Some(view) if view.is_up => None,
            Some(_) => Some(links.remove(id).is_some()),
            None => Some(false),
        }
    }

    /// An upstream or peer that is to be reached.
    pub(super) fn want(&self, id: &str, (direction, name): (Direction, &str), now: WallMs) {
        let mut links = self.0.lock();
        links.entry(id.to_owned()).or_insert_with(|| LinkView {
            id: id.to_owned(),
            direction,
            name: name.to_owned(),
            cursor: format!("uplink/{id}"),
            neighbour: None,
            build: None,
            is_up: false,
            since: now,
            error: None,
            member: None,
            replay: None,
            refusals: Refusals::default(),
            link: None,
        });
    }

    /// One that is no longer wanted.
    pub(super) fn unwant(&self, id: &str) {
        self.0.lock().remove(id);
    }

    /// A link to an upstream or peer stands, by which member of the group.
    pub(super) fn up(&self, id: &str, (link, member): (Arc<dyn Link>, &str), now: WallMs) {
        if let Some(view) = self.0.lock().get_mut(id) {
            view.neighbour = Some(link.peer().identity.to_string());
            view.build = Some(link.welcome().build.clone());
            view.member = Some(member.to_owned());
            (view.is_up, view.since, view.error) = (true, now, None);
            view.refusals.clear();
            view.link = Some(link);
        }
    }

    /// The neighbour refused a block; an answer is to be told.
    pub(super) fn refused(
        &self,
        id: &str,
        block: &RefusedBlock,
        now: WallMs,
    ) -> Option<RefusalTold> {
        self.0.lock().get_mut(id)?.refusals.note(block, now)
    }

    /// It does not stand (any more).
    pub(super) fn down(&self, id: &str, error: &str, now: WallMs) {
        if let Some(view) = self.0.lock().get_mut(id) {
            if view.is_up {
                view.since = now;
            }
            view.is_up = false;
            view.error = Some(error.to_owned());
            view.link = None;
            view.member = None;
        }
    }

    /// The entry of that id.
    pub(super) fn get(&self, id: &str) -> Option<LinkView> {
        self.0.lock().get(id).cloned()
    }

    /// A replay was asked for.
    pub(super) fn replays(&self, id: &str, replay: ReplayView) {
        if let Some(view) = self.0.lock().get_mut(id) {
            view.replay = Some(replay);
        }
    }

    /// A node below, or a peer, dialled in.
    pub(super) fn taken(&self, direction: Direction, link: &Arc<dyn Link>, now: WallMs) -> String {
        let identity = &link.peer().identity;
        let name = format!("{}/{}", identity.name, identity.node);
        let id = id_of_taken(&**link);
        let mut links = self.0.lock();
        let view = LinkView {
            id: id.clone(),
            direction,
            name,
            cursor: String::new(),
            neighbour: Some(identity.to_string()),
            build: Some(link.hello().build.clone()),
            is_up: true,
            since: now,
            error: None,
            member: None,
            replay: None,
            refusals: Refusals::default(),
            link: Some(Arc::clone(link)),
        };
        links.insert(id.clone(), view);
        forget_oldest(&mut links);
        id
    }

    /// A link that was taken has ended, `false` if a later one of the same node took its
    /// place.
    pub(super) fn ended(
        &self,
        id: &str,
        link: &Arc<dyn Link>,
        (error, now): (&str, WallMs),
    ) -> bool {
        let mut links = self.0.lock();
        let Some(view) = links.get_mut(id) else {
            return true;
        };
        let is_same = view
            .link
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, link));
        if is_same {
            (view.is_up, view.since) = (false, now);
            view.error = Some(error.to_owned());
            view.link = None;
        }
        is_same
    }
}

/// The id of a link that was taken: each life of a neighbour's link has the same.
pub(super) fn id_of_taken(link: &dyn Link) -> String {
    let identity = &link.peer().identity;
    let side = match link.hello().role {
        Role::Peer => "from-peer",
        _ => "down",
    };
    format!("{side}/{}/{}", identity.name, identity.node)
}

fn forget_oldest(links: &mut BTreeMap<String, LinkView>) {
    let is_ended = |view: &&LinkView| !view.is_up && view.cursor.is_empty();
    if links.values().filter(is_ended).count() > ENDED_MAX {
        let oldest = links
            .values()
            .filter(is_ended)
            .min_by_key(|view| view.since);
        if let Some(id) = oldest.map(|view| view.id.clone()) {
            links.remove(&id);
        }
    }
}
