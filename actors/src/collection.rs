//! One run of one polling plugin against one resource for one slot.
//!
//! Does: open a session where one is needed, give the plugin clock, deadline and memory, collect
//! what it read. Does not: account for the slot (`resource`), judge counters (`publish`).
//! In: [`Collection`], all that the run needs, owned. Out: [`Collected`]; dropping the future
//! cancels the run. A panic of the plugin ends this future and nothing else.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Monotonic;
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::slot::SlotMs;
use ocelli_plugins::polling::{PollNotes, PollRun};
use ocelli_plugins::run::Run;

use crate::device::Device;
use crate::plan::{PairSetting, ResourcePlan};
use crate::probe::ProbeLog;
use crate::reach::{Reach, RunMemory};
use crate::session::{OpenSession, SessionOrder};

/// A run about to begin.
pub(crate) struct Collection {
    pub(crate) setting: PairSetting,
    pub(crate) slot: SlotMs,
    pub(crate) asking: Asking,
    /// Where everything it does is told, if anybody asked.
    pub(crate) log: Option<Rc<ProbeLog>>,
}

/// How a run reaches its resource.
pub(crate) struct Asking {
    pub(crate) plan: Arc<ResourcePlan>,
    pub(crate) reach: Rc<Reach>,
    pub(crate) device: Rc<Device>,
    /// Of an earlier run, to be used again.
    pub(crate) session: Option<Rc<OpenSession>>,
    /// Position among the plan's credentials.
    pub(crate) credential: Option<usize>,
    /// The plugin's port.
    pub(crate) port: Option<u16>,
    /// The plugin's time-out.
    pub(crate) timeout: Option<Duration>,
    /// The run should have ended with what it has.
    pub(crate) deadline: Monotonic,
}

/// A run that ended.
pub(crate) struct Collected {
    /// What it noticed, or why there is no row.
    pub(crate) result: Result<PollNotes, GapCause>,
    /// The rows, where there are any.
    pub(crate) memory: RunMemory,
    /// The session that it used.
    pub(crate) session: Option<Rc<OpenSession>>,
}

impl Collected {
    /// A run without a row.
    pub(crate) fn failed(cause: GapCause) -> Self {
        Self {
            result: Err(cause),
            memory: RunMemory::default(),
            session: None,
        }
    }
}

impl Collection {
    /// Name of the credential that the run asks with, where it needs one.
    pub(crate) fn credential_name(&self) -> Option<Arc<str>> {
        let position = self.asking.credential?;
        let named = self.asking.plan.credentials.get(position)?;
        let is_needed = self.setting.instance.plugin.needs_snmp();
        is_needed.then(|| Arc::clone(&named.name))
    }

    /// Runs the plugin to its end.
    pub(crate) async fn run(self) -> Collected {
        let Asking {
            plan,
            reach,
            deadline,
            ..
        } = &self.asking;
        let mut memory = reach.take_memory();
        let plugin = &self.setting.instance.plugin;
        let session = match self.asking.open(plugin.needs_snmp()).await {
            Ok(session) => session,
            Err(cause) => {
                return Collected {
                    result: Err(cause),
                    memory,
                    session: None,
                };
            }
        };
        let interval_ms = i64::from(self.setting.interval_ms.max(1));
        let namespaces = plugin.namespaces();
        let facts = match namespaces {
            [] => Vec::new(),
            wanted => reach
                .enrichments
                .borrow()
                .shared(plan.resource.id(), wanted),
        };
        let plain = || session.as_ref().map(|session| session.access());
        let watched = self.log.as_ref().zip(session.as_ref());
        let watched = watched.map(|(log, session)| session.watched(Rc::clone(log) as _));
        let run = PollRun {
            run: Run {
                clock: &*reach.clock,
                deadline: *deadline,
                blocking: &reach.blocking,
            },
            resource: &plan.resource,
            slot_number: u64::try_from(self.slot.0 / interval_ms).unwrap_or(0),
            snmp: watched
                .as_ref()
                .map_or_else(plain, |watched| Some(watched as _)),
            facts: &facts,
        };
        let polled = plugin
            .poll(run, &mut memory.rows, &mut memory.scratch)
            .await;
        let result = match polled {
            Ok(_) if memory.rows.row_count() == 0 => Err(no_rows(&memory)),
            Ok(notes) => Ok(notes),
            Err(error) => Err(error.gap_cause()),
        };
        Collected {
            result,
            memory,
            session,
        }
    }
}

impl Asking {
    /// A session where one is needed: that of an earlier run if it fits.
    ///
    /// # Errors
    /// The cause of the gap.
    pub(crate) async fn open(&self, is_needed: bool) -> Result<Option<Rc<OpenSession>>, GapCause> {
        if !is_needed {
            return Ok(None);
        }
        let used = self.credential;
        let usable = self
            .session
            .as_ref()
            .filter(|session| Some(session.credential) == used);
        if let Some(session) = usable {
            return Ok(Some(Rc::clone(session)));
        }
        let credential = used.ok_or(GapCause::with(GapKind::Auth, "no_credential"))?;
        let order = SessionOrder {
            plan: &self.plan,
            device: &self.device,
            credential,
            port: self.port,
            timeout: self.timeout,
        };
        let opened = self.reach.sessions.open(order, self.deadline).await;
        opened.map(|session| Some(Rc::new(session)))
    }
}

/// A run without a row is a gap: its partial reason, or a device that has nothing of the kind.
fn no_rows(memory: &RunMemory) -> GapCause {
    let partial = memory.rows.partial.as_ref();
    partial.map_or_else(|| GapKind::NoData.into(), |partial| partial.cause.clone())
}
