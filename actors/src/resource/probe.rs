//! A run that somebody asks for by hand, beside the slots of the resource.
//!
//! Does: run a plugin once with the resource's own session, credential and budget, judge counters
//! against a copy of what the last slot left. Does not: touch slots, counters, facts or the choice
//! of credentials: the next slot is as if nothing had been asked.
//! In: [`ProbeOrder`]. Out: the answer. Full: a second one at one time is refused.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::WallMs;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::slot::SlotMs;
use tokio::sync::oneshot;

use super::ResourceCore;
use crate::collection::{Asking, Collection};
use crate::plan::PairSetting;
use crate::probe::{ProbeLog, ProbeOrder, ProbeRefused, ProbeReport, Probed, run_probe};
use crate::supervise::{Life, spawn};

impl ResourceCore {
    pub(super) fn probe(
        &mut self,
        order: &ProbeOrder,
        done: oneshot::Sender<Probed>,
        life: &mut Life<Self>,
    ) {
        let plan = order.plan.as_ref().unwrap_or(&self.plan);
        let mut pairs = plan.pairs.iter();
        let setting = pairs.find(|pair| *pair.instance.name == *order.plugin);
        let refused = match setting {
            None => ProbeRefused::NoPlugin,
            Some(_) if self.is_probed => ProbeRefused::Busy,
            Some(_) if self.is_stopped => ProbeRefused::Dropped,
            Some(setting) => {
                let setting = setting.clone();
                return self.start_probe(setting, order, (done, life));
            }
        };
        // Whoever asked may be gone; then nobody needs the answer.
        done.send(Err(refused)).ok();
    }

    fn start_probe(
        &mut self,
        setting: PairSetting,
        order: &ProbeOrder,
        (done, life): (oneshot::Sender<Probed>, &mut Life<Self>),
    ) {
        self.is_probed = true;
        let now = self.station.clock.monotonic();
        let rate = self.pairs.get(&setting.instance.name);
        let rate = rate
            .map(|kept| kept.memory.rate.clone())
            .unwrap_or_default();
        let asking = Asking {
            plan: Arc::clone(order.plan.as_ref().unwrap_or(&self.plan)),
            reach: Rc::clone(&self.station.reach),
            device: Rc::clone(&self.device),
            // Of a trial the settings may be others than those that the session has.
            session: self.session.clone().filter(|_| order.plan.is_none()),
            credential: self
                .device
                .credential(order.plan.as_ref().unwrap_or(&self.plan)),
            port: setting.instance.port,
            timeout: setting.instance.timeout,
            deadline: now.after(longest_run(&setting)),
        };
        let collection = Collection {
            setting,
            // Of slot 0 every group is due, whatever its interval.
            slot: SlotMs(0),
            asking,
            log: order.is_traced.then(|| ProbeLog::begin(now)),
        };
        let began = self.station.clock.wall();
        let run = Box::pin(async move { run_probe(collection, rate).await });
        spawn(life, run, move |core: &mut Self, outcome, _| {
            core.is_probed = false;
            let report = match outcome {
                Ok((report, collected)) => {
                    core.station.reach.keep_memory(collected.memory);
                    report
                }
                Err(panic) => panicked(began, &panic),
            };
            done.send(Ok(report)).ok();
        });
    }
}

/// What a slot's run may take.
pub(crate) fn longest_run(setting: &PairSetting) -> Duration {
    let millis = u64::from(setting.interval_ms) * u64::from(setting.deadline_permille) / 1_000;
    Duration::from_millis(millis)
}

fn panicked(began: WallMs, panic: &str) -> ProbeReport {
    let detail = format!("panic: {panic}");
    ProbeReport {
        began,
        took: Duration::ZERO,
        credential: None,
        outcome: Err(GapCause::because(GapKind::PluginError, &detail)),
        ambiguous: Vec::new(),
        steps: Vec::new(),
        steps_dropped: 0,
    }
}
