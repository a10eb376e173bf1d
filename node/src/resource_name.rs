//! What a name on the command line means among resources.
//!
//! Does: find by whole identity, else id, else `site/id`, else endpoint; list candidates where none
//! or several answer. Does not: know sysName. In: resources and a name. Out: one, or [`NameError`].
//! A path has lost the percent signs of an identity by the time it is here, so that an identity
//! without them is taken as well.

use std::sync::Arc;

use ocelli_model::resource::Resource;
use ocelli_model::suggest::nearest;

/// Candidates that an error lists.
const CANDIDATES_MAX: usize = 10;

/// Why a name means no single resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nobody answers to it.
    #[error("no resource {name:?}")]
    Unknown {
        /// The name.
        name: String,
        /// What was maybe meant: identities.
        candidates: Vec<String>,
    },
    /// Several do.
    #[error("{name:?} is the name of {count} resources")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// The first of them: identities.
        candidates: Vec<String>,
    },
}

impl NameError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { candidates, .. } if candidates.is_empty() => {
                "list them with `ocelli resources list`".to_owned()
            }
            Self::Unknown { candidates, .. } => {
                format!("did you mean {}?", candidates.join(", "))
            }
            Self::Ambiguous { candidates, .. } => {
                format!("name one of them: {}", candidates.join(", "))
            }
        }
    }
}

/// The resource that `name` means.
///
/// # Errors
/// [`NameError`] with candidates.
pub fn find(resources: &[Arc<Resource>], name: &str) -> Result<Arc<Resource>, NameError> {
    let is_whole = |resource: &&Arc<Resource>| resource.id().as_str() == name;
    if let Some(resource) = resources.iter().find(is_whole) {
        return Ok(Arc::clone(resource));
    }
    let mut found: Vec<&Arc<Resource>> = Vec::new();
    for is_named in NAMES {
        found = resources.iter().filter(|one| is_named(one, name)).collect();
        if !found.is_empty() {
            break;
        }
    }
    let shown = |found: &[&Arc<Resource>]| {
        let first = found.iter().take(CANDIDATES_MAX);
        first.map(|resource| resource.id().to_string()).collect()
    };
    let name = name.to_owned();
    match found.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => Err(NameError::Unknown {
            candidates: shown(&near(resources, &name)),
            name,
        }),
        several => Err(NameError::Ambiguous {
            count: several.len(),
            candidates: shown(several),
            name,
        }),
    }
}

/// What else a resource goes by; the first under which any is found counts.
const NAMES: [fn(&Resource, &str) -> bool; 4] = [
    is_decoded_whole,
    |resource, name| resource.id().id() == name,
    |resource, name| {
        let id = resource.id();
        name.split_once('/') == Some((id.site(), id.id()))
    },
    |resource, name| resource.endpoint() == name,
];

fn is_decoded_whole(resource: &Resource, name: &str) -> bool {
    let id = resource.id();
    let parts = [
        id.site(),
        id.class(),
        id.subclass(),
        id.resource_type(),
        id.id(),
    ];
    parts.join("/") == name
}

/// Those whose id or endpoint holds the name, else the one whose id is spelt most alike.
fn near<'a>(resources: &'a [Arc<Resource>], name: &str) -> Vec<&'a Arc<Resource>> {
    let last = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let holds = |text: &str| !last.is_empty() && text.to_lowercase().contains(&last);
    let holding = resources
        .iter()
        .filter(|resource| holds(resource.id().id()) || holds(resource.endpoint()));
    let holding: Vec<_> = holding.take(CANDIDATES_MAX).collect();
    if !holding.is_empty() {
        return holding;
    }
    let ids = resources.iter().map(|resource| resource.id().id());
    let nearest = nearest(&last, ids);
    let is_it = |resource: &&Arc<Resource>| Some(resource.id().id()) == nearest;
    resources.iter().find(is_it).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use ocelli_model::resource::ResourceFields;

    use super::*;

    fn resource(site: &str, id: &str, endpoint: &str) -> Arc<Resource> {
        let identity = [site, "network", "switch", "generic", id].map(str::to_owned);
        let fields = ResourceFields {
            identity,
            endpoint: endpoint.to_owned(),
            plugin: "by-hand".to_owned(),
            ..ResourceFields::default()
        };
        Arc::new(Resource::new(fields).unwrap())
    }

    #[test]
    fn a_name_means_one_resource_or_says_which_it_may_mean() {
        let all = [
            resource("dc1", "core1", "10.0.0.1"),
            resource("dc2", "core1", "10.0.0.2"),
            resource("dc1", "access7", "10.0.0.3"),
            resource("dc/3", "a/b 5%", "10.0.0.4"),
            resource("dc1", "core9", "10.0.0.5"),
            resource("dc1", "edge1", "core9"),
        ];
        let check = |name: &str, expected: Result<&str, &str>| {
            let found = find(&all, name).map(|resource| resource.endpoint().to_owned());
            let found = found.map_err(|error| format!("{error}; {}", error.hint()));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
                (Err(said), Err(expected)) => assert!(said.contains(expected), "{name}: {said}"),
                (found, _) => panic!("{name}: {found:?}"),
            }
        };
        check("access7", Ok("10.0.0.3"));
        // An id goes before an endpoint.
        check("core9", Ok("10.0.0.5"));
        check("dc%2F3/network/switch/generic/a%2Fb 5%25", Ok("10.0.0.4"));
        check("dc/3/network/switch/generic/a/b 5%", Ok("10.0.0.4"));
        check("a/b 5%", Ok("10.0.0.4"));
        check("10.0.0.2", Ok("10.0.0.2"));
        check("dc2/core1", Ok("10.0.0.2"));
        check("dc1/network/switch/generic/core1", Ok("10.0.0.1"));
        check(
            "core1",
            Err("name of 2 resources; name one of them: dc1/network"),
        );
        check(
            "acces",
            Err("did you mean dc1/network/switch/generic/access7?"),
        );
        check(
            "acess7",
            Err("did you mean dc1/network/switch/generic/access7?"),
        );
        check("router", Err("`ocelli resources list`"));
    }
}
