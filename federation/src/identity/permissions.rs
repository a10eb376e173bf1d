//! Who may send which frame: the table identity × frame kind, closed.
//!
//! Does: judge each frame by the tiers of both ends, the role of the link and the sender's end of
//! it. Does not: look into frames (`ingest` checks each record against the scope).
//! In: [`Standing`] and a kind. Out: [`Verdict`].
//! Default is refusal; `match` has no wildcard over kinds and roles, so that a new frame kind, role
//! or request without a row does not compile.

use ocelli_model::tier::Tier;

use crate::frame::{FrameKind, RequestKind, Role};

/// Which end of a link sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Who opened the connection.
    Dialler,
    /// Who took it.
    Acceptor,
}

/// As what a sender stands on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Tier of the dialler's certificate; `None`: it has a join token only.
    pub dialler: Option<Tier>,
    /// Tier of the acceptor's certificate.
    pub acceptor: Tier,
    /// What the dialler's Hello wants.
    pub role: Role,
    /// Which of both sends.
    pub sender: End,
}

/// Whether a frame may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not: the frame is refused and counted under the reason.
    Refused(Forbidden),
}

/// Why a frame or link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// Data flows to the same tier or upwards, never to a site, and copies within one tier.
    #[error("these tiers have no such link; data goes upwards, peers copy within one tier")]
    Tiers,
    /// The role of the link does not have this frame.
    #[error("a link of this role does not carry the frame; open one of another role")]
    Role,
    /// The other end sends this frame.
    #[error("this end of a link does not send the frame; upgrade the older of the two nodes")]
    End,
    /// A node without a certificate asks for one and does nothing else.
    #[error("a node without a certificate may only ask for one; join first")]
    Joining,
}

impl Forbidden {
    /// Its name in metrics and audits.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiers => "tiers",
            Self::Role => "role",
            Self::End => "end",
            Self::Joining => "joining",
        }
    }
}

/// Whether a dialler of this tier may open a link of this role to an acceptor.
///
/// Uplink: to any tier from the own one upwards but not to a site (tiers may be skipped or
/// repeated). Peer: within one tier, not between sites (their nodes are a cluster). Client: to
/// anyone of the mesh.
#[must_use]
pub const fn may_link(dialler: Tier, acceptor: Tier, role: Role) -> Verdict {
    let is_allowed = match role {
        Role::Uplink => !matches!(acceptor, Tier::Site) && rank(dialler) <= rank(acceptor),
        Role::Peer => !matches!(acceptor, Tier::Site) && rank(dialler) == rank(acceptor),
        Role::Client => true,
        Role::Other(_) => return Verdict::Refused(Forbidden::Role),
    };
    if is_allowed {
        Verdict::Allowed
    } else {
        Verdict::Refused(Forbidden::Tiers)
    }
}

/// Whether this sender may send a frame of this kind on this link.
#[must_use]
pub const fn may_send(standing: Standing, kind: FrameKind) -> Verdict {
    let Some(dialler) = standing.dialler else {
        return joining(standing.sender, kind);
    };
    let link = may_link(dialler, standing.acceptor, standing.role);
    let carries_data = matches!(standing.role, Role::Uplink | Role::Peer);
    let by_dialler = matches!(standing.sender, End::Dialler);
    match kind {
        // The way to say why there is no link is open even where there is none.
        FrameKind::Hello => end(by_dialler),
        FrameKind::Refuse => end(!by_dialler),
        FrameKind::Goodbye => Verdict::Allowed,
        FrameKind::Welcome => both(link, end(!by_dialler)),
        FrameKind::Coverage
        | FrameKind::CoverageEnd
        | FrameKind::Durable
        | FrameKind::Refused
        | FrameKind::Skipped
        | FrameKind::Throttle => both(link, both(role(carries_data), end(!by_dialler))),
        FrameKind::Heads | FrameKind::Origins => {
            both(link, both(role(carries_data), end(by_dialler)))
        }
        // Signed by the authority: who hands it on does not matter. Clients have nothing to say.
        FrameKind::Revocations => both(link, role(carries_data || !by_dialler)),
        // Data goes up: from whoever dialled to send it. Clients get it as an answer.
        FrameKind::Block => both(link, end(carries_data == by_dialler)),
        FrameKind::Request => both(link, role(carries_data || by_dialler)),
        FrameKind::Item | FrameKind::Trailer => link,
    }
}

/// Whether this sender may ask for this on a request stream.
#[must_use]
pub const fn may_request(standing: Standing, request: RequestKind) -> Verdict {
    let by_dialler = matches!(standing.sender, End::Dialler);
    match (may_send(standing, FrameKind::Request), request) {
        (Verdict::Refused(forbidden), _) => Verdict::Refused(forbidden),
        // Certificates are asked of the tier above, with a token or with the valid one.
        (Verdict::Allowed, RequestKind::SignCertificate) => end(by_dialler),
        (Verdict::Allowed, _) if standing.dialler.is_none() => Verdict::Refused(Forbidden::Joining),
        // Who dialled reads; who takes data does not read back what it did not get.
        (Verdict::Allowed, RequestKind::Subscribe) => end(by_dialler),
        // Of the sender of data, by its receiver.
        (Verdict::Allowed, RequestKind::Replay) => end(!by_dialler),
        (Verdict::Allowed, RequestKind::Other(_)) => Verdict::Refused(Forbidden::Role),
    }
}

/// The rows of a node that has a token and no certificate.
const fn joining(sender: End, kind: FrameKind) -> Verdict {
    let by_dialler = matches!(sender, End::Dialler);
    match kind {
        FrameKind::Hello | FrameKind::Request => end(by_dialler),
        FrameKind::Welcome | FrameKind::Refuse => end(!by_dialler),
        FrameKind::Goodbye | FrameKind::Item | FrameKind::Trailer => Verdict::Allowed,
        FrameKind::Coverage
        | FrameKind::CoverageEnd
        | FrameKind::Durable
        | FrameKind::Refused
        | FrameKind::Skipped
        | FrameKind::Throttle
        | FrameKind::Heads
        | FrameKind::Origins
        | FrameKind::Revocations
        | FrameKind::Block => Verdict::Refused(Forbidden::Joining),
    }
}

const fn rank(tier: Tier) -> u8 {
    match tier {
        Tier::Site => 0,
        Tier::Region => 1,
        Tier::Global => 2,
    }
}

const fn end(is_right: bool) -> Verdict {
    if is_right {
        Verdict::Allowed
    } else {
        Verdict::Refused(Forbidden::End)
    }
}

const fn role(is_right: bool) -> Verdict {
    if is_right {
        Verdict::Allowed
    } else {
        Verdict::Refused(Forbidden::Role)
    }
}

const fn both(first: Verdict, second: Verdict) -> Verdict {
    match first {
        Verdict::Allowed => second,
        Verdict::Refused(_) => first,
    }
}

#[cfg(test)]
#[path = "permissions_tests.rs"]
mod tests;
