//! Orders of people about the nodes below: adopt a new disk, forget who is gone for good.
//!
//! Does: find what a name means, carry it out over roster, links and last values, tell an event.
//! Does not: decide which generation is refused (`federation::ingest`), ask who may order (`http`).
//! In: a site, or `SITE/NODE`. Out: what was done, or would be. Data stay until retention.

use ocelli_bus::OriginFacts;
use ocelli_bus::record::OriginId;
use ocelli_federation::identity::FileError;
use ocelli_federation::ingest::{Roster, SecondGeneration};
use ocelli_model::clock::Clock as _;
use ocelli_model::event::Event;
use std::sync::Arc;

use super::node::Node;
use crate::clock::RealClock;

/// Why an order is not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RosterOrderError {
    /// Nobody is below.
    #[error("this node has no links; ask the region or global that the site dials")]
    NoLinks,
    /// Nothing waits under that name.
    #[error(
        "no second generation of {name:?} waits here; `ocelli mesh status` shows those that do"
    )]
    NothingWaits {
        /// As asked.
        name: String,
    },
    /// Nobody has that name.
    #[error("nothing is known of {name:?} here; give a site or SITE/NODE of `ocelli nodes list`")]
    Unknown {
        /// As asked.
        name: String,
    },
    /// It lives.
    #[error("{link} stands: who is connected is not gone; stop that node first")]
    Connected {
        /// Its link.
        link: String,
    },
    /// It cannot be written down.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is forgotten, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Origins with their node, `SITE/NODE`, and the bytes held of each.
    pub origins: Vec<(OriginId, String, u64)>,
    /// Ended links.
    pub links: Vec<String>,
    /// Last values that go.
    pub values: usize,
    /// Whether it was done.
    pub is_done: bool,
}

impl Node {
    /// Takes the second generation of a site, or of `SITE/NODE`, that is refused until now.
    ///
    /// # Errors
    /// [`RosterOrderError`].
    pub async fn adopt(&self, name: &str) -> Result<Vec<SecondGeneration>, RosterOrderError> {
        let adopted = self.roster()?.adopt(name).await?;
        if adopted.is_empty() {
            let name = name.to_owned();
            return Err(RosterOrderError::NothingWaits { name });
        }
        for one in &adopted {
            self.runtime.events().report(Event::NodeAdopted {
                node: format!("{}/{}", one.site, one.node),
                generation: one.generation,
                before: one.known,
            });
        }
        Ok(adopted)
    }

    /// Ends what is expected of a site or node that is gone for good, or tells what that would be.
    ///
    /// # Errors
    /// [`RosterOrderError`]; nothing is forgotten then.
    pub async fn forget(
        &self,
        name: &str,
        is_dry_run: bool,
    ) -> Result<Forgotten, RosterOrderError> {
        let roster = self.roster()?;
        let mut found = self.meant(name, &roster)?;
        if is_dry_run {
            return Ok(found);
        }
        let origins: Vec<OriginId> = found.origins.iter().map(|(origin, ..)| *origin).collect();
        roster.forget(name, (&origins, RealClock.wall())).await?;
        if let Some(links) = self
            .federation
            .as_ref()
            .map(super::federation::Federation::links)
        {
            for link in &found.links {
                // Who has dialled in again meanwhile stays.
                let _stands_again = links.forget(link);
            }
        }
        let values = self.bus().last_values();
        found.values = values.forget(|origin| origins.contains(&origin));
        found.is_done = true;
        self.runtime.events().report(Event::NodeForgotten {
            name: name.to_owned(),
            origins: origins.len() as u64,
        });
        Ok(found)
    }

    fn roster(&self) -> Result<Arc<Roster>, RosterOrderError> {
        let federation = self.federation.as_ref();
        let roster = federation.map(super::federation::Federation::roster);
        roster.ok_or(RosterOrderError::NoLinks)
    }

    fn meant(&self, name: &str, roster: &Roster) -> Result<Forgotten, RosterOrderError> {
        let is_link = |id: &str| {
            let node = id.strip_prefix("down/").or(id.strip_prefix("from-peer/"));
            node.is_some_and(|node| is_named(node, name))
        };
        let links = self.federation.as_ref().map(|one| one.links().list());
        let links = links.unwrap_or_default().into_iter();
        let links: Vec<_> = links.filter(|view| is_link(&view.id)).collect();
        if let Some(live) = links.iter().find(|view| view.is_up) {
            let link = live.id.clone();
            return Err(RosterOrderError::Connected { link });
        }
        let mut found = Forgotten {
            links: links.into_iter().map(|view| view.id).collect(),
            ..Forgotten::default()
        };
        for facts in self.bus().origins() {
            if let Some(node) = node_of(&facts).filter(|node| is_named(node, name)) {
                found.origins.push((facts.origin, node, facts.bytes));
            }
        }
        let is_known = roster.knows(name) || !found.links.is_empty() || !found.origins.is_empty();
        if !is_known {
            let name = name.to_owned();
            return Err(RosterOrderError::Unknown { name });
        }
        let gone = |origin| found.origins.iter().any(|(known, ..)| *known == origin);
        found.values = self.bus().last_values().count(gone);
        Ok(found)
    }
}

/// `SITE/NODE` of an origin that is not this node's own.
fn node_of(facts: &OriginFacts) -> Option<String> {
    let who = facts.description.as_deref().filter(|_| !facts.is_own)?;
    Some(format!("{}/{}", who.site, who.node))
}

/// Whether a name means a node: its site, or all of `SITE/NODE`.
fn is_named(node: &str, name: &str) -> bool {
    node == name || node.split_once('/').is_some_and(|(site, _)| site == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_a_site_or_one_node_and_nothing_that_only_begins_so() {
        for (node, name, expected) in [
            ("dc1/n1", "dc1", true),
            ("dc1/n1", "dc1/n1", true),
            ("dc1/n1", "dc1/n2", false),
            ("dc11/n1", "dc1", false),
            ("dc1/n1", "n1", false),
            ("dc1/n1", "", false),
        ] {
            assert_eq!(is_named(node, name), expected, "{name} of {node}");
        }
    }
}
