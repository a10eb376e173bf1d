//! Those who dial in: clients, lower nodes and peers.
//!
//! Does: take or refuse an offer, seat its origin, run its ingest or its subscriptions to their
//! end. Does not: open the endpoint (`federation`), judge blocks (`ingest`).
//! In: [`Offers`]. Out: entries in the list of links, tasks that end with their link.

use std::sync::Arc;

use ocelli_federation::frame::{RefuseCode, Role};
use ocelli_federation::ingest::{IngestEnd, run_ingest};
use ocelli_federation::link::{Link, Offer, Offers, WelcomeFacts};
use tracing::{info, warn};

use super::Shared;
use crate::assembly::links::Direction;

/// Most bytes of blocks in flight that a dialler is allowed.
const IN_FLIGHT_MAX: u64 = 8 << 20;

/// Takes who dials in until the endpoint closes; refuses all unless the node listens.
pub(super) async fn accept(mut offers: Offers, shared: Arc<Shared>, is_open: bool) {
    while let Some(offer) = offers.next().await {
        if !is_open {
            let hint = "set listen.quic there, or dial another node";
            let reason = "this node takes no links";
            offer.refuse(RefuseCode::Role, reason, hint).await;
            continue;
        }
        // Bounded by the endpoint: it lets no more in than there may be links.
        match offer.hello().role {
            Role::Client => tokio::spawn(serve(offer, Arc::clone(&shared))),
            _ => tokio::spawn(take(offer, Arc::clone(&shared))),
        };
    }
}

/// Answers the subscriptions of a client. It writes no origin and sends no blocks.
async fn serve(offer: Offer, shared: Arc<Shared>) {
    let peer = offer.peer().identity.to_string();
    match offer.welcome(welcome_of(&shared)).await {
        Ok(link) => {
            let closed = Arc::clone(&shared.subscriptions).serve_link(link).await;
            info!(%peer, reason = %closed, "a client has left");
        }
        Err(closed) => info!(%peer, error = %closed, "a client left before it was welcomed"),
    }
}

fn welcome_of(shared: &Shared) -> WelcomeFacts {
    WelcomeFacts {
        origin: shared.parts.bus.origin(),
        ingest_bytes_in_flight_max: IN_FLIGHT_MAX,
    }
}

async fn take(offer: Offer, shared: Arc<Shared>) {
    let peer = offer.peer().identity.to_string();
    let (origin, role) = (offer.hello().origin, offer.hello().role);
    let Some(seat) = shared.desk.claim(origin).await else {
        warn!(%peer, %origin, "two live nodes state one origin; both are refused");
        let reason = "a live link states the same origin already";
        let hint = "one of both data directories is a copy: give it a new origin, or remove it";
        return offer
            .refuse(RefuseCode::DuplicateOrigin, reason, hint)
            .await;
    };
    let link = match offer.welcome(welcome_of(&shared)).await {
        Ok(link) => link,
        Err(closed) => {
            return info!(%peer, error = %closed, "a node left before it was welcomed");
        }
    };
    let serving = Arc::clone(&shared.subscriptions).serve_link(Arc::clone(&link));
    let serving = tokio::spawn(serving);
    let link: Arc<dyn Link> = link;
    seat.take(&link);
    let direction = match role {
        Role::Peer => Direction::Peer,
        _ => Direction::Down,
    };
    let clock = &shared.parts.clock;
    let id = shared.links.taken(direction, &link, clock.wall());
    info!(%peer, link = %id, "link taken");
    let end = run_ingest(Arc::clone(&link), Arc::clone(&shared.ingest)).await;
    serving.abort();
    shared
        .links
        .ended(&id, &link, (&end.to_string(), clock.wall()));
    warn!(%peer, link = %id, error = %end, "link ended");
    if matches!(end, IngestEnd::RolledBack { .. }) {
        shared.roll_back.send_replace(true);
    }
}
