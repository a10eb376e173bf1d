//! Where an uplink has come to, kept over restarts.
//!
//! Does: open the cursor by the name of its upstream. Does not: move it (`run`).
//! In: a bus, a name. Out: the durable cursor; retention waits for it.

use ocelli_bus::{Bus, CursorError, DurableCursor};
use ocelli_model::clock::WallMs;

/// Opens the durable cursor of an upstream, peer or group.
///
/// # Errors
/// As [`ocelli_bus::CursorStore::open`].
pub fn uplink_cursor(bus: &Bus, name: &str, now: WallMs) -> Result<DurableCursor, CursorError> {
    bus.cursors().open(&format!("uplink/{name}"), "uplink", now)
}
