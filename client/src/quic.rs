//! One connection over a link of the mesh.
//!
//! Does: dial a node's QUIC port with an identity of the mesh, ask, pass lines on. Does not: dial
//! again (`follow`), serve anything: links that others would dial are not answered.
//! In: settings, a place to go on from. Out: lines of records.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ocelli_bus::read::{Include, StartFrom};
use ocelli_bus::record::OriginId;
use ocelli_federation::frame::{FEATURES, PROTOCOL, Role};
use ocelli_federation::identity::{Admission, Expected, IdentityMaterial, IdentityStore};
use ocelli_federation::link::{
    DialFacts, LinkBudget, MeshEndpoint, MeshOptions, NodeFacts, Offers, QuicLink, RESET_KEY_BYTES,
    RequestError, reset_key_of,
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

/// A subscription that was begun; dropping it ends it.
pub(crate) struct QuicStream {
    subscription: RemoteSubscription,
    _link: Arc<QuicLink>,
    _endpoint: MeshEndpoint,
    _offers: Offers,
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

    fn endpoint(&self, clock: &Arc<dyn Clock>) -> Result<(MeshEndpoint, Offers), FollowError> {
        let options = MeshOptions {
            address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
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
        let tls = self.store.server_config(Admission::Nodes);
        let tls = tls.map_err(|error| FollowError::lost(&error))?;
        MeshEndpoint::open(options, &tls).map_err(|error| FollowError::lost(&error))
    }

    pub(crate) async fn begin(
        &self,
        (host, port): (&str, u16),
        settings: &Settings,
        (from, clock): (&str, &Arc<dyn Clock>),
    ) -> Result<QuicStream, FollowError> {
        let question = question_of(settings, from)?;
        let mut found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| FollowError::lost(&error))?;
        let address = found.next().ok_or_else(|| FollowError::Lost {
            reason: format!("{host} has no address"),
        })?;
        let (endpoint, offers) = self.endpoint(clock)?;
        let tls = self.store.client_config(Expected::Anyone);
        let tls = tls.map_err(|error| FollowError::lost(&error))?;
        let facts = DialFacts {
            origin: OriginId(0),
            role: Role::Client,
        };
        let link = endpoint.dial(address, &tls, facts).await;
        let link = link.map_err(|error| FollowError::lost(&error))?;
        let subscription = RemoteSubscription::begin(&link, &question).await;
        Ok(QuicStream {
            subscription: subscription.map_err(of_remote)?,
            _link: link,
            _endpoint: endpoint,
            _offers: offers,
        })
    }
}

impl QuicStream {
    pub(crate) async fn next_line(&mut self) -> Result<Option<Bytes>, FollowError> {
        self.subscription.next_line().await.map_err(of_remote)
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

fn question_of(settings: &Settings, from: &str) -> Result<Question, FollowError> {
    let refuse = |reason: String| FollowError::Refused {
        code: 400,
        reason,
        hint: String::new(),
    };
    let filter = settings.filter.as_deref().map(str::parse).transpose();
    let from = match from {
        "now" => StartFrom::Now,
        "latest" => StartFrom::Latest,
        "oldest" => StartFrom::Oldest,
        text => match text.parse() {
            Ok(time_ms) => StartFrom::Time(WallMs(time_ms)),
            Err(_) => {
                let cursor = text.parse();
                let refuse = |error: ocelli_bus::read::CursorTextError| refuse(error.to_string());
                StartFrom::Cursor(cursor.map_err(refuse)?)
            }
        },
    };
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
