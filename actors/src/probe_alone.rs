//! One run without a node: the same collection, by a command that asks and ends.
//!
//! Does: make what a run needs, learn the facts that its plugin wants, try the credentials in their
//! order as a node does from slot to slot. Does not: keep, schedule or write anything.
//! In: [`AloneParts`], a site, a resource. Out: [`Probed`]. Counters have no previous value: their
//! verdict is `first`. Runs on the local task set of the caller.

use std::rc::Rc;
use std::sync::Arc;

use ocelli_model::clock::{Clock, Rng};
use ocelli_model::rate::RateState;
use ocelli_model::resource::Resource;
use ocelli_model::slot::{Epoch, SlotMs};
use ocelli_plugins::run::BlockingPool;
use ocelli_snmp::engine::{Engine, Source};

use crate::collection::{Asking, Collection};
use crate::credential_choice::Answer;
use crate::device::{Device, Devices};
use crate::plan::{PairSetting, ResourcePlan};
use crate::probe::{ProbeLog, ProbeOrder, ProbeRefused, Probed, run_probe};
use crate::reach::Reach;
use crate::resolver::{Lookup, Resolver};
use crate::resource::{learn, longest_run};
use crate::session::Sessions;
use crate::site::Site;

/// What a run without a node is made of.
pub struct AloneParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for request ids.
    pub rng: Box<dyn Rng>,
    /// How names are looked up.
    pub lookup: Arc<dyn Lookup>,
}

/// Runs a plugin of `site` once against `resource`.
///
/// # Errors
/// [`ProbeRefused::NoPlugin`] if the resource does not run it.
pub async fn probe_alone(
    parts: AloneParts,
    site: &Site,
    resource: &Arc<Resource>,
    order: &ProbeOrder,
) -> Probed {
    let AloneParts { clock, rng, lookup } = parts;
    let plan = Arc::new(site.plan(resource, Epoch::default(), SlotMs(0)));
    let pairs = plan.pairs.iter();
    let mut wanted = pairs.filter(|pair| *pair.instance.name == *order.plugin);
    let setting = wanted.next().cloned().ok_or(ProbeRefused::NoPlugin)?;
    let engine = Engine::start(Source::default(), Arc::clone(&clock), rng);
    let resolver = Resolver::new(lookup, Arc::clone(&clock));
    let sessions = Sessions::new(engine, resolver, Arc::clone(&clock));
    let alone = Alone {
        reach: Reach::new(clock, sessions, BlockingPool::default()),
        device: Devices::default().of(&plan, None),
        plan,
    };
    if !setting.instance.plugin.namespaces().is_empty() {
        alone.learn().await;
    }
    Ok(alone.run(&setting, order.is_traced).await)
}

struct Alone {
    reach: Rc<Reach>,
    device: Rc<Device>,
    plan: Arc<ResourcePlan>,
}

impl Alone {
    fn asking(&self, port: Option<u16>, limit: std::time::Duration) -> Asking {
        Asking {
            plan: Arc::clone(&self.plan),
            reach: Rc::clone(&self.reach),
            device: Rc::clone(&self.device),
            session: None,
            credential: self.device.credential(&self.plan),
            port,
            timeout: None,
            deadline: self.reach.clock.monotonic().after(limit),
        }
    }

    /// Facts are missing where an enrichment fails, as they are in a node's first slots.
    async fn learn(&self) {
        for instance in &self.plan.enrichments {
            let asking = self.asking(instance.port, instance.deadline);
            let learnt = learn::run(instance, asking).await;
            let mut store = self.reach.enrichments.borrow_mut();
            for group in learnt.groups.into_iter().flatten() {
                store.offer(self.plan.resource.id(), &instance.name, group);
            }
        }
    }

    /// Ends because each turn but the last takes another credential, at most all of them.
    async fn run(&self, setting: &PairSetting, is_traced: bool) -> crate::probe::ProbeReport {
        let mut tries = self.plan.credentials.len();
        loop {
            let now = self.reach.clock.monotonic();
            let mut asking = self.asking(setting.instance.port, longest_run(setting));
            asking.timeout = setting.instance.timeout;
            let used = asking.credential;
            let collection = Collection {
                setting: setting.clone(),
                slot: SlotMs(0),
                asking,
                log: is_traced.then(|| ProbeLog::begin(now)),
            };
            let (report, _) = run_probe(collection, RateState::default()).await;
            let said = match &report.outcome {
                Ok(_) => Answer::Answered,
                Err(cause) => Answer::of_gap(cause.kind),
            };
            tries = tries.saturating_sub(1);
            let is_other = used.is_some_and(|used| self.device.note(used, said, now));
            if tries == 0 || !is_other {
                return report;
            }
        }
    }
}
