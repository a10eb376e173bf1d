//! Requests of collect plans, encoded once an arbiter.
//!
//! Does: keep the encoded gets and walks of the plans in use. Does not: send.
//! In: a plan. Out: its [`PlanRequests`], shared. Limit: [`PLANS_MAX`]; the one unused for longest
//! is encoded anew when it comes again. Encoded plans are shared within one thread only, so they
//! cannot stand in the plan itself.

use std::rc::Rc;
use std::sync::Arc;

use ocelli_model::oid::Oid;
use ocelli_model::profile::{CollectPlan, GroupPlan};

use crate::snmp_access::{Request, SnmpFailure};

/// sysUpTime.0: tells a reboot; asked with the scalars of each group.
const SYS_UPTIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
/// Plans kept: configurations have a handful of profiles at a time.
const PLANS_MAX: usize = 32;

/// Requests of one group.
#[derive(Debug)]
pub(crate) struct GroupRequests {
    /// The scalars, then sysUpTime.
    pub(crate) get: Request,
    /// Parallel to the plan's walks.
    pub(crate) walks: Vec<Request>,
}

/// Requests of a plan, parallel to its groups.
#[derive(Debug)]
pub(crate) struct PlanRequests {
    pub(crate) groups: Vec<GroupRequests>,
}

/// Encoded plans by identity, the one used last at the end.
#[derive(Debug, Default)]
pub(crate) struct RequestCache {
    plans: Vec<(Arc<CollectPlan>, Rc<PlanRequests>)>,
}

impl RequestCache {
    /// The requests of `plan`.
    pub(crate) fn of(&mut self, plan: &Arc<CollectPlan>) -> Result<Rc<PlanRequests>, SnmpFailure> {
        // The kept `Arc` holds the address, so that equal addresses are the same plan.
        let known = self
            .plans
            .iter()
            .position(|(known, _)| Arc::ptr_eq(known, plan));
        if let Some(at) = known {
            let found = self.plans.remove(at);
            let requests = Rc::clone(&found.1);
            self.plans.push(found);
            return Ok(requests);
        }
        let groups = plan
            .groups
            .iter()
            .map(requests_of)
            .collect::<Result<_, _>>()?;
        let requests = Rc::new(PlanRequests { groups });
        if self.plans.len() == PLANS_MAX {
            self.plans.remove(0);
        }
        self.plans.push((Arc::clone(plan), Rc::clone(&requests)));
        Ok(requests)
    }
}

fn requests_of(group: &GroupPlan) -> Result<GroupRequests, SnmpFailure> {
    let mut instances: Vec<Oid> = group.gets.iter().map(|get| get.oid.clone()).collect();
    instances.extend(Oid::from_arcs(&SYS_UPTIME));
    let walks = group.walks.iter().map(|walk| {
        let columns = walk.columns.iter();
        let oids = columns.filter_map(|at| group.columns.get(usize::from(*at)));
        Request::walk(oids.map(|column| column.oid.clone()).collect())
    });
    Ok(GroupRequests {
        get: Request::get(instances)?,
        walks: walks.collect::<Result<_, _>>()?,
    })
}
