//! A resource's plan: bringing its pairs and its learning to what the plan says, up to its end.
//!
//! Does: assign, change and remove pairs, begin their accounting where a former life ended, write
//! what the next life needs. Does not: start runs. In: [`ResourcePlan`]. Out: events of slot
//! accounting; session records.

use std::sync::Arc;

use ocelli_bus::encoder::Place;
use ocelli_model::resource_state::{Begin, PairPlan, ResourceEvent};
use ocelli_model::slot::{SlotGrid, SlotMs};
use tokio::sync::oneshot;

use super::{ResourceCore, answer};
use crate::outlet::Note;
use crate::plan::{PairSetting, ResourcePlan};
use crate::saved;
use crate::session::PORT_METADATA_KEY;
use crate::supervise::Life;

impl ResourceCore {
    pub(super) fn take_plan(&mut self, plan: Arc<ResourcePlan>, life: &mut Life<Self>) {
        if plan.settings != self.plan.settings {
            self.device.limit_load(&plan.settings);
        }
        if !has_same_session(&self.plan, &plan) {
            self.session = None;
        }
        self.plan = plan;
        self.follow(life);
        self.step(ResourceEvent::Tick, None, life);
    }

    /// Brings the pairs to what the plan says.
    pub(super) fn follow(&mut self, life: &mut Life<Self>) {
        let plan = Arc::clone(&self.plan);
        self.learning.follow(&plan, self.station.clock.monotonic());
        let is_wanted = |name: &str| plan.pairs.iter().any(|pair| &*pair.instance.name == name);
        let present = self
            .state
            .pairs()
            .iter()
            .map(|pair| Arc::clone(&pair.plan().plugin));
        let gone: Vec<Arc<str>> = present.filter(|name| !is_wanted(name)).collect();
        for plugin in gone {
            self.step(ResourceEvent::Remove { plugin }, None, life);
        }
        for setting in &plan.pairs {
            let Some(pair) = pair_plan(&plan, setting, setting.interval_ms) else {
                continue;
            };
            let begin = self.begin_of(setting);
            let event = ResourceEvent::Plan {
                plan: pair,
                from: plan.from,
                begin,
            };
            self.step(event, None, life);
        }
    }

    fn begin_of(&self, setting: &PairSetting) -> Begin {
        let kept = self.pairs.get(&setting.instance.name);
        let Some((last, interval_ms, epoch)) = kept.and_then(|kept| kept.memory.last) else {
            return self.begin_unknown(setting);
        };
        let before = (interval_ms != setting.interval_ms)
            .then(|| pair_plan(&self.plan, setting, interval_ms))
            .flatten()
            .map(|plan| PairPlan { epoch, ..plan });
        Begin::After {
            last,
            cause: self.missed.clone(),
            before,
        }
    }

    /// Of a pair without memory.
    fn begin_unknown(&self, setting: &PairSetting) -> Begin {
        let pair = pair_plan(&self.plan, setting, setting.interval_ms);
        let since = pair.zip(self.lost_since);
        since.map_or(Begin::Fresh, |(pair, since)| Begin::After {
            last: pair.grid.at_or_before(since),
            cause: self.missed.clone(),
            before: None,
        })
    }

    pub(super) fn retire(&mut self, done: oneshot::Sender<()>, life: &mut Life<Self>) {
        self.waiting.push(done);
        self.learning.end();
        let plan = Arc::clone(&self.plan);
        for pair in &plan.pairs {
            let plugin = Arc::clone(&pair.instance.name);
            self.step(ResourceEvent::Remove { plugin }, None, life);
        }
        if self.state.pairs().is_empty() {
            self.waiting.drain(..).for_each(answer);
        }
        self.station
            .reach
            .enrichments
            .borrow_mut()
            .remove(self.plan.resource.id());
    }

    /// The pair has ended here: forgets its state and says from which slot on nobody polls it, so
    /// that neither a reader nor the next life takes the slots since then for missed ones.
    pub(super) fn release(&mut self, plugin: &Arc<str>) {
        let last = self.pairs.remove(plugin).and_then(|kept| kept.memory.last);
        let Some((last, interval_ms, epoch)) = last else {
            return;
        };
        let place = Place {
            slot: SlotMs(last.0 + i64::from(interval_ms)),
            interval_ms,
            epoch,
            now: self.station.clock.wall(),
        };
        let mut outlet = self.station.outlet.borrow_mut();
        outlet.note(&self.plan.resource, plugin, Note::Released(place));
    }

    pub(super) fn write_sessions(&self) {
        let mut outlet = self.station.outlet.borrow_mut();
        let now = self.station.clock.wall();
        for (plugin, kept) in &self.pairs {
            if let Some(note) = saved::note_of(&kept.memory, self.device.winner(), now) {
                outlet.note(&self.plan.resource, plugin, note);
            }
        }
    }
}

/// Whether a session of the one plan serves the other. Credentials are opened anew at a reload, and
/// then are others: a secret may have changed under its name, and secrets are not compared.
fn has_same_session(one: &ResourcePlan, other: &ResourcePlan) -> bool {
    let (old, new) = (&one.credentials, &other.credentials);
    let has_same_credentials =
        old.len() == new.len() && old.iter().zip(new).all(|(old, new)| Arc::ptr_eq(old, new));
    has_same_credentials
        && one.settings == other.settings
        && one.resource.endpoint() == other.resource.endpoint()
        && port_of(one) == port_of(other)
}

fn port_of(plan: &ResourcePlan) -> Option<&str> {
    plan.resource.metadata_value(PORT_METADATA_KEY)
}

/// `None` for an interval that configuration does not let through.
fn pair_plan(plan: &ResourcePlan, setting: &PairSetting, interval_ms: u32) -> Option<PairPlan> {
    let plugin = Arc::clone(&setting.instance.name);
    let grid = SlotGrid::new(plan.resource.id().as_str(), &plugin, interval_ms).ok()?;
    let deadline_permille = setting.deadline_permille;
    Some(PairPlan {
        plugin,
        grid,
        epoch: plan.epoch,
        deadline_permille,
    })
}
