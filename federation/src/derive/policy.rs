//! What an upstream gets in the place of the streams that are held here.
//!
//! Does: name the derived origin of an upstream, say what it is made of. Does not: derive (`run`).
//! In: groups, a window, the node's own origin. Out: [`DerivedPolicy`].
//! Invariant: another origin of the node, another upstream or another policy is another derived
//! origin, so that no seq of one ever stands for two contents.

use std::collections::BTreeSet;

use ocelli_bus::record::OriginId;
use ocelli_bus::{Derivation, OriginDescription};
use ocelli_model::filter::Filter;
use xxhash_rust::xxh3::xxh3_128;

/// Choice and windows of one upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedPolicy {
    /// Name of the upstream.
    pub upstream: String,
    /// Groups that are chosen; none: all.
    pub groups: BTreeSet<String>,
    /// Length of the windows, ms; `None`: slots pass one by one.
    pub window_ms: Option<u32>,
    /// Whose batches; `None`: all.
    pub filter: Option<Filter>,
}

impl DerivedPolicy {
    /// The origin of the stream that a node of origin `own` makes for it.
    #[must_use]
    pub fn origin(&self, own: OriginId) -> OriginId {
        let mut text = own.0.to_le_bytes().to_vec();
        text.extend(self.window_ms.unwrap_or(0).to_le_bytes());
        for name in std::iter::once(&self.upstream).chain(&self.groups) {
            text.extend((name.len() as u64).to_le_bytes());
            text.extend(name.as_bytes());
        }
        OriginId(xxh3_128(&text))
    }

    /// How lists name the derived origin: `NODE+UPSTREAM`, at the node's place in the mesh.
    #[must_use]
    pub fn description(&self, node: &OriginDescription) -> OriginDescription {
        OriginDescription {
            node: format!("{}+{}", node.node, self.upstream),
            ..node.clone()
        }
    }

    /// What its stream is made of.
    #[must_use]
    pub fn derivation(&self, own: OriginId, sources: &BTreeSet<OriginId>) -> Derivation {
        Derivation {
            by: own,
            upstream: self.upstream.clone(),
            groups: self.groups.clone(),
            window_ms: self.window_ms.unwrap_or(0),
            sources: sources.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_node_upstream_choice_or_window_is_another_origin() {
        let policy = |upstream: &str, groups: &[&str], window_ms| DerivedPolicy {
            upstream: upstream.to_owned(),
            groups: groups.iter().map(|name| (*name).to_owned()).collect(),
            window_ms,
            filter: None,
        };
        let of = |own, policy: DerivedPolicy| policy.origin(OriginId(own));
        let all = [
            of(1, policy("emea", &["a", "b"], Some(60_000))),
            of(2, policy("emea", &["a", "b"], Some(60_000))),
            of(1, policy("apac", &["a", "b"], Some(60_000))),
            of(1, policy("emea", &["ab"], Some(60_000))),
            of(1, policy("emea", &["a", "b"], Some(30_000))),
            of(1, policy("emea", &["a", "b"], None)),
        ];
        assert_eq!(BTreeSet::from(all).len(), all.len());
        assert_eq!(all[0], of(1, policy("emea", &["b", "a"], Some(60_000))));
    }
}
