//! Tests of `value`.

use super::*;
use proptest::prelude::*;

/// The varbind `1.3 = value` in BER, and `value` again from it.
fn round_trip(value: Value<'_>) -> Vec<u8> {
    let mut buffer = [0; 128];
    let mut writer = BackWriter::new(&mut buffer);
    value.write(&mut writer);
    let bytes = writer.finish().unwrap().to_vec();
    let (tag, contents) = Reader::new(&bytes).element().unwrap();
    assert_eq!(Value::from_ber(tag, contents), Ok(value));
    bytes
}

#[test]
fn each_type_has_the_bytes_of_the_standard() {
    let check = |value: Value<'_>, golden: &[u8]| {
        assert_eq!(round_trip(value), golden, "{value:?}");
    };
    check(Value::Null, &[0x05, 0]);
    check(Value::Integer(0), &[0x02, 1, 0]);
    check(Value::Integer(127), &[0x02, 1, 0x7f]);
    check(Value::Integer(128), &[0x02, 2, 0, 0x80]);
    check(Value::Integer(-1), &[0x02, 1, 0xff]);
    check(Value::Integer(-128), &[0x02, 1, 0x80]);
    check(Value::Integer(-129), &[0x02, 2, 0xff, 0x7f]);
    check(Value::Integer(i32::MIN), &[0x02, 4, 0x80, 0, 0, 0]);
    check(Value::Integer(i32::MAX), &[0x02, 4, 0x7f, 0xff, 0xff, 0xff]);
    check(Value::OctetString(b"sw1"), &[0x04, 3, b's', b'w', b'1']);
    check(Value::OctetString(b""), &[0x04, 0]);
    check(
        Value::ObjectId(OidRef::from_ber(&[0x2b, 6]).unwrap()),
        &[0x06, 2, 0x2b, 6],
    );
    check(
        Value::IpAddress([192, 0, 2, 1].into()),
        &[0x40, 4, 192, 0, 2, 1],
    );
    check(
        Value::Counter32(u32::MAX),
        &[0x41, 5, 0, 0xff, 0xff, 0xff, 0xff],
    );
    check(Value::Gauge32(128), &[0x42, 2, 0, 0x80]);
    check(Value::TimeTicks(0), &[0x43, 1, 0]);
    check(Value::Opaque(&[1, 2]), &[0x44, 2, 1, 2]);
    check(
        Value::OpaqueFloat(1.0),
        &[0x44, 7, 0x9f, 0x78, 4, 0x3f, 0x80, 0, 0],
    );
    check(
        Value::OpaqueDouble(1.0),
        &[0x44, 11, 0x9f, 0x79, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0],
    );
    check(
        Value::Counter64(u64::MAX),
        &[0x46, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    check(Value::Counter64(1 << 32), &[0x46, 5, 1, 0, 0, 0, 0]);
    check(Value::NoSuchObject, &[0x80, 0]);
    check(Value::NoSuchInstance, &[0x81, 0]);
    check(Value::EndOfMibView, &[0x82, 0]);
}

#[test]
fn forms_that_careless_agents_send_are_understood() {
    let check = |tag: u8, contents: &[u8], value: Value<'_>| {
        assert_eq!(Value::from_ber(tag, contents), Ok(value));
    };
    check(
        tag::COUNTER32,
        &[0xff, 0xff, 0xff, 0xff],
        Value::Counter32(u32::MAX),
    );
    check(
        tag::GAUGE32,
        &[0, 0, 0, 0, 0, 0, 0, 0, 7],
        Value::Gauge32(7),
    );
    check(tag::COUNTER64, &[0xff; 8], Value::Counter64(u64::MAX));
    check(tag::INTEGER, &[0, 0, 0, 0, 0, 0, 0, 5], Value::Integer(5));
    check(tag::INTEGER, &[0xff; 8], Value::Integer(-1));
    check(
        tag::OPAQUE,
        &[0x9f, 0x78, 4, 1],
        Value::Opaque(&[0x9f, 0x78, 4, 1]),
    );
}

#[test]
fn a_value_that_its_type_cannot_hold_is_refused() {
    let check = |tag: u8, contents: &[u8], error: BerError| {
        assert_eq!(Value::from_ber(tag, contents), Err(error));
    };
    for tag in [
        tag::INTEGER,
        tag::COUNTER32,
        tag::GAUGE32,
        tag::TIME_TICKS,
        tag::COUNTER64,
    ] {
        check(tag, &[], BerError::BadInteger { tag, octets: 0 });
    }
    let octets = 5;
    check(
        tag::INTEGER,
        &[1, 0, 0, 0, 0],
        BerError::BadInteger {
            tag: tag::INTEGER,
            octets,
        },
    );
    check(
        tag::COUNTER32,
        &[1; 5],
        BerError::BadInteger {
            tag: tag::COUNTER32,
            octets,
        },
    );
    let tag = tag::COUNTER64;
    check(tag, &[1; 9], BerError::BadInteger { tag, octets: 9 });
    let tag = tag::IP_ADDRESS;
    check(
        tag,
        &[1; 16],
        BerError::BadSize {
            tag,
            octets: 16,
            expected: 4,
        },
    );
    for tag in [
        tag::NULL,
        tag::NO_SUCH_OBJECT,
        tag::NO_SUCH_INSTANCE,
        tag::END_OF_MIB_VIEW,
    ] {
        check(
            tag,
            &[0],
            BerError::BadSize {
                tag,
                octets: 1,
                expected: 0,
            },
        );
    }
    check(0x47, &[], BerError::UnknownValue { tag: 0x47 });
    check(
        tag::OBJECT_IDENTIFIER,
        &[0x81],
        BerError::BadOid { octets: 1 },
    );
}

#[test]
fn a_bad_value_costs_its_own_varbind_alone() {
    let list = [
        0x30, 6, 0x06, 1, 0x2b, 0x02, 1, 1, // 1.3 = 1
        0x30, 5, 0x06, 1, 0x2b, 0x02, 0, // 1.3 = an integer of no octets
        0x30, 6, 0x06, 1, 0x2b, 0x02, 1, 3, // 1.3 = 3
        0x31, 0, // no varbind: nothing after it can be trusted
        0x30, 6, 0x06, 1, 0x2b, 0x02, 1, 4,
    ];
    let read: Vec<_> = Varbinds::new(&list)
        .map(|item| item.map(|bind| bind.value))
        .collect();
    let tag = tag::INTEGER;
    let expected = [
        Ok(Value::Integer(1)),
        Err(BerError::BadInteger { tag, octets: 0 }),
        Ok(Value::Integer(3)),
        Err(BerError::UnexpectedTag {
            expected: tag::SEQUENCE,
            found: 0x31,
        }),
    ];
    assert_eq!(read, expected);
}

#[test]
fn only_numbers_without_sign_are_unsigned() {
    let check = |value: Value<'_>, number: Option<u64>| assert_eq!(value.as_u64(), number);
    check(Value::Counter64(u64::MAX), Some(u64::MAX));
    check(Value::TimeTicks(5), Some(5));
    check(Value::Integer(5), Some(5));
    check(Value::Integer(-5), None);
    check(Value::OctetString(b"5"), None);
    assert!(Value::EndOfMibView.is_exception());
    assert!(!Value::Null.is_exception());
}

proptest! {
    #[test]
    fn numbers_survive_encoding(signed: i32, narrow: u32, wide: u64, shift in 0..64_u32) {
        round_trip(Value::Integer(signed));
        round_trip(Value::Integer(signed >> (shift / 2)));
        round_trip(Value::Counter32(narrow));
        round_trip(Value::Gauge32(narrow >> (shift / 2)));
        round_trip(Value::TimeTicks(narrow));
        round_trip(Value::Counter64(wide >> shift));
    }

    #[test]
    fn octets_survive_encoding(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
        round_trip(Value::OctetString(&octets));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for bind in Varbinds::new(&bytes).flatten() {
            prop_assert!(bind.name.to_string().len() < 2_000);
        }
    }
}
