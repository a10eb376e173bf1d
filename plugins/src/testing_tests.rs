//! What the tests of this crate share: a device served from a recording, and where data lies.
//!
//! Does: answer gets and walks from `OID|TAG|VALUE` lines as a correct agent would, fail on request
//! after a number of operations. Does not: open sockets. In: recordings. Out: [`SnmpAccess`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use ocelli_model::gap::GapKind;
use ocelli_model::oid::Oid;
use ocelli_model::resource::{Resource, ResourceFields};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::value::Value;

use crate::run::PluginFuture;
use crate::snmp_access::{Answer, Request, SnmpAccess, SnmpFailure};
use crate::table_sink::TableSink;

/// The file, or `None` with a line that says so.
pub(crate) fn shared_data(path: &str) -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let root = std::env::var_os("OCELLI_SHARED_DATA").map_or(default, PathBuf::from);
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!(
        "SKIPPED: {} is not there; set OCELLI_SHARED_DATA",
        file.display()
    );
    None
}

#[derive(Debug, Clone)]
enum Recorded {
    Integer(i32),
    Octets(Vec<u8>),
    Oid(EncodedOid),
    Address([u8; 4]),
    Counter32(u32),
    Gauge32(u32),
    Ticks(u32),
    Counter64(u64),
}

impl Recorded {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Integer(value) => Value::Integer(*value),
            Self::Octets(octets) => Value::OctetString(octets),
            Self::Oid(oid) => Value::ObjectId(oid.as_oid_ref()),
            Self::Address(octets) => Value::IpAddress((*octets).into()),
            Self::Counter32(value) => Value::Counter32(*value),
            Self::Gauge32(value) => Value::Gauge32(*value),
            Self::Ticks(value) => Value::TimeTicks(*value),
            Self::Counter64(value) => Value::Counter64(*value),
        }
    }
}

/// A device that answers from a table.
#[derive(Debug, Default)]
pub(crate) struct RecordedDevice {
    variables: BTreeMap<Oid, Recorded>,
    /// OIDs asked for, all operations together.
    pub(crate) asked: Cell<usize>,
    /// Operations left until it goes silent; `None`: never.
    pub(crate) silent_after: Cell<Option<usize>>,
    /// Cells of walks left until it goes silent in the middle of one; `None`: never.
    pub(crate) cells_left: Cell<Option<usize>>,
}

impl RecordedDevice {
    pub(crate) fn parse(recording: &str) -> Self {
        let mut device = Self::default();
        for line in recording.lines().filter(|line| !line.is_empty()) {
            device.set(line);
        }
        device
    }

    pub(crate) fn read(path: &str) -> Option<Self> {
        let bytes = std::fs::read(shared_data(path)?).unwrap();
        Some(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Adds or replaces what one line of a recording says.
    pub(crate) fn set(&mut self, line: &str) {
        let mut parts = line.splitn(3, '|');
        let (oid, tag, value) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap(),
        );
        let number = || value.parse::<u64>().unwrap();
        let short = || u32::try_from(number()).unwrap();
        let recorded = match tag {
            "2" => Recorded::Integer(value.parse().unwrap()),
            "4" => Recorded::Octets(value.as_bytes().to_vec()),
            "4x" => Recorded::Octets(from_hex(value)),
            "6" => Recorded::Oid(EncodedOid::new(&value.parse().unwrap()).unwrap()),
            "64" => Recorded::Address(value.parse::<std::net::Ipv4Addr>().unwrap().octets()),
            "65" => Recorded::Counter32(short()),
            "66" => Recorded::Gauge32(short()),
            "67" => Recorded::Ticks(short()),
            "70" => Recorded::Counter64(number()),
            other => panic!("tag {other} in {line:?}"),
        };
        self.variables.insert(oid.parse().unwrap(), recorded);
    }

    /// Takes away all that begins with `prefix`.
    pub(crate) fn remove(&mut self, prefix: &str) {
        let prefix: Oid = prefix.parse().unwrap();
        self.variables
            .retain(|oid, _| oid.index_under(&prefix).is_none());
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(octet).collect()
}

impl SnmpAccess for RecordedDevice {
    fn ask<'run>(
        &'run self,
        request: &'run Request,
        _: Monotonic,
        mut sink: TableSink,
    ) -> PluginFuture<'run, Answer> {
        Box::pin(async move {
            self.asked.set(self.asked.get() + request.oids().len());
            let silence = || {
                Some(SnmpFailure {
                    cause: GapKind::Timeout.into(),
                    reached: "1.3.6.1".to_owned(),
                    ends_run: true,
                })
            };
            match self.silent_after.get() {
                Some(0) => return (sink, silence()),
                left => self.silent_after.set(left.map(|left| left - 1)),
            }
            for (position, asked) in request.oids().iter().enumerate() {
                if !request.is_walk() {
                    let value = self.variables.get(asked).map(Recorded::value);
                    let value = value.unwrap_or(Value::NoSuchInstance);
                    sink.put(position, &[], value, WallMs(1_000));
                    continue;
                }
                for (oid, recorded) in self.variables.range(asked.clone()..) {
                    let Some(index) = oid.index_under(asked) else {
                        break;
                    };
                    match self.cells_left.get() {
                        Some(0) => return (sink, silence()),
                        left => self.cells_left.set(left.map(|left| left - 1)),
                    }
                    sink.put(position, index, recorded.value(), WallMs(1_000));
                }
            }
            (sink, None)
        })
    }

    fn engine(&self) -> Option<(u32, u32)> {
        None
    }
}

/// A clock that stands.
pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(1)
    }

    fn wall(&self) -> WallMs {
        WallMs(1_512_629_517_031)
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// A resource of this type, with metadata `model`.
pub(crate) fn resource(kind: &str, model: &str) -> Resource {
    let identity = ["test_site", "network", "test_subclass", kind, "test_id"].map(str::to_owned);
    Resource::new(ResourceFields {
        identity,
        endpoint: "127.0.0.1".to_owned(),
        metadata: BTreeMap::from([("model".to_owned(), model.to_owned())]),
        plugin: "dummy".to_owned(),
        ..ResourceFields::default()
    })
    .unwrap()
}
