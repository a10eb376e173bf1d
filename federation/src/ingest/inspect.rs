//! Whether a block says only what its sender may say, and only what can be understood.
//!
//! Does: check each entry of a block against the sender's scope and against lane 1; find whose plan
//! a block is.
//! Does not: check checksums (`bus::ForeignBlock`), order and quotas (`core`).
//! In: a whole block, the sender's certificate, the definitions held. Out: nothing, or why not.
//! Cost: one look-up an entry; bodies are opened on lane 1 only.

use ocelli_bus::block::EntryView;
use ocelli_bus::definition::Definition;
use ocelli_bus::record::{DefinitionId, EntryKind, Lane};
use ocelli_bus::{Definitions, ForeignBlock};

use super::roster::RosterKey;
use crate::frame::RefusedReason;
use crate::identity::PeerIdentity;

/// Checks a block that is about to be stored. Definitions that it needs must be durable here.
///
/// # Errors
/// [`RefusedReason::Scope`] or [`RefusedReason::Damaged`], with the detail for people.
pub fn inspect(
    block: &ForeignBlock,
    peer: &PeerIdentity,
    definitions: &Definitions,
) -> Result<(), (RefusedReason, String)> {
    match block.stream().lane {
        Lane::Definitions => inspect_definitions(block, peer),
        Lane::Data => inspect_data(block, peer, definitions),
    }
}

fn inspect_definitions(
    block: &ForeignBlock,
    peer: &PeerIdentity,
) -> Result<(), (RefusedReason, String)> {
    for entry in block.entries() {
        if entry.head.kind != EntryKind::Definition {
            continue;
        }
        let body = block.body(entry).map_err(|error| damaged(&error))?;
        match Definition::decode(body).map_err(|error| damaged(&error))? {
            Definition::Origin { mesh, site, .. } => {
                if mesh != peer.identity.mesh {
                    return Err(scope(format!("origin of mesh {mesh:?}")));
                }
                check_site(peer, &site)?;
            }
            Definition::Resource { resource, .. } => check_site(peer, resource.id().site())?,
            _ => {}
        }
    }
    Ok(())
}

/// The generation under which a block of lane 1 gives the right to poll, if it does.
pub(super) fn generation_of(block: &ForeignBlock) -> Option<u64> {
    let is_plan = |entry: &&EntryView| entry.head.kind == EntryKind::Plan;
    let is_lane_1 = block.stream().lane == Lane::Definitions;
    let plan = block.entries().iter().find(is_plan).filter(|_| is_lane_1);
    plan.map(|plan| plan.head.epoch.generation)
}

/// Site and node that a block of lane 1 says its origin is, if it does.
pub(super) fn described_in(block: &ForeignBlock) -> Option<RosterKey> {
    let is_lane_1 = block.stream().lane == Lane::Definitions;
    let mut definitions = block.entries().iter().filter_map(|entry| {
        let is_definition = is_lane_1 && entry.head.kind == EntryKind::Definition;
        let body = is_definition.then(|| block.body(entry).ok())??;
        Definition::decode(body).ok()
    });
    definitions.find_map(|definition| match definition {
        Definition::Origin { site, node, .. } => Some((site, node)),
        _ => None,
    })
}

fn inspect_data(
    block: &ForeignBlock,
    peer: &PeerIdentity,
    definitions: &Definitions,
) -> Result<(), (RefusedReason, String)> {
    let origin = block.stream().origin;
    let Some(described) = definitions.origin_of(origin) else {
        return Err(scope(format!("origin {origin} has not said whose it is")));
    };
    check_site(peer, &described.site)?;
    // Entries of a block are few resources in runs: the last verdict serves the next entry.
    let mut checked = DefinitionId::NONE;
    for entry in block.entries() {
        if entry.head.resource != checked {
            check_entry(block, entry, peer, definitions)?;
            checked = entry.head.resource;
        }
    }
    Ok(())
}

fn check_entry(
    block: &ForeignBlock,
    entry: &EntryView,
    peer: &PeerIdentity,
    definitions: &Definitions,
) -> Result<(), (RefusedReason, String)> {
    let resolved = definitions.resolve_pair(block.stream().origin, &entry.head);
    let resolved = resolved.map_err(|error| damaged(&error))?;
    match resolved.resource {
        Some(resource) => check_site(peer, resource.id().site()),
        None => Ok(()),
    }
}

fn check_site(peer: &PeerIdentity, site: &str) -> Result<(), (RefusedReason, String)> {
    if peer.scope.allows(site) {
        return Ok(());
    }
    let PeerIdentity {
        identity,
        scope: allowed,
        ..
    } = peer;
    Err(scope(format!(
        "{identity} speaks for {allowed}, not for {site:?}"
    )))
}

fn scope(detail: String) -> (RefusedReason, String) {
    (RefusedReason::Scope, detail)
}

fn damaged(error: &dyn std::fmt::Display) -> (RefusedReason, String) {
    (RefusedReason::Damaged, error.to_string())
}
