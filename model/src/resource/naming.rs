//! What a name means among resources: on the command line and in every route that takes one.
//!
//! Does: find by whole identity, else id, else `site/id`, else endpoint, else the name that the
//! device gives itself; list candidates where none or several answer. Does not: know who told a
//! device's name. In: resources and a name. Out: one, or [`NameError`].
//! A path has lost the percent signs of an identity by the time it is here, so that an identity
//! without them is taken as well.

use super::{Resource, ResourceId};
use crate::suggest::nearest;

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

/// A resource as it can be named.
pub trait Named {
    /// The resource.
    fn resource(&self) -> &Resource;
    /// What its device calls itself (sysName), where that is known.
    fn system_name(&self) -> Option<&str>;
}

/// Nothing is known of its device.
impl Named for Resource {
    fn resource(&self) -> &Resource {
        self
    }

    fn system_name(&self) -> Option<&str> {
        None
    }
}

impl<T: Named + ?Sized> Named for &T {
    fn resource(&self) -> &Resource {
        (**self).resource()
    }

    fn system_name(&self) -> Option<&str> {
        (**self).system_name()
    }
}

impl<T: Named + ?Sized> Named for std::sync::Arc<T> {
    fn resource(&self) -> &Resource {
        (**self).resource()
    }

    fn system_name(&self) -> Option<&str> {
        (**self).system_name()
    }
}

/// The one of `all` that `name` means.
///
/// # Errors
/// [`NameError`] with candidates.
pub fn find_by_name<'a, T: Named>(all: &'a [T], name: &str) -> Result<&'a T, NameError> {
    let is_whole = |one: &&T| one.resource().id().as_str() == name;
    if let Some(one) = all.iter().find(is_whole) {
        return Ok(one);
    }
    let mut found: Vec<&T> = Vec::new();
    for is_named in NAMES {
        found = all.iter().filter(|one| is_named(*one, name)).collect();
        if !found.is_empty() {
            break;
        }
    }
    let name = name.to_owned();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(NameError::Unknown {
            candidates: shown(&near(all, &name)),
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
const NAMES: [fn(&dyn Named, &str) -> bool; 5] = [
    |one, name| is_decoded_whole(one.resource().id(), name),
    |one, name| one.resource().id().id() == name,
    |one, name| {
        let id = one.resource().id();
        name.split_once('/') == Some((id.site(), id.id()))
    },
    |one, name| one.resource().endpoint() == name,
    |one, name| one.system_name() == Some(name),
];

fn is_decoded_whole(id: &ResourceId, name: &str) -> bool {
    let parts = [
        id.site(),
        id.class(),
        id.subclass(),
        id.resource_type(),
        id.id(),
    ];
    parts.join("/") == name
}

fn shown<T: Named>(found: &[&T]) -> Vec<String> {
    let first = found.iter().take(CANDIDATES_MAX);
    first.map(|one| one.resource().id().to_string()).collect()
}

/// Those of whose id, endpoint or device's name it is a part, else the one whose id is spelt most
/// alike.
fn near<'a, T: Named>(all: &'a [T], name: &str) -> Vec<&'a T> {
    let last = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let holds = |text: &str| !last.is_empty() && text.to_lowercase().contains(&last);
    let holding = all.iter().filter(|one| {
        let resource = one.resource();
        let names = [resource.id().id(), resource.endpoint()];
        names.into_iter().chain(one.system_name()).any(holds)
    });
    let holding: Vec<_> = holding.take(CANDIDATES_MAX).collect();
    if !holding.is_empty() {
        return holding;
    }
    let ids = all.iter().map(|one| one.resource().id().id());
    let nearest = nearest(&last, ids);
    let is_it = |one: &&T| Some(one.resource().id().id()) == nearest;
    all.iter().find(is_it).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceFields;

    struct Known(Resource, Option<&'static str>);

    impl Named for Known {
        fn resource(&self) -> &Resource {
            &self.0
        }

        fn system_name(&self) -> Option<&str> {
            self.1
        }
    }

    fn resource(site: &str, id: &str, endpoint: &str) -> Known {
        let identity = [site, "network", "switch", "generic", id].map(str::to_owned);
        let fields = ResourceFields {
            identity,
            endpoint: endpoint.to_owned(),
            plugin: "by-hand".to_owned(),
            ..ResourceFields::default()
        };
        Known(Resource::new(fields).unwrap(), None)
    }

    fn check(all: &[Known], name: &str, expected: Result<&str, &str>) {
        let found = find_by_name(all, name).map(|one| one.0.endpoint().to_owned());
        let found = found.map_err(|error| format!("{error}; {}", error.hint()));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{name}: {said}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
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
        let check = |name: &str, expected: Result<&str, &str>| check(&all, name, expected);
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

    #[test]
    fn the_name_of_a_device_comes_last_and_may_be_that_of_several() {
        let named = |id, endpoint, name| Known(resource("dc1", id, endpoint).0, Some(name));
        let all = [
            named("a", "10.0.0.1", "core-1.example.net"),
            named("b", "10.0.0.2", "twin"),
            named("c", "10.0.0.3", "twin"),
            named("d", "10.0.0.4", "a"),
            named("e", "10.0.0.5", "10.0.0.1"),
            resource("dc1", "f", "10.0.0.6"),
        ];
        let check = |name: &str, expected: Result<&str, &str>| check(&all, name, expected);
        check("core-1.example.net", Ok("10.0.0.1"));
        check(
            "twin",
            Err("\"twin\" is the name of 2 resources; name one of them: \
                 dc1/network/switch/generic/b, dc1/network/switch/generic/c"),
        );
        // Neither an id nor an endpoint is taken by who calls itself so.
        check("a", Ok("10.0.0.1"));
        check("10.0.0.1", Ok("10.0.0.1"));
        check("core-1", Err("did you mean dc1/network/switch/generic/a?"));
    }
}
