//! Assembly: from a configuration to a running node, and back down in order.
//!
//! Does: open bus and catalog, bind listeners, make plugins, start the runtime and the API, follow
//! signals, drain. Does not: decide anything about resources, slots or data.
//! In: a configuration that was loaded. Out: a [`Node`] that runs until it is drained.
//! Order at the start: directory, bus, listeners, runtime, API. At a stop: API, runtime, bus.

pub mod access;
mod desk;
pub mod federation;
mod joining;
pub mod lag;
pub mod links;
mod membership;
pub mod mesh;
pub mod node;
mod notices;
pub mod origins;
pub mod reload;
pub mod replaying;
pub mod roster;
pub mod site;
#[cfg(test)]
#[path = "assembly/testing_tests.rs"]
mod testing;
pub mod view;
mod wanted;

pub use node::{Node, NodeError};
