//! Waiting for a state behind a lock to become so, without holding the lock.
//!
//! Does: look, sleep until told of a change, look again; a deadline by the node's clock. Does not:
//! lose a change that comes between look and sleep.
//! In: a `Notify` that rings after each change. Out: what the look answered.

use std::pin::pin;
use std::time::Duration;

use ocelli_model::clock::Clock;
use tokio::sync::Notify;

/// Looks after each ring until `look` answers something.
pub(crate) async fn wait_for<T>(changed: &Notify, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        let mut ring = pin!(changed.notified());
        ring.as_mut().enable();
        if let Some(value) = look() {
            return value;
        }
        ring.await;
    }
}

/// The value of `work`, or `None` where it takes longer than `patience`.
pub(super) async fn within<T>(
    clock: &dyn Clock,
    patience: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let over = clock.sleep_until(clock.monotonic().after(patience));
    tokio::select! {
        biased;
        value = work => Some(value),
        () = over => None,
    }
}
