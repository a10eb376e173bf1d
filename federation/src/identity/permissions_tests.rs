//! Tests of the table identity × frame kind: generated from the enums, judged by rules written
//! another way round.

use super::*;

const ENDS: [End; 2] = [End::Dialler, End::Acceptor];

fn roles() -> Vec<Role> {
    let mut roles = Role::ALL.to_vec();
    roles.push(Role::Other(999));
    roles
}

/// Every pair of identities and role, at both ends.
fn standings() -> Vec<Standing> {
    let mut standings = Vec::new();
    let diallers = [
        None,
        Some(Tier::Site),
        Some(Tier::Region),
        Some(Tier::Global),
    ];
    for dialler in diallers {
        for acceptor in Tier::ALL {
            for role in roles() {
                for sender in ENDS {
                    standings.push(Standing {
                        dialler,
                        acceptor,
                        role,
                        sender,
                    });
                }
            }
        }
    }
    standings
}

/// What each end may say, by role: the table as a reader would write it down.
fn words(role: Option<Role>, sender: End) -> &'static [&'static str] {
    match (role, sender) {
        (None, End::Dialler) => &["hello", "goodbye", "request", "item", "trailer"],
        (None, End::Acceptor) => &["welcome", "refuse", "goodbye", "item", "trailer"],
        (Some(Role::Uplink | Role::Peer), End::Dialler) => &[
            "hello",
            "heads",
            "origins",
            "revocations",
            "goodbye",
            "block",
            "request",
            "item",
            "trailer",
        ],
        (Some(Role::Uplink | Role::Peer), End::Acceptor) => &[
            "welcome",
            "refuse",
            "coverage",
            "coverage_end",
            "durable",
            "refused",
            "skipped",
            "throttle",
            "revocations",
            "goodbye",
            "request",
            "item",
            "trailer",
        ],
        (Some(Role::Client), End::Dialler) => &["hello", "goodbye", "request", "item", "trailer"],
        (Some(Role::Client), End::Acceptor) => &[
            "welcome",
            "refuse",
            "revocations",
            "goodbye",
            "block",
            "item",
            "trailer",
        ],
        (Some(Role::Other(_)), End::Dialler) => &["hello", "goodbye"],
        (Some(Role::Other(_)), End::Acceptor) => &["refuse", "goodbye"],
    }
}

fn is_link(dialler: Tier, acceptor: Tier, role: Role) -> bool {
    use Tier::{Global, Region, Site};
    let upwards = [
        (Site, Region),
        (Site, Global),
        (Region, Region),
        (Region, Global),
        (Global, Global),
    ];
    match role {
        Role::Uplink => upwards.contains(&(dialler, acceptor)),
        Role::Peer => [(Region, Region), (Global, Global)].contains(&(dialler, acceptor)),
        Role::Client => true,
        Role::Other(_) => false,
    }
}

#[test]
fn each_identity_sends_exactly_the_frames_of_its_row() {
    let mut pairs = 0;
    for standing in standings() {
        for kind in FrameKind::ALL {
            let role = standing.dialler.map(|_| standing.role);
            let row = words(role, standing.sender);
            let has_link = standing
                .dialler
                .is_none_or(|dialler| is_link(dialler, standing.acceptor, standing.role));
            let opens = ["hello", "refuse", "goodbye"].contains(&kind.name());
            let expected = row.contains(&kind.name()) && (has_link || opens);
            let verdict = may_send(standing, *kind);
            let is_allowed = verdict == Verdict::Allowed;
            assert_eq!(
                is_allowed,
                expected,
                "{standing:?} {}: {verdict:?}",
                kind.name()
            );
            pairs += 1;
        }
    }
    assert!(pairs >= 200, "{pairs} pairs of identity and action");
}

#[test]
fn each_word_of_the_table_is_a_frame_kind() {
    for role in [
        None,
        Some(Role::Uplink),
        Some(Role::Client),
        Some(Role::Other(1)),
    ] {
        for sender in ENDS {
            for word in words(role, sender) {
                let is_kind = FrameKind::ALL.iter().any(|kind| kind.name() == *word);
                assert!(is_kind, "{word}");
            }
        }
    }
}

#[test]
fn each_identity_asks_exactly_for_what_is_its_to_ask() {
    let mut requests = RequestKind::ALL.to_vec();
    requests.push(RequestKind::Other(999));
    for standing in standings() {
        let has_link = standing
            .dialler
            .is_none_or(|dialler| is_link(dialler, standing.acceptor, standing.role));
        for request in &requests {
            let by_dialler = standing.sender == End::Dialler;
            let expected = match request {
                RequestKind::SignCertificate => by_dialler,
                RequestKind::Subscribe => by_dialler && standing.dialler.is_some(),
                RequestKind::Replay => {
                    let carries = matches!(standing.role, Role::Uplink | Role::Peer);
                    !by_dialler && carries && standing.dialler.is_some()
                }
                RequestKind::Other(_) => false,
            };
            let verdict = may_request(standing, *request);
            let is_allowed = verdict == Verdict::Allowed;
            assert_eq!(
                is_allowed,
                expected && has_link,
                "{standing:?} {request}: {verdict:?}"
            );
        }
    }
}

#[test]
fn each_refusal_has_its_own_reason() {
    let standing = |dialler, acceptor, role, sender| Standing {
        dialler,
        acceptor,
        role,
        sender,
    };
    let rows = [
        (
            standing(Some(Tier::Region), Tier::Site, Role::Uplink, End::Dialler),
            FrameKind::Block,
            Forbidden::Tiers,
        ),
        (
            standing(Some(Tier::Site), Tier::Region, Role::Client, End::Dialler),
            FrameKind::Heads,
            Forbidden::Role,
        ),
        (
            standing(Some(Tier::Site), Tier::Region, Role::Uplink, End::Dialler),
            FrameKind::Durable,
            Forbidden::End,
        ),
        (
            standing(None, Tier::Region, Role::Uplink, End::Dialler),
            FrameKind::Block,
            Forbidden::Joining,
        ),
    ];
    let mut names = std::collections::BTreeSet::new();
    for (standing, kind, expected) in rows {
        assert_eq!(may_send(standing, kind), Verdict::Refused(expected));
        assert!(expected.to_string().len() > 20);
        names.insert(expected.name());
    }
    assert_eq!(names.len(), 4);
}
