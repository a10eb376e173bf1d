//! Tells a neighbour above, or beside, how the origins stand that come from below.
//!
//! Does: send each word when it changes, and all of them again from time to time, since a neighbour
//! passes over words on origins that it does not know yet. Does not: decide the words (`origins`).
//! In: changes of [`Origins`]. Out: `Origins` frames, until the link ends. Cost: a look at the
//! streams held for each change and each [`LOOK_EVERY`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ocelli_federation::frame::Control;
use ocelli_federation::link::Link;
use ocelli_federation::links::Toward;
use ocelli_model::clock::Clock;

use crate::assembly::origins::Origins;

/// Between two looks when nothing is said to have changed: origins that are new.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After so many looks all is told again.
const LOOKS_UNTIL_AGAIN: u32 = 6;

/// Tells until the link ends.
pub(super) async fn tell(
    link: Arc<dyn Link>,
    origins: Arc<Origins>,
    (toward, clock): (Toward, Arc<dyn Clock>),
) {
    let mut changes = origins.changes();
    let mut told = BTreeMap::new();
    let mut looks = 0;
    loop {
        changes.borrow_and_update();
        for frame in Control::origins(&origins.words(toward, &mut told)) {
            if link.send_control(frame).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = clock.sleep_until(clock.monotonic().after(LOOK_EVERY)) => {
                looks += 1;
                if looks % LOOKS_UNTIL_AGAIN == 0 {
                    told.clear();
                }
            }
        }
    }
}
