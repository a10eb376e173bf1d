//! Whether each upstream and peer lets this node in: TLS and Welcome, as a link would begin.
//!
//! Does: dial each address once with the node's certificate and leave after its welcome. Does not:
//! send records: it comes as a client, so that a running node keeps its link.
//! In: a configuration, an identity. Out: a [`Finding`] an address. One takes 5 s at most, names 5
//! more; they are tried one after the other.

use std::sync::Arc;
use std::time::Duration;

use ocelli_bus::record::OriginId;
use ocelli_config::Config;
use ocelli_federation::frame::{FEATURES, PROTOCOL, Role};
use ocelli_federation::identity::{Admission, Expected, IdentityStore};
use ocelli_federation::link::{
    CloseCode, DialFacts, Link as _, LinkBudget, MeshEndpoint, MeshOptions, NodeFacts, Offers,
    RESET_KEY_BYTES, any_address,
};

use super::Finding;
use crate::clock::RealClock;

const CHECK: &str = "upstream";
/// Windows for a link that carries nothing.
const BUDGET: LinkBudget = LinkBudget {
    ingest_bytes_max: 2 << 20,
    links_max: 1,
};
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Until the endpoint has said goodbye.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

pub(super) async fn reach(config: &Config, store: &Arc<IdentityStore>) -> Vec<Finding> {
    let above = config.upstreams.iter().flat_map(|one| {
        let name = one.name.as_str();
        one.connect
            .iter()
            .map(move |at| (name, at, Expected::Upstream))
    });
    let beside = config
        .peers
        .iter()
        .map(|one| (one.name.as_str(), &one.connect, Expected::Peer));
    let mut findings = Vec::new();
    for (name, address, expected) in above.chain(beside) {
        let address = address.host_and_port();
        let subject = format!("{name} ({address})");
        findings.push(match dial(&address, expected, store).await {
            Ok(peer) => Finding::good(CHECK, &subject, format!("{peer} welcomes this node")),
            Err(why) => Finding::failing(CHECK, &subject, &why.reason, why.remedy),
        });
    }
    findings
}

/// Why a node does not let this one in.
struct Why {
    reason: String,
    remedy: &'static str,
}

fn why(reason: impl std::fmt::Display, remedy: &'static str) -> Why {
    let reason = reason.to_string();
    Why { reason, remedy }
}

/// Who answers there, or why nobody does. Of the addresses of a name each is tried, as a link does.
async fn dial(
    address: &str,
    expected: Expected,
    store: &Arc<IdentityStore>,
) -> Result<String, Why> {
    let found = tokio::net::lookup_host(address).await;
    let found = found.map_err(|error| {
        let reason = format!("cannot resolve {address}: {error}");
        why(reason, "mend the name in the configuration, or in DNS")
    })?;
    let local = "see what keeps this machine from opening a socket";
    let (endpoint, _offers) = endpoint(store).map_err(|error| why(error, local))?;
    let tls = store.client_config(expected);
    let tls = tls.map_err(|error| why(error, "see [identity]"))?;
    let facts = DialFacts {
        origin: OriginId(0),
        role: Role::Client,
    };
    let mut told = Err(why("the name means no address", "mend the name in DNS"));
    for address in found.take(ADDRESSES_MAX) {
        told = match endpoint.dial(address, &tls, facts).await {
            Ok(link) => {
                let peer = link.peer().identity.to_string();
                link.close(CloseCode::Done, "doctor");
                Ok(peer)
            }
            Err(error) if error.is_refusal() => Err(why(
                error,
                "look at the other node's log, which names the same reason",
            )),
            Err(error) => Err(why(
                error,
                "start the node there, or let UDP through to its listen.quic",
            )),
        };
        if told.is_ok() {
            break;
        }
    }
    endpoint.shutdown(STOP_PATIENCE).await;
    told
}

/// A socket of its own: the node's may be in use by the node.
fn endpoint(store: &Arc<IdentityStore>) -> Result<(MeshEndpoint, Offers), String> {
    let options = MeshOptions {
        address: any_address(),
        node: NodeFacts {
            identity: store.own().identity.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            versions: PROTOCOL,
            features: FEATURES,
        },
        budget: BUDGET,
        links_per_address_max: 1,
        // Nobody keeps state of this process.
        reset_key: [0; RESET_KEY_BYTES],
        clock: Arc::new(RealClock),
    };
    let tls = store
        .server_config(Admission::Nodes)
        .map_err(|error| error.to_string())?;
    MeshEndpoint::open(options, &tls).map_err(|error| error.to_string())
}
