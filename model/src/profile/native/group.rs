//! One group of a native profile.
//!
//! Does: read scalars, table, columns, dimensions and metrics. Does not: resolve names.
//! In: the group's node. Out: [`NativeGroup`], or nothing with the faults in the reader.

use super::{NativeColumn, NativeDimension, NativeGroup, NativeMap, NativeMetric, NativeValue};
use crate::profile::diagnostic::Code;
use crate::profile::plan::{Format, MissingPlan, ValueMap};
use crate::profile::reader::{Fields, Reader, join, located};
use crate::profile::yaml::{Node, Value};

/// Interval of a group that states none: that of Panoptes' interface metrics.
const INTERVAL_MS_DEFAULT: u32 = 60_000;
/// An octet on the line.
const OCTET_BITS: u32 = 8;
/// The least frame of IEEE 802.3 §3.2.8: 64 octets.
const FRAME_BITS: u32 = 512;

const GROUP_KEYS: &[&str] = &["name", "interval", "scalars", "table"];
const TABLE_KEYS: &[&str] = &[
    "index",
    "columns",
    "let",
    "rows",
    "dimensions",
    "counters",
    "gauges",
    "speed",
    "discontinuity",
    "missing",
];

pub(super) fn read_group(reader: &mut Reader, node: &Node, path: &str) -> Option<NativeGroup> {
    let fields = reader.fields(node, path, GROUP_KEYS)?;
    let name = reader.required(&fields, "name");
    let name = name.and_then(|(node, path)| reader.name(node, &path));
    let interval_ms = match fields.get("interval") {
        Some((node, path)) => reader.interval_ms(node, &path),
        None => Some(INTERVAL_MS_DEFAULT),
    };
    let mut scalars = Vec::new();
    if let Some((node, path)) = fields.get("scalars") {
        for (key, node) in reader.pairs(node, &path)? {
            let path = join(&path, &key.text);
            let name = reader.key_name(key, &path);
            let oid = reader.oid(node, &path);
            scalars.extend(name.zip(oid));
        }
    }
    let (table, path) = reader.required(&fields, "table")?;
    let table = reader.fields(table, &path, TABLE_KEYS)?;
    let group = NativeGroup {
        name: name?,
        interval_ms: interval_ms?,
        scalars,
        index: read_index(reader, &table).unwrap_or_default(),
        columns: named(reader, &table, "columns", read_column),
        lets: named(reader, &table, "let", |reader, name, node, path| {
            Some((name, reader.expression(node, path)?))
        }),
        rows: optional_expression(reader, &table, "rows"),
        dimensions: read_dimensions(reader, &table).unwrap_or_default(),
        counters: named(reader, &table, "counters", read_metric),
        gauges: named(reader, &table, "gauges", read_metric),
        speed: optional_expression(reader, &table, "speed"),
        discontinuity: optional_expression(reader, &table, "discontinuity"),
        missing: read_missing(reader, &table).unwrap_or_default(),
    };
    Some(group)
}

/// `key: {name: …, name: …}`; absent: none.
fn named<T>(
    reader: &mut Reader,
    table: &Fields<'_>,
    key: &str,
    read: impl Fn(&mut Reader, super::Located<String>, &Node, &str) -> Option<T>,
) -> Vec<T> {
    let Some((node, path)) = table.get(key) else {
        return Vec::new();
    };
    let Some(pairs) = reader.pairs(node, &path) else {
        return Vec::new();
    };
    let mut items = Vec::with_capacity(pairs.len());
    for (key, node) in pairs {
        let path = join(&path, &key.text);
        if let Some(name) = reader.key_name(key, &path) {
            items.extend(read(reader, name, node, &path));
        }
    }
    items
}

fn optional_expression(
    reader: &mut Reader,
    table: &Fields<'_>,
    key: &str,
) -> Option<super::Located<crate::profile::expression::Expression>> {
    let (node, path) = table.get(key)?;
    reader.expression(node, &path)
}

fn read_index(reader: &mut Reader, table: &Fields<'_>) -> Option<Vec<super::Located<String>>> {
    let (node, path) = table.get("index")?;
    let fields = reader.list(node, &path, |reader, node, path| {
        let pairs = reader.pairs(node, path)?;
        let [(key, kind)] = pairs else {
            let message = "an index field is one pair, such as {ifIndex: int}";
            reader.fault(Code::Sort, node.place, path, message);
            return None;
        };
        let kind = reader.text(kind, path)?;
        if kind.value != "int" {
            let message = format!("index field of kind {:?}; only int is known", kind.value);
            reader.fault(Code::Sort, kind.place, path, message);
        }
        reader.key_name(key, path)
    })?;
    Some(fields)
}

fn read_column(
    reader: &mut Reader,
    name: super::Located<String>,
    node: &Node,
    path: &str,
) -> Option<NativeColumn> {
    let mut column = NativeColumn {
        name,
        oid: crate::oid::Oid::default(),
        format: Format::Text,
        bits_per_unit: 0,
        when: None,
    };
    if matches!(node.value, Value::Scalar { .. }) {
        column.oid = reader.oid(node, path)?;
        return Some(column);
    }
    let fields = reader.fields(node, path, &["oid", "format", "counts", "when"])?;
    let (oid, oid_path) = reader.required(&fields, "oid")?;
    column.oid = reader.oid(oid, &oid_path)?;
    if let Some((node, path)) = fields.get("format") {
        let known = [("text", Format::Text), ("mac_address", Format::MacAddress)];
        column.format = one_of(reader, (node, &path), &known)?;
    }
    if let Some((node, path)) = fields.get("counts") {
        let known = [("octets", OCTET_BITS), ("frames", FRAME_BITS), ("other", 0)];
        column.bits_per_unit = one_of(reader, (node, &path), &known)?;
    }
    column.when = optional_expression(reader, &fields, "when");
    Some(column)
}

fn one_of<T: Copy>(
    reader: &mut Reader,
    (node, path): (&Node, &str),
    known: &[(&str, T)],
) -> Option<T> {
    let text = reader.text(node, path)?;
    let found = known.iter().find(|(word, _)| *word == text.value);
    if found.is_none() {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        let message = format!("{:?} is none of {}", text.value, words.join(", "));
        reader.fault(Code::Sort, text.place, path, message);
    }
    found.map(|(_, meaning)| *meaning)
}

fn read_dimensions(reader: &mut Reader, table: &Fields<'_>) -> Option<Vec<NativeDimension>> {
    let (node, path) = table.get("dimensions")?;
    reader.list(node, &path, |reader, node, path| {
        let keys = ["name", "of", "identity", "key", "map", "ascii"];
        let fields = reader.fields(node, path, &keys)?;
        let (name, name_path) = reader.required(&fields, "name")?;
        let name = reader.name(name, &name_path);
        let mut flag = |key: &str| match fields.get(key) {
            Some((node, path)) => reader.flag(node, &path).unwrap_or(false),
            None => false,
        };
        let (is_key, is_ascii) = (flag("key"), flag("ascii"));
        let map = match fields.get("map") {
            Some((node, path)) => {
                let map = read_map(reader, node, &path)?;
                Some(located(map, node.place, &path))
            }
            None => None,
        };
        let value = match (fields.get("of"), fields.get("identity")) {
            (Some((node, path)), None) => NativeValue::Expression(reader.expression(node, &path)?),
            (None, Some((node, path))) => {
                NativeValue::Identity(
                    reader.list(node, &path, |reader, node, path| reader.name(node, path))?,
                )
            }
            _ => {
                let message = "a dimension needs either `of` or `identity`";
                reader.fault(Code::Missing, node.place, path, message);
                return None;
            }
        };
        Some(NativeDimension {
            name: name?,
            is_key,
            value,
            map,
            is_ascii,
        })
    })
}

fn read_map(reader: &mut Reader, node: &Node, path: &str) -> Option<NativeMap> {
    if matches!(node.value, Value::Scalar { .. }) {
        return Some(NativeMap::Named(reader.name(node, path)?.value));
    }
    let mut map = ValueMap::new();
    for (key, value) in reader.pairs(node, path)? {
        let Ok(number) = key.text.parse() else {
            let message = format!("{:?} is no whole number", key.text);
            reader.fault(Code::Sort, key.place, path, message);
            continue;
        };
        map.insert(number, reader.text(value, path)?.value.into());
    }
    Some(NativeMap::Written(map))
}

fn read_metric(
    reader: &mut Reader,
    name: super::Located<String>,
    node: &Node,
    path: &str,
) -> Option<NativeMetric> {
    let (expression, unit) = match &node.value {
        Value::Map(_) => {
            let fields = reader.fields(node, path, &["expr", "unit"])?;
            let (expression, expression_path) = reader.required(&fields, "expr")?;
            let expression = reader.expression(expression, &expression_path)?;
            let unit = match fields.get("unit") {
                Some((node, path)) => reader.text(node, &path)?.value,
                None => String::new(),
            };
            (expression, unit)
        }
        _ => (reader.expression(node, path)?, String::new()),
    };
    Some(NativeMetric {
        name,
        unit,
        expression,
    })
}

fn read_missing(reader: &mut Reader, table: &Fields<'_>) -> Option<MissingPlan> {
    let (node, path) = table.get("missing")?;
    if matches!(node.value, Value::Scalar { .. }) {
        return one_of(reader, (node, &path), &[("skip", ())]).map(|()| MissingPlan::Skip);
    }
    let fields = reader.fields(node, &path, &["value", "text"])?;
    let (value, value_path) = reader.required(&fields, "value")?;
    let number = reader.text(value, &value_path)?;
    let Some(value) = number
        .value
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
    else {
        let message = format!("{:?} is no number", number.value);
        reader.fault(Code::Sort, number.place, &value_path, message);
        return None;
    };
    let (text, text_path) = reader.required(&fields, "text")?;
    let text = reader.text(text, &text_path)?.value;
    Some(MissingPlan::Placeholder { value, text })
}
