//! Proof of `codec`: golden bytes, round trip, and that hostile bytes are refused before they cost.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

const LIMIT: usize = 4_096;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Sample {
    Empty,
    Pair { name: String, value: i64 },
    Many(BTreeMap<String, Vec<u8>>),
}

fn encoded(value: &Sample) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::<LIMIT>(Kind::TEST, 1, value, &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<(Sample, &[u8]), DecodeError> {
    decode::<Sample, LIMIT>(Kind::TEST, 1, bytes)
}

/// An envelope around any body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut fields = vec![0x00, 0xff, 1, 0];
    fields.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    let sum = checksum(&fields, body).to_le_bytes();
    [&MAGIC[..], &fields, &sum, body].concat()
}

#[test]
fn the_bytes_of_version_1_stay_what_they_are() {
    let bytes = encoded(&Sample::Pair {
        name: "if".into(),
        value: -3,
    });
    let golden = [
        0x4f, 0x43, 0x4c, 0x31, // magic
        0x00, 0xff, // kind
        0x01, 0x00, // version
        0x05, 0x00, 0x00, 0x00, // length
        0x2d, 0x8e, 0x9a, 0x7f, // crc32c
        0x01, 0x02, b'i', b'f', 0x05, // variant, length, text, zigzag −3
    ];
    assert_eq!(bytes, golden, "{bytes:02x?}");
}

#[test]
fn each_fault_of_an_envelope_is_told_apart() {
    let good = encoded(&Sample::Pair {
        name: "x".repeat(20),
        value: 1,
    });
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    };
    check(&|bytes| bytes.truncate(15), "15 bytes of 16");
    check(&|bytes| bytes.truncate(30), "30 bytes of 39");
    check(&|bytes| bytes[0] = 0, "begin no message");
    check(&|bytes| bytes[11] = 1, "the limit");
    check(&|bytes| *bytes.last_mut().unwrap() ^= 1, "checksum");
    check(&|bytes| bytes[6] = 2, "checksum");
    check(&|bytes| *bytes = sealed(&[9]), "does not decode");
    check(&|bytes| *bytes = sealed(&[0, 0]), "1 bytes too many");
    let other = decode::<Sample, LIMIT>(Kind::CURSORS, 1, &good)
        .unwrap_err()
        .to_string();
    assert!(other.contains("expected kind 7 version 1"), "{other}");
}

#[test]
fn a_value_beyond_its_limit_is_not_written() {
    let mut bytes = vec![7];
    let value = Sample::Pair {
        name: "x".repeat(LIMIT),
        value: 1,
    };
    let error = encode::<LIMIT>(Kind::TEST, 1, &value, &mut bytes).unwrap_err();
    assert!(
        matches!(
            error,
            EncodeError::TooLarge {
                bytes_max: LIMIT,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(bytes, [7]);
}

#[test]
fn a_value_that_bincode_cannot_hold_is_not_written() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serde::ser::SerializeSeq::end(serializer.serialize_seq(None)?)
        }
    }
    let error = encode::<LIMIT>(Kind::TEST, 1, &Endless, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, EncodeError::Shape { .. }), "{error}");
}

#[test]
fn a_claimed_length_of_terabytes_is_refused_before_it_is_allocated() {
    // Variant 2 (a map), then 2^40 as a varint: 0xfd and eight bytes.
    let body = [2, 0xfd, 0, 0, 0, 0, 0, 1, 0, 0];
    let error = read(&sealed(&body)).unwrap_err();
    assert!(matches!(error, DecodeError::Body { .. }), "{error}");
}

#[test]
fn messages_follow_one_another() {
    let mut bytes = encoded(&Sample::Empty);
    bytes.extend(encoded(&Sample::Many(BTreeMap::from([(
        "k".into(),
        vec![1, 2],
    )]))));
    let (first, rest) = read(&bytes).unwrap();
    let (second, rest) = read(rest).unwrap();
    assert_eq!((first, rest.len()), (Sample::Empty, 0));
    assert!(matches!(second, Sample::Many(_)));
}

proptest! {
    #[test]
    fn any_value_comes_back(name in "\\PC{0,40}", value: i64, bytes: Vec<u8>) {
        let many = Sample::Many(BTreeMap::from([(name.clone(), bytes)]));
        for value in [Sample::Pair { name, value }, many, Sample::Empty] {
            let bytes = encoded(&value);
            prop_assert_eq!(read(&bytes).unwrap(), (value, &[][..]));
        }
    }

    #[test]
    fn a_message_cut_or_flipped_anywhere_is_refused(at in 0usize..39, bit in 0u8..8) {
        let good = encoded(&Sample::Pair { name: "x".repeat(20), value: 1 });
        prop_assert!(read(&good[..at]).is_err());
        let mut flipped = good;
        flipped[at] ^= 1 << bit;
        prop_assert!(read(&flipped).is_err());
    }

    #[test]
    fn no_body_makes_the_decoder_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok((value, _)) = read(&sealed(&body)) {
            prop_assert_eq!(read(&encoded(&value)).unwrap().0, value);
        }
    }
}
