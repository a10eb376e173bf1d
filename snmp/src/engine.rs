//! The engine: sockets shared by all sessions of one arbiter, sessions, walks, time-outs.
//!
//! Does: send and receive in batches by a tick of 1 ms while anything is in flight, sleep
//! otherwise; decide by pure parts (`rtt`, `window`, `repetitions`, `walk`).
//! Does not: read a clock or draw chance of its own (`Clock`, `Rng` come in), resolve names.
//! In: gets and walks of sessions. Out: varbinds to their sinks, outcomes with named causes.

#[cfg(test)]
mod agent_tests;
pub mod error;
mod get;
pub mod limits;
pub mod repetitions;
pub mod rtt;
pub mod sink;
mod ticket;
pub mod walk;
mod wheel;
pub mod window;
