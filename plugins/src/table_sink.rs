//! Varbinds into a raw table.
//!
//! Does: translate SNMP values to cells, decode indexes, say whether something did not fit.
//! Does not: know profiles. In: varbinds from the engine's tick. Out: a [`RawTable`].

use ocelli_model::clock::WallMs;
use ocelli_model::oid::ARCS_MAX;
use ocelli_model::profile::{RawTable, RawValue};
use ocelli_snmp::engine::{Received, VarbindSink};
use ocelli_snmp::oid::Index;
use ocelli_snmp::value::Value;

/// A table being filled, and where the columns asked for stand in it.
#[derive(Debug, Default)]
pub struct TableSink {
    /// What has come so far.
    pub table: RawTable,
    /// Column of the table by position in the request; a position beyond it is its own column.
    pub columns: Vec<u16>,
    /// Whether a cell was refused because the table was full.
    pub is_full: bool,
}

impl TableSink {
    /// Puts one value: `position` is that in the request.
    pub fn put(&mut self, position: usize, index: &[u32], value: Value<'_>, time: WallMs) {
        let column = self
            .columns
            .get(position)
            .map_or(position, |column| usize::from(*column));
        let raw = match value {
            Value::Counter64(value) => RawValue::Counter64(value),
            Value::Counter32(value) => RawValue::Counter32(value),
            Value::Integer(value) => RawValue::Integer(value),
            Value::Gauge32(value) | Value::TimeTicks(value) => RawValue::Unsigned(value),
            Value::OctetString(octets) | Value::Opaque(octets) => RawValue::Text(octets),
            Value::OpaqueFloat(value) => RawValue::Float(f64::from(value)),
            Value::OpaqueDouble(value) => RawValue::Float(value),
            Value::ObjectId(oid) => return self.put_shown(column, index, &oid, time),
            Value::IpAddress(address) => return self.put_shown(column, index, &address, time),
            // No value: the cell stays a hole.
            Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {
                return;
            }
        };
        self.is_full |= self.table.put(column, index, raw, time).is_err();
    }

    fn put_shown(
        &mut self,
        column: usize,
        index: &[u32],
        shown: &dyn std::fmt::Display,
        time: WallMs,
    ) {
        let text = shown.to_string();
        let raw = RawValue::Text(text.as_bytes());
        self.is_full |= self.table.put(column, index, raw, time).is_err();
    }
}

impl VarbindSink for TableSink {
    fn varbind(&mut self, column: usize, index: Index<'_>, value: Value<'_>, received: Received) {
        if let Some(arc) = index.single() {
            return self.put(column, &[arc], value, received.wall);
        }
        let mut arcs = [0; ARCS_MAX + 1];
        // An OID has at most `ARCS_MAX` arcs, so its index always fits.
        let index = index.write_arcs(&mut arcs).unwrap_or(&[]);
        self.put(column, index, value, received.wall);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocelli_model::profile::Cell;
    use ocelli_snmp::oid::EncodedOid;

    #[test]
    fn values_become_cells_and_exceptions_stay_holes() {
        let oid = EncodedOid::new(&"1.3.6.1.4".parse().unwrap()).unwrap();
        let check = |value: Value<'_>, expected: Cell<'_>| {
            let mut sink = TableSink::default();
            sink.table.reset(1);
            sink.put(0, &[1], value, WallMs(0));
            assert_eq!(sink.table.cell(0, 0), expected, "{value:?}");
        };
        check(Value::Counter64(9), Cell::Number(9.0));
        check(Value::Counter32(9), Cell::Number(9.0));
        check(Value::Integer(-9), Cell::Number(-9.0));
        check(Value::Gauge32(9), Cell::Number(9.0));
        check(Value::TimeTicks(9), Cell::Number(9.0));
        check(Value::OctetString(b"x"), Cell::Text(b"x"));
        check(Value::OpaqueFloat(0.5), Cell::Number(0.5));
        check(Value::OpaqueDouble(0.5), Cell::Number(0.5));
        check(Value::ObjectId(oid.as_oid_ref()), Cell::Text(b"1.3.6.1.4"));
        check(
            Value::IpAddress([10, 0, 0, 1].into()),
            Cell::Text(b"10.0.0.1"),
        );
        for exception in [Value::Null, Value::NoSuchObject, Value::NoSuchInstance] {
            check(exception, Cell::Missing);
        }
    }

    #[test]
    fn positions_of_a_request_find_their_columns() {
        let mut sink = TableSink {
            columns: vec![2, 0],
            ..TableSink::default()
        };
        sink.table.reset(3);
        sink.put(0, &[1], Value::Integer(20), WallMs(0));
        sink.put(1, &[1], Value::Integer(10), WallMs(0));
        let cells: Vec<_> = (0..3).map(|column| sink.table.cell(column, 0)).collect();
        assert_eq!(
            cells,
            [Cell::Number(10.0), Cell::Missing, Cell::Number(20.0)]
        );
        assert!(!sink.is_full);
    }
}
