//! What an operation did on the wire, told as it happens: for people who ask why.
//!
//! Does: name the events of a traced session, show datagrams in hexadecimal without their secrets.
//! Does not: keep events (a [`Tracer`] does), trace sessions that nobody traces: those pay one
//! branch an event.
//! In: an operation of [`Session::traced`](super::Session::traced). Out: [`TraceEvent`]s.
//! Invariant: no community and no authentication or privacy parameters of v3 leave this file.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use ocelli_model::clock::Monotonic;

use crate::ber::{BerError, Reader, integer};

/// Names of one request that are told; of more, their number.
pub(crate) const NAMES_TOLD_MAX: usize = 16;
/// Bytes of one line of a dump.
const LINE_BYTES: usize = 16;
/// Bytes of a dump between two wider gaps.
const GROUP_BYTES: usize = 4;
/// `msgVersion` of v3; the others have a community.
const VERSION_3: i32 = 3;

/// Takes the events of traced operations. Called from the engine's tick: it must not ask the
/// engine for anything.
pub trait Tracer {
    /// Something happened at `at`.
    fn traced(&self, at: Monotonic, event: TraceEvent);
}

/// What happened to one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceEvent {
    /// A request was written for sending.
    Sent {
        /// To whom.
        to: SocketAddr,
        /// `GET`, `GETNEXT` or `GETBULK`.
        request: &'static str,
        /// First try is 1.
        attempt: u8,
        /// The first names of it.
        names: Vec<String>,
        /// How many names it has.
        name_count: usize,
        /// Rows that a GETBULK asks for; 1 otherwise.
        rows: u16,
        /// As it goes out.
        packet: MaskedPacket,
    },
    /// A datagram under the request's id, from a sender that may answer it.
    Received {
        /// By whom.
        from: SocketAddr,
        /// As it came in.
        packet: MaskedPacket,
    },
    /// It was the response.
    Replied {
        /// Since the try that it answers was sent.
        round_trip: Duration,
        /// Values in it.
        varbinds: usize,
        /// The error status that it carries, if any.
        error: Option<&'static str>,
    },
    /// It was a report of v3.
    Reported {
        /// Its name (RFC 3414 §3.2).
        reason: &'static str,
        /// Whether the request is sent anew under what it tells.
        is_sent_again: bool,
    },
    /// It proved nothing and is passed over.
    Unacceptable {
        /// What is wrong with it.
        reason: String,
    },
    /// Another address answered; it is not taken for the device.
    Stranger {
        /// Which one.
        from: IpAddr,
    },
    /// No answer to a try in its time.
    Silent {
        /// First try is 1.
        attempt: u8,
        /// How long was waited.
        waited: Duration,
    },
    /// The operation is over.
    Ended {
        /// Why, if it failed.
        failure: Option<String>,
        /// Requests sent.
        packets: u32,
        /// Those that repeated an unanswered one.
        retries: u32,
    },
}

impl TraceEvent {
    /// The name of its sort; stable.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Received { .. } => "received",
            Self::Replied { .. } => "reply",
            Self::Reported { .. } => "report",
            Self::Unacceptable { .. } => "unacceptable",
            Self::Stranger { .. } => "stranger",
            Self::Silent { .. } => "silence",
            Self::Ended { .. } => "ended",
        }
    }

    /// The datagram, if it is about one.
    #[must_use]
    pub fn packet(&self) -> Option<&MaskedPacket> {
        match self {
            Self::Sent { packet, .. } | Self::Received { packet, .. } => Some(packet),
            _ => None,
        }
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent {
                to,
                request,
                attempt,
                names,
                name_count,
                rows,
                packet,
            } => {
                let bytes = packet.len();
                write!(formatter, "{request} to {to}, try {attempt}, {bytes} bytes")?;
                if *rows > 1 {
                    write!(formatter, ", {rows} rows")?;
                }
                write!(formatter, ": {}", names.join(" "))?;
                match name_count.saturating_sub(names.len()) {
                    0 => Ok(()),
                    more => write!(formatter, " and {more} more"),
                }
            }
            Self::Received { from, packet } => {
                write!(formatter, "{} bytes from {from}", packet.len())
            }
            Self::Replied {
                round_trip,
                varbinds,
                error,
            } => {
                let millis = round_trip.as_secs_f64() * 1_000.0;
                write!(formatter, "{varbinds} values after {millis:.1} ms")?;
                error.map_or(Ok(()), |error| write!(formatter, ", error status {error}"))
            }
            Self::Reported {
                reason,
                is_sent_again,
            } => match is_sent_again {
                true => write!(formatter, "{reason}; the request is sent anew"),
                false => write!(formatter, "{reason}"),
            },
            Self::Unacceptable { reason } => formatter.write_str(reason),
            Self::Stranger { from } => write!(formatter, "a reply of {from} is not taken"),
            Self::Silent { attempt, waited } => {
                let millis = waited.as_secs_f64() * 1_000.0;
                write!(formatter, "no reply to try {attempt} within {millis:.0} ms")
            }
            Self::Ended {
                failure,
                packets,
                retries,
            } => {
                write!(formatter, "{packets} requests, {retries} of them retries")?;
                let failure = failure.as_deref();
                failure.map_or(Ok(()), |failure| write!(formatter, "; {failure}"))
            }
        }
    }
}

// === Datagrams without secrets ===

/// A datagram whose secrets are gone: community, or authentication and privacy parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedPacket {
    /// Zero where hidden.
    bytes: Vec<u8>,
    hidden: Vec<Range<usize>>,
}

impl MaskedPacket {
    /// Takes a datagram. What is no SNMP message is hidden as a whole: its secrets cannot be found.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        let mut bytes = datagram.to_vec();
        let hidden =
            secrets_of(datagram).unwrap_or_else(|_| std::iter::once(0..bytes.len()).collect());
        for range in &hidden {
            if let Some(secret) = bytes.get_mut(range.clone()) {
                secret.fill(0);
            }
        }
        Self { bytes, hidden }
    }

    /// Bytes of the datagram.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn is_hidden(&self, position: usize) -> bool {
        self.hidden.iter().any(|range| range.contains(&position))
    }
}

/// A dump as net-snmp's `-d` prints one, `**` for hidden bytes.
impl fmt::Display for MaskedPacket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (line, bytes) in self.bytes.chunks(LINE_BYTES).enumerate() {
            let start = line * LINE_BYTES;
            let (mut hex, mut text) = (String::new(), String::new());
            for (offset, byte) in bytes.iter().enumerate() {
                let is_hidden = self.is_hidden(start + offset);
                hex.push_str(match offset {
                    0 => "",
                    offset if offset % GROUP_BYTES == 0 => "  ",
                    _ => " ",
                });
                hex.push_str(&match is_hidden {
                    true => "**".to_owned(),
                    false => format!("{byte:02X}"),
                });
                text.push(
                    match (is_hidden, byte.is_ascii_graphic() || *byte == b' ') {
                        (true, _) => '*',
                        (false, true) => char::from(*byte),
                        (false, false) => '.',
                    },
                );
            }
            writeln!(formatter, "{start:04}: {hex:<54}{text}")?;
        }
        Ok(())
    }
}

/// Where the secrets of a message stand.
fn secrets_of(datagram: &[u8]) -> Result<Vec<Range<usize>>, BerError> {
    let (_, message) = Reader::new(datagram).element()?;
    let mut message = Reader::new(message);
    let (_, version) = message.element()?;
    if integer(version)? != VERSION_3 {
        let (_, community) = message.element()?;
        return Ok(vec![range_in(datagram, community)]);
    }
    let (_, _header) = message.element()?;
    let (_, security) = message.element()?;
    let (_, parameters) = Reader::new(security).element()?;
    let mut parameters = Reader::new(parameters);
    // Engine id, boots, time, user.
    for _ in 0..4 {
        parameters.element()?;
    }
    let (_, authentication) = parameters.element()?;
    let (_, privacy) = parameters.element()?;
    let both = [authentication, privacy];
    Ok(both.map(|part| range_in(datagram, part)).to_vec())
}

/// The place of `part`, a slice of `whole`.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
