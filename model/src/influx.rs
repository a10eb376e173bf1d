//! Batches as Influx line protocol, for whoever reads a stream with a tool that speaks it.
//!
//! Does: write a line a row: measurement = group, tags = dimensions and the resource's fields,
//! fields = `METRIC__counter` and `METRIC__gauge`, as Panoptes' InfluxDB consumer names them; ns.
//! Does not: send, or render what is no batch.
//! In: [`Batch`], [`Resource`], [`Projection`]. Out: lines. Where Panoptes writes lines that no
//! server takes (names not escaped, NaN, line feeds), the line is mended or the field left out.
//! Invariant: every line parses; a row without a field has no line.
//! Source: InfluxDB "Line protocol"; integers end in `i`, those beyond 2^63 in `u`.

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::batch::{Batch, GroupValues};
use crate::clock::WallMs;
use crate::columns::GaugeValues;
use crate::panoptes::Projection;
use crate::resource::Resource;
use crate::schema::GroupSchema;

/// What stands for a group whose name has no letter, digit or inner underscore.
const NAMELESS: &str = "group";

/// Writes batches of a projection.
#[derive(Debug, Clone, Default)]
pub struct InfluxRenderer {
    projection: Projection,
}

impl InfluxRenderer {
    /// A renderer of the groups and metrics in `projection`.
    #[must_use]
    pub fn new(projection: Projection) -> Self {
        Self { projection }
    }

    /// Appends a line for each row that has a value; how many.
    pub fn render(&self, batch: &Batch, of: &Resource, into: &mut Vec<u8>) -> usize {
        let mut count = 0;
        for (position, (group, values)) in batch.schema.groups.iter().zip(&batch.groups).enumerate()
        {
            if !self.projection.has_group(&group.name) {
                continue;
            }
            let measurement = measurement_of(&group.name);
            for row in 0..values.len() {
                let start = into.len();
                into.extend_from_slice(measurement.as_bytes());
                put_tags(batch.dimensions_of(position, row), of, into);
                if self.put_fields((group, values), row, into) {
                    let time = values.time.get(row).copied().unwrap_or(batch.time);
                    put_time(time, into);
                    count += 1;
                } else {
                    into.truncate(start);
                }
            }
        }
        count
    }

    /// Writes the fields, sorted; `false` if the row has none.
    fn put_fields(
        &self,
        (group, values): (&GroupSchema, &GroupValues),
        row: usize,
        into: &mut Vec<u8>,
    ) -> bool {
        let mut fields: BTreeMap<String, Number> = BTreeMap::new();
        let mut put = |name: &str, kind: &str, number: Number| {
            fields.insert(format!("{name}__{kind}"), number);
        };
        for (column, (metric, counter)) in group.counters.iter().zip(&values.counters).enumerate() {
            if self.projection.has_metric(&metric.name) && counter.presence.is_present(row) {
                put(
                    &metric.name,
                    "counter",
                    Number::Unsigned(counter.values[row]),
                );
                if let Some(rate) = values.rate(column, row) {
                    put(&metric.name, "gauge", Number::Float(rate));
                }
            }
        }
        // A gauge of the schema stands above a rate of its name.
        for (metric, gauge) in group.gauges.iter().zip(&values.gauges) {
            if self.projection.has_metric(&metric.name) && gauge.presence.is_present(row) {
                let number = match &gauge.values {
                    GaugeValues::Int(values) => Number::Signed(values[row]),
                    GaugeValues::Float(values) => Number::Float(values[row]),
                };
                put(&metric.name, "gauge", number);
            }
        }
        let mut between = b' ';
        for (name, number) in fields {
            if number.is_writable() {
                into.push(between);
                put_name(&name, into);
                into.push(b'=');
                number.put(into);
                between = b',';
            }
        }
        between == b','
    }
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    /// Line protocol has neither NaN nor infinity.
    fn is_writable(self) -> bool {
        !matches!(self, Number::Float(value) if !value.is_finite())
    }

    fn put(self, into: &mut Vec<u8>) {
        let written = match self {
            Number::Unsigned(value) if i64::try_from(value).is_err() => write!(into, "{value}u"),
            Number::Unsigned(value) => write!(into, "{value}i"),
            Number::Signed(value) => write!(into, "{value}i"),
            Number::Float(value) => write!(into, "{value}"),
        };
        written.expect("a Vec takes all bytes");
    }
}

/// Each run of other characters than letters, digits and `_` is one `_`, as Panoptes has it; names
/// that begin with `_` belong to the server.
fn measurement_of(group: &str) -> String {
    let mut name = String::with_capacity(group.len());
    for character in group.chars() {
        if character.is_ascii_alphanumeric() || character == '_' {
            name.push(character);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_start_matches('_');
    if name.is_empty() { NAMELESS } else { name }.to_owned()
}

/// The resource's own fields stand above dimensions of their names. Empty values have no tag.
fn put_tags<'a>(
    dimensions: impl Iterator<Item = (&'a str, &'a str)>,
    of: &'a Resource,
    into: &mut Vec<u8>,
) {
    let mut tags: BTreeMap<&str, &str> = dimensions.collect();
    tags.extend([
        ("resource_class", of.id().class()),
        ("resource_endpoint", of.endpoint()),
        ("resource_site", of.id().site()),
        ("resource_subclass", of.id().subclass()),
        ("resource_type", of.id().resource_type()),
    ]);
    for (name, value) in tags.into_iter().filter(|(_, value)| !value.is_empty()) {
        into.push(b',');
        put_name(name, into);
        into.push(b'=');
        put_name(value, into);
    }
}

/// A tag's or field's key, or a tag's value. A backslash before what is escaped, or at the end,
/// would escape the wrong thing: it becomes `/`. A control character cannot be written: a space.
fn put_name(text: &str, into: &mut Vec<u8>) {
    let is_escaped =
        |character: char| matches!(character, ',' | '=' | ' ' | '\\') || character.is_control();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let shown = match character {
            '\\' if characters.peek().is_none_or(|next| is_escaped(*next)) => '/',
            character if character.is_control() => ' ',
            character => character,
        };
        if matches!(shown, ',' | '=' | ' ') {
            into.push(b'\\');
        }
        let mut bytes = [0; 4];
        into.extend_from_slice(shown.encode_utf8(&mut bytes).as_bytes());
    }
}

fn put_time(time: WallMs, into: &mut Vec<u8>) {
    let nanos = i128::from(time.0) * 1_000_000;
    writeln!(into, " {nanos}").expect("a Vec takes all bytes");
}

#[cfg(test)]
#[path = "influx_tests.rs"]
mod tests;
