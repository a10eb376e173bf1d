//! Table of contents of `link`: connections between two nodes, and who keeps them alive.
//!
//! Does: the [`Link`] contract, QUIC and in-memory links, dialling with back-off, choice of a
//! group's member. Does not: decide what to send (`uplink`, `ingest`).
//! In: addresses, TLS configurations of `identity`, frames. Out: frames of peers, states.

mod backoff;
mod close;
mod contract;
mod dialer;
pub mod group;
mod limits;
mod memory;
mod pulse;
mod quic;
mod stall;
mod statistics;
pub(crate) mod waiting;

pub use backoff::{BACKOFF_MAX, BACKOFF_MIN, backoff};
pub use close::{CloseCode, Closed};
pub use contract::{BoxFuture, Link, SendError, Side};
pub use dialer::{Dialer, DialerOptions, FactsSource, MemberState, Standing, TlsSource};
pub use limits::{BudgetError, LinkBudget};
pub use memory::{MEMORY_QUEUE_FRAMES, MemoryFacts, MemoryLink, MemorySwitches, memory_pair};
pub use quic::{
    AdmissionStatistics, AskError, DialError, DialFacts, GreetError, GuardedLinks, IncomingRequest,
    MeshEndpoint, MeshOptions, NeighboursList, NodeFacts, Offer, Offers, OpenEndpointError, Piece,
    QuicLink, RESET_KEY_BYTES, RequestError, RequestLimits, RequestStream, SigningOffer, Signings,
    TlsError, TurnedAwaySink, WelcomeFacts, any_address, ask_to_sign, reset_key_of,
};
pub use statistics::{FrameCounts, LinkStatistics};

#[cfg(test)]
pub(crate) use quic::bed;
#[cfg(test)]
#[path = "testing_tests.rs"]
pub(crate) mod testing;
