//! A run and the breaker of its plugin.
//!
//! Does: tell the breaker how a run ended, and the desk when that parks the plugin or wakes it.
//! Does not: decide (`model::breaker`). In: ends of runs. Out: events.

use ocelli_model::breaker::{Gate, RunOutcome, Turn};
use ocelli_model::clock::Monotonic;
use ocelli_model::event::Event;
use ocelli_model::gap::{GapCause, GapKind};

use super::{InProgress, ResourceCore};
use crate::collection::Collected;

/// Of the slots of a plugin that fails everywhere.
pub(super) const PARKED: GapCause = GapCause::with(GapKind::Parked, "plugin");

impl ResourceCore {
    /// Takes the end of a run; those that were parked tell nothing.
    pub(super) fn judge_plugin(
        &self,
        run: &InProgress,
        outcome: &Result<Collected, String>,
        now: Monotonic,
    ) {
        let Some(setting) = self
            .setting(&run.plugin)
            .filter(|_| run.gate != Gate::Parked)
        else {
            return;
        };
        let fault = match outcome {
            Err(panic) => Some(format!("panic: {panic}")),
            Ok(collected) => {
                let cause = collected.result.as_ref().err();
                let is_own = |cause: &&GapCause| cause.kind == GapKind::PluginError;
                cause.filter(is_own).map(ToString::to_string)
            }
        };
        let ended = match fault {
            Some(_) => RunOutcome::Fault,
            None => RunOutcome::Worked,
        };
        let breaker = &setting.instance.breaker;
        let name = run.plugin.to_string();
        let event = match breaker.ended(run.gate, ended, setting.interval_ms, now) {
            Turn::None => return,
            Turn::Closed => Event::PluginRecovered { name },
            Turn::Opened => Event::PluginParked {
                name,
                reason: format!(
                    "each of its runs failed on every resource, the last with {}; one is tried \
                     now and then",
                    fault.unwrap_or_default()
                ),
            },
        };
        self.station.supervision.events.report(event);
    }
}
