//! Sessions of one arbiter: from a resource's endpoint to something that can be asked.
//!
//! Does: resolve names without blocking (`resolver`), pick the port, open a session of the engine
//! with the chosen credential and the device's budget. Does not: choose the credential
//! (`credential_choice`), ask anything.
//! In: [`SessionOrder`]. Out: [`OpenSession`], kept by the resource's actor until it is changed.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::gap::{GapCause, GapKind};
use ocelli_model::resource::{Endpoint, Host};
use ocelli_plugins::snmp_access::{SessionAccess, SnmpAccess, Watch, WatchedAccess};
use ocelli_snmp::engine::{Engine, EngineCounters, SessionSettings, TimeoutBounds};

use crate::device::Device;
use crate::plan::ResourcePlan;
use crate::resolver::Resolver;

/// The metadata key by which a resource names its SNMP port; above all other places.
pub(crate) const PORT_METADATA_KEY: &str = "snmp_port";

/// What a session is opened for.
pub(crate) struct SessionOrder<'a> {
    pub(crate) plan: &'a ResourcePlan,
    pub(crate) device: &'a Device,
    /// Position among the plan's credentials.
    pub(crate) credential: usize,
    /// The plugin's port.
    pub(crate) port: Option<u16>,
    /// The plugin's time-out.
    pub(crate) timeout: Option<Duration>,
}

/// A session with a device.
pub(crate) struct OpenSession {
    /// Position among the plan's credentials.
    pub(crate) credential: usize,
    access: SessionAccess,
}

impl OpenSession {
    /// What plugins ask through.
    pub(crate) fn access(&self) -> &dyn SnmpAccess {
        &self.access
    }

    /// Engine boots before and after they went backwards, once.
    pub(crate) fn take_boots_regression(&self) -> Option<(u32, u32)> {
        self.access.take_boots_regression()
    }

    /// The same, telling what it does.
    pub(crate) fn watched(&self, watch: Rc<dyn Watch>) -> WatchedAccess {
        self.access.watched(watch)
    }
}

/// Opens sessions.
pub(crate) struct Sessions {
    engine: Rc<Engine>,
    resolver: Resolver,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(crate) fn new(engine: Rc<Engine>, resolver: Resolver, clock: Arc<dyn Clock>) -> Self {
        Self {
            engine,
            resolver,
            clock,
        }
    }

    /// What the engine has counted so far.
    pub(crate) fn counters(&self) -> EngineCounters {
        self.engine.counters()
    }

    /// Ends all operations; their runs end with `restart`.
    pub(crate) fn stop(&self) {
        self.engine.stop();
    }

    /// Opens a session, resolving the endpoint's name first if need be.
    ///
    /// # Errors
    /// The gap's cause: `dns`, `auth/no_credential`, `plugin_error` for an endpoint that is none,
    /// `overload` if there is no socket.
    pub(crate) async fn open(
        &self,
        order: SessionOrder<'_>,
        deadline: Monotonic,
    ) -> Result<OpenSession, GapCause> {
        let plan = order.plan;
        let address = self.address_of(&order, deadline).await?;
        let named = plan.credentials.get(order.credential);
        let named = named.ok_or(GapCause::with(GapKind::Auth, "no_credential"))?;
        let snmp = &plan.settings.snmp;
        let of_plugin = order
            .timeout
            .filter(|_| !plan.settings.is_timeout_overridden);
        let timeout = of_plugin.unwrap_or_else(|| snmp.timeout.get());
        let settings = SessionSettings {
            budget: order.device.budget.clone(),
            timeout: TimeoutBounds::around(timeout),
            tries: u8::try_from(snmp.retries.get() + 1).unwrap_or(u8::MAX),
            source: plan.settings.source(),
            max_repetitions: u16::try_from(snmp.max_repetitions.get()).unwrap_or(u16::MAX),
            ..SessionSettings::new(address, Arc::clone(&named.credential))
        };
        let session = self
            .engine
            .session(settings)
            .map_err(|error| GapCause::because(GapKind::Overload, &error.to_string()))?;
        let access = SessionAccess::new(session, Arc::clone(&self.clock));
        Ok(OpenSession {
            credential: order.credential,
            access,
        })
    }

    async fn address_of(
        &self,
        order: &SessionOrder<'_>,
        deadline: Monotonic,
    ) -> Result<SocketAddr, GapCause> {
        let text = order.plan.resource.endpoint();
        let endpoint: Endpoint =
            text.parse()
                .map_err(|error: ocelli_model::resource::EndpointError| {
                    GapCause::because(GapKind::PluginError, &error.to_string())
                })?;
        let port = port_of(order, endpoint.port);
        let address: IpAddr = match &endpoint.host {
            Host::Address(address) => *address,
            Host::Name(name) => self.resolver.resolve(name, deadline).await?,
        };
        Ok(SocketAddr::new(address, port))
    }
}

/// Metadata `snmp_port`, else the endpoint's, else the plugin's, else `[snmp] port`; a
/// `[[device]]` override stands above the plugin's.
fn port_of(order: &SessionOrder<'_>, of_endpoint: Option<u16>) -> u16 {
    let settings = &order.plan.settings;
    let metadata = order.plan.resource.metadata_value(PORT_METADATA_KEY);
    let of_metadata = metadata
        .and_then(|port| port.trim().parse().ok())
        .filter(|port| *port > 0);
    let of_plugin = order.port.filter(|_| !settings.is_port_overridden);
    let default = settings.snmp.port.get();
    of_metadata.or(of_endpoint).or(of_plugin).unwrap_or(default)
}
