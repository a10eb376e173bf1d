//! The discovery file of simulated agents, in Panoptes' format.
//!
//! Does: render one resource for each agent. Does not: write files (`run`).
//! In: the fleet. Out: a JSON array that `kind = "json"` reads.

use ocelli_model::clock::WallMs;
use serde::Serialize;

use super::server::Fleet;
use super::view::View;

/// One resource, its fields in Panoptes' order.
#[derive(Serialize)]
struct Resource<'a> {
    resource_site: &'a str,
    resource_class: &'static str,
    resource_subclass: &'static str,
    resource_type: &'static str,
    resource_id: String,
    resource_endpoint: String,
    resource_metadata: Metadata,
    resource_creation_timestamp: f64,
    resource_plugin: &'static str,
}

#[derive(Serialize)]
struct Metadata {
    #[serde(rename = "_resource_ttl")]
    ttl: &'static str,
    make: &'static str,
    model: &'static str,
    snmp_port: String,
}

/// Renders the fleet.
pub(super) fn to_json(fleet: &Fleet, (site, port): (&str, u16), wall: WallMs) -> String {
    let resources: Vec<Resource<'_>> = fleet
        .agents
        .iter()
        .map(|agent| {
            let agent = agent.lock();
            let model = match agent.view {
                View::Switch(_) => "simulated-switch",
                View::Recording(_) => "recording",
            };
            Resource {
                resource_site: site,
                resource_class: "network",
                resource_subclass: "switch",
                resource_type: "simulated",
                resource_id: format!("sim-{:05}", agent.number),
                resource_endpoint: agent.address.to_string(),
                resource_metadata: Metadata {
                    ttl: "604800",
                    make: "ocelli",
                    model,
                    snmp_port: port.to_string(),
                },
                resource_creation_timestamp: wall.0 as f64 / 1_000.0,
                resource_plugin: "simulate",
            }
        })
        .collect();
    // Plain strings and one finite number: the error cannot happen.
    serde_json::to_string_pretty(&resources).unwrap_or_default()
}
