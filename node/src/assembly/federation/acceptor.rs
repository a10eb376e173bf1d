//! Those who dial in: clients, lower nodes and peers.
//!
//! Does: take or refuse an offer, seat its origin, run its ingest or its subscriptions to their
//! end. Does not: open the endpoint (`federation`), judge blocks (`ingest`).
//! In: [`Offers`]. Out: entries in the list of links, tasks that end with their link.

use std::sync::Arc;

use ocelli_federation::frame::{RefuseCode, Role};
use ocelli_federation::ingest::{IngestEnd, run_ingest};
use ocelli_federation::link::{Link, Offer, Offers, WelcomeFacts};
use ocelli_federation::links::Side;
use ocelli_model::event::Event;
use tracing::info;

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
            shared.parts.events.report(Event::LinkRefused {
                link: format!("from {}", offer.peer().identity),
                reason: reason.to_owned(),
            });
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
        shared.parts.events.report(Event::DuplicateOrigin {
            duplicate: origin.to_string(),
            peer,
        });
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
    let side = match role {
        Role::Peer => Side::Peer,
        _ => Side::Below,
    };
    let (events, origins, taken) = (
        &shared.parts.events,
        &shared.parts.origins,
        clock.monotonic(),
    );
    origins.taken(&id, side, origin);
    events.report(Event::LinkUp {
        link: id.clone(),
        neighbour: peer.clone(),
    });
    let end = run_ingest(Arc::clone(&link), Arc::clone(&shared.ingest)).await;
    serving.abort();
    let cause = end.to_string();
    if shared.links.ended(&id, &link, (&cause, clock.wall())) {
        let identity = &link.peer().identity;
        let neighbour = format!("{}/{}", identity.name, identity.node);
        origins.ended(&id, (&neighbour, &cause));
    }
    events.report(Event::LinkDown {
        link: id,
        neighbour: peer,
        cause,
        stood_s: clock.monotonic().since(taken).as_secs(),
    });
    if matches!(end, IngestEnd::RolledBack { .. }) {
        shared.roll_back.send_replace(true);
    }
}
