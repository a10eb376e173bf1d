//! Keeps a node's certificate alive: asks for a new one from ⅔ of its life.
//!
//! Does: wait until it is due, ask with the valid certificate, prove the answer, write it, replace
//! the identity; links stay. Does not: make a new key, warn of the end (assembly's watch does).
//! In: [`RenewalOptions`], changes of the identity. Out: [`RenewalState`] for lists and metrics.
//! A failure changes nothing: the old certificate stays in use, and the next try comes after a
//! pause that doubles from a minute to an hour.

use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::{Clock, Rng, WallMs};
use tokio::sync::watch;
use tracing::{info, warn};

use super::issuers::{IssuersError, ask_issuers};
use super::joiner::{JoinError, prove};
use crate::identity::{
    Expected, IdentityMaterial, IdentitySettings, IdentityStore, PeerIdentity, SigningRequest,
    renewal_at, write_certificate,
};

/// The clock is looked at so often at least: it may be set.
const LOOK_MAX: Duration = Duration::from_secs(3_600);
/// Pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// Doublings of the pause: the sixth passes [`LOOK_MAX`].
const DOUBLINGS_MAX: u32 = 6;

/// What renewal needs.
pub struct RenewalOptions {
    /// Whose certificate.
    pub identity: Arc<IdentityStore>,
    /// `[identity]`: where files are.
    pub settings: IdentitySettings,
    /// `host:port` of issuers, or of nodes that may be issuers.
    pub issuers: Vec<String>,
    /// The node's.
    pub clock: Arc<dyn Clock>,
}

/// How renewal stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RenewalState {
    /// Certificates renewed since the start.
    pub renewed: u64,
    /// Failures in a row.
    pub failures: u32,
    /// Why the last try failed; `None` after a success.
    pub error: Option<String>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Ask,
    Wait(Duration),
}

/// The task of one node's renewal.
pub struct Renewal {
    options: RenewalOptions,
    rng: Box<dyn Rng>,
    states: watch::Sender<RenewalState>,
}

impl Renewal {
    /// Renewal, not yet running, and its state as it changes. `rng` gives the jitter of pauses.
    #[must_use]
    pub fn new(
        options: RenewalOptions,
        rng: Box<dyn Rng>,
    ) -> (Self, watch::Receiver<RenewalState>) {
        let states = watch::Sender::new(RenewalState::default());
        let seen = states.subscribe();
        let renewal = Self {
            options,
            rng,
            states,
        };
        (renewal, seen)
    }
}

/// Renews for ever. Cancel safe: a try that is given up may cost the issuer a serial number.
pub async fn run_renewal(mut renewal: Renewal) {
    let clock = Arc::clone(&renewal.options.clock);
    let mut changes = renewal.options.identity.changes();
    loop {
        let own = renewal.options.identity.own();
        if let Step::Wait(pause) = next(&own, clock.wall()) {
            tokio::select! {
                () = clock.sleep_until(clock.monotonic().after(pause)) => {}
                // A reload may have brought another certificate.
                Ok(()) = changes.changed() => {}
            }
            continue;
        }
        match renew(&renewal.options).await {
            Ok(peer) => {
                info!(identity = %peer.identity, serial = %peer.serial, "certificate renewed");
                renewal.states.send_modify(|state| {
                    state.renewed += 1;
                    (state.failures, state.error) = (0, None);
                });
                // An issuer whose clock is behind must not be asked without end.
                let pause = clock.monotonic().after(pause_of(&peer));
                clock.sleep_until(pause).await;
            }
            Err(error) => {
                renewal.failed(&own, &error);
                let failures = renewal.states.borrow().failures;
                let pause = pause_after(failures, renewal.rng.next_u64());
                clock.sleep_until(clock.monotonic().after(pause)).await;
            }
        }
    }
}

impl Renewal {
    fn failed(&self, own: &PeerIdentity, error: &JoinError) {
        let left = own.not_after_ms.saturating_sub(self.options.clock.wall().0);
        let days_left = left / 86_400_000;
        warn!(identity = %own.identity, days_left, %error, "not renewed, the old one stays");
        self.states.send_modify(|state| {
            state.failures = state.failures.saturating_add(1);
            state.error = Some(error.to_string());
        });
    }
}

/// An expired certificate proves nothing: it waits for a person, who joins the node anew.
fn next(own: &PeerIdentity, now: WallMs) -> Step {
    let at = renewal_at(own);
    if now.0 >= own.not_after_ms {
        return Step::Wait(LOOK_MAX);
    }
    if now >= at {
        return Step::Ask;
    }
    let left = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
    Step::Wait(Duration::from_millis(left).min(LOOK_MAX))
}

/// After a renewal: a minute, less where certificates live for minutes.
fn pause_of(renewed: &PeerIdentity) -> Duration {
    let life_ms = renewed.not_after_ms.saturating_sub(renewed.not_before_ms);
    let life = Duration::from_millis(u64::try_from(life_ms).unwrap_or(0));
    PAUSE_MIN.min(life / 10)
}

/// Between half and all of a step that doubles.
fn pause_after(failures: u32, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let half = (PAUSE_MIN * (1 << doublings)).min(LOOK_MAX) / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(random % nanos.max(1))
}

async fn renew(options: &RenewalOptions) -> Result<PeerIdentity, JoinError> {
    let (identity, settings) = (&options.identity, &options.settings);
    let own = identity.own();
    let files = settings.clone();
    let key = tokio::task::spawn_blocking(move || files.read_key()).await??;
    let request = SigningRequest {
        csr: key.request(&own.identity)?,
        token: None,
    };
    let tls = identity.client_config(Expected::Anyone);
    let tls = tls.map_err(crate::identity::JoiningError::from)?;
    let asked = ask_issuers(&options.issuers, &tls, &request, &options.clock).await;
    let chain = asked.map_err(|error: IssuersError| JoinError::from(error))?;
    let (files, identity) = (settings.clone(), Arc::clone(identity));
    tokio::task::spawn_blocking(move || {
        let mut material = IdentityMaterial::read(&files)?;
        material.certificate.clone_from(&chain);
        let peer = prove(&material, identity.time())?;
        write_certificate(&files.certificate, &chain)?;
        identity.replace(&material)?;
        Ok(peer)
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::peer;

    #[test]
    fn a_certificate_is_asked_for_from_two_thirds_of_its_life_until_it_ends() {
        let mut own = (*peer("ocelli://mesh/site/dc1/a")).clone();
        (own.not_before_ms, own.not_after_ms) = (0, 9_000_000);
        let wait = |ms| Step::Wait(Duration::from_millis(ms));
        for (now_ms, expected) in [
            (0, wait(3_600_000)),
            (5_000_000, wait(1_000_000)),
            (5_999_999, wait(1)),
            (6_000_000, Step::Ask),
            (8_999_999, Step::Ask),
            (9_000_000, wait(3_600_000)),
        ] {
            assert_eq!(next(&own, WallMs(now_ms)), expected, "at {now_ms} ms");
        }
    }

    #[test]
    fn pauses_double_from_a_minute_to_an_hour_and_jitter_takes_at_most_half() {
        for (failures, minutes) in [(1, 1), (2, 2), (6, 32), (7, 60), (u32::MAX, 60)] {
            let step = Duration::from_secs(60 * minutes);
            for random in [0, 1 << 40, u64::MAX] {
                let pause = pause_after(failures, random);
                assert!(pause >= step / 2 && pause <= step, "{failures}: {pause:?}");
            }
        }
    }
}
