//! The engine: sockets shared by all sessions of one arbiter, sessions, walks, time-outs.
//!
//! Does: send and receive in batches by a tick of 1 ms while anything is in flight, sleep
//! otherwise; decide by pure parts (`rtt`, `window`, `repetitions`, `walk`).
//! Does not: read a clock or draw chance of its own (`Clock`, `Rng` come in), resolve names.
//! In: gets and walks of sessions. Out: varbinds to their sinks, outcomes with named causes.

pub mod limits;
pub mod repetitions;
pub mod rtt;
mod ticket;
mod wheel;
pub mod window;
