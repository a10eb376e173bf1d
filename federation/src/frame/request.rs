//! Request streams: what is asked first, and how an answer ends.
//!
//! Does: name what may be asked and carry its bytes. Does not: know what the bytes mean; each kind
//! of request has its own owner (subscriptions, `identity`, `uplink`).
//! In: an owner's bytes. Out: [`Request`], then items, then one [`Trailer`] each way.

use serde::{Deserialize, Serialize};

use super::number::numbered;

numbered! {
    /// What is asked.
    pub enum RequestKind {
        /// Follow or read records (design §9).
        Subscribe = 1, "subscribe";
        /// Sign a certificate request.
        SignCertificate = 2, "sign_certificate";
        /// Send blocks of a stream again.
        Replay = 3, "replay";
    }
}

/// First frame of a request stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What.
    pub kind: RequestKind,
    /// The owner's bytes; within a frame, 1 MiB and 4 KiB.
    pub body: Vec<u8>,
}

/// Last frame of each side of a request stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trailer {
    /// All was said.
    Done,
    /// It ended early.
    Failed {
        /// For programs: HTTP status codes are used where one fits.
        code: u16,
        /// For people.
        reason: String,
    },
}
