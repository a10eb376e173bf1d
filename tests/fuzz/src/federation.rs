//! Ways in from a peer: frames of a stream, control messages, questions of subscribers.
//!
//! Does: read frames as a link does, check that what came out is written back and read again as
//! the same. Does not: choose the bytes; libFuzzer and `tests/robustness.rs` do.
//! In: bytes. Out: nothing, or a panic that is a defect.

use ocelli_federation::frame::{
    FrameHead, FrameKind, HEAD_BYTES, decode_control, decode_request, decode_trailer,
    encode_control, encode_request, encode_trailer,
};
use ocelli_federation::subscribe::Question;

/// Kind of the envelope around a payload (`model::codec::Kind::FRAME`).
const ENVELOPE_KIND: u16 = 8;

/// The bytes of a stream: frames behind one another until one is refused.
pub fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    // Each round takes a head off, so this ends.
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let Ok(head) = FrameHead::read(*head) else {
            return;
        };
        let payload_bytes = match head {
            FrameHead::Known { payload_bytes, .. } | FrameHead::Unknown { payload_bytes, .. } => {
                payload_bytes
            }
        };
        let Some((payload, behind)) = behind.split_at_checked(payload_bytes) else {
            return;
        };
        if let FrameHead::Known { kind, .. } = head {
            walk(kind, payload);
        }
        rest = behind;
    }
}

/// A kind by the first byte, then the body of a sound envelope: what lies behind the checksum.
pub fn control(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    let Some(kind) = FrameKind::ALL.get(usize::from(*first) % FrameKind::COUNT) else {
        return;
    };
    let Ok(length) = u32::try_from(body.len()) else {
        return;
    };
    let mut fields = ENVELOPE_KIND.to_le_bytes().to_vec();
    fields.extend_from_slice(&kind.version().to_le_bytes());
    fields.extend_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&fields), body);
    let payload = [b"OCL1".as_slice(), &fields, &sum.to_le_bytes(), body].concat();
    walk(*kind, &payload);
}

fn walk(kind: FrameKind, payload: &[u8]) {
    match kind {
        FrameKind::Block | FrameKind::Item => {}
        FrameKind::Request => {
            if let Ok(request) = decode_request(payload) {
                let again = encode_request(&request).expect("what was read can be written");
                assert_eq!(decode_request(&again[HEAD_BYTES..]).ok(), Some(request));
            }
        }
        FrameKind::Trailer => {
            if let Ok(trailer) = decode_trailer(payload) {
                // A reason beyond its limit is cut, so only the second round is the same.
                let once = encode_trailer(&trailer).expect("what was read can be written");
                let once = decode_trailer(&once[HEAD_BYTES..]).expect("what was written is read");
                let twice = encode_trailer(&once).expect("what was read can be written");
                assert_eq!(decode_trailer(&twice[HEAD_BYTES..]).ok(), Some(once));
            }
        }
        _ => {
            if let Ok(control) = decode_control(kind, payload) {
                let once = encode_control(&control).expect("what was read can be written");
                let once = decode_control(kind, &once[HEAD_BYTES..]).expect("it is read again");
                assert_eq!(once.kind(), kind);
                let twice = encode_control(&once).expect("what was read can be written");
                assert_eq!(decode_control(kind, &twice[HEAD_BYTES..]).ok(), Some(once));
            }
        }
    }
}

/// The body of a subscriber's question.
pub fn question(bytes: &[u8]) {
    if let Ok(question) = Question::decode(bytes) {
        let again = Question::decode(&question.encode()).expect("what was read can be written");
        // Filters compare by their form, not by their text.
        assert_eq!(again, question);
    }
}
