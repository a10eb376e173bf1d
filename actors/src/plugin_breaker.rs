//! The breaker of one plugin, shared by all arbiters.
//!
//! Does: hold the state as one atomic number and change it as `model::breaker` decides.
//! Does not: decide, report (`resource`). In: questions before runs, ends of runs. Out: [`Gate`],
//! [`Turn`]. Lives as long as its plugin instance: a reload closes it and gives another chance.

use std::sync::atomic::{AtomicU64, Ordering};

use ocelli_model::breaker::{Breaker, Gate, RunOutcome, Turn};
use ocelli_model::clock::Monotonic;

/// A [`Breaker`] without a lock. While its plugin works it is read and never written.
#[derive(Debug, Default)]
pub struct PluginBreaker(AtomicU64);

impl PluginBreaker {
    /// The state now.
    #[must_use]
    pub fn state(&self) -> Breaker {
        Breaker::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Whether the next run starts.
    pub(crate) fn gate(&self, now: Monotonic) -> Gate {
        self.change(Gate::Run, |breaker| breaker.gate(now))
    }

    /// Takes the end of a run that started as `gate` said.
    pub(crate) fn ended(
        &self,
        gate: Gate,
        outcome: RunOutcome,
        interval_ms: u32,
        now: Monotonic,
    ) -> Turn {
        self.change(Turn::None, |breaker| {
            breaker.ended(gate, outcome, interval_ms, now)
        })
    }

    /// Applies `decide`; what it says of the state that it was applied to in the end.
    fn change<T: Copy>(&self, none: T, decide: impl Fn(Breaker) -> (Breaker, T)) -> T {
        let mut said = none;
        let step = |bits| {
            let (next, answer) = decide(Breaker::from_bits(bits));
            said = answer;
            let next = next.to_bits();
            (next != bits).then_some(next)
        };
        // An unchanged state is an error to this call and none to us.
        let (Ok(_) | Err(_)) = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        said
    }
}
