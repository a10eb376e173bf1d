//! Tests of when to renew and when to warn.

use super::*;
use crate::identity::authority::DAY_MS;
use crate::identity::{NodeIdentity, Serial, SiteScope, Tier};

fn peer(days: i64) -> PeerIdentity {
    PeerIdentity {
        identity: NodeIdentity::new("m", Tier::Site, "s", "n").unwrap(),
        scope: SiteScope::of_site("s"),
        serial: Serial::from_bytes(&[1]).unwrap(),
        issuer: [0; 32],
        not_before_ms: 0,
        not_after_ms: days * DAY_MS,
        fingerprint: [0; 32],
    }
}

#[test]
fn a_certificate_is_renewed_from_two_thirds_of_its_life() {
    let peer = peer(90);
    for (day, expected) in [(0, false), (59, false), (60, true), (90, true), (100, true)] {
        assert_eq!(
            is_renewal_due(&peer, WallMs(day * DAY_MS)),
            expected,
            "day {day}"
        );
    }
    assert!(!is_renewal_due(&peer, WallMs(60 * DAY_MS - 1)));
    assert_eq!(renewal_at(&peer), WallMs(60 * DAY_MS));
}

#[test]
fn an_end_is_told_from_fourteen_days_before() {
    let peer = peer(90);
    let day = Duration::from_secs(86_400);
    let rows = [
        (-1, Validity::NotYet { begins_in: day }),
        (
            0,
            Validity::Sound {
                expires_in: 90 * day,
            },
        ),
        (
            75,
            Validity::Sound {
                expires_in: 15 * day,
            },
        ),
        (
            76,
            Validity::EndsSoon {
                expires_in: 14 * day,
            },
        ),
        (89, Validity::EndsSoon { expires_in: day }),
        (
            90,
            Validity::Expired {
                since: Duration::ZERO,
            },
        ),
        (91, Validity::Expired { since: day }),
    ];
    for (at, expected) in rows {
        assert_eq!(
            Validity::of(&peer, WallMs(at * DAY_MS)),
            expected,
            "day {at}"
        );
    }
    assert_eq!(
        Validity::expires_in_seconds(&peer, WallMs(91 * DAY_MS)),
        -86_400
    );
    assert_eq!(
        Validity::expires_in_seconds(&peer, WallMs(89 * DAY_MS)),
        86_400
    );
}
