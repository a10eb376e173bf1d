//! To whom a node keeps links and what it sends and takes there, by its configuration.
//!
//! Does: turn upstreams and peers into neighbours with an id of their own, say what is sent to one
//! and how much is taken of an origin. Does not: dial.
//! In: a configuration. Out: [`Wanted`]; two that are equal need no new link.

use std::time::Duration;

use ocelli_bus::{Bus, OriginDescription};
use ocelli_config::Config;
use ocelli_config::sections::federation::{OriginConfig, UpstreamConfig, UpstreamMode};
use ocelli_federation::derive::DerivedPolicy;
use ocelli_federation::ingest::OriginQuota;
use ocelli_federation::link::LinkBudget;
use ocelli_federation::link::group::HEALTHY_FOR;
use ocelli_federation::uplink::{Forward, UplinkPolicy};
use ocelli_model::filter::Filter;

use super::links::Direction;

/// Links at once, both directions; a larger region has more nodes.
const LINKS_MAX: u64 = 4_096;
/// Of `node.memory_max` for what arrives over links: a quarter.
const INGEST_SHARE: u64 = 4;
/// Of `node.memory_max` for blocks of all links that wait for definitions: a sixteenth.
const HELD_SHARE: u64 = 16;

/// One neighbour to keep a link to.
#[derive(Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) direction: Direction,
    pub(super) members: Vec<String>,
    pub(super) backfill_bytes_per_second: Option<u64>,
    /// How long a better member must be well before it is moved back to.
    pub(super) healthy_for: Duration,
    /// Which resources go there; `None`: all.
    pub(super) filter: Option<Filter>,
    /// What stands there for the batches that are held here; `None`: they go themselves.
    pub(super) derived: Option<DerivedPolicy>,
}

/// A group `any` is one link, a group `all` one for each address.
pub(super) fn wanted_of(config: &Config) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for upstream in &config.upstreams {
        let members: Vec<String> = upstream
            .connect
            .iter()
            .map(|address| address.host_and_port())
            .collect();
        let up = |id: String, members| Wanted {
            id,
            name: upstream.name.to_string(),
            direction: Direction::Up,
            members,
            backfill_bytes_per_second: upstream.backfill_bytes_per_second.map(|size| size.bytes()),
            healthy_for: upstream.move_back_after.get(),
            filter: upstream.filter.clone(),
            derived: derived_of(upstream),
        };
        match upstream.mode {
            UpstreamMode::Any => wanted.push(up(format!("up/{}", upstream.name), members)),
            UpstreamMode::All => wanted.extend(members.into_iter().map(|member| {
                let id = format!("up/{}/{member}", upstream.name);
                up(id, vec![member])
            })),
        }
    }
    wanted.extend(config.peers.iter().map(|peer| Wanted {
        id: format!("peer/{}", peer.name),
        name: peer.name.to_string(),
        direction: Direction::Peer,
        members: vec![peer.connect.host_and_port()],
        backfill_bytes_per_second: None,
        healthy_for: HEALTHY_FOR,
        filter: None,
        derived: None,
    }));
    wanted
}

/// What is derived for an upstream, if its entry says so.
fn derived_of(upstream: &UpstreamConfig) -> Option<DerivedPolicy> {
    let window = upstream.downsample.as_ref().map(|it| it.window.get());
    let groups = upstream.groups.iter().flatten();
    let policy = DerivedPolicy {
        upstream: upstream.name.to_string(),
        groups: groups.map(|name| name.to_string()).collect(),
        window_ms: window.map(|it| u32::try_from(it.as_millis()).unwrap_or(u32::MAX)),
        filter: upstream.filter.clone(),
    };
    let is_derived = upstream.groups.is_some() || window.is_some();
    is_derived.then_some(policy)
}

/// What of the streams held here goes to a neighbour.
pub(super) fn forward_of(wanted: &Wanted) -> Forward {
    let upstream = match wanted.direction {
        Direction::Peer => String::new(),
        _ => wanted.name.clone(),
    };
    Forward {
        upstream,
        filter: wanted.filter.clone(),
        is_derived: wanted.derived.is_some(),
    }
}

/// What links may hold in memory.
pub(super) fn budget_of(config: &Config) -> LinkBudget {
    let ingest_bytes_max = config.node.memory_max.bytes() / INGEST_SHARE;
    let links_max = (ingest_bytes_max / LinkBudget::LINK_BYTES_MIN).clamp(1, LINKS_MAX);
    LinkBudget {
        ingest_bytes_max,
        links_max: u32::try_from(links_max).unwrap_or(u32::MAX),
    }
}

/// What blocks that wait for definitions may hold in memory, all links together.
pub(super) fn held_bytes_of(config: &Config) -> u64 {
    config.node.memory_max.bytes() / HELD_SHARE
}

/// The first entry that names the site of an origin; `*` names every site.
pub(super) fn quota_of(
    shares: &[OriginConfig],
    described: Option<&OriginDescription>,
) -> OriginQuota {
    let names = |share: &&OriginConfig| {
        let named = share.site.as_str();
        named == "*" || described.is_some_and(|described| described.site == named)
    };
    let share = shares.iter().find(names);
    OriginQuota {
        samples_per_second: share
            .and_then(|share| share.samples_per_second)
            .map(|rate| u64::from(rate.get())),
        bytes_per_second: None,
    }
}

/// What is sent to a neighbour, and how.
pub(super) fn policy_of(wanted: &Wanted, bus: &Bus) -> UplinkPolicy {
    UplinkPolicy {
        backfill_bytes_per_second: wanted.backfill_bytes_per_second,
        is_shared: wanted.members.len() > 1,
        forsaken: bus.forsaken().iter().copied().collect(),
        ..UplinkPolicy::new(bus.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_of(text: &str) -> Config {
        let mut sources = ocelli_config::Sources::new();
        sources.push(ocelli_config::Source::file(
            "/etc/ocelli.toml",
            text.to_owned(),
        ));
        let options = ocelli_config::LoadOptions {
            hostname: "n1",
            is_strict: true,
        };
        let loaded = ocelli_config::load(sources, options);
        loaded.unwrap_or_else(|error| panic!("{error}")).config
    }

    #[test]
    fn the_memory_of_a_node_says_how_many_links_it_takes() {
        for (memory_max, links_max) in [("64MiB", 64), ("1GiB", 1_024), ("16GiB", 4_096)] {
            let text = format!("[node]\nsite = \"dc1\"\nmemory_max = \"{memory_max}\"\n");
            let budget = budget_of(&config_of(&text));
            assert_eq!(budget.links_max, links_max, "{memory_max}");
            assert!(budget.check().is_ok(), "{memory_max}");
        }
        assert!(budget_of(&config_of("[node]\nsite = \"dc1\"\n")).links_max >= 1_000);
    }
}
