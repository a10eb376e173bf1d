//! What a run needs to reach a resource: clock, sessions, facts, memory.
//!
//! Does: hold them together, so that a run is the same on an arbiter and in a command that asks
//! once. Does not: schedule, account, write to the bus (`station`).
//! In: its parts. Out: borrows for runs. Belongs to one thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ocelli_model::batch::GroupValues;
use ocelli_model::clock::Clock;
use ocelli_model::enrichment::EnrichmentStore;
use ocelli_model::rate::RateDraft;
use ocelli_model::rows::Rows;
use ocelli_plugins::polling::Scratch;
use ocelli_plugins::run::BlockingPool;

use crate::session::Sessions;

/// Rows and scratch kept for later runs; more run at one time only after a stall.
const SCRATCH_KEPT_MAX: usize = 64;

/// What runs share.
pub(crate) struct Reach {
    /// The node's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// SNMP of this thread.
    pub(crate) sessions: Sessions,
    /// What is known of the resources here.
    pub(crate) enrichments: RefCell<EnrichmentStore>,
    /// For work that blocks; the node's.
    pub(crate) blocking: BlockingPool,
    memory: RefCell<Vec<RunMemory>>,
}

/// What a run fills.
#[derive(Default)]
pub(crate) struct RunMemory {
    pub(crate) rows: Rows,
    pub(crate) scratch: Scratch,
    /// For judging the rows.
    pub(crate) draft: RateDraft,
    /// The judged values, on their way to the encoder.
    pub(crate) groups: Vec<GroupValues>,
}

impl Reach {
    /// No facts and no memory yet.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        sessions: Sessions,
        blocking: BlockingPool,
    ) -> Rc<Self> {
        Rc::new(Self {
            clock,
            sessions,
            enrichments: RefCell::default(),
            blocking,
            memory: RefCell::default(),
        })
    }

    /// Memory for a run, grown by earlier ones.
    pub(crate) fn take_memory(&self) -> RunMemory {
        self.memory.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives a run's memory back.
    pub(crate) fn keep_memory(&self, memory: RunMemory) {
        let mut kept = self.memory.borrow_mut();
        if kept.len() < SCRATCH_KEPT_MAX {
            kept.push(memory);
        }
    }
}
