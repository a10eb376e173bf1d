//! The way of events: from whoever sees something worth knowing to log and bus.
//!
//! Does: take reports from all actors and the assembly, cut floods (`model::event`), log each event
//! and write it to the bus through an outlet of its own. Does not: decide what is an event.
//! In: [`Reporter`], cheap to clone, usable from any thread. Out: log lines and `Event` entries.
//! Full: beyond [`REPORTS_MAX`] reports on their way one is dropped and counted; while the bus
//! takes nothing, events wait in the outlet with the time when they happened.
//! Invariant: what is logged as an event is what stands on the bus; both are made of one value.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::BusHandle;
use ocelli_config::Config;
use ocelli_model::clock::{Clock, Monotonic, WallMs};
use ocelli_model::event::{Event, EventFacts, EventLimiter, Severity};
use ocelli_model::resource::Resource;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::counters::RuntimeCounters;
use crate::outlet::{Note, Outlet};
use crate::station::FLUSH_INTERVAL;

/// Reports on their way to the desk: one for each resource of a few thousand at one moment.
const REPORTS_MAX: usize = 4_096;
/// How long a drain waits for events to reach the bus; a full disk must not hold an end up.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Field that says how many events of this kind and subject were held back before this one.
const HELD_BACK_FIELD: &str = "held_back";

/// Something that happened.
struct Report {
    event: Event,
    resource: Option<Arc<Resource>>,
    plugin: Option<Arc<str>>,
    at: (WallMs, Monotonic),
}

enum DeskMessage {
    Report(Box<Report>),
    /// Answered when all before it is with the bus, or the limit is over.
    Drain(oneshot::Sender<()>),
}

/// Reports events.
#[derive(Clone)]
pub struct Reporter {
    sender: mpsc::Sender<DeskMessage>,
    clock: Arc<dyn Clock>,
    counters: Arc<RuntimeCounters>,
}

/// What every event of a node itself says beside its own values.
#[derive(Debug, Clone)]
pub(crate) struct NodeNames {
    pub(crate) node: Arc<str>,
    pub(crate) site: Arc<str>,
}

impl NodeNames {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            node: config.node.name.as_str().into(),
            site: config.node.site.as_str().into(),
        }
    }
}

impl Reporter {
    /// Starts the desk on the current thread. Must be called inside an actix system.
    pub(crate) fn start(
        bus: BusHandle,
        clock: Arc<dyn Clock>,
        (names, counters): (NodeNames, Arc<RuntimeCounters>),
    ) -> Self {
        let (sender, messages) = mpsc::channel(REPORTS_MAX);
        let outlet = Outlet::new(bus, Arc::clone(&clock), Arc::clone(&counters));
        let desk = Desk {
            outlet,
            limiter: EventLimiter::default(),
            names,
            clock: Arc::clone(&clock),
        };
        actix::spawn(desk.run(messages));
        Self {
            sender,
            clock,
            counters,
        }
    }

    /// One whose reports nobody takes.
    #[cfg(test)]
    pub(crate) fn to_nowhere(clock: Arc<dyn Clock>) -> Self {
        let (sender, _) = mpsc::channel(1);
        let counters = RuntimeCounters::new(1);
        Self {
            sender,
            clock,
            counters,
        }
    }

    /// Reports an event of the node.
    pub fn report(&self, event: Event) {
        self.send(event, None, None);
    }

    /// Reports an event of a resource, and of a plugin if one has a part in it.
    pub fn report_of(&self, resource: &Arc<Resource>, plugin: Option<&Arc<str>>, event: Event) {
        self.send(event, Some(Arc::clone(resource)), plugin.map(Arc::clone));
    }

    fn send(&self, event: Event, resource: Option<Arc<Resource>>, plugin: Option<Arc<str>>) {
        let report = Report {
            event,
            resource,
            plugin,
            at: (self.clock.wall(), self.clock.monotonic()),
        };
        let message = DeskMessage::Report(Box::new(report));
        if self.sender.try_send(message).is_err() {
            self.counters.note_dropped();
        }
    }

    /// Waits until what was reported before is with the bus, for [`DRAIN_LIMIT`] at most.
    pub(crate) async fn drain(&self) {
        let (done, is_done) = oneshot::channel();
        if self.sender.send(DeskMessage::Drain(done)).await.is_ok() {
            is_done.await.ok();
        }
    }
}

/// Where reports become entries.
struct Desk {
    outlet: Outlet,
    limiter: EventLimiter,
    names: NodeNames,
    clock: Arc<dyn Clock>,
}

impl Desk {
    async fn run(mut self, mut messages: mpsc::Receiver<DeskMessage>) {
        let pending = self.outlet.pending();
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(DeskMessage::Report(report)) => self.take(*report),
                    Some(DeskMessage::Drain(done)) => {
                        self.empty().await;
                        done.send(()).ok();
                    }
                    None => return,
                },
                () = wait(&pending, &self.clock) => self.outlet.flush(),
            }
        }
    }

    fn take(&mut self, report: Report) {
        let Report {
            event,
            resource,
            plugin,
            at: (time, now),
        } = report;
        let resource_id = resource
            .as_ref()
            .map_or("", |resource| resource.id().as_str());
        let plugin_name = plugin.as_deref().unwrap_or("");
        let subject = event.subject();
        let key = format!("{}\n{resource_id}\n{plugin_name}\n{subject}", event.kind());
        let Some(held_back) = self.limiter.admit(&key, now) else {
            return;
        };
        log(&event, resource_id, plugin_name);
        let facts = self.facts_of(&event, resource.is_none(), held_back);
        self.outlet
            .note_of(resource, plugin, Note::Event(facts, time));
    }

    fn facts_of(&self, event: &Event, is_of_node: bool, held_back: u64) -> EventFacts {
        let mut facts = EventFacts::from(event);
        let mut add = |name: &str, value: String| facts.fields.push((name.to_owned(), value));
        if is_of_node {
            add("node", self.names.node.to_string());
            add("site", self.names.site.to_string());
        }
        if held_back > 0 {
            add(HELD_BACK_FIELD, held_back.to_string());
        }
        facts
    }

    /// Flushes until all is with the bus or the limit is over.
    async fn empty(&mut self) {
        let until = self.clock.monotonic().after(DRAIN_LIMIT);
        self.outlet.flush();
        while !self.outlet.is_empty() && self.clock.monotonic() < until {
            let next = self.clock.monotonic().after(FLUSH_INTERVAL);
            self.clock.sleep_until(next).await;
            self.outlet.flush();
        }
    }
}

async fn wait(pending: &Rc<tokio::sync::Notify>, clock: &Arc<dyn Clock>) {
    pending.notified().await;
    let next = clock.monotonic().after(FLUSH_INTERVAL);
    clock.sleep_until(next).await;
}

/// `event` is the constant to count and search by; the message is the event's own text.
fn log(event: &Event, resource: &str, plugin: &str) {
    let (kind, text) = (event.kind(), event.text());
    match event.severity() {
        Severity::Info => info!(event = kind, resource, plugin, "{text}"),
        Severity::Warning => warn!(event = kind, resource, plugin, "{text}"),
        Severity::Error => error!(event = kind, resource, plugin, "{text}"),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
