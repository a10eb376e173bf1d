//! A node with a join token and no certificate yet: it asks until it has one.
//!
//! Does: run `federation::membership::join` beside the node, begin again with a new token at a
//! reload, say how it stands. Does not: open links: with its certificate the node starts again.
//! In: a configuration. Out: [`Joining`], for `/readyz`, the log and the one who starts the node.
//! A node that joins polls and serves meanwhile: what it measures goes up once it has joined.

use std::sync::Arc;
use std::time::Duration;

use ocelli_config::Config;
use ocelli_federation::identity::NodeIdentity;
use ocelli_federation::membership::{JoinOptions, JoinState, join};
use ocelli_model::clock::Clock;
use rustls::time_provider::DefaultTimeProvider;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::membership::issuers_of;
use super::mesh::{MeshIdentityError, settings_of};
use crate::rng::RealRng;

/// So long a start waits for the certificate: an issuer that is there answers within a second, and
/// the node need not start twice.
const FIRST_WAIT: Duration = Duration::from_secs(3);

/// The task that asks.
pub(super) struct Joining {
    states: watch::Sender<JoinState>,
    clock: Arc<dyn Clock>,
    task: JoinHandle<()>,
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the node has to join first: it has a token, and its certificate is no file yet.
pub(super) fn is_wanted(config: &Config) -> bool {
    let identity = config.identity.as_ref();
    identity.is_some_and(|identity| identity.token.is_some() && !identity.certificate.exists())
}

impl Joining {
    /// Begins to ask, where that is wanted. Runs inside an actix system.
    ///
    /// # Errors
    /// [`MeshIdentityError::Token`], [`MeshIdentityError::Name`].
    pub(super) fn begin(
        config: &Config,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, MeshIdentityError> {
        if !is_wanted(config) {
            return Ok(None);
        }
        let states = watch::Sender::new(JoinState::default());
        let task = ask(config, clock, &states)?;
        Ok(Some(Self {
            states,
            clock: Arc::clone(clock),
            task,
        }))
    }

    /// Waits a little for the answer; whether the node has its certificate now.
    pub(super) async fn first_wait(&self) -> bool {
        let mut states = self.states.subscribe();
        let over = self
            .clock
            .sleep_until(self.clock.monotonic().after(FIRST_WAIT));
        tokio::select! {
            _ = states.wait_for(|state| !matches!(state, JoinState::Asking { error: None })) => {}
            () = over => {}
        }
        self.has_joined()
    }

    /// Whether the certificate is there.
    pub(super) fn has_joined(&self) -> bool {
        *self.states.borrow() == JoinState::Joined
    }

    /// How it stands, as it changes.
    pub(super) fn states(&self) -> watch::Receiver<JoinState> {
        self.states.subscribe()
    }

    /// Begins again with what is configured now: another token, other issuers.
    ///
    /// # Errors
    /// As [`Joining::begin`]; what was under way goes on then.
    pub(super) fn follow(&mut self, config: &Config) -> Result<(), MeshIdentityError> {
        let given = config.identity.as_ref().map(|one| &one.certificate);
        if given.is_some_and(|certificate| certificate.exists()) {
            // A person issued it by hand meanwhile: as good as having joined.
            self.task.abort();
            self.states.send_replace(JoinState::Joined);
        } else if is_wanted(config) {
            let task = ask(config, &self.clock, &self.states)?;
            std::mem::replace(&mut self.task, task).abort();
        }
        Ok(())
    }
}

fn ask(
    config: &Config,
    clock: &Arc<dyn Clock>,
    states: &watch::Sender<JoinState>,
) -> Result<JoinHandle<()>, MeshIdentityError> {
    let node = &config.node;
    let identity = NodeIdentity::new(&node.mesh, node.tier, &node.site, &node.name)?;
    let Some(settings) = settings_of(config)? else {
        return Ok(actix_rt::spawn(async {}));
    };
    let issuers = issuers_of(config);
    info!(%identity, issuers = issuers.join(" "), "no certificate yet: asked for with the token");
    let options = JoinOptions {
        settings,
        identity,
        issuers,
        time: Arc::new(DefaultTimeProvider),
        clock: Arc::clone(clock),
        rng: Box::new(RealRng::default()),
        states: states.clone(),
    };
    Ok(actix_rt::spawn(async move {
        if let Err(error) = join(options).await {
            error!(%error, "no certificate: mend it and reload; the node polls without links");
        }
    }))
}
