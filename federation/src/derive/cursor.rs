//! Where a derived stream has come to in its sources, kept over restarts.
//!
//! Does: open the cursor, say where a new one begins, end those of former policies.
//! Does not: move it (`run`). In: a bus, an upstream's name. Out: the durable cursor.

use ocelli_bus::record::OriginId;
use ocelli_bus::{Bus, CursorError, DurableCursor};
use ocelli_model::clock::WallMs;

/// The cursor of a derived stream. A new one begins with what the upstream has already; those of
/// other policies for the upstream end.
///
/// # Errors
/// As [`ocelli_bus::CursorStore::open`].
pub(super) fn open_cursor(
    bus: &Bus,
    (upstream, origin): (&str, OriginId),
    now: WallMs,
) -> Result<DurableCursor, CursorError> {
    let cursors = bus.cursors();
    let name = format!("derive/{upstream}/{origin}");
    let all = cursors.list();
    let of_upstream = format!("derive/{upstream}/");
    for other in all.iter().filter(|it| it.name != name) {
        if other.name.starts_with(&of_upstream) {
            cursors.forget(&other.name);
        }
    }
    let is_new = all.iter().all(|it| it.name != name);
    let cursor = cursors.open(&name, "derive", now)?;
    let sender = format!("uplink/up/{upstream}");
    let is_sender = |it: &str| it == sender || it.starts_with(&format!("{sender}/"));
    for state in all.iter().filter(|it| is_new && is_sender(&it.name)) {
        for (stream, ranges) in &state.taken {
            ranges
                .iter()
                .for_each(|range| cursor.advance(*stream, range, now));
        }
    }
    Ok(cursor)
}
