//! The whole configuration of a node, typed and validated.
//!
//! Does: hold it. Does not: hold what was refused (`load::Parked`) or where a value stood.
//! In: what `load` read. Out: [`Config`], which every later crate takes its settings from.

use crate::sections::credentials::SnmpCredentialConfig;
use crate::sections::discovery::{DiscoveryConfig, EnrichmentConfig};
use crate::sections::node::{BusConfig, HttpConfig, ListenConfig, NodeConfig};
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
    /// `[http]`.
    pub http: HttpConfig,
    /// `[bus]`.
    pub bus: BusConfig,
    /// `[snmp]`.
    pub snmp: SnmpConfig,
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
