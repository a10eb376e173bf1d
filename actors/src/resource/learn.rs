//! What a resource learns about itself: runs of enrichment plugins.
//!
//! Does: run what is due, offer what was found to the station's store, record what is new.
//! Does not: schedule (`learning`), hold facts. In: the schedule. Out: `Enrich` records.
//! A run that fails or panics changes nothing: what was known stays known and ages.

use std::rc::Rc;
use std::sync::Arc;

use ocelli_model::enrichment::{EnrichmentGroup, Offered};
use ocelli_model::resource_state::ResourceEvent;
use ocelli_plugins::enrichment::EnrichRun;
use ocelli_plugins::run::Run;
use tracing::{debug, warn};

use super::ResourceCore;
use crate::collection::Asking;
use crate::outlet::Note;
use crate::plan::EnrichmentInstance;
use crate::session::OpenSession;
use crate::supervise::{Life, spawn};

/// A run that ended.
pub(crate) struct Learnt {
    pub(crate) groups: Result<Vec<EnrichmentGroup>, String>,
    session: Option<Rc<OpenSession>>,
}

impl ResourceCore {
    /// Starts what is due.
    pub(super) fn learn(&mut self, life: &mut Life<Self>) {
        let now = self.station.clock.monotonic();
        for instance in self.learning.take_due(now) {
            let asking = Asking {
                plan: Arc::clone(&self.plan),
                reach: Rc::clone(&self.station.reach),
                device: Rc::clone(&self.device),
                session: self.session.clone(),
                credential: self.device.credential(&self.plan),
                port: instance.port,
                timeout: None,
                deadline: now.after(instance.deadline),
            };
            let ended = Arc::clone(&instance);
            let run = Box::pin(async move { run(&instance, asking).await });
            spawn(life, run, move |core: &mut Self, outcome, life| {
                core.learnt(&ended, outcome, life);
            });
        }
    }

    fn learnt(
        &mut self,
        instance: &EnrichmentInstance,
        outcome: Result<Learnt, String>,
        life: &mut Life<Self>,
    ) {
        let (resource, plugin) = (Arc::clone(&self.plan.resource), &instance.name);
        let (groups, session) = match outcome {
            Ok(learnt) => (learnt.groups, learnt.session),
            Err(panic) => (Err(format!("panic: {panic}")), None),
        };
        let is_good = groups.is_ok();
        match groups {
            Ok(groups) => {
                for group in groups {
                    let offered = self.station.reach.enrichments.borrow_mut().offer(
                        resource.id(),
                        plugin,
                        group,
                    );
                    if let Offered::Changed(record) = offered {
                        let note = Note::Enrich(record);
                        self.station
                            .outlet
                            .borrow_mut()
                            .note(&resource, plugin, note);
                    }
                }
                debug!(resource = %resource.id(), %plugin, "enriched");
            }
            Err(error) => {
                warn!(resource = %resource.id(), %plugin, %error, "enrichment failed; facts age");
            }
        }
        if self.session.is_none() && is_good {
            self.session = session;
        }
        let now = self.station.clock.monotonic();
        self.learning.ended(plugin, is_good, now);
        self.step(ResourceEvent::Tick, None, life);
    }
}

pub(crate) async fn run(instance: &EnrichmentInstance, asking: Asking) -> Learnt {
    let session = match asking.open(instance.plugin.needs_snmp()).await {
        Ok(session) => session,
        Err(cause) => {
            return Learnt {
                groups: Err(cause.to_string()),
                session: None,
            };
        }
    };
    let clock = &*asking.reach.clock;
    let deadline = asking.deadline;
    let run = EnrichRun {
        run: Run {
            clock,
            deadline,
            blocking: &asking.reach.blocking,
        },
        resource: &asking.plan.resource,
        snmp: session.as_ref().map(|session| session.access()),
    };
    let mut memory = asking.reach.take_memory();
    let found = instance.plugin.enrich(run, &mut memory.scratch);
    let groups = tokio::select! {
        found = found => found.map_err(|error| error.to_string()),
        () = clock.sleep_until(deadline) => Err("no result before its deadline".to_owned()),
    };
    asking.reach.keep_memory(memory);
    Learnt { groups, session }
}
