//! Tests of `oid`.

use super::*;
use proptest::prelude::*;

fn encoded(text: &str) -> EncodedOid {
    EncodedOid::new(&text.parse().unwrap()).unwrap()
}

#[test]
fn arcs_survive_encoding_whatever_their_size() {
    let check = |text: &str, ber: &[u8]| {
        let encoded = encoded(text);
        assert_eq!(encoded.as_oid_ref().as_ber(), ber, "{text}");
        let read = OidRef::from_ber(ber).unwrap();
        assert_eq!(read.to_string(), text);
        assert!(read.is(&text.parse().unwrap()), "{text}");
    };
    check("0.0", &[0]);
    check("1.3.6.1", &[0x2b, 6, 1]);
    check("1.39", &[79]);
    check("2.0", &[80]);
    check("2.47", &[127]);
    check("2.48", &[0x81, 0x00]);
    check("2.999.3", &[0x88, 0x37, 3]);
    check(
        "1.3.127.128.16383.16384",
        &[0x2b, 127, 0x81, 0, 0xff, 0x7f, 0x81, 0x80, 0],
    );
    check("1.3.4294967295", &[0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]);
}

#[test]
fn an_oid_that_ber_cannot_hold_is_refused_by_name() {
    let check = |text: &str| {
        let error = EncodedOid::new(&text.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    };
    check("3.1");
    check("1.40.1");
    check("0.40");
    check("2.4294967295");
    assert_eq!(encoded("1").as_oid_ref().to_string(), "1.0");
}

#[test]
fn malformed_oids_are_refused() {
    let check = |name: &str, ber: &[u8]| {
        let octets = ber.len();
        assert_eq!(
            OidRef::from_ber(ber),
            Err(BerError::BadOid { octets }),
            "{name}"
        );
    };
    check("cut off", &[0x2b, 0x81]);
    check("padded", &[0x2b, 0x80, 1]);
    check("33 bits", &[0x2b, 0x90, 0x80, 0x80, 0x80, 0]);
    check("six octets", &[0x2b, 0x81, 0x80, 0x80, 0x80, 0x80, 0]);
    check("129 arcs", &[1; 128]);
    assert_eq!(OidRef::from_ber(&[1; 127]).unwrap().arcs().count(), 128);
    assert_eq!(OidRef::from_ber(&[]).unwrap().arcs().count(), 0);
}

#[test]
fn an_index_is_cut_off_arc_by_arc() {
    let check = |name: &str, prefix: &str, index: Option<&str>| {
        let (name, prefix) = (encoded(name), encoded(prefix));
        let found = name.as_oid_ref().index_under(prefix.as_oid_ref());
        assert_eq!(
            found.map(|index| index.to_string()).as_deref(),
            index,
            "{name:?} {prefix:?}"
        );
    };
    check("1.3.6.1.10.7", "1.3.6.1.10", Some("7"));
    check("1.3.6.1.10.7", "1.3.6.1.1", None);
    check("1.3.6.1.300.7", "1.3.6.1.300", Some("7"));
    check("1.3.6.1.300.7", "1.3.6.1.2", None);
    check("1.3.6.1", "1.3.6.1", Some(""));
    check("1.3.6", "1.3.6.1", None);
    check("1.3.6.1.5.4294967295.9", "1.3.6.1.5", Some("4294967295.9"));
}

#[test]
fn only_an_index_of_one_arc_is_single() {
    let check = |index: &str, single: Option<u32>| {
        let name = encoded(&format!("1.3.6{index}"));
        let prefix = encoded("1.3.6");
        let index = name.as_oid_ref().index_under(prefix.as_oid_ref()).unwrap();
        assert_eq!(index.single(), single, "{index}");
    };
    check("", None);
    check(".7", Some(7));
    check(".700000", Some(700_000));
    check(".7.8", None);
    check(".700.8", None);
}

#[test]
fn arcs_that_do_not_fit_the_buffer_are_not_cut() {
    let oid = encoded("1.3.6.1");
    let mut four = [0; 4];
    assert_eq!(
        oid.as_oid_ref().write_arcs(&mut four),
        Some(&[1, 3, 6, 1][..])
    );
    assert_eq!(oid.as_oid_ref().write_arcs(&mut four[..3]), None);
}

#[test]
fn an_instance_is_its_column_and_its_index() {
    let (mut built, other) = (EncodedOid::default(), encoded("1.3.6.2.900"));
    let (column, base) = (encoded("1.3.6.1.4"), encoded("1.3.6.2"));
    let index = other.as_oid_ref().index_under(base.as_oid_ref()).unwrap();
    built.set_instance(column.as_oid_ref(), index);
    assert_eq!(built, encoded("1.3.6.1.4.900"));
    built.set(column.as_oid_ref());
    built.push(70_000);
    assert_eq!(built, encoded("1.3.6.1.4.70000"));
}

fn any_oid() -> impl Strategy<Value = Oid> {
    let arc = prop_oneof![0..130_u32, any::<u32>()];
    let head = prop_oneof![(0..2_u32, 0..40_u32), (Just(2), 0..u32::MAX - 80)];
    (head, proptest::collection::vec(arc, 0..12)).prop_map(|((first, second), rest)| {
        let arcs = [&[first, second], &rest[..]].concat();
        Oid::from_arcs(&arcs).unwrap()
    })
}

proptest! {
    #[test]
    fn encoding_then_decoding_changes_nothing(oid in any_oid()) {
        let encoded = EncodedOid::new(&oid).unwrap();
        let read = OidRef::from_ber(encoded.as_oid_ref().as_ber()).unwrap();
        prop_assert_eq!(read.to_oid(), oid);
    }

    #[test]
    fn bytes_order_as_arcs_do(left in any_oid(), right in any_oid()) {
        let (left_ber, right_ber) =
            (EncodedOid::new(&left).unwrap(), EncodedOid::new(&right).unwrap());
        prop_assert_eq!(left_ber.as_oid_ref().cmp(&right_ber.as_oid_ref()), left.cmp(&right));
    }

    #[test]
    fn whatever_is_accepted_encodes_to_the_same_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        if let Ok(read) = OidRef::from_ber(&bytes) {
            let again = EncodedOid::new(&read.to_oid()).unwrap();
            prop_assert_eq!(again.as_oid_ref().as_ber(), &bytes[..]);
        }
    }
}

#[test]
fn a_step_is_taken_only_to_a_greater_last_arc_of_the_same_parent() {
    let check = |from: &str, to: &str, expected: bool| {
        let (mut from, to) = (encoded(from), encoded(to));
        let before = from.clone();
        assert_eq!(from.step_to(to.as_oid_ref()), expected, "{before:?} {to:?}");
        let after = if expected { &to } else { &before };
        assert_eq!(&from, after);
    };
    check("1.3.6.1.2.1.2.2.1.1.7", "1.3.6.1.2.1.2.2.1.1.8", true);
    check("1.3.6.1.2.1.2.2.1.1.7", "1.3.6.1.2.1.2.2.1.1.7", false);
    check("1.3.6.1.2.1.2.2.1.1.7", "1.3.6.1.2.1.2.2.1.1.6", false);
    check("1.3.6.1.2.1.2.2.1.1.7", "1.3.6.1.2.1.2.2.1.2.8", false);
    check("1.3.6.1.2.1.2.2.1.1.7", "1.3.6.1.2.1.2.3.1.1.8", false);
    check("1.3.6.1.2.1.2.2.1.1.127", "1.3.6.1.2.1.2.2.1.1.128", false);
    check("1.3.6.1.2.1.2.2.1.1.128", "1.3.6.1.2.1.2.2.1.1.129", true);
    check("1.3.6.1", "1.3.6.2", true);
    check(
        "1.3.6.1.2.1.2.2.1.1.7.1.1.1.1.1.1.1.1.1",
        "1.3.6.1.2.1.2.2.1.1.7.1.1.1.1.1.1.1.1.2",
        true,
    );
    check(
        "1.3.6.1.2.1.2.2.1.1.7.1.1.1.1.1.1.1.1.1",
        "1.3.6.1.2.1.2.2.1.1.8.1.1.1.1.1.1.1.1.2",
        false,
    );
}

#[test]
fn short_and_long_names_are_equal_by_their_octets_and_change_into_each_other() {
    let long = "1.3.6.1.2.1.4.34.1.3.2.16.254.128.0.0.0.0.0.0.2.0.94.255.254.0.1.1.1.1.1.1.1.1.1.1";
    let short = "1.3.6.1.2.1.2.2.1.1.7";
    let mut changing = encoded(short);
    for text in [long, short, long, long, short] {
        changing.set(encoded(text).as_oid_ref());
        assert_eq!(changing, encoded(text));
        assert_eq!(changing.as_oid_ref().to_string(), text);
    }
    let mut stepping = encoded(long);
    let next = encoded(&long.replace(".1.1.1.1.1.1.1.1.1.1", ".1.1.1.1.1.1.1.1.1.2"));
    assert!(stepping.step_to(next.as_oid_ref()));
    assert_eq!(stepping, next);
}
