//! The one envelope and binary encoding of control messages, definitions and catalog entries.
//!
//! Does: wrap bincode 2 `standard` into {magic, kind, version, length, crc32c}, refuse what is not
//! exactly that before a byte of it is decoded, bound the memory that decoding may claim. Does not:
//! samples (the bus has its own codec), files (the caller has bytes).
//! In: a serde value, or bytes from disk or a peer. Out: bytes, or the value and what follows it.
//! Rules: no recursive types, no `Option`-by-attribute tricks (`skip`, `flatten`, `untagged`); one
//! frozen type a (kind, version), enums grow at their end.
//!
//! ```text
//! 0  4  magic "OCL1"      4  2  kind      6  2  version      8  4  length of the body
//! 12 4  crc32c of bytes 4 to 12 and the body            16  …  body        all little-endian
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

/// First bytes of each envelope.
pub const MAGIC: [u8; 4] = *b"OCL1";
/// Bytes before the body.
pub const HEADER_BYTES: usize = 16;

/// What a body is. Numbers are on disk and wire: they are never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

impl Kind {
    /// One `catalog::Command` with its index.
    pub const CATALOG_COMMAND: Self = Self(1);
    /// A whole `catalog::State`.
    pub const CATALOG_STATE: Self = Self(2);
    /// Resource identity, group schema, dimension row or attribute version (lane 1).
    pub const DEFINITION: Self = Self(3);
    /// A plan entry (lane 1).
    pub const PLAN_ENTRY: Self = Self(4);
    /// An enrichment group (`Enrich` record).
    pub const ENRICHMENT: Self = Self(5);
    /// Rate state and session facts (`Session` record).
    pub const SESSION: Self = Self(6);
    /// Durable cursors of readers.
    pub const CURSORS: Self = Self(7);
    /// A frame between two nodes; its version is that of the frame's kind.
    pub const FRAME: Self = Self(8);
    /// What a derived stream is made of (lane 1).
    pub const DERIVATION: Self = Self(9);
    /// Kinds of tests begin here.
    pub const TEST: Self = Self(0xff00);
}

/// A sound envelope whose body is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// What the body is.
    pub kind: Kind,
    /// Of which frozen type.
    pub version: u16,
    body: &'a [u8],
}

/// Why a value cannot be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body is larger than its limit.
    #[error("message of kind {kind} has {bytes} bytes; {bytes_max} is its limit, split it")]
    TooLarge {
        /// Number of the kind.
        kind: u16,
        /// Size of the body.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The value's type does not fit the encoding (a sequence of unknown length).
    #[error("message of kind {kind} cannot be encoded: {source}; its type needs another shape")]
    Shape {
        /// Number of the kind.
        kind: u16,
        /// What bincode says.
        source: Box<bincode::error::EncodeError>,
    },
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the envelope says; from a stream: read on.
    #[error("message is cut short: {found} bytes of {needed}; the rest is lost or still to come")]
    Truncated {
        /// Bytes there.
        found: usize,
        /// Bytes needed at least.
        needed: usize,
    },
    /// Other first bytes than [`MAGIC`].
    #[error("bytes {found:02x?} begin no message; this is another format or a damaged place")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The body is larger than its limit.
    #[error("message of kind {kind} claims {bytes} bytes; {bytes_max} is the limit, it is refused")]
    TooLarge {
        /// Number of the kind.
        kind: u16,
        /// Size that the envelope claims.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Damaged between writer and reader.
    #[error(
        "message of kind {kind} has checksum {found:08x}, its bytes give {computed:08x}; \
         take another copy"
    )]
    Checksum {
        /// Number of the kind.
        kind: u16,
        /// The checksum in the envelope.
        found: u32,
        /// That of the bytes.
        computed: u32,
    },
    /// Sound, but another kind or version than asked for.
    #[error(
        "message is of kind {kind} version {version}, expected kind {expected} version \
         {expected_version}; the writer is of another release"
    )]
    Unexpected {
        /// Number of the kind found.
        kind: u16,
        /// Version found.
        version: u16,
        /// Number of the kind expected.
        expected: u16,
        /// Version expected.
        expected_version: u16,
    },
    /// The body does not decode: wrong type, claims beyond the limit, not UTF-8.
    #[error("message of kind {kind} version {version} does not decode: {source}; it is refused")]
    Body {
        /// Number of the kind.
        kind: u16,
        /// Version.
        version: u16,
        /// What bincode says.
        source: Box<bincode::error::DecodeError>,
    },
    /// The body decodes, but bytes are left: another version than it says.
    #[error("message of kind {kind} version {version} has {left} bytes too many; it is refused")]
    Trailing {
        /// Number of the kind.
        kind: u16,
        /// Version.
        version: u16,
        /// Bytes left.
        left: usize,
    },
}

/// Appends `value` in its envelope to `into`; on an error `into` is as before.
///
/// `LIMIT` bounds the body, bytes. The reader's limit should be four times the largest honest one,
/// since it counts decoded memory.
///
/// # Errors
/// [`EncodeError::TooLarge`], or [`EncodeError::Shape`] for a type that bincode cannot hold.
pub fn encode<const LIMIT: usize>(
    kind: Kind,
    version: u16,
    value: &impl Serialize,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let body =
        bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(|source| {
            EncodeError::Shape {
                kind: kind.0,
                source: Box::new(source),
            }
        })?;
    let too_large = || EncodeError::TooLarge {
        kind: kind.0,
        bytes: body.len(),
        bytes_max: LIMIT,
    };
    let length = u32::try_from(body.len()).map_err(|_| too_large())?;
    if body.len() > LIMIT {
        return Err(too_large());
    }
    let mut fields = [0; 8];
    fields[..2].copy_from_slice(&kind.0.to_le_bytes());
    fields[2..4].copy_from_slice(&version.to_le_bytes());
    fields[4..].copy_from_slice(&length.to_le_bytes());
    into.reserve(HEADER_BYTES + body.len());
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&fields);
    into.extend_from_slice(&checksum(&fields, &body).to_le_bytes());
    into.extend_from_slice(&body);
    Ok(())
}

/// Splits the first envelope off `bytes`, checked but for its body's content; also what follows.
///
/// # Errors
/// [`DecodeError::Truncated`], [`DecodeError::Magic`], [`DecodeError::TooLarge`] above
/// `length_max`, [`DecodeError::Checksum`].
pub fn open(bytes: &[u8], length_max: usize) -> Result<(Envelope<'_>, &[u8]), DecodeError> {
    let truncated = |needed| DecodeError::Truncated {
        found: bytes.len(),
        needed,
    };
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| truncated(HEADER_BYTES))?;
    let [
        m0,
        m1,
        m2,
        m3,
        k0,
        k1,
        v0,
        v1,
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
    ] = *header;
    let magic = [m0, m1, m2, m3];
    if magic != MAGIC {
        return Err(DecodeError::Magic { found: magic });
    }
    let kind = Kind(u16::from_le_bytes([k0, k1]));
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > length_max {
        return Err(DecodeError::TooLarge {
            kind: kind.0,
            bytes: length,
            bytes_max: length_max,
        });
    }
    let (body, rest) = rest
        .split_at_checked(length)
        .ok_or_else(|| truncated(HEADER_BYTES + length))?;
    let found = u32::from_le_bytes([c0, c1, c2, c3]);
    let computed = checksum(&header[4..12], body);
    if found != computed {
        return Err(DecodeError::Checksum {
            kind: kind.0,
            found,
            computed,
        });
    }
    let version = u16::from_le_bytes([v0, v1]);
    Ok((
        Envelope {
            kind,
            version,
            body,
        },
        rest,
    ))
}

impl Envelope<'_> {
    /// The value in the body. Decoding claims at most `LIMIT` bytes of memory.
    ///
    /// # Errors
    /// [`DecodeError::Body`] or [`DecodeError::Trailing`].
    pub fn decode<T: DeserializeOwned, const LIMIT: usize>(&self) -> Result<T, DecodeError> {
        let config = bincode::config::standard().with_limit::<LIMIT>();
        let (kind, version) = (self.kind.0, self.version);
        let (value, used) =
            bincode::serde::decode_from_slice(self.body, config).map_err(|source| {
                DecodeError::Body {
                    kind,
                    version,
                    source: Box::new(source),
                }
            })?;
        match self.body.len() - used {
            0 => Ok(value),
            left => Err(DecodeError::Trailing {
                kind,
                version,
                left,
            }),
        }
    }
}

/// The first message of `bytes`, which must be of this kind and version; also what follows it.
///
/// # Errors
/// Those of [`open`] and [`Envelope::decode`], and [`DecodeError::Unexpected`].
pub fn decode<T: DeserializeOwned, const LIMIT: usize>(
    kind: Kind,
    version: u16,
    bytes: &[u8],
) -> Result<(T, &[u8]), DecodeError> {
    let (envelope, rest) = open(bytes, LIMIT)?;
    if (envelope.kind, envelope.version) != (kind, version) {
        return Err(DecodeError::Unexpected {
            kind: envelope.kind.0,
            version: envelope.version,
            expected: kind.0,
            expected_version: version,
        });
    }
    Ok((envelope.decode::<T, LIMIT>()?, rest))
}

fn checksum(fields: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(fields), body)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
