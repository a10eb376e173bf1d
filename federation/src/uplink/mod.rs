//! Table of contents of `uplink`: how what is held here comes to be held above.
//!
//! Does: decide what goes next on a link (`core`) and carry it out (`run`). Does not: dial, encode
//! frames (`link`, `frame`), store (`bus`).
//! In: the own bus's blocks, what the neighbour says. Out: blocks on three channels, a durable
//! cursor.

mod core;
mod cursor;
mod end;
mod forward;
mod replay;
mod run;
mod stream;
mod types;

pub use self::core::{LIVE_QUEUE_MAX, LIVE_WAIT_MAX, REFILL_QUIET, SECOND_HAND_GRACE, UplinkCore};
pub use self::cursor::uplink_cursor;
pub use self::end::UplinkEnd;
pub use self::forward::Forward;
pub use self::replay::{Replay, ReplayPlan, ReplayState};
pub use self::run::{DRAIN_MAX, UplinkRun, run_uplink};
pub(crate) use self::stream::insert_exactly;
pub use self::types::{
    Connected, Delivered, Effect, Found, HeadCheck, Input, Lag, Purpose, Report, UplinkPolicy,
};
