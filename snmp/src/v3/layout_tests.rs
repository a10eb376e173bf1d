//! Tests of `layout`.

use super::*;

/// A discovery message by hand; `patch` changes one octet.
fn discovery(patch: Option<(usize, u8)>) -> Vec<u8> {
    let mut message = vec![
        0x30, 62, 0x02, 1, 3, // version at 4
        0x30, 15, 0x02, 2, 0x7f, 1, 0x02, 3, 0, 0xff, 0xe3, // id, size (tag at 11)
        0x04, 1, 4, 0x02, 1, 3, // flags at 18, model at 21
        0x04, 22, 0x30, 20, 0x04, 5, 0x80, 0, 0, 0, 1, 0x02, 1, 7, // engine, boots at 35
        0x02, 1, 9, 0x04, 1, b'u', 0x04, 0, 0x04, 0, // time at 38, user, signature, salt
        0x30, 17, 0x04, 0, 0x04, 0, 0xa0, 11, // scoped PDU (tag at 46)
        0x02, 1, 1, 0x02, 1, 0, 0x02, 1, 0, 0x30, 0,
    ];
    message[1] = u8::try_from(message.len() - 2).unwrap();
    if let Some((place, octet)) = patch {
        message[place] = octet;
    }
    message
}

#[test]
fn the_parts_are_where_they_stand() {
    let message = discovery(None);
    let layout = Layout::decode(&message).unwrap();
    assert_eq!(
        (layout.id, layout.max_size, layout.boots, layout.time),
        (0x7f01, 65_507, 7, 9)
    );
    assert_eq!(
        (layout.level, layout.is_reportable),
        (SecurityLevel::NoAuthNoPriv, true)
    );
    assert_eq!(layout.engine_id(&message), [0x80, 0, 0, 0, 1]);
    assert_eq!(layout.user(&message), b"u");
    assert_eq!(layout.body, 46..message.len());
    assert_eq!(id_of(&message), Ok(0x7f01));
    assert_eq!(
        layout.engine_id(&message[..20]),
        b"",
        "another datagram does not panic"
    );
}

#[test]
fn any_maximum_size_is_accepted() {
    let check = |octets: [u8; 3], size: u32| {
        let mut message = discovery(None);
        message[13..16].copy_from_slice(&octets);
        assert_eq!(Layout::decode(&message).unwrap().max_size, size);
    };
    check([0, 0, 0], 0);
    check([0x7f, 0xff, 0xff], 0x7f_ffff);
    check([0xff, 0xff, 0xff], u32::MAX);
}

#[test]
fn frames_that_are_wrong_say_why() {
    let check = |place: usize, octet: u8, error: LayoutError| {
        let message = discovery(Some((place, octet)));
        assert_eq!(Layout::decode(&message), Err(error), "{place}");
    };
    check(
        0,
        0x31,
        LayoutError::Ber(BerError::UnexpectedTag {
            expected: 0x30,
            found: 0x31,
        }),
    );
    check(4, 1, LayoutError::NotV3 { number: 1 });
    check(21, 2, LayoutError::UnknownSecurityModel { model: 2 });
    check(18, 2, LayoutError::BadFlags);
    check(35, 0xff, LayoutError::NegativeTime);
    check(38, 0x80, LayoutError::NegativeTime);
    check(46, 0x04, LayoutError::BadScopedPdu);
    check(18, 7, LayoutError::BadScopedPdu);
    assert_eq!(
        id_of(&discovery(Some((4, 0)))),
        Err(LayoutError::NotV3 { number: 0 })
    );
}

#[test]
fn no_cut_and_no_changed_octet_makes_it_panic() {
    let message = discovery(None);
    for length in 0..message.len() {
        assert!(Layout::decode(&message[..length]).is_err(), "{length}");
    }
    for place in 0..message.len() {
        for octet in 0..=255 {
            let changed = discovery(Some((place, octet)));
            if let Ok(layout) = Layout::decode(&changed) {
                assert!(layout.body.end <= changed.len());
            }
        }
    }
}
