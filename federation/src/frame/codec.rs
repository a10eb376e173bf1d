//! Bytes of frames: the eight-byte head, and payloads behind it.
//!
//! Does: judge a head before anything is allocated for its payload; wrap values into the envelope
//! of `model::codec`; check what a value claims. Does not: read streams (`link`).
//! In: bytes of a peer. Out: values within their limits, or a reason that both sides can log.
//!
//! ```text
//! 0  4  bytes of the payload      4  1  kind      5  1  flags      6  2  version      8  … payload
//! ```
//! All little-endian. Flags in the upper half must be understood, those in the lower half may be
//! passed over; none is defined yet.

use bytes::{BufMut, Bytes, BytesMut};
use ocelli_bus::record::OriginId;
use ocelli_model::codec::{self, DecodeError, EncodeError, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::control::{
    COVERAGE_RANGES_MAX, COVERAGE_STREAMS_MAX, Control, HEADS_MAX, ORIGIN_CAUSE_BYTES_MAX,
    ORIGIN_WORDS_MAX, OriginWord, REVOCATIONS_BYTES_MAX, RefusedBlock, StreamCoverage, StreamHead,
    StreamRanges,
};
use super::hello::{Hello, REASON_BYTES_MAX, RefuseCode, Welcome};
use super::kind::{FRAME_BYTES_MAX, FrameKind};
use super::request::{Request, Trailer};
use super::wire;

/// Bytes before a payload.
pub const HEAD_BYTES: usize = 8;
/// Flags that a reader must know.
const FLAGS_CRITICAL: u8 = 0xf0;
/// Memory that decoding one payload may claim: four times what any honest one has.
const DECODE_BYTES_MAX: usize = 4 * FRAME_BYTES_MAX;

/// A sound head: what follows is worth reading, or at least worth skipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameHead {
    /// A frame that this code reads.
    Known {
        /// What it is.
        kind: FrameKind,
        /// Bytes of its payload.
        payload_bytes: usize,
    },
    /// A newer neighbour's frame: skip so many bytes and count it.
    Unknown {
        /// Its number.
        kind: u8,
        /// Bytes of its payload.
        payload_bytes: usize,
    },
}

/// Why bytes are no frame; the connection ends with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The payload is longer than its kind may be.
    #[error("frame {kind} claims {bytes} bytes; {bytes_max} is the limit, it is refused unread")]
    TooLarge {
        /// Name of the kind, or `unknown`.
        kind: &'static str,
        /// What the head claims.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A version of the payload that this code does not read.
    #[error("frame {kind} has version {found}, this node reads {known}; upgrade the older side")]
    Version {
        /// Name of the kind.
        kind: &'static str,
        /// Version in the head.
        found: u16,
        /// Version of this code.
        known: u16,
    },
    /// A flag that must be understood.
    #[error("frame {kind} has the critical flags {flags:#04x}; upgrade the older side")]
    Flags {
        /// Name of the kind.
        kind: &'static str,
        /// The flags.
        flags: u8,
    },
    /// A kind that this code knows, at a place where it must not stand.
    #[error("frame {kind} stands {place}, where it must not; the peer does not keep the protocol")]
    Misplaced {
        /// Name of the kind.
        kind: &'static str,
        /// Where.
        place: &'static str,
    },
    /// The payload is no sound envelope or does not decode.
    #[error("frame {kind} is damaged: {source}")]
    Payload {
        /// Name of the kind.
        kind: &'static str,
        /// What is wrong.
        source: DecodeError,
    },
    /// It decodes, but a field is longer than it may be.
    #[error("frame {kind} has {field} beyond its limit; the peer does not keep the protocol")]
    Field {
        /// Name of the kind.
        kind: &'static str,
        /// Name of the field.
        field: &'static str,
    },
    /// A value to send does not fit a frame: a defect here, not at the peer.
    #[error("frame {kind} cannot be written: {source}")]
    Encode {
        /// Name of the kind.
        kind: &'static str,
        /// What is wrong.
        source: EncodeError,
    },
}

/// The head of a frame with so many bytes of payload.
///
/// # Errors
/// [`FrameError::TooLarge`].
pub fn encode_head(kind: FrameKind, payload_bytes: usize) -> Result<[u8; HEAD_BYTES], FrameError> {
    let bytes_max = kind.payload_bytes_max();
    let too_large = FrameError::TooLarge {
        kind: kind.name(),
        bytes: payload_bytes,
        bytes_max,
    };
    let length = match u32::try_from(payload_bytes) {
        Ok(length) if payload_bytes <= bytes_max => length.to_le_bytes(),
        _ => return Err(too_large),
    };
    let version = kind.version().to_le_bytes();
    let [l0, l1, l2, l3] = length;
    Ok([l0, l1, l2, l3, kind.number(), 0, version[0], version[1]])
}

impl FrameHead {
    /// Judges a head.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`], [`FrameError::Version`], [`FrameError::Flags`].
    pub fn read(bytes: [u8; HEAD_BYTES]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, number, flags, v0, v1] = bytes;
        let payload_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let known = FrameKind::from_number(number);
        let kind = known.map_or("unknown", FrameKind::name);
        let bytes_max = known.map_or(FRAME_BYTES_MAX, FrameKind::payload_bytes_max);
        if payload_bytes > bytes_max {
            return Err(FrameError::TooLarge {
                kind,
                bytes: payload_bytes,
                bytes_max,
            });
        }
        if flags & FLAGS_CRITICAL != 0 {
            return Err(FrameError::Flags { kind, flags });
        }
        let Some(kind) = known else {
            return Ok(Self::Unknown {
                kind: number,
                payload_bytes,
            });
        };
        let found = u16::from_le_bytes([v0, v1]);
        if found != kind.version() {
            return Err(FrameError::Version {
                kind: kind.name(),
                found,
                known: kind.version(),
            });
        }
        Ok(Self::Known {
            kind,
            payload_bytes,
        })
    }
}

// === Payloads ===

/// `Refuse` on the wire.
#[derive(Serialize, Deserialize)]
struct Refusal {
    code: RefuseCode,
    reason: String,
    hint: String,
}

/// `Throttle` on the wire.
#[derive(Serialize, Deserialize)]
struct Rate {
    #[serde(with = "wire::origin")]
    origin: OriginId,
    bytes_per_second: Option<u64>,
}

/// A list on the wire that is refused beyond `MAX` before it takes memory.
#[derive(Serialize)]
#[serde(transparent)]
struct List<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::bounded::<D, T, MAX>(deserializer).map(Self)
    }
}

/// A control frame, head and payload. Texts beyond their limits are cut, lists are not.
///
/// # Errors
/// [`FrameError::Encode`], [`FrameError::TooLarge`] or [`FrameError::Field`] for a value that
/// passes a limit: the constructors of [`Control`] make pieces that do not.
pub fn encode_control(control: &Control) -> Result<Bytes, FrameError> {
    let kind = control.kind();
    check_control(control)?;
    match control {
        Control::Hello(hello) => frame(kind, hello),
        Control::Welcome(welcome) => frame(kind, welcome),
        Control::Refuse { code, reason, hint } => frame(
            kind,
            &Refusal {
                code: *code,
                reason: cut(reason),
                hint: cut(hint),
            },
        ),
        Control::Coverage(streams) => frame(kind, streams),
        Control::CoverageEnd => frame(kind, &()),
        Control::Durable(streams) => frame(kind, streams),
        Control::Refused(block) => frame(
            kind,
            &RefusedBlock {
                detail: cut(&block.detail),
                ..block.clone()
            },
        ),
        Control::Throttle {
            origin,
            bytes_per_second,
        } => frame(
            kind,
            &Rate {
                origin: *origin,
                bytes_per_second: *bytes_per_second,
            },
        ),
        Control::Heads(streams) => frame(kind, streams),
        Control::Origins(words) => {
            let words: Vec<OriginWord> = words.iter().map(cut_word).collect();
            frame(kind, &words)
        }
        Control::Revocations(list) => frame(kind, list),
        Control::Goodbye { reason } => frame(kind, &cut(reason)),
        Control::Skipped(streams) => frame(kind, streams),
    }
}

/// The value of a control frame's payload.
///
/// # Errors
/// [`FrameError::Misplaced`] for a kind that is no control frame, [`FrameError::Payload`],
/// [`FrameError::Field`].
pub fn decode_control(kind: FrameKind, payload: &[u8]) -> Result<Control, FrameError> {
    let control = match kind {
        FrameKind::Hello => Control::Hello(value(kind, payload)?),
        FrameKind::Welcome => Control::Welcome(value(kind, payload)?),
        FrameKind::Refuse => {
            let Refusal { code, reason, hint } = value(kind, payload)?;
            Control::Refuse { code, reason, hint }
        }
        FrameKind::Coverage => {
            let List(streams) = value::<List<StreamCoverage, COVERAGE_STREAMS_MAX>>(kind, payload)?;
            Control::Coverage(streams)
        }
        FrameKind::CoverageEnd => {
            value::<()>(kind, payload)?;
            Control::CoverageEnd
        }
        FrameKind::Durable => {
            let List(streams) = value::<List<StreamRanges, COVERAGE_STREAMS_MAX>>(kind, payload)?;
            Control::Durable(streams)
        }
        FrameKind::Refused => Control::Refused(value(kind, payload)?),
        FrameKind::Throttle => {
            let rate: Rate = value(kind, payload)?;
            Control::Throttle {
                origin: rate.origin,
                bytes_per_second: rate.bytes_per_second,
            }
        }
        FrameKind::Heads => {
            let List(streams) = value::<List<StreamHead, HEADS_MAX>>(kind, payload)?;
            Control::Heads(streams)
        }
        FrameKind::Origins => {
            let List(words) = value::<List<OriginWord, ORIGIN_WORDS_MAX>>(kind, payload)?;
            Control::Origins(words.iter().map(cut_word).collect())
        }
        FrameKind::Revocations => Control::Revocations(value(kind, payload)?),
        FrameKind::Goodbye => Control::Goodbye {
            reason: value(kind, payload)?,
        },
        FrameKind::Skipped => {
            let List(streams) = value::<List<StreamRanges, COVERAGE_STREAMS_MAX>>(kind, payload)?;
            Control::Skipped(streams)
        }
        FrameKind::Block | FrameKind::Request | FrameKind::Item | FrameKind::Trailer => {
            return Err(FrameError::Misplaced {
                kind: kind.name(),
                place: "on the control stream",
            });
        }
    };
    check_control(&control)?;
    Ok(control)
}

/// A request frame, head and payload.
///
/// # Errors
/// [`FrameError::Encode`] or [`FrameError::TooLarge`] for a body above 1 MiB.
pub fn encode_request(request: &Request) -> Result<Bytes, FrameError> {
    frame(FrameKind::Request, request)
}

/// The value of a request frame's payload.
///
/// # Errors
/// [`FrameError::Payload`].
pub fn decode_request(payload: &[u8]) -> Result<Request, FrameError> {
    value(FrameKind::Request, payload)
}

/// A trailer frame, head and payload; its reason is cut at 1,024 bytes.
///
/// # Errors
/// [`FrameError::Encode`] never for a trailer of this code.
pub fn encode_trailer(trailer: &Trailer) -> Result<Bytes, FrameError> {
    let trailer = match trailer {
        Trailer::Done => Trailer::Done,
        Trailer::Failed { code, reason } => Trailer::Failed {
            code: *code,
            reason: cut(reason),
        },
    };
    frame(FrameKind::Trailer, &trailer)
}

/// The value of a trailer frame's payload.
///
/// # Errors
/// [`FrameError::Payload`].
pub fn decode_trailer(payload: &[u8]) -> Result<Trailer, FrameError> {
    value(FrameKind::Trailer, payload)
}

fn frame(kind: FrameKind, value: &impl Serialize) -> Result<Bytes, FrameError> {
    let mut payload = Vec::new();
    let version = kind.version();
    codec::encode::<FRAME_BYTES_MAX>(Kind::FRAME, version, value, &mut payload).map_err(
        |source| FrameError::Encode {
            kind: kind.name(),
            source,
        },
    )?;
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + payload.len());
    bytes.put_slice(&encode_head(kind, payload.len())?);
    bytes.put_slice(&payload);
    Ok(bytes.freeze())
}

fn value<T: DeserializeOwned>(kind: FrameKind, payload: &[u8]) -> Result<T, FrameError> {
    let refused = |source| FrameError::Payload {
        kind: kind.name(),
        source,
    };
    let version = kind.version();
    let (value, rest) =
        codec::decode::<T, DECODE_BYTES_MAX>(Kind::FRAME, version, payload).map_err(refused)?;
    match rest.len() {
        0 => Ok(value),
        left => Err(refused(DecodeError::Trailing {
            kind: Kind::FRAME.0,
            version,
            left,
        })),
    }
}

/// Limits that a type cannot hold by itself; the same for what is sent and what is received.
fn check_control(control: &Control) -> Result<(), FrameError> {
    let excess = match control {
        Control::Hello(hello) => Hello::excess(hello),
        Control::Welcome(welcome) => Welcome::excess(welcome),
        Control::Coverage(streams) if streams.len() > COVERAGE_STREAMS_MAX => Some("streams"),
        Control::Coverage(streams) => {
            let ranges: usize = streams.iter().map(|one| one.ranges.len()).sum();
            (ranges > COVERAGE_RANGES_MAX).then_some("ranges")
        }
        Control::Durable(streams) | Control::Skipped(streams)
            if streams.len() > COVERAGE_STREAMS_MAX =>
        {
            Some("streams")
        }
        Control::Durable(streams) | Control::Skipped(streams) => {
            let ranges: usize = streams.iter().map(|one| one.ranges.len()).sum();
            (ranges > COVERAGE_RANGES_MAX).then_some("ranges")
        }
        Control::Heads(streams) => (streams.len() > HEADS_MAX).then_some("streams"),
        Control::Origins(words) => (words.len() > ORIGIN_WORDS_MAX).then_some("origins"),
        Control::Revocations(list) => (list.len() > REVOCATIONS_BYTES_MAX).then_some("bytes"),
        Control::Refuse { .. }
        | Control::CoverageEnd
        | Control::Refused(_)
        | Control::Throttle { .. }
        | Control::Goodbye { .. } => None,
    };
    match excess {
        None => Ok(()),
        Some(field) => Err(FrameError::Field {
            kind: control.kind().name(),
            field,
        }),
    }
}

fn cut_word(word: &OriginWord) -> OriginWord {
    let cause = word.cause.as_deref();
    let cause = cause.map(|cause| cut_at(cause, ORIGIN_CAUSE_BYTES_MAX));
    OriginWord {
        cause,
        ..word.clone()
    }
}

fn cut(text: &str) -> String {
    cut_at(text, REASON_BYTES_MAX)
}

/// A text for people, cut at a letter.
fn cut_at(text: &str, bytes_max: usize) -> String {
    let fits = |(at, letter): &(usize, char)| at + letter.len_utf8() <= bytes_max;
    let letters = text.char_indices().take_while(fits);
    letters.map(|(_, letter)| letter).collect()
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
