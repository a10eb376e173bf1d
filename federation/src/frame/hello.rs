//! The handshake: Hello of the dialler, Welcome or Refuse of the acceptor.
//!
//! Does: say who a node is, what it speaks, why it is refused; check what a peer claims for size.
//! Does not: believe it: the certificate says who the peer is, Hello must agree with it.
//! In: settings of a node, or a decoded frame. Out: values within their limits.
//! Frozen: fields never change; what later versions add stands in `extensions`, by number, and is
//! passed over by whoever does not know it.

use ocelli_bus::record::OriginId;
use ocelli_model::tier::Tier;
use serde::{Deserialize, Serialize};

use super::number::numbered;
use super::version::{Features, VersionRange};
use super::wire;

/// Most bytes of each name and of the build's text.
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Most bytes of a reason or hint.
pub(super) const REASON_BYTES_MAX: usize = 1_024;
/// Most extensions of a Hello or Welcome.
pub(super) const EXTENSIONS_MAX: usize = 16;

numbered! {
    /// What the dialler wants of the link.
    pub enum Role {
        /// Sends what it holds up.
        Uplink = 1, "uplink";
        /// Copies to a neighbour of its own tier.
        Peer = 2, "peer";
        /// Asks only: subscriptions, certificates; sends no block.
        Client = 3, "client";
    }
}

numbered! {
    /// Why an acceptor does not take a dialler.
    pub enum RefuseCode {
        /// No common protocol version.
        Version = 1, "version";
        /// Hello says another identity than the certificate.
        Identity = 2, "identity";
        /// Another mesh.
        Mesh = 3, "mesh";
        /// A live link states the same origin already.
        DuplicateOrigin = 4, "duplicate_origin";
        /// As many links as are allowed; try again later.
        Full = 5, "full";
        /// The certificate was revoked.
        Revoked = 6, "revoked";
        /// The identity may not have this role here.
        Role = 7, "role";
        /// The first frames are not what the protocol says.
        Malformed = 8, "malformed";
        /// The acceptor is going down.
        Stopping = 9, "stopping";
        /// A generation of the site that nobody adopted.
        Generation = 10, "generation";
    }
}

impl RefuseCode {
    /// Whether trying again without a change at either end may help.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::DuplicateOrigin | Self::Full | Self::Stopping | Self::Other(_) => true,
            Self::Version
            | Self::Identity
            | Self::Mesh
            | Self::Revoked
            | Self::Role
            | Self::Malformed
            | Self::Generation => false,
        }
    }
}

/// First frame of the dialler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Highest protocol version.
    pub version: u16,
    /// Lowest.
    pub version_min: u16,
    /// Abilities.
    pub features: Features,
    /// Mesh of the certificate.
    pub mesh: String,
    /// Tier of the certificate.
    pub tier: Tier,
    /// Name of the certificate: the site's, the region's.
    pub name: String,
    /// Node of the certificate.
    pub node: String,
    /// The origin that the node writes now.
    #[serde(with = "wire::origin")]
    pub origin: OriginId,
    /// What it wants.
    pub role: Role,
    /// Release, for people.
    pub build: String,
    /// Facts that later versions add: (number, bytes).
    #[serde(with = "wire::extensions")]
    pub extensions: Vec<(u16, Vec<u8>)>,
}

/// First frame of the acceptor: the link stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both speak from now on.
    pub version: u16,
    /// Abilities of both.
    pub features: Features,
    /// Mesh of the certificate.
    pub mesh: String,
    /// Tier of the certificate.
    pub tier: Tier,
    /// Name of the certificate.
    pub name: String,
    /// Node of the certificate.
    pub node: String,
    /// The origin that the acceptor writes now.
    #[serde(with = "wire::origin")]
    pub origin: OriginId,
    /// Most bytes of blocks that may be sent and not yet durable or refused.
    pub ingest_bytes_in_flight_max: u64,
    /// Release, for people.
    pub build: String,
    /// Facts that later versions add: (number, bytes).
    #[serde(with = "wire::extensions")]
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// Versions that the dialler speaks.
    #[must_use]
    pub fn versions(&self) -> VersionRange {
        VersionRange {
            min: self.version_min,
            max: self.version,
        }
    }

    /// The first text that is longer than its limit.
    pub(super) fn excess(&self) -> Option<&'static str> {
        let names = [&self.mesh, &self.name, &self.node, &self.build];
        first_excess(names)
    }
}

impl Welcome {
    /// The first text that is longer than its limit.
    pub(super) fn excess(&self) -> Option<&'static str> {
        let names = [&self.mesh, &self.name, &self.node, &self.build];
        first_excess(names)
    }
}

fn first_excess(names: [&String; 4]) -> Option<&'static str> {
    let fields = ["mesh", "name", "node", "build"];
    let long = names.iter().position(|name| name.len() > NAME_BYTES_MAX)?;
    fields.get(long).copied()
}
