//! Proof of the codec: round trips, limits before allocation, refusals that name what is wrong.

use ocelli_bus::record::{Seq, StreamId};
use ocelli_bus::{RANGES_MAX, SeqRange, SeqRanges};
use ocelli_model::clock::WallMs;
use proptest::prelude::*;

use super::super::golden_tests::{controls, hello};
use super::*;
use crate::frame::{CONTROL_BYTES_MAX, Features, RefusedReason, RequestKind, Role, VersionRange};

fn split(bytes: &[u8]) -> (FrameHead, &[u8]) {
    let (head, payload) = bytes.split_first_chunk::<HEAD_BYTES>().unwrap();
    (FrameHead::read(*head).unwrap(), payload)
}

fn read(bytes: &[u8]) -> Result<Control, FrameError> {
    match split(bytes) {
        (FrameHead::Known { kind, .. }, payload) => decode_control(kind, payload),
        (FrameHead::Unknown { .. }, _) => panic!("unknown"),
    }
}

/// A frame of a kind around any value.
fn forged(kind: FrameKind, value: &impl Serialize) -> Vec<u8> {
    frame(kind, value).unwrap().to_vec()
}

#[test]
fn heads_are_judged_before_a_payload_is_read() {
    let check = |head: [u8; 8], expected: Result<FrameHead, &str>| match FrameHead::read(head) {
        Ok(found) => assert_eq!(Ok(found), expected),
        Err(error) => {
            let text = error.to_string();
            let part = expected.unwrap_err();
            assert!(text.contains(part), "{part}: {text}");
        }
    };
    let known = FrameHead::Known {
        kind: FrameKind::Heads,
        payload_bytes: 258,
    };
    check([2, 1, 0, 0, 9, 0, 1, 0], Ok(known));
    check([2, 1, 0, 0, 9, 0x0f, 1, 0], Ok(known));
    let unknown = FrameHead::Unknown {
        kind: 99,
        payload_bytes: 1,
    };
    check([1, 0, 0, 0, 99, 0, 7, 0], Ok(unknown));
    check(
        [0xff, 0xff, 0xff, 0xff, 99, 0, 1, 0],
        Err("unknown claims 4294967295"),
    );
    check([0, 0, 4, 0x10, 9, 0, 1, 0], Err("heads claims"));
    check([1, 0x20, 0, 0, 1, 0, 1, 0], Err("hello claims 8193"));
    check(
        [0, 0, 0, 0, 9, 0, 2, 0],
        Err("heads has version 2, this node reads 1"),
    );
    check([0, 0, 0, 0, 9, 0x10, 1, 0], Err("critical flags 0x10"));
    check([0, 0, 0, 0, 99, 0x80, 1, 0], Err("critical flags 0x80"));
}

#[test]
fn every_kind_has_one_number_a_limit_and_one_place() {
    for (place, kind) in FrameKind::ALL.iter().enumerate() {
        assert_eq!(FrameKind::from_number(kind.number()), Some(*kind));
        assert_eq!(kind.index(), place);
        let limit = kind.payload_bytes_max();
        assert!(encode_head(*kind, limit).is_ok());
        assert!(encode_head(*kind, limit + 1).is_err(), "{}", kind.name());
    }
    let talk = FrameKind::ALL
        .iter()
        .filter(|kind| kind.is_control())
        .count();
    assert_eq!(talk, 10);
}

#[test]
fn values_beyond_their_limits_are_refused_by_writer_and_reader() {
    let mut long = hello();
    long.node = "n".repeat(256);
    let heads = |count: u64| -> Vec<_> {
        let head = |seq| StreamHead {
            stream: StreamId::data(OriginId(1)),
            highest: Seq(seq),
            time: WallMs(0),
        };
        (0..count).map(head).collect()
    };
    let coverage = |streams: usize, ranges: u64| -> Vec<_> {
        let pairs: Vec<_> = (0..ranges)
            .map(|range| (range * 3 + 1, range * 3 + 1))
            .collect();
        let one = StreamCoverage {
            stream: StreamId::data(OriginId(1)),
            ranges: SeqRanges::from(pairs),
            head: None,
        };
        vec![one; streams]
    };
    let list = vec![0_u8; CONTROL_BYTES_MAX - 100];
    let rows: [(&str, Control, Vec<u8>); 5] = [
        (
            "node",
            Control::Hello(long.clone()),
            forged(FrameKind::Hello, &long),
        ),
        (
            "streams",
            Control::Heads(heads(1_025)),
            forged(FrameKind::Heads, &heads(1_025)),
        ),
        (
            "streams",
            Control::Coverage(coverage(65, 1)),
            forged(FrameKind::Coverage, &coverage(65, 1)),
        ),
        (
            "ranges",
            Control::Coverage(coverage(9, 1_000)),
            forged(FrameKind::Coverage, &coverage(9, 1_000)),
        ),
        (
            "bytes",
            Control::Revocations(list.clone()),
            forged(FrameKind::Revocations, &list),
        ),
    ];
    for (field, control, bytes) in rows {
        let error = encode_control(&control).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
        assert!(read(&bytes).is_err(), "{field}");
    }
}

#[test]
fn ranges_and_lanes_that_no_honest_peer_sends_are_refused() {
    // (origin, lane), ranges, head: the shape of a stream's coverage.
    type Shape = Vec<((u128, u8), Vec<(u64, u64)>, Option<(u64, u64, u32)>)>;
    let check = |name: &str, lane: u8, ranges: Vec<(u64, u64)>, is_sound: bool| {
        let value: Shape = vec![((1, lane), ranges, None)];
        let bytes = forged(FrameKind::Coverage, &value);
        assert_eq!(read(&bytes).is_ok(), is_sound, "{name}");
    };
    check("sound", 1, vec![(1, 2), (4, 4)], true);
    check("none", 0, vec![], true);
    check("lane 2", 2, vec![], false);
    check("from zero", 0, vec![(0, 2)], false);
    check("upside down", 0, vec![(5, 2)], false);
    check("overlapping", 0, vec![(1, 5), (5, 9)], false);
    check("adjacent", 0, vec![(1, 5), (6, 9)], false);
    check("descending", 0, vec![(7, 8), (1, 2)], false);
    check("to the end of numbers", 0, vec![(1, u64::MAX)], true);
    check(
        "after the end of numbers",
        0,
        vec![(1, u64::MAX), (3, 4)],
        false,
    );
    let many = |count: u64| {
        (0..count)
            .map(|range| (3 * range + 1, 3 * range + 1))
            .collect()
    };
    check("as many as a set holds", 0, many(RANGES_MAX as u64), true);
    check(
        "more than a set holds",
        0,
        many(RANGES_MAX as u64 + 1),
        false,
    );
}

#[test]
fn reasons_of_newer_neighbours_are_kept_as_numbers() {
    let refused = RefusedBlock {
        stream: StreamId::data(OriginId(1)),
        range: SeqRange {
            first: Seq(1),
            last: Seq(1),
        },
        reason: RefusedReason::Other(900),
        detail: String::new(),
    };
    let control = Control::Refused(refused);
    let read = read(&encode_control(&control).unwrap()).unwrap();
    assert_eq!(read, control);
    assert!(RefusedReason::Other(900).is_transient() && !RefusedReason::Scope.is_transient());
    for role in Role::ALL {
        assert_eq!(Role::from(role.number()), *role);
    }
    for code in RefuseCode::ALL {
        assert_eq!(RefuseCode::from(code.number()), *code);
    }
    assert_eq!(RequestKind::from(77).to_string(), "other/77");
}

#[test]
fn texts_for_people_are_cut_at_a_letter_and_frames_stay_small() {
    let reason = "ä".repeat(3_000);
    let control = Control::Goodbye { reason };
    match read(&encode_control(&control).unwrap()).unwrap() {
        Control::Goodbye { reason } => assert_eq!(reason, "ä".repeat(512)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn long_lists_are_cut_into_frames_that_fit() {
    let ranges: Vec<_> = (0..1_000)
        .map(|range| (range * 3 + 1, range * 3 + 1))
        .collect();
    let one = |number: u128| StreamCoverage {
        stream: StreamId::data(OriginId(number)),
        ranges: SeqRanges::from(ranges.clone()),
        head: None,
    };
    let all: Vec<_> = (0..100).map(one).collect();
    let frames = Control::coverage(all.clone());
    let mut told = Vec::new();
    for frame in &frames {
        match read(&encode_control(frame).unwrap()).unwrap() {
            Control::Coverage(piece) => told.extend(piece),
            other => assert_eq!(other, Control::CoverageEnd),
        }
    }
    assert!(told == all && frames.last() == Some(&Control::CoverageEnd));
    assert_eq!(Control::coverage(Vec::new()), [Control::CoverageEnd]);
}

#[test]
fn a_peers_offer_of_versions_and_features_is_read_as_it_is() {
    let mut offer = hello();
    (offer.version, offer.version_min) = (9, 4);
    offer.features = Features(u64::MAX);
    let Control::Hello(read) = read(&encode_control(&Control::Hello(offer)).unwrap()).unwrap()
    else {
        panic!("no hello");
    };
    assert_eq!(read.versions(), VersionRange { min: 4, max: 9 });
    assert_eq!(read.features, Features(u64::MAX));
}

proptest! {
    #[test]
    fn any_head_and_payload_is_a_value_or_an_error(
        kind in 0usize..FrameKind::COUNT, payload in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let kind = FrameKind::ALL[kind];
        // Nothing to hold but that it ends without a panic; a sound value goes round.
        if let Ok(control) = decode_control(kind, &payload) {
            prop_assert_eq!(read(&encode_control(&control).unwrap()).unwrap(), control);
        }
    }

    #[test]
    fn any_body_in_a_sound_envelope_is_a_value_or_an_error(
        kind in 0usize..FrameKind::COUNT, body in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let kind = FrameKind::ALL[kind];
        let bytes = forged_body(kind, &body);
        if let Ok(control) = decode_control(kind, &bytes) {
            prop_assert_eq!(read(&encode_control(&control).unwrap()).unwrap(), control);
        }
    }

    #[test]
    fn a_control_frame_cut_or_flipped_anywhere_is_refused(
        which in 0usize..11, at in 0usize..60, bit in 0u8..8
    ) {
        let control = &controls()[which];
        let bytes = encode_control(control).unwrap();
        let payload = &bytes[HEAD_BYTES..];
        let at = at % payload.len();
        prop_assert!(decode_control(control.kind(), &payload[..at]).is_err());
        let mut flipped = payload.to_vec();
        flipped[at] ^= 1 << bit;
        prop_assert!(decode_control(control.kind(), &flipped).is_err());
    }
}

/// Any bytes as the body of a sound envelope.
fn forged_body(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let version = kind.version().to_le_bytes();
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let fields = [&Kind::FRAME.0.to_le_bytes()[..], &version, &length].concat();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&fields), body);
    [&codec::MAGIC[..], &fields, &sum.to_le_bytes(), body].concat()
}
