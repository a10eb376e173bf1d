//! The whole configuration of a node, typed and validated.
//!
//! Does: hold it. Does not: hold what was refused (`load::Parked`) or where a value stood.
//! In: what `load` read. Out: [`Config`], which every later crate takes its settings from.

use crate::sections::credentials::SnmpCredentialConfig;
use crate::sections::discovery::{DiscoveryConfig, EnrichmentConfig};
use crate::sections::federation::{
    CaConfig, IdentityConfig, OriginConfig, PeerConfig, UpstreamConfig,
};
use crate::sections::http::{AccessConfig, HttpConfig};
use crate::sections::node::{BusConfig, ListenConfig, NodeConfig};
use crate::sections::polling::PollingConfig;
use crate::sections::snmp::{DeviceConfig, SnmpConfig};

/// Settings of one node. Array tables keep the order of the text: the earlier discovery wins on
/// equal ids, the first fitting credential is tried first, the later device override wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[node]`.
    pub node: NodeConfig,
    /// `[listen]`.
    pub listen: ListenConfig,
    /// `[identity]`; `None`: the node has no neighbours.
    pub identity: Option<IdentityConfig>,
    /// `[ca]`.
    pub ca: CaConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[[http.access]]`.
    pub accesses: Vec<AccessConfig>,
    /// `[bus]`.
    pub bus: BusConfig,
    /// `[snmp]`.
    pub snmp: SnmpConfig,
    /// `[[upstream]]`.
    pub upstreams: Vec<UpstreamConfig>,
    /// `[[peer]]`.
    pub peers: Vec<PeerConfig>,
    /// `[[origin]]`.
    pub origins: Vec<OriginConfig>,
    /// `[[device]]`.
    pub devices: Vec<DeviceConfig>,
    /// `[[discovery]]`.
    pub discoveries: Vec<DiscoveryConfig>,
    /// `[[enrichment]]`.
    pub enrichments: Vec<EnrichmentConfig>,
    /// `[[polling]]`.
    pub pollings: Vec<PollingConfig>,
    /// `[[credentials.snmp]]`.
    pub snmp_credentials: Vec<SnmpCredentialConfig>,
}
