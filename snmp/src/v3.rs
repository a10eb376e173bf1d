//! Messages of v3 (RFC 3412) under the User-based Security Model (RFC 3414).
//!
//! Does: find the parts of a message ([`Layout`]), verify and decrypt it in the caller's buffer,
//! write signed and encrypted messages; the manager's side of an engine ([`Peer`]) and the
//! agent's ([`Authority`]).
//! Does not: sockets, retries, time-outs (`engine`).
//! In: datagrams, requests, the monotonic time. Out: [`ScopedPdu`], reports, errors to count.

mod authority;
mod layout;
mod open;
mod peer;
mod received;
mod seal;

pub use authority::{Authority, AuthorityError, AuthorityReceived, PendingReport, ReplyTo};
pub use layout::{Layout, LayoutError, id_of};
pub use open::{OpenError, ScopedPdu};
pub use peer::Peer;
pub use received::{EngineEvent, NextStep, Outgoing, ReceiveError, Received, Report};
