//! Keeps a link to one member of a group alive.
//!
//! Does: carry out what [`Choice`] decides: resolve, dial, pause, probe, move back. Does not: use
//! the link. In: addresses as configured, TLS and origin as they are at each attempt. Out: links
//! that stand.
//! Names are resolved anew for each attempt, since a member may have moved.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic, Rng};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::close::CloseCode;
use super::contract::Link;
use super::group::{Choice, Event, Step};
use super::quic::{DialFacts, MeshEndpoint, QuicLink};
use super::waiting::within;
use crate::frame::Role;

/// A name that is not resolved by then counts as a failure.
const RESOLVE_MAX: Duration = Duration::from_secs(5);
/// Least time between two warnings of one reason: attempts go on for as long as nobody mends it.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The TLS configuration for the next attempt.
pub type TlsSource = Arc<dyn Fn() -> Arc<rustls::ClientConfig> + Send + Sync>;
/// Origin and role for the next attempt.
pub type FactsSource = Arc<dyn Fn() -> DialFacts + Send + Sync>;

/// What a dialler needs to know.
pub struct DialerOptions {
    /// Name of this node's site (or region), by which members are ranked.
    pub site: String,
    /// `host:port` of each member.
    pub members: Vec<String>,
    /// How long a better member must have answered before the link moves back to it.
    pub healthy_for: Duration,
    /// Asked at each attempt.
    pub tls: TlsSource,
    /// Asked at each attempt.
    pub facts: FactsSource,
    /// The node's.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub rng: Box<dyn Rng>,
}

/// What is known of a member, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    /// `host:port`.
    pub name: String,
    /// Whether the link is to it.
    pub is_connected: bool,
    /// Why the last attempt failed; `None` after a success.
    pub error: Option<String>,
    /// Whether the last attempt failed by an answer: the other end, or this one, wants no link.
    pub is_refused: bool,
}

/// Why an attempt failed.
struct Failure {
    text: String,
    is_refusal: bool,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        let is_refusal = false;
        Self { text, is_refusal }
    }
}

/// A link that stands.
pub struct Standing {
    /// The link.
    pub link: Arc<QuicLink>,
    /// `host:port` of the member.
    pub member: String,
}

/// Keeps a link alive; used by one task.
pub struct Dialer {
    endpoint: Arc<MeshEndpoint>,
    options: DialerOptions,
    choice: Choice,
    states: watch::Sender<Vec<MemberState>>,
    /// What was warned of last, by member.
    warned: BTreeMap<usize, (String, Monotonic)>,
}

impl Dialer {
    /// A dialler for a group of members, each of which will do.
    #[must_use]
    pub fn new(endpoint: Arc<MeshEndpoint>, options: DialerOptions) -> Self {
        let names: Vec<&str> = options.members.iter().map(String::as_str).collect();
        let choice = Choice::new(&options.site, &names).moving_back_after(options.healthy_for);
        let unknown = |name: &String| MemberState {
            name: name.clone(),
            is_connected: false,
            error: None,
            is_refused: false,
        };
        let states = watch::Sender::new(options.members.iter().map(unknown).collect());
        Self {
            endpoint,
            options,
            choice,
            states,
            warned: BTreeMap::new(),
        }
    }

    /// States of the members, as they change.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<Vec<MemberState>> {
        self.states.subscribe()
    }

    /// Dials until a link stands. Cancel safe: an attempt under way is given up.
    pub async fn connect(&mut self) -> Standing {
        loop {
            match self.choice.step(self.options.clock.monotonic()) {
                Step::Dial(number) => {
                    if let Some(standing) = self.attempt(number).await {
                        return standing;
                    }
                }
                step => self.pause(step).await,
            }
        }
    }

    /// While a link stands: waits until a link to a better member stands too, which is answered;
    /// finish the former one then. Never ends where there is no better member. Cancel safe.
    pub async fn better(&mut self) -> Standing {
        loop {
            match self.choice.step(self.options.clock.monotonic()) {
                Step::MoveTo(number) => {
                    if let Some(standing) = self.attempt(number).await {
                        return standing;
                    }
                }
                Step::Probe(number) => self.probe(number).await,
                // Without a link there is nothing to better.
                Step::Dial(_) => std::future::pending().await,
                step => self.pause(step).await,
            }
        }
    }

    /// The link that stood has ended.
    pub fn lost(&mut self) {
        if let Some(number) = self.choice.connected() {
            let random = self.options.rng.next_u64();
            self.on(
                Event::Lost(number, random),
                Some("link ended".to_owned().into()),
            );
        }
    }

    /// The link that stood was ended here, to be made anew: the same member is dialled at once.
    pub fn left(&mut self) {
        if let Some(number) = self.choice.connected() {
            self.on(Event::Left(number), None);
        }
    }

    async fn pause(&self, step: Step) {
        match step {
            Step::WaitUntil(at) => self.options.clock.sleep_until(at).await,
            _ => std::future::pending().await,
        }
    }

    async fn attempt(&mut self, number: usize) -> Option<Standing> {
        let member = self.options.members.get(number)?.clone();
        match self.dial(&member, (self.options.facts)()).await {
            Ok(link) => {
                info!(%member, peer = %link.peer().identity, "link stands");
                self.warned.remove(&number);
                self.on(Event::Connected(number), None);
                Some(Standing { link, member })
            }
            Err(error) => {
                if self.is_news(number, &error.text) {
                    warn!(%member, error = %error.text, "no link");
                } else {
                    debug!(%member, error = %error.text, "still no link");
                }
                let random = self.options.rng.next_u64();
                self.on(Event::DialFailed(number, random), Some(error));
                None
            }
        }
    }

    fn is_news(&mut self, number: usize, error: &str) -> bool {
        let now = self.options.clock.monotonic();
        let is_known = self
            .warned
            .get(&number)
            .is_some_and(|(told, at)| told == error && now.since(*at) < WARN_EVERY);
        if !is_known {
            self.warned.insert(number, (error.to_owned(), now));
        }
        !is_known
    }

    async fn probe(&mut self, number: usize) {
        let Some(member) = self.options.members.get(number).cloned() else {
            return;
        };
        let facts = DialFacts {
            role: Role::Client,
            ..(self.options.facts)()
        };
        match self.dial(&member, facts).await {
            Ok(link) => {
                link.close(CloseCode::Done, "probe");
                self.on(Event::ProbeAnswered(number), None);
            }
            Err(error) => {
                debug!(%member, error = %error.text, "better member does not answer");
                self.on(Event::ProbeFailed(number), Some(error));
            }
        }
    }

    async fn dial(&self, member: &str, facts: DialFacts) -> Result<Arc<QuicLink>, Failure> {
        let resolved = tokio::net::lookup_host(member);
        let addresses: Vec<SocketAddr> = within(&*self.options.clock, RESOLVE_MAX, resolved)
            .await
            .ok_or_else(|| format!("cannot resolve {member} within {RESOLVE_MAX:?}"))?
            .map_err(|error| format!("cannot resolve {member}: {error}"))?
            .take(ADDRESSES_MAX)
            .collect();
        let tls = (self.options.tls)();
        let mut last = Failure::from(format!("{member} resolves to no address; check its name"));
        for address in addresses {
            match self.endpoint.dial(address, &tls, facts).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    let is_refusal = error.is_refusal();
                    let text = error.to_string();
                    last = Failure { text, is_refusal };
                }
            }
        }
        Err(last)
    }

    fn on(&mut self, event: Event, failure: Option<Failure>) {
        let now = self.options.clock.monotonic();
        self.choice.on(event, now);
        let connected = self.choice.connected();
        let (Event::Connected(number)
        | Event::DialFailed(number, _)
        | Event::Lost(number, _)
        | Event::Left(number)
        | Event::ProbeAnswered(number)
        | Event::ProbeFailed(number)) = event;
        self.states.send_modify(|states| {
            for (place, state) in states.iter_mut().enumerate() {
                state.is_connected = connected == Some(place);
                if place == number {
                    state.error = failure.as_ref().map(|failure| failure.text.clone());
                    state.is_refused = failure.as_ref().is_some_and(|failure| failure.is_refusal);
                }
            }
        });
    }
}

#[cfg(test)]
#[path = "dialer_tests.rs"]
mod tests;
