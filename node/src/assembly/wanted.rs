//! To whom a node keeps links, by its configuration.
//!
//! Does: turn upstreams and peers into neighbours with an id of their own. Does not: dial.
//! In: a configuration. Out: [`Wanted`]; two that are equal need no new link.

use ocelli_config::Config;
use ocelli_config::sections::federation::UpstreamMode;

use super::links::Direction;

/// One neighbour to keep a link to.
#[derive(Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) direction: Direction,
    pub(super) members: Vec<String>,
    pub(super) backfill_bytes_per_second: Option<u64>,
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
    }));
    wanted
}
