//! The subset of BER that SNMP uses (RFC 3417 §8): definite lengths, primitive values.
//!
//! Does: name the tags; read TLVs from a slice ([`Reader`]); write TLVs from the back of a fixed
//! buffer ([`BackWriter`]), so that every length is known when it is written.
//! Does not: allocate, recurse, know what a message is.
//! In: bytes from a peer, trusted in nothing. Out: borrowed contents, or [`BerError`].

mod reader;
mod writer;

pub use reader::{BerError, Reader};
pub(crate) use reader::{integer, unsigned32, unsigned64};
pub use writer::{BackWriter, BufferFull};

/// Identifier octets of SNMP (RFC 2578 §7.1, RFC 3416 §3).
pub mod tag {
    /// `INTEGER`, `Integer32`.
    pub const INTEGER: u8 = 0x02;
    /// `OCTET STRING`.
    pub const OCTET_STRING: u8 = 0x04;
    /// `NULL`, written `unSpecified` in RFC 3416.
    pub const NULL: u8 = 0x05;
    /// `OBJECT IDENTIFIER`.
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    /// `SEQUENCE`.
    pub const SEQUENCE: u8 = 0x30;
    /// `IpAddress`.
    pub const IP_ADDRESS: u8 = 0x40;
    /// `Counter32`.
    pub const COUNTER32: u8 = 0x41;
    /// `Gauge32`, `Unsigned32`.
    pub const GAUGE32: u8 = 0x42;
    /// `TimeTicks`.
    pub const TIME_TICKS: u8 = 0x43;
    /// `Opaque`.
    pub const OPAQUE: u8 = 0x44;
    /// `Counter64`.
    pub const COUNTER64: u8 = 0x46;
    /// `noSuchObject` (RFC 3416 §4.2.1).
    pub const NO_SUCH_OBJECT: u8 = 0x80;
    /// `noSuchInstance` (RFC 3416 §4.2.1).
    pub const NO_SUCH_INSTANCE: u8 = 0x81;
    /// `endOfMibView` (RFC 3416 §4.2.2).
    pub const END_OF_MIB_VIEW: u8 = 0x82;
}
