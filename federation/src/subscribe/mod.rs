//! Table of contents of `subscribe`: reading another node's records over a link.
//!
//! Does: the question, serving it, following it. Does not: pick, conflate, keep cursors (the engine
//! in `bus::read`), decide whose links are taken.
//! In: request streams of a link. Out: `records` lines, as HTTP has them. The wire is described in
//! `federation/PROTOCOL.md` §5.

mod follow;
mod lines;
mod question;
mod serve;

pub use follow::{FollowError, RemoteSubscription};
pub use question::{NAMES_MAX, Question, QuestionError};
pub use serve::{Served, SubscriptionServer};

use std::time::Duration;

/// A serving node sends something at least so often, if only an empty line.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// Who follows takes a node that sends nothing for so long for stuck: three signs of life missed.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// Most bytes of one Item: many lines, and short enough that other streams get their turn.
const ITEM_BYTES: usize = 64 << 10;

const _: () = assert!(SILENCE_MAX.as_secs() > 3 * ALIVE_EVERY.as_secs());
