//! Table of contents of `ocelli-node`.

pub mod clock;
pub mod http;
pub mod rng;
