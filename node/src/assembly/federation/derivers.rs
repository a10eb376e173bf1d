//! Those that derive: a task for each upstream that gets a stream of its own making.
//!
//! Does: follow a configuration, keep a derivation going, begin anew after a failure.
//! Does not: derive (`federation::derive`), send (`diallers`).
//! In: configurations. Out: derived streams on the own bus; a warning where one cannot be made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::OriginDescription;
use ocelli_federation::derive::{DeriveEnd, DeriveRun, DerivedPolicy, run_derivation};
use tokio::task::JoinHandle as Task;
use tracing::warn;

use super::Shared;
use crate::assembly::wanted::Wanted;

/// How long after a failure it begins anew.
const PAUSE: Duration = Duration::from_secs(5);

/// The derivations of a node, by upstream.
pub(super) struct Derivers {
    shared: Arc<Shared>,
    tasks: BTreeMap<String, (DerivedPolicy, Task<()>)>,
}

impl Derivers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let tasks = BTreeMap::new();
        Self { shared, tasks }
    }

    /// Begins what is wanted and was not, leaves what no longer is. Blocks that were begun stay
    /// whole: a derivation is left between two of them.
    pub(super) fn follow(&mut self, wanted: &[Wanted]) {
        let policies = wanted.iter().filter_map(|it| it.derived.clone());
        // Members of a group `all` share one.
        let policies: BTreeMap<String, DerivedPolicy> =
            policies.map(|it| (it.upstream.clone(), it)).collect();
        self.tasks.retain(|upstream, (running, task)| {
            let is_wanted = policies.get(upstream) == Some(running);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        for (upstream, policy) in policies {
            let shared = &self.shared;
            let begin = || {
                let task = keep(policy.clone(), Arc::clone(shared));
                (policy.clone(), tokio::task::spawn_local(task))
            };
            self.tasks.entry(upstream).or_insert_with(begin);
        }
    }

    /// The node stops: each makes what is due and ends.
    pub(super) async fn drain(self) {
        for (_, task) in self.tasks.into_values() {
            if let Err(error) = task.await {
                warn!(%error, "a derivation did not end in order");
            }
        }
    }

    /// Ends all of them.
    pub(super) async fn end(self) {
        for (_, task) in self.tasks.into_values() {
            task.abort();
            let _it_was_told_to_end = task.await;
        }
    }
}

/// Keeps a derivation going for as long as it is wanted.
async fn keep(policy: DerivedPolicy, shared: Arc<Shared>) {
    let parts = &shared.parts;
    let mut stopping = shared.stopping.subscribe();
    loop {
        let Some(node) = described(&shared) else {
            return warn!(upstream = %policy.upstream, "nothing is derived: the node has no name");
        };
        let run = DeriveRun {
            bus: Arc::clone(&parts.bus),
            clock: Arc::clone(&parts.clock),
            policy: policy.clone(),
            node,
            stop: shared.stopping.subscribe(),
        };
        let end = run_derivation(run).await;
        if matches!(end, DeriveEnd::Stopped) {
            return;
        }
        warn!(upstream = %policy.upstream, %end, "a derived stream stands still");
        let again = parts
            .clock
            .sleep_until(parts.clock.monotonic().after(PAUSE));
        tokio::select! {
            () = again => {}
            _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
        }
    }
}

/// Who this node is, as its own lane 1 says.
fn described(shared: &Shared) -> Option<OriginDescription> {
    let bus = &shared.parts.bus;
    let known = bus.definitions().origin_of(bus.origin());
    known.map(|known| OriginDescription::clone(&known))
}
