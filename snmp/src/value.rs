//! The values of variables: SMIv2 types and the three exceptions, borrowed from the message.
//!
//! Does: decode and encode each type (RFC 2578 §7.1, RFC 3416 §3), floats in `Opaque` too.
//! Does not: text, units, display hints (`plugins`).
//! In: tag and contents. Out: [`Value`], or [`BerError`].

use std::net::Ipv4Addr;

use crate::ber::{BackWriter, BerError, Reader, tag};
use crate::ber::{integer, unsigned32, unsigned64};
use crate::oid::OidRef;

/// Tag of a single precision float inside `Opaque` (net-snmp's `NETSNMP-TC`, `9f 78`).
const OPAQUE_FLOAT: [u8; 3] = [0x9f, 0x78, 4];
/// Tag of a double precision float inside `Opaque` (`9f 79`).
const OPAQUE_DOUBLE: [u8; 3] = [0x9f, 0x79, 8];

/// The value of a variable.
///
/// The representation puts each payload at a multiple of four: left to itself the compiler puts an
/// address at octet 1 and copies every value in overlapping words, each of which waits for the one
/// before (measured: 15 ns a varbind of the engine's 45).
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u32)]
pub enum Value<'a> {
    /// No value: what requests carry.
    Null,
    /// `INTEGER`, `Integer32`, enumerations.
    Integer(i32),
    /// `OCTET STRING`: text, addresses, bits.
    OctetString(&'a [u8]),
    /// `OBJECT IDENTIFIER`.
    ObjectId(OidRef<'a>),
    /// `IpAddress` (IPv4 alone; IPv6 comes as octets).
    IpAddress(Ipv4Addr),
    /// `Counter32`: grows, wraps at 2^32.
    Counter32(u32),
    /// `Gauge32`, `Unsigned32`.
    Gauge32(u32),
    /// `TimeTicks`: hundredths of a second, wraps at 2^32 (497 days).
    TimeTicks(u32),
    /// `Opaque` with a single precision float in it.
    OpaqueFloat(f32),
    /// `Opaque` with a double precision float in it.
    OpaqueDouble(f64),
    /// `Opaque` with anything else in it.
    Opaque(&'a [u8]),
    /// `Counter64`: grows, wraps at 2^64. Not in v1.
    Counter64(u64),
    /// The agent has no such object (v2c, v3).
    NoSuchObject,
    /// The agent has the object but not this instance (v2c, v3).
    NoSuchInstance,
    /// Nothing comes after the name asked for (v2c, v3).
    EndOfMibView,
}

impl<'a> Value<'a> {
    /// Decodes contents by their tag.
    ///
    /// # Errors
    /// [`BerError::UnknownValue`], [`BerError::BadInteger`], [`BerError::BadSize`],
    /// [`BerError::BadOid`].
    #[inline]
    pub fn from_ber(tag: u8, contents: &'a [u8]) -> Result<Self, BerError> {
        match tag {
            tag::COUNTER64 => unsigned64(tag, contents).map(Self::Counter64),
            tag::COUNTER32 => unsigned32(tag, contents).map(Self::Counter32),
            tag::GAUGE32 => unsigned32(tag, contents).map(Self::Gauge32),
            tag::INTEGER => integer(contents).map(Self::Integer),
            tag::OCTET_STRING => Ok(Self::OctetString(contents)),
            tag::TIME_TICKS => unsigned32(tag, contents).map(Self::TimeTicks),
            tag::OBJECT_IDENTIFIER => OidRef::from_ber(contents).map(Self::ObjectId),
            tag::IP_ADDRESS => match <[u8; 4]>::try_from(contents) {
                Ok(octets) => Ok(Self::IpAddress(octets.into())),
                Err(_) => Err(BerError::BadSize {
                    tag,
                    octets: contents.len(),
                    expected: 4,
                }),
            },
            tag::OPAQUE => Ok(opaque(contents)),
            tag::NULL => empty(tag, contents, Self::Null),
            tag::NO_SUCH_OBJECT => empty(tag, contents, Self::NoSuchObject),
            tag::NO_SUCH_INSTANCE => empty(tag, contents, Self::NoSuchInstance),
            tag::END_OF_MIB_VIEW => empty(tag, contents, Self::EndOfMibView),
            tag => Err(BerError::UnknownValue { tag }),
        }
    }

    /// Writes tag, length and contents.
    pub fn write(&self, writer: &mut BackWriter<'_>) {
        match *self {
            Self::Null => writer.element(tag::NULL, &[]),
            Self::Integer(value) => writer.integer(value),
            Self::OctetString(octets) => writer.element(tag::OCTET_STRING, octets),
            Self::ObjectId(oid) => writer.element(tag::OBJECT_IDENTIFIER, oid.as_ber()),
            Self::IpAddress(address) => writer.element(tag::IP_ADDRESS, &address.octets()),
            Self::Counter32(value) => writer.unsigned(tag::COUNTER32, value.into()),
            Self::Gauge32(value) => writer.unsigned(tag::GAUGE32, value.into()),
            Self::TimeTicks(value) => writer.unsigned(tag::TIME_TICKS, value.into()),
            Self::OpaqueFloat(value) => {
                write_opaque_number(writer, OPAQUE_FLOAT, &value.to_be_bytes());
            }
            Self::OpaqueDouble(value) => {
                write_opaque_number(writer, OPAQUE_DOUBLE, &value.to_be_bytes());
            }
            Self::Opaque(octets) => writer.element(tag::OPAQUE, octets),
            Self::Counter64(value) => writer.unsigned(tag::COUNTER64, value),
            Self::NoSuchObject => writer.element(tag::NO_SUCH_OBJECT, &[]),
            Self::NoSuchInstance => writer.element(tag::NO_SUCH_INSTANCE, &[]),
            Self::EndOfMibView => writer.element(tag::END_OF_MIB_VIEW, &[]),
        }
    }

    /// Whether this is one of the three exceptions of RFC 3416 §3 instead of a value.
    #[must_use]
    #[inline]
    pub fn is_exception(&self) -> bool {
        matches!(
            self,
            Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView
        )
    }

    /// Any unsigned or signed integer type as 64 unsigned bits; `None` below zero or for others.
    #[must_use]
    #[inline]
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Counter64(value) => Some(value),
            Self::Counter32(value) | Self::Gauge32(value) | Self::TimeTicks(value) => {
                Some(value.into())
            }
            Self::Integer(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }
}

/// A value without contents. net-snmp and others send none; whatever stands there is refused.
#[inline]
fn empty<'a>(tag: u8, contents: &[u8], value: Value<'a>) -> Result<Value<'a>, BerError> {
    match contents.len() {
        0 => Ok(value),
        octets => Err(BerError::BadSize {
            tag,
            octets,
            expected: 0,
        }),
    }
}

fn opaque(contents: &[u8]) -> Value<'_> {
    if let Some(number) = contents.strip_prefix(&OPAQUE_FLOAT)
        && let Ok(octets) = number.try_into()
    {
        return Value::OpaqueFloat(f32::from_be_bytes(octets));
    }
    if let Some(number) = contents.strip_prefix(&OPAQUE_DOUBLE)
        && let Ok(octets) = number.try_into()
    {
        return Value::OpaqueDouble(f64::from_be_bytes(octets));
    }
    Value::Opaque(contents)
}

fn write_opaque_number(writer: &mut BackWriter<'_>, head: [u8; 3], octets: &[u8]) {
    let mark = writer.written();
    writer.bytes(octets);
    writer.bytes(&head);
    writer.wrap(tag::OPAQUE, mark);
}

/// A name with its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Varbind<'a> {
    /// The name: an object and its instance.
    pub name: OidRef<'a>,
    /// Its value.
    pub value: Value<'a>,
}

impl Varbind<'_> {
    /// Writes the varbind.
    pub fn write(&self, writer: &mut BackWriter<'_>) {
        let mark = writer.written();
        self.value.write(writer);
        writer.element(tag::OBJECT_IDENTIFIER, self.name.as_ber());
        writer.wrap(tag::SEQUENCE, mark);
    }
}

/// The varbinds of a message, decoded one by one.
///
/// An error in a *value* is the item of that varbind and the next one is read; after an error in
/// the framing there are no more items.
#[derive(Debug, Clone, Copy)]
pub struct Varbinds<'a> {
    reader: Reader<'a>,
}

impl<'a> Varbinds<'a> {
    /// Of the contents of a variable bindings list.
    #[must_use]
    #[inline]
    pub fn new(list: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(list),
        }
    }
}

impl<'a> Iterator for Varbinds<'a> {
    type Item = Result<Varbind<'a>, BerError>;

    // Always: a call hands every varbind over in memory, a third of what reading it costs.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        match self.reader.expect(tag::SEQUENCE) {
            Ok(contents) => Some(varbind(contents)),
            Err(error) => {
                self.reader = Reader::new(&[]);
                Some(Err(error))
            }
        }
    }
}

#[inline(always)]
fn varbind(contents: &[u8]) -> Result<Varbind<'_>, BerError> {
    let mut reader = Reader::new(contents);
    let name = OidRef::from_ber(reader.expect(tag::OBJECT_IDENTIFIER)?)?;
    let (tag, contents) = reader.element()?;
    reader.end()?;
    Ok(Varbind {
        name,
        value: Value::from_ber(tag, contents)?,
    })
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
