//! The engine: sockets shared by all sessions of one arbiter, sessions, walks, time-outs.
//!
//! Does: send and receive in batches by a tick of 1 ms while anything is in flight, sleep
//! otherwise; decide by pure parts (`rtt`, `window`, `repetitions`, `walk`).
//! Does not: read a clock or draw chance of its own (`Clock`, `Rng` come in), resolve names.
//! In: gets and walks of sessions. Out: varbinds to their sinks, outcomes with named causes.

#[cfg(test)]
mod agent_tests;
#[cfg(test)]
mod bed_tests;
mod budget;
mod core;
mod counters;
mod credential;
mod driver;
mod error;
mod get;
mod inbox;
pub mod limits;
mod operation;
mod outbox;
mod pending;
mod repetitions;
mod rtt;
mod session;
mod sink;
mod socket;
mod sockets;
mod ticket;
mod trace;
mod walk;
mod wheel;
mod window;

pub use budget::DeviceBudget;
pub use counters::EngineCounters;
pub use credential::{CommunityVersion, Credential, Security};
pub use driver::Engine;
pub use error::{AuthFailure, ExchangeError, GetError, GetOutcome, NameFailure};
pub use get::{GetPlan, GetPlanError};
pub use rtt::TimeoutBounds;
pub use session::{Session, SessionSettings};
pub use sink::{Received, VarbindSink};
pub use socket::OpenError;
pub use sockets::Source;
pub use trace::{MaskedPacket, TraceEvent, Tracer};
pub use walk::{
    ColumnError, ColumnFailure, WalkEnd, WalkLimits, WalkOutcome, WalkPlan, WalkPlanError,
};
pub use window::LoadLimit;
