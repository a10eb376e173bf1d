//! Which dialers may send here: tiers and roles.
//!
//! Does: say whether a Hello whose identity was verified may have its role at this node.
//! Does not: compare Hello with the certificate or speak versions (`link`), watch origins
//! (`origins`), judge blocks (`core`).
//! In: [`Hello`] and who this node is. Out: nothing, or [`AdmissionError`] with what to do.

use ocelli_model::tier::Tier;

use crate::frame::{Hello, RefuseCode, Role};

/// Who takes the dialler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptor {
    /// The mesh of its certificate.
    pub mesh: String,
    /// Its tier.
    pub tier: Tier,
    /// The site, region or global that it belongs to.
    pub name: String,
}

/// Why a dialler is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// Another mesh.
    #[error("the dialler is of mesh {theirs:?}, this node of {ours:?}")]
    Mesh {
        /// Its mesh.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// Nothing sends to a site, or down.
    #[error("a {theirs} sends up to a region or global that is not below it; this is a {ours}")]
    Direction {
        /// Its tier.
        theirs: Tier,
        /// Ours.
        ours: Tier,
    },
    /// Peers are of one tier.
    #[error("peers are regions or globals of one tier; the dialler is a {theirs}, this a {ours}")]
    Peer {
        /// Its tier.
        theirs: Tier,
        /// Ours.
        ours: Tier,
    },
    /// A role of a later version.
    #[error("role {number} is not known here")]
    Role {
        /// Its number.
        number: u16,
    },
}

impl AdmissionError {
    /// The code of the refusal.
    #[must_use]
    pub fn code(&self) -> RefuseCode {
        match self {
            Self::Mesh { .. } => RefuseCode::Mesh,
            Self::Direction { .. } | Self::Peer { .. } | Self::Role { .. } => RefuseCode::Role,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Mesh { .. } => "connect to a node of the own mesh; see `[[upstream]] connect`",
            Self::Direction { .. } => "let the lower tier dial the upper one by `[[upstream]]`",
            Self::Peer { .. } => "use `[[upstream]]` between tiers and `[[peer]]` within one",
            Self::Role { .. } => "upgrade this node first",
        }
    }
}

/// Whether the dialler may have its role here. Tiers may be skipped or repeated on the way up.
///
/// # Errors
/// [`AdmissionError`].
pub fn check_hello(hello: &Hello, acceptor: &Acceptor) -> Result<(), AdmissionError> {
    let (theirs, ours) = (hello.tier, acceptor.tier);
    if hello.mesh != acceptor.mesh {
        return Err(AdmissionError::Mesh {
            theirs: hello.mesh.clone(),
            ours: acceptor.mesh.clone(),
        });
    }
    match hello.role {
        Role::Client => Ok(()),
        Role::Uplink if ours != Tier::Site && theirs <= ours => Ok(()),
        Role::Uplink => Err(AdmissionError::Direction { theirs, ours }),
        Role::Peer if ours != Tier::Site && theirs == ours => Ok(()),
        Role::Peer => Err(AdmissionError::Peer { theirs, ours }),
        Role::Other(number) => Err(AdmissionError::Role { number }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FEATURES, PROTOCOL};
    use ocelli_bus::record::OriginId;

    fn check(role: Role, theirs: Tier, ours: Tier) -> Result<(), RefuseCode> {
        let hello = Hello {
            version: PROTOCOL.max,
            version_min: PROTOCOL.min,
            features: FEATURES,
            mesh: "acme".into(),
            tier: theirs,
            name: "dc1".into(),
            node: "a".into(),
            origin: OriginId(1),
            role,
            build: String::new(),
            extensions: Vec::new(),
        };
        let acceptor = |mesh: &str| Acceptor {
            mesh: mesh.into(),
            tier: ours,
            name: "emea".into(),
        };
        let error = check_hello(&hello, &acceptor("other")).unwrap_err();
        assert_eq!(error.code(), RefuseCode::Mesh);
        let checked = check_hello(&hello, &acceptor("acme"));
        checked.map_err(|error| {
            assert!(!error.hint().is_empty() && !error.to_string().is_empty());
            error.code()
        })
    }

    #[test]
    fn data_go_up_or_to_a_peer_and_never_down() {
        use Tier::{Global, Region, Site};
        let refused = Err(RefuseCode::Role);
        for (theirs, ours, uplink, peer) in [
            (Site, Site, refused, refused),
            (Site, Region, Ok(()), refused),
            (Site, Global, Ok(()), refused),
            (Region, Site, refused, refused),
            (Region, Region, Ok(()), Ok(())),
            (Region, Global, Ok(()), refused),
            (Global, Site, refused, refused),
            (Global, Region, refused, refused),
            (Global, Global, Ok(()), Ok(())),
        ] {
            assert_eq!(
                check(Role::Uplink, theirs, ours),
                uplink,
                "{theirs} to {ours}"
            );
            assert_eq!(
                check(Role::Peer, theirs, ours),
                peer,
                "{theirs} beside {ours}"
            );
            assert_eq!(
                check(Role::Client, theirs, ours),
                Ok(()),
                "{theirs} asks {ours}"
            );
            assert_eq!(check(Role::Other(9), theirs, ours), refused);
        }
    }
}
