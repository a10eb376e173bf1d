//! Names of devices: resolved beside the arbiter, cached, the last good answer kept.
//!
//! Does: look a name up on the runtime's blocking pool, keep the answer for [`FRESH`], answer with
//! the last good one while it is looked up again, and for as long as lookups fail.
//! Does not: know ports or sessions. In: host names. Out: an address, or the gap's cause `dns`.
//! Full: beyond [`NAMES_MAX`] names the cache forgets those asked for longest ago.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::gap::{GapCause, GapKind};
use std::collections::HashMap;

/// How long an answer is used without asking again: the system's resolver does not tell TTLs, and
/// most are longer.
const FRESH: Duration = Duration::from_secs(60);
/// Most names of one arbiter's cache.
const NAMES_MAX: usize = 65_536;

/// Looks names up: the system's resolver, or a table in tests.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `name`, in the order of preference.
    fn lookup(&self, name: String) -> LookupFuture;
}

/// A lookup in progress.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>>;

/// The system's resolver, on the runtime's blocking threads.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> LookupFuture {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The cache of one arbiter. Clones share it.
#[derive(Clone)]
pub(crate) struct Resolver(Rc<Inner>);

struct Inner {
    lookup: Arc<dyn Lookup>,
    clock: Arc<dyn Clock>,
    names: RefCell<HashMap<String, Known>>,
}

#[derive(Clone, Copy)]
struct Known {
    address: IpAddr,
    at: Monotonic,
    is_asking: bool,
}

impl Resolver {
    pub(crate) fn new(lookup: Arc<dyn Lookup>, clock: Arc<dyn Clock>) -> Self {
        Self(Rc::new(Inner {
            lookup,
            clock,
            names: RefCell::default(),
        }))
    }

    /// The address of `name`: at once if one is known, else looked up until `deadline`.
    ///
    /// # Errors
    /// `dns` with the resolver's words.
    pub(crate) async fn resolve(
        &self,
        name: &str,
        deadline: Monotonic,
    ) -> Result<IpAddr, GapCause> {
        let known = self.0.names.borrow().get(name).copied();
        let Some(known) = known else {
            return self.ask_until(name, deadline).await;
        };
        let is_old = self.0.clock.monotonic().since(known.at) > FRESH;
        if is_old && !known.is_asking {
            self.ask_beside(name);
        }
        Ok(known.address)
    }

    async fn ask_until(&self, name: &str, deadline: Monotonic) -> Result<IpAddr, GapCause> {
        let found = tokio::select! {
            found = self.0.lookup.lookup(name.to_owned()) => found,
            () = self.0.clock.sleep_until(deadline) => {
                return Err(GapCause::with(GapKind::Dns, "timeout"));
            }
        };
        self.keep(name, found)
    }

    /// Asks again while the last good answer is used. Ends by itself: the system's resolver has
    /// its own time-outs.
    fn ask_beside(&self, name: &str) {
        if let Some(known) = self.0.names.borrow_mut().get_mut(name) {
            known.is_asking = true;
        }
        let (this, name) = (self.clone(), name.to_owned());
        actix::spawn(async move {
            let found = this.0.lookup.lookup(name.clone()).await;
            if let Err(cause) = this.keep(&name, found) {
                tracing::warn!(%name, error = %cause, "name kept at its last good address");
            }
        });
    }

    fn keep(&self, name: &str, found: io::Result<Vec<IpAddr>>) -> Result<IpAddr, GapCause> {
        let at = self.0.clock.monotonic();
        let mut names = self.0.names.borrow_mut();
        let before = names.get(name).map(|known| known.address);
        let address = match found {
            // The one in use, while it is among the answers: a rotated answer is no move.
            Ok(found) => before
                .filter(|before| found.contains(before))
                .or(found.first().copied()),
            Err(error) => {
                if let Some(known) = names.get_mut(name) {
                    *known = Known {
                        at,
                        is_asking: false,
                        ..*known
                    };
                }
                return Err(GapCause::because(GapKind::Dns, &error.to_string()));
            }
        };
        let address = address.ok_or(GapCause::with(GapKind::Dns, "no_address"))?;
        if names.len() >= NAMES_MAX {
            let oldest = names.iter().min_by_key(|(_, known)| known.at);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|oldest| names.remove(&oldest));
        }
        names.insert(
            name.to_owned(),
            Known {
                address,
                at,
                is_asking: false,
            },
        );
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::StepClock;
    use parking_lot::Mutex;

    /// Answers one after the other; the last for ever.
    struct Script(Mutex<Vec<io::Result<Vec<IpAddr>>>>);

    impl Lookup for Script {
        fn lookup(&self, _: String) -> LookupFuture {
            let answer = self.0.lock().remove(0);
            Box::pin(async { answer })
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn failed() -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("server failure"))
    }

    fn bench(answers: Vec<io::Result<Vec<IpAddr>>>) -> (Resolver, Arc<StepClock>) {
        let clock = Arc::new(StepClock::default());
        let script = Arc::new(Script(Mutex::new(answers)));
        (
            Resolver::new(script, Arc::clone(&clock) as Arc<dyn Clock>),
            clock,
        )
    }

    async fn resolve(resolver: &Resolver) -> Result<IpAddr, String> {
        let resolved = resolver.resolve("sw1", Monotonic(u64::MAX)).await;
        // Lets a lookup beside it end.
        tokio::task::yield_now().await;
        resolved.map_err(|cause| cause.to_string())
    }

    #[actix::test]
    async fn the_last_good_address_stays_while_lookups_fail() {
        let answers = vec![
            Ok(vec![address(1)]),
            failed(),
            failed(),
            Ok(vec![address(2), address(1)]),
        ];
        let (resolver, clock) = bench(answers);
        assert_eq!(resolve(&resolver).await, Ok(address(1)));
        for _ in 0..3 {
            clock.pass(FRESH + Duration::from_secs(1));
            assert_eq!(resolve(&resolver).await, Ok(address(1)));
        }
    }

    #[actix::test]
    async fn a_name_without_address_is_a_dns_gap() {
        let (resolver, _) = bench(vec![failed(), Ok(vec![]), Ok(vec![address(3)])]);
        assert_eq!(
            resolve(&resolver).await,
            Err("dns/server failure".to_owned())
        );
        assert_eq!(resolve(&resolver).await, Err("dns/no_address".to_owned()));
        assert_eq!(
            resolve(&resolver).await,
            Ok(address(3)),
            "a failure is not remembered"
        );
    }
}
