//! Frames do not change by accident: each kind written today equals the file kept.
//!
//! Does: write one frame of each kind, compare it with `tests/golden/frame_*_v1.bin`, read the kept
//! file back. Does not: judge a change; `UPDATE_GOLDEN=1` rewrites the files for a review. A kind
//! without a file fails.

use std::path::PathBuf;

use ocelli_bus::record::{Lane, OriginId, Seq, StreamId};
use ocelli_bus::{HeadMark, SeqRange, SeqRanges};
use ocelli_model::clock::WallMs;
use ocelli_model::tier::Tier;

use super::*;

const ORIGIN: OriginId = OriginId(0x0c31_1100_0000_0000_0000_0000_0000_0001);

fn stream(lane: Lane) -> StreamId {
    let origin = ORIGIN;
    StreamId { origin, lane }
}

fn ranges(list: &[(u64, u64)]) -> SeqRanges {
    SeqRanges::from(list.to_vec())
}

pub(super) fn hello() -> Hello {
    Hello {
        version: 1,
        version_min: 1,
        features: Features(0),
        mesh: "acme".into(),
        tier: Tier::Site,
        name: "dc1".into(),
        node: "poller-a".into(),
        origin: ORIGIN,
        role: Role::Uplink,
        build: "0.1.0".into(),
        extensions: vec![(7, vec![1, 2, 3])],
    }
}

pub(super) fn welcome() -> Welcome {
    Welcome {
        version: 1,
        features: Features(0),
        mesh: "acme".into(),
        tier: Tier::Region,
        name: "emea".into(),
        node: "r1".into(),
        origin: OriginId(2),
        ingest_bytes_in_flight_max: 16 << 20,
        build: "0.1.0".into(),
        extensions: Vec::new(),
    }
}

/// One control value of each kind.
pub(super) fn controls() -> Vec<Control> {
    vec![
        Control::Hello(hello()),
        Control::Welcome(welcome()),
        Control::Refuse {
            code: RefuseCode::DuplicateOrigin,
            reason: "origin is live elsewhere".into(),
            hint: "stop one of the two".into(),
        },
        Control::Coverage(vec![
            StreamCoverage {
                stream: stream(Lane::Definitions),
                ranges: ranges(&[(1, 9)]),
                head: None,
            },
            StreamCoverage {
                stream: stream(Lane::Data),
                ranges: ranges(&[(1, 500), (502, 70_000)]),
                head: Some(HeadMark {
                    seq: Seq(70_000),
                    block_first: Seq(69_990),
                    checksum: 0xdead_beef,
                }),
            },
        ]),
        Control::CoverageEnd,
        Control::Durable(vec![StreamRanges {
            stream: stream(Lane::Data),
            ranges: ranges(&[(70_001, 70_010)]),
        }]),
        Control::Refused(RefusedBlock {
            stream: stream(Lane::Data),
            range: SeqRange {
                first: Seq(3),
                last: Seq(4),
            },
            reason: RefusedReason::Scope,
            detail: "resource_site dc2".into(),
        }),
        Control::Throttle {
            origin: ORIGIN,
            bytes_per_second: Some(125_000),
        },
        Control::Heads(vec![StreamHead {
            stream: stream(Lane::Data),
            highest: Seq(70_020),
            time: WallMs(1_750_000_000_123),
        }]),
        Control::Revocations(b"a signed list".to_vec()),
        Control::Goodbye {
            reason: "planned restart".into(),
        },
        Control::Origins(vec![
            OriginWord {
                origin: ORIGIN,
                since: WallMs(1_750_000_000_123),
                cause: None,
            },
            OriginWord {
                origin: OriginId(3),
                since: WallMs(1_750_000_000_456),
                cause: Some("emea/r1 lost dc1/poller-a".into()),
            },
        ]),
        Control::Skipped(vec![StreamRanges {
            stream: stream(Lane::Data),
            ranges: ranges(&[(7, 7), (600, 69_000)]),
        }]),
    ]
}

fn request() -> Request {
    Request {
        kind: RequestKind::Subscribe,
        body: b"filter".to_vec(),
    }
}

/// Head and payload of a frame whose payload is bytes as they are.
fn plain(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let head = encode_head(kind, payload.len()).unwrap();
    [&head[..], payload].concat()
}

fn frames() -> Vec<(FrameKind, Vec<u8>)> {
    let mut frames: Vec<_> = controls()
        .iter()
        .map(|control| (control.kind(), encode_control(control).unwrap().to_vec()))
        .collect();
    let request = encode_request(&request()).unwrap().to_vec();
    let trailer = Trailer::Failed {
        code: 404,
        reason: "no such stream".into(),
    };
    frames.push((FrameKind::Block, plain(FrameKind::Block, b"OCB1 and so on")));
    frames.push((FrameKind::Request, request));
    frames.push((FrameKind::Item, plain(FrameKind::Item, b"an answer")));
    frames.push((
        FrameKind::Trailer,
        encode_trailer(&trailer).unwrap().to_vec(),
    ));
    frames
}

fn check_file(kind: FrameKind, bytes: &[u8]) {
    let name = format!("tests/golden/frame_{}_v{}.bin", kind.name(), kind.version());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(
        kept == bytes,
        "{name} differs from what is written now; a changed format needs a new version \
         (UPDATE_GOLDEN=1 rewrites the file for review)"
    );
}

#[test]
fn each_frame_kind_is_written_as_its_golden_file_and_read_back() {
    let frames = frames();
    let kinds: Vec<_> = frames.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, FrameKind::ALL, "each kind once, by number");
    let controls = controls();
    for (place, (kind, bytes)) in frames.iter().enumerate() {
        check_file(*kind, bytes);
        let (head, payload) = bytes.split_first_chunk::<HEAD_BYTES>().unwrap();
        let expected = FrameHead::Known {
            kind: *kind,
            payload_bytes: payload.len(),
        };
        assert_eq!(FrameHead::read(*head).unwrap(), expected);
        match controls.get(place) {
            Some(control) => assert_eq!(&decode_control(*kind, payload).unwrap(), control),
            None if *kind == FrameKind::Request => {
                assert_eq!(decode_request(payload).unwrap(), request());
            }
            None if *kind == FrameKind::Trailer => {
                let trailer = decode_trailer(payload).unwrap();
                assert!(matches!(trailer, Trailer::Failed { code: 404, .. }));
            }
            None => assert!(decode_control(*kind, payload).is_err(), "{}", kind.name()),
        }
    }
}
