//! One connection over a link of the mesh.
//!
//! Does: dial a node's QUIC port with an identity of the mesh, ask, pass lines on. Does not: dial
//! again (`follow`), serve anything: links that others would dial are not answered.
//! In: proofs, a question. Out: lines in the format that was asked for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_bus::read::{Include, StartFrom};
use ocelli_bus::record::OriginId;
use ocelli_federation::frame::{FEATURES, PROTOCOL, Role};
use ocelli_federation::identity::{Admission, Expected, IdentityMaterial, IdentityStore};
use ocelli_federation::link::{
    CloseCode, DialError, DialFacts, Link as _, LinkBudget, MeshEndpoint, MeshOptions, NodeFacts,
    Offers, OpenEndpointError, QuicLink, RESET_KEY_BYTES, RequestError, any_address, reset_key_of,
};
use ocelli_federation::subscribe::{Question, RemoteSubscription};
use ocelli_model::clock::{Clock, WallMs};
use ocelli_model::panoptes::Projection;
use ocelli_model::secret::Secret;
use rustls::time_provider::DefaultTimeProvider;

use crate::follow::FollowError;
use crate::settings::{Proofs, Settings, SettingsError};

/// What a link may hold of what comes in, bytes.
const BUDGET_BYTES: u64 = 8 << 20;

/// Who this client is to the mesh.
pub(crate) struct MeshClient {
    store: Arc<IdentityStore>,
    reset_key: [u8; RESET_KEY_BYTES],
}

/// How long the last word to a node may take to leave.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkLinesError {
    /// Proofs of no use.
    #[error(transparent)]
    Proofs(#[from] SettingsError),
    /// A name without an address.
    #[error("cannot resolve {host}: {reason}")]
    Name {
        /// As given.
        host: String,
        /// What the resolver says.
        reason: String,
    },
    /// No socket here.
    #[error(transparent)]
    Socket(#[from] OpenEndpointError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// No link.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The node refuses the question, or the link broke.
    #[error(transparent)]
    Asked(#[from] FollowError),
}

/// The lines of one subscription over a link, in any format. It is not dialled again, and nothing
/// is dropped: [`crate::Follower`] does both. Dropping it ends it.
pub struct LinkLines {
    subscription: RemoteSubscription,
    link: Arc<QuicLink>,
    endpoint: MeshEndpoint,
    _offers: Offers,
}

impl LinkLines {
    /// Dials a node and asks; the question is understood when this answers. Runs inside a runtime.
    ///
    /// # Errors
    /// [`LinkLinesError`], within 70 s.
    pub async fn begin(
        node: (&str, u16),
        proofs: &Proofs,
        question: &Question,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, LinkLinesError> {
        MeshClient::new(proofs)?.begin(node, question, clock).await
    }

    /// The next line, without its line feed; `None`: the node has ended the subscription. Not to be
    /// cancelled but to end the lines.
    ///
    /// # Errors
    /// [`FollowError`]; the last cursor goes on.
    pub async fn next_line(&mut self) -> Result<Option<Bytes>, FollowError> {
        self.subscription.next_line().await.map_err(of_remote)
    }

    /// Ends the link so that the node knows at once.
    pub async fn end(self) {
        self.link
            .close(CloseCode::Done, "the subscriber has what it wants");
        self.endpoint.shutdown(GOODBYE_MAX).await;
    }
}

impl MeshClient {
    pub(crate) fn new(proofs: &Proofs) -> Result<Self, SettingsError> {
        let missing = |what| SettingsError::Proof {
            what,
            reason: "a link needs it".to_owned(),
        };
        let certificate = proofs.certificate_pem.clone();
        let key = proofs.key_pem.as_ref();
        let roots = proofs.ca_pem.clone();
        let material = IdentityMaterial {
            certificate: certificate.ok_or_else(|| missing("the certificate"))?,
            key: Secret::new(key.ok_or_else(|| missing("the key"))?.expose().clone()),
            roots: vec![roots.ok_or_else(|| missing("the authority"))?],
            lists: Vec::new(),
        };
        let store = IdentityStore::new(&material, Arc::new(DefaultTimeProvider));
        let store = store.map_err(|error| SettingsError::Proof {
            what: "the identity",
            reason: error.to_string(),
        })?;
        Ok(Self {
            reset_key: reset_key_of(material.key.expose()),
            store,
        })
    }

    fn endpoint(&self, clock: &Arc<dyn Clock>) -> Result<(MeshEndpoint, Offers), LinkLinesError> {
        let options = MeshOptions {
            address: any_address(),
            node: NodeFacts {
                identity: self.store.own().identity.clone(),
                build: env!("CARGO_PKG_VERSION").to_owned(),
                versions: PROTOCOL,
                features: FEATURES,
            },
            budget: LinkBudget {
                ingest_bytes_max: BUDGET_BYTES,
                links_max: 1,
            },
            links_per_address_max: 1,
            reset_key: self.reset_key,
            clock: Arc::clone(clock),
        };
        let tls = self.store.server_config(Admission::Nodes)?;
        Ok(MeshEndpoint::open(options, &tls)?)
    }

    pub(crate) async fn begin(
        &self,
        (host, port): (&str, u16),
        question: &Question,
        clock: &Arc<dyn Clock>,
    ) -> Result<LinkLines, LinkLinesError> {
        let unresolved = |reason: String| LinkLinesError::Name {
            host: host.to_owned(),
            reason,
        };
        let found = tokio::net::lookup_host((host, port)).await;
        let mut found = found.map_err(|error| unresolved(error.to_string()))?;
        let address = found.next();
        let address = address.ok_or_else(|| unresolved("it has no address".to_owned()))?;
        let (endpoint, offers) = self.endpoint(clock)?;
        let tls = self.store.client_config(Expected::Anyone)?;
        let facts = DialFacts {
            origin: OriginId(0),
            role: Role::Client,
        };
        let link = endpoint.dial(address, &tls, facts).await?;
        let subscription = RemoteSubscription::begin(&link, question).await;
        Ok(LinkLines {
            subscription: subscription.map_err(of_remote)?,
            link,
            endpoint,
            _offers: offers,
        })
    }
}

fn of_remote(error: ocelli_federation::subscribe::FollowError) -> FollowError {
    use ocelli_federation::subscribe::FollowError as Remote;
    match error {
        Remote::Request(RequestError::Failed { code, reason }) if code < 500 && code != 429 => {
            let hint = String::new();
            FollowError::Refused { code, reason, hint }
        }
        Remote::LongLine(error) => error.into(),
        error => FollowError::lost(&error),
    }
}

pub(crate) fn question_of(
    settings: &Settings,
    (from, now): (&str, WallMs),
) -> Result<Question, FollowError> {
    let refuse = |reason: String| FollowError::Refused {
        code: 400,
        reason,
        hint: String::new(),
    };
    let filter = settings.filter.as_deref().map(str::parse).transpose();
    let from = StartFrom::of_text(from, now).map_err(|error| refuse(error.to_string()))?;
    Ok(Question {
        filter: filter.map_err(|error: ocelli_model::filter::FilterError| {
            refuse(format!("filter: {error}"))
        })?,
        projection: Projection {
            groups: settings.groups.clone(),
            metrics: settings.metrics.clone(),
        },
        from,
        include: Include {
            gaps: true,
            events: true,
        },
        rebase: settings.rebase,
        ..Question::default()
    })
}
