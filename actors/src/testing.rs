//! Clock and chance of this crate's tests: both go only where a test puts them.
//!
//! Does: step time by hand, wait until somebody sleeps before it steps. Does not: run in products.
//! In: steps. Out: the same times and numbers in every run.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic, Rng, Sleep, WallMs};
use parking_lot::Mutex;

/// Wall clock at monotonic zero: 2023-11-14.
const WALL_MS_AT_ZERO: i64 = 1_700_000_000_000;

/// A clock that stands still until [`StepClock::pass`].
#[derive(Default)]
pub(crate) struct StepClock {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now: Monotonic,
    sleepers: Vec<(Monotonic, Waker)>,
    /// Woken when somebody goes to sleep.
    watcher: Option<Waker>,
}

impl StepClock {
    /// Moves time and wakes whom it concerns.
    pub(crate) fn pass(&self, duration: Duration) {
        let mut state = self.state.lock();
        state.now = state.now.after(duration);
        for (_, waker) in std::mem::take(&mut state.sleepers) {
            waker.wake();
        }
    }

    /// Waits until somebody sleeps, then moves time.
    pub(crate) async fn pass_when_slept(&self, duration: Duration) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.sleepers.is_empty() {
                state.watcher = Some(context.waker().clone());
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        self.pass(duration);
    }
}

impl Clock for StepClock {
    fn monotonic(&self) -> Monotonic {
        self.state.lock().now
    }

    fn wall(&self) -> WallMs {
        let passed = i64::try_from(self.state.lock().now.0 / 1_000_000).unwrap_or(i64::MAX);
        WallMs(WALL_MS_AT_ZERO + passed)
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let state = Arc::clone(&self.state);
        Box::pin(poll_fn(move |context| {
            let mut state = state.lock();
            if state.now >= at {
                return Poll::Ready(());
            }
            state.sleepers.push((at, context.waker().clone()));
            if let Some(watcher) = state.watcher.take() {
                watcher.wake();
            }
            Poll::Pending
        }))
    }
}

/// Counts up in large odd steps.
#[derive(Default)]
pub(crate) struct StepRng(u64);

impl Rng for StepRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0
    }
}
