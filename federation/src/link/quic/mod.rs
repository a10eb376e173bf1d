//! Table of contents of `quic`: links over the network.
//!
//! Does: QUIC endpoint, handshake, streams of a link, request streams. Does not: keep a link alive
//! over failures (`dialer`). In: a UDP socket, TLS configurations. Out: `Link`s.

mod admission;
mod asking;
mod beating;
mod closing;
mod endpoint;
mod guard;
mod handshake;
mod inbox;
mod link;
mod outbox;
mod reader;
mod reception;
mod request;
mod shares;
mod signing;
mod socket;
mod streams;
mod transport;
mod turned_away;

pub use admission::AdmissionStatistics;
pub use asking::{AskError, ask_to_sign};
pub use endpoint::{DialError, MeshEndpoint, MeshOptions, Offers, OpenEndpointError};
pub use guard::{GuardedLinks, NeighboursList};
pub use handshake::{DialFacts, GreetError, NodeFacts};
pub use link::QuicLink;
pub use reception::{Offer, WelcomeFacts};
pub use request::{IncomingRequest, Piece, RequestError, RequestLimits, RequestStream};
pub use signing::{SigningOffer, Signings};
pub use socket::any_address;
pub use transport::{RESET_KEY_BYTES, TlsError, reset_key_of};
pub use turned_away::TurnedAwaySink;

#[cfg(test)]
#[path = "bed_tests.rs"]
pub(crate) mod bed;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod link_tests;
