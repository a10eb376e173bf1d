//! Who a node is: mesh, tier, name of the site or region, name of the node.
//!
//! Does: write and read the identity URI of a certificate (`design.md` §8). Does not: verify the
//! certificate that carries it (`verify`).
//! In: `ocelli://<mesh>/<tier>/<name>/<node>`, each part percent-encoded. Out: [`NodeIdentity`].

use std::fmt;
use std::str::FromStr;

use ocelli_model::tier::Tier;
use serde::{Deserialize, Serialize};

use super::percent::{decode, encode_into, is_name};

/// How an identity URI begins.
pub(super) const IDENTITY_SCHEME: &str = "ocelli://";

/// What is quoted of a wrong URI, letters.
const SHOWN_MAX: usize = 80;

/// Who a node is. Prints as its URI.
///
/// ```
/// use ocelli_federation::identity::{NodeIdentity, Tier};
/// let identity = NodeIdentity::new("acme", Tier::Site, "dc 1", "poller-a")?;
/// assert_eq!(identity.to_string(), "ocelli://acme/site/dc%201/poller-a");
/// assert_eq!(identity.to_string().parse(), Ok(identity));
/// # Ok::<(), ocelli_federation::identity::IdentityNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// The mesh; nodes of different meshes never speak.
    pub mesh: String,
    /// Where in the mesh the node stands.
    pub tier: Tier,
    /// Name of the site, region or global that the node belongs to.
    pub name: String,
    /// Name of the node, unique within `name`.
    pub node: String,
}

/// Why a text names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityNameError {
    /// Not the form of an identity.
    #[error(
        "{shown:?} is no identity; the form is ocelli://<mesh>/<tier>/<name>/<node>, \
         each part percent-encoded once"
    )]
    Form {
        /// The first letters of the text.
        shown: String,
    },
    /// A part that cannot be a name.
    #[error(
        "the {part} of an identity, {shown:?}, is no name; \
         give 1 to 128 bytes without control characters or blanks at the ends"
    )]
    Part {
        /// Which part.
        part: &'static str,
        /// Its first letters.
        shown: String,
    },
}

pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

impl NodeIdentity {
    /// The identity of these parts.
    ///
    /// # Errors
    /// [`IdentityNameError::Part`] for the first part that is no name.
    pub fn new(mesh: &str, tier: Tier, name: &str, node: &str) -> Result<Self, IdentityNameError> {
        for (part, text) in [("mesh", mesh), ("name", name), ("node", node)] {
            if !is_name(text) {
                let shown = shown(text);
                return Err(IdentityNameError::Part { part, shown });
            }
        }
        Ok(Self {
            mesh: mesh.to_owned(),
            tier,
            name: name.to_owned(),
            node: node.to_owned(),
        })
    }

    /// Whether both stand for the same site, region or global.
    #[must_use]
    pub fn is_same_group(&self, other: &Self) -> bool {
        (&self.mesh, self.tier, &self.name) == (&other.mesh, other.tier, &other.name)
    }
}

impl FromStr for NodeIdentity {
    type Err = IdentityNameError;

    fn from_str(uri: &str) -> Result<Self, IdentityNameError> {
        let parsed = parse(uri);
        parsed.ok_or_else(|| IdentityNameError::Form { shown: shown(uri) })
    }
}

fn parse(uri: &str) -> Option<NodeIdentity> {
    let mut parts = uri.strip_prefix(IDENTITY_SCHEME)?.split('/');
    let identity = NodeIdentity {
        mesh: decode(parts.next()?)?,
        tier: parts.next()?.parse().ok()?,
        name: decode(parts.next()?)?,
        node: decode(parts.next()?)?,
    };
    parts.next().is_none().then_some(identity)
}

impl fmt::Display for NodeIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut uri = String::from(IDENTITY_SCHEME);
        let parts = [&self.mesh, self.tier.as_str(), &self.name, &self.node];
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                uri.push('/');
            }
            encode_into(part, &mut uri);
        }
        formatter.pad(&uri)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_exact_form_is_an_identity() {
        let wrong = [
            "",
            "ocelli://",
            "ocelli://m/site/s",
            "ocelli://m/site/s/n/",
            "ocelli://m/site/s/n/x",
            "ocelli://m/site//n",
            "ocelli://m/sites/s/n",
            "OCELLI://m/site/s/n",
            "ocelli://m/site/s/n?x",
            "ocelli://m/site/s/%6e",
            "http://m/site/s/n",
        ];
        for uri in wrong {
            let error = uri.parse::<NodeIdentity>().unwrap_err();
            assert!(matches!(error, IdentityNameError::Form { .. }), "{uri}");
        }
        assert!("ocelli://m/site/s/n".parse::<NodeIdentity>().is_ok());
    }

    #[test]
    fn parts_that_are_no_names_are_refused_by_part() {
        for (mesh, name, node, expected) in [
            ("", "s", "n", "mesh"),
            ("m", " s", "n", "name"),
            ("m", "s", "n\n", "node"),
        ] {
            let error = NodeIdentity::new(mesh, Tier::Site, name, node).unwrap_err();
            let is_expected =
                matches!(error, IdentityNameError::Part { part, .. } if part == expected);
            assert!(is_expected, "{expected}: {error}");
        }
    }

    proptest! {
        #[test]
        fn each_identity_is_read_back_from_its_uri(
            mesh in "\\PC{1,20}", name in "\\PC{1,20}", node in "\\PC{1,20}", tier in 0..3usize,
        ) {
            if let Ok(identity) = NodeIdentity::new(&mesh, Tier::ALL[tier], &name, &node) {
                prop_assert_eq!(identity.to_string().parse(), Ok(identity));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(uri in "(ocelli://)?\\PC{0,80}") {
            if let Ok(identity) = uri.parse::<NodeIdentity>() {
                prop_assert_eq!(identity.to_string(), uri);
            }
        }
    }
}
