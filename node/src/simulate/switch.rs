//! The objects of a generated switch: system group, ifTable, ifXTable, dot3StatsTable.
//!
//! Does: find the object of a name, the next one, and write its value at a time, all by
//! arithmetic on pre-encoded prefixes. Does not: know about faults or messages.
//! In: names, [`Moment`]. Out: [`Place`]s and encoded values. Cost: about 20 ns a value.
//!
//! Interfaces are numbered from 1; their ifIndex is that number until a re-index moves them.

use std::io::Write;
use std::time::Duration;

use ocelli_snmp::ber::{BackWriter, tag};
use ocelli_snmp::oid::{EncodedOid, OidEncodeError, OidRef};
use ocelli_snmp::value::Value;

use super::truth::{Counter, counter_at, is_up, speed_bps};

/// Most interfaces of one switch: names and indexes stay short.
pub const INTERFACES_MAX: u32 = 20_000;
/// Room for any text below.
const TEXT_OCTETS: usize = 96;
/// `sysObjectID`: the enterprise number for documentation (RFC 5612).
const SYS_OBJECT_ID: [u8; 10] = [0x2b, 6, 1, 4, 1, 0x81, 0xfd, 0x59, 1, 1];

/// Where an object stands in the order of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which column or scalar.
    pub column: u32,
    /// Which row, from 0; beyond the last one in an endless table.
    pub row: u32,
}

/// Why a name has no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No such object.
    Object,
    /// The object has no such instance.
    Instance,
}

/// What values depend on besides their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seed of the agent.
    pub seed: u64,
    /// Number of the agent, for its `sysName`.
    pub agent: u32,
    /// Since the agent started.
    pub up: Duration,
    /// Since its counters were zero.
    pub counting: Duration,
    /// Its counters pass 2^32 when `counting` gets here.
    pub wraps_at: Option<Duration>,
    /// `ifCounterDiscontinuityTime`, in hundredths of a second.
    pub discontinuity_ticks: u32,
    /// How often interfaces have moved to the next ifIndex.
    pub moves: u32,
    /// Engine boots.
    pub boots: u32,
}

/// What an object shows.
#[derive(Debug, Clone, Copy)]
enum Cell {
    SysDescr,
    SysObjectId,
    SysUpTime,
    SysContact,
    SysName,
    SysLocation,
    SysServices,
    IfNumber,
    EngineBoots,
    EngineTime,
    Index,
    /// A constant `INTEGER` in each row.
    Fixed(i32),
    Speed,
    HighSpeed,
    PhysAddress,
    OperStatus,
    LastChange,
    Low(Counter),
    High(Counter),
    Name(&'static str),
    Alias,
    Discontinuity,
}

/// Scalars and columns with what they show, in the order of their names.
const OBJECTS: [(&str, bool, Cell); 52] = {
    use Cell::*;
    use Counter::*;
    const fn scalar(name: &'static str, cell: Cell) -> (&'static str, bool, Cell) {
        (name, false, cell)
    }
    const fn column(name: &'static str, cell: Cell) -> (&'static str, bool, Cell) {
        (name, true, cell)
    }
    [
        scalar("1.3.6.1.2.1.1.1", SysDescr),
        scalar("1.3.6.1.2.1.1.2", SysObjectId),
        scalar("1.3.6.1.2.1.1.3", SysUpTime),
        scalar("1.3.6.1.2.1.1.4", SysContact),
        scalar("1.3.6.1.2.1.1.5", SysName),
        scalar("1.3.6.1.2.1.1.6", SysLocation),
        scalar("1.3.6.1.2.1.1.7", SysServices),
        scalar("1.3.6.1.2.1.2.1", IfNumber),
        column("1.3.6.1.2.1.2.2.1.1", Index),
        column("1.3.6.1.2.1.2.2.1.2", Name("GigabitEthernet1/0/")),
        column("1.3.6.1.2.1.2.2.1.3", Fixed(6)),
        column("1.3.6.1.2.1.2.2.1.4", Fixed(1_500)),
        column("1.3.6.1.2.1.2.2.1.5", Speed),
        column("1.3.6.1.2.1.2.2.1.6", PhysAddress),
        column("1.3.6.1.2.1.2.2.1.7", Fixed(1)),
        column("1.3.6.1.2.1.2.2.1.8", OperStatus),
        column("1.3.6.1.2.1.2.2.1.9", LastChange),
        column("1.3.6.1.2.1.2.2.1.10", Low(InOctets)),
        column("1.3.6.1.2.1.2.2.1.11", Low(InUcastPkts)),
        column("1.3.6.1.2.1.2.2.1.13", Low(InDiscards)),
        column("1.3.6.1.2.1.2.2.1.14", Low(InErrors)),
        column("1.3.6.1.2.1.2.2.1.15", Low(InUnknownProtos)),
        column("1.3.6.1.2.1.2.2.1.16", Low(OutOctets)),
        column("1.3.6.1.2.1.2.2.1.17", Low(OutUcastPkts)),
        column("1.3.6.1.2.1.2.2.1.19", Low(OutDiscards)),
        column("1.3.6.1.2.1.2.2.1.20", Low(OutErrors)),
        column("1.3.6.1.2.1.10.7.2.1.1", Index),
        column("1.3.6.1.2.1.10.7.2.1.2", Low(AlignmentErrors)),
        column("1.3.6.1.2.1.10.7.2.1.3", Low(FcsErrors)),
        column("1.3.6.1.2.1.10.7.2.1.13", Low(FrameTooLongs)),
        column("1.3.6.1.2.1.10.7.2.1.19", Fixed(3)),
        column("1.3.6.1.2.1.31.1.1.1.1", Name("Gi1/0/")),
        column("1.3.6.1.2.1.31.1.1.1.2", Low(InMulticastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.3", Low(InBroadcastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.4", Low(OutMulticastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.5", Low(OutBroadcastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.6", High(InOctets)),
        column("1.3.6.1.2.1.31.1.1.1.7", High(InUcastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.8", High(InMulticastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.9", High(InBroadcastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.10", High(OutOctets)),
        column("1.3.6.1.2.1.31.1.1.1.11", High(OutUcastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.12", High(OutMulticastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.13", High(OutBroadcastPkts)),
        column("1.3.6.1.2.1.31.1.1.1.14", Fixed(1)),
        column("1.3.6.1.2.1.31.1.1.1.15", HighSpeed),
        column("1.3.6.1.2.1.31.1.1.1.16", Fixed(2)),
        column("1.3.6.1.2.1.31.1.1.1.17", Fixed(1)),
        column("1.3.6.1.2.1.31.1.1.1.18", Alias),
        column("1.3.6.1.2.1.31.1.1.1.19", Discontinuity),
        scalar("1.3.6.1.6.3.10.2.1.2", EngineBoots),
        scalar("1.3.6.1.6.3.10.2.1.3", EngineTime),
    ]
};

#[derive(Debug)]
struct Object {
    prefix: EncodedOid,
    is_column: bool,
    cell: Cell,
}

/// The objects of all switches of one size.
#[derive(Debug)]
pub struct Switch {
    objects: Vec<Object>,
    interfaces: u32,
}

/// A generated table of names that is no list of OIDs: a defect of this file.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// A name that does not parse.
    #[error(transparent)]
    Parse(#[from] ocelli_model::oid::OidError),
    /// A name that BER cannot hold.
    #[error(transparent)]
    Encode(#[from] OidEncodeError),
}

impl Switch {
    /// A switch of so many interfaces, from 1 to [`INTERFACES_MAX`].
    ///
    /// # Errors
    /// None in practice: the names are constants.
    pub fn new(interfaces: u32) -> Result<Self, SwitchError> {
        let mut objects = Vec::with_capacity(OBJECTS.len());
        for (name, is_column, cell) in OBJECTS {
            let prefix = EncodedOid::new(&name.parse()?)?;
            objects.push(Object {
                prefix,
                is_column,
                cell,
            });
        }
        Ok(Self {
            objects,
            interfaces: interfaces.clamp(1, INTERFACES_MAX),
        })
    }

    // === Finding ===

    /// The object of exactly this name.
    pub(super) fn get(&self, name: OidRef<'_>) -> Result<Place, Missing> {
        let column = self.at_or_before(name).ok_or(Missing::Object)?;
        let object = &self.objects[column];
        let index = name
            .index_under(object.prefix.as_oid_ref())
            .ok_or(Missing::Object)?;
        let row = match (object.is_column, index.single()) {
            (false, Some(0)) => Some(0),
            (true, Some(index)) => index.checked_sub(1).filter(|row| *row < self.interfaces),
            _ => None,
        };
        Ok(Place {
            column: number(column),
            row: row.ok_or(Missing::Instance)?,
        })
    }

    /// The first object after this name.
    pub(super) fn after(&self, name: OidRef<'_>, is_endless: bool) -> Option<Place> {
        let Some(column) = self.at_or_before(name) else {
            return Some(Place { column: 0, row: 0 });
        };
        let object = &self.objects[column];
        let here = Place {
            column: number(column),
            row: 0,
        };
        match name
            .index_under(object.prefix.as_oid_ref())
            .map(|index| index.arcs().next())
        {
            // Instance n is row n - 1, so the row behind it has number n.
            Some(Some(row)) if object.is_column && (row < self.interfaces || is_endless) => {
                Some(Place { row, ..here })
            }
            Some(None) => Some(here),
            _ => self.start_of(column + 1),
        }
    }

    /// The object behind one.
    pub(super) fn step(&self, place: Place, is_endless: bool) -> Option<Place> {
        let column = place.column as usize;
        let row = place.row.checked_add(1)?;
        if self.objects.get(column)?.is_column && (row < self.interfaces || is_endless) {
            return Some(Place { row, ..place });
        }
        self.start_of(column + 1)
    }

    fn start_of(&self, column: usize) -> Option<Place> {
        self.objects.get(column).map(|_| Place {
            column: number(column),
            row: 0,
        })
    }

    /// The last object whose prefix is this name or comes before it.
    fn at_or_before(&self, name: OidRef<'_>) -> Option<usize> {
        let after = self
            .objects
            .partition_point(|object| object.prefix.as_oid_ref() <= name);
        after.checked_sub(1)
    }

    /// Whether v1 cannot carry the object.
    pub(super) fn is_counter64(&self, place: Place) -> bool {
        let object = self.objects.get(place.column as usize);
        matches!(
            object,
            Some(Object {
                cell: Cell::High(_),
                ..
            })
        )
    }

    // === Writing ===

    /// Writes the name of an object.
    pub(super) fn write_name(&self, writer: &mut BackWriter<'_>, place: Place) {
        let Some(object) = self.objects.get(place.column as usize) else {
            return;
        };
        let mark = writer.written();
        write_arc(
            writer,
            if object.is_column {
                place.row.saturating_add(1)
            } else {
                0
            },
        );
        writer.bytes(object.prefix.as_oid_ref().as_ber());
        writer.wrap(tag::OBJECT_IDENTIFIER, mark);
    }

    /// Writes the value of an object.
    pub(super) fn write_value(&self, writer: &mut BackWriter<'_>, place: Place, at: &Moment) {
        let Some(object) = self.objects.get(place.column as usize) else {
            return;
        };
        let mut text = [0; TEXT_OCTETS];
        self.value(object.cell, place.row, at, &mut text)
            .write(writer);
    }

    /// What an object shows; text is made in `text`.
    fn value<'t>(&self, cell: Cell, row: u32, at: &Moment, text: &'t mut [u8]) -> Value<'t> {
        let interface = self.interface(row, at);
        match cell {
            Cell::High(counter) => Value::Counter64(self.count(counter, interface, at)),
            Cell::Low(counter) => Value::Counter32(low(self.count(counter, interface, at))),
            Cell::Index => Value::Integer(row.saturating_add(1).cast_signed()),
            Cell::Fixed(value) => Value::Integer(value),
            Cell::Speed => {
                let speed = speed_bps(interface, self.interfaces);
                Value::Gauge32(u32::try_from(speed).unwrap_or(u32::MAX))
            }
            Cell::HighSpeed => {
                Value::Gauge32(low(speed_bps(interface, self.interfaces) / 1_000_000))
            }
            Cell::OperStatus => Value::Integer(if is_up(interface) { 1 } else { 2 }),
            Cell::LastChange => Value::TimeTicks(0),
            Cell::Discontinuity => Value::TimeTicks(at.discontinuity_ticks),
            Cell::PhysAddress => {
                let [_, _, first, second] = at.agent.to_be_bytes();
                let [_, _, third, fourth] = interface.to_be_bytes();
                text[..6].copy_from_slice(&[2, 0, first, second, third, fourth]);
                Value::OctetString(&text[..6])
            }
            Cell::Name(prefix) => print(text, format_args!("{prefix}{interface}")),
            Cell::Alias => print(
                text,
                format_args!("port {interface} of sim-{:05}", at.agent),
            ),
            Cell::SysDescr => {
                let interfaces = self.interfaces;
                print(
                    text,
                    format_args!("ocelli simulated switch, {interfaces} interfaces"),
                )
            }
            Cell::SysObjectId => {
                // A constant that is well formed: the error cannot happen.
                OidRef::from_ber(&SYS_OBJECT_ID).map_or(Value::Null, Value::ObjectId)
            }
            Cell::SysUpTime => Value::TimeTicks(low(ticks(at.up))),
            Cell::SysContact => Value::OctetString(b"nobody@example.com"),
            Cell::SysName => print(text, format_args!("sim-{:05}", at.agent)),
            Cell::SysLocation => Value::OctetString(b"in memory"),
            Cell::SysServices => Value::Integer(2),
            Cell::IfNumber => Value::Integer(self.interfaces.cast_signed()),
            Cell::EngineBoots => Value::Integer(at.boots.cast_signed()),
            Cell::EngineTime => Value::Integer(low(at.up.as_secs()).cast_signed()),
        }
    }

    /// Which interface has this row: after n moves, interface 1 is in row n.
    fn interface(&self, row: u32, at: &Moment) -> u32 {
        let back = at.moves % self.interfaces;
        (row % self.interfaces + self.interfaces - back) % self.interfaces + 1
    }

    fn count(&self, counter: Counter, interface: u32, at: &Moment) -> u64 {
        let value = |time: Duration| counter_at(at.seed, interface, counter, millis(time));
        let now = value(at.counting);
        match at.wraps_at {
            None => now,
            // Shifted so that the lower half is zero at that time.
            Some(wraps_at) => now.wrapping_add((1 << 32) - u64::from(low(value(wraps_at)))),
        }
    }
}

/// Hundredths of a second.
pub(super) fn ticks(time: Duration) -> u64 {
    millis(time) / 10
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The lower 32 bits: what a `Counter32` shows.
pub(super) fn low(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn number(column: usize) -> u32 {
    u32::try_from(column).unwrap_or(u32::MAX)
}

fn print<'t>(text: &'t mut [u8], arguments: std::fmt::Arguments<'_>) -> Value<'t> {
    let room = text.len();
    let mut rest = &mut *text;
    // What does not fit is cut: all texts here are shorter.
    let left = if rest.write_fmt(arguments).is_ok() {
        rest.len()
    } else {
        0
    };
    Value::OctetString(&text[..room - left])
}

/// Writes one arc, last octet first.
fn write_arc(writer: &mut BackWriter<'_>, arc: u32) {
    let octet = |shift: u32, more: u8| u8::try_from(arc >> shift & 0x7f).unwrap_or(0) | more;
    writer.bytes(&[octet(0, 0)]);
    for shift in [7, 14, 21, 28] {
        if arc >> shift == 0 {
            return;
        }
        writer.bytes(&[octet(shift, 0x80)]);
    }
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
