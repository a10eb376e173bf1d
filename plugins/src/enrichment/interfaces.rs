//! What is known about the interfaces of a device: names, media, speeds, parents.
//!
//! Does: make the facts of namespace `interface` of the columns read (Panoptes' fields, label
//! ifIndex). Does not: ask. In: a raw table. Out: labels; what is not known is absent.
//! Invariant: an interface without a name is nobody's parent; an odd ifType costs its own field.

use std::collections::BTreeMap;

use ocelli_model::enrichment::LabelFacts;
use ocelli_model::oid::Oid;
use ocelli_model::profile::{Cell, RawTable, ValueMap};
use serde_json::Value;

use super::variant::Variant;

/// The namespace.
pub(super) const NAMESPACE: &str = "interface";

/// ifTable (RFC 2863), columns of it, and where they stand in the raw table.
const IF_TABLE: [u32; 9] = [1, 3, 6, 1, 2, 1, 2, 2, 1];
const IF_X_TABLE: [u32; 10] = [1, 3, 6, 1, 2, 1, 31, 1, 1, 1];
const IF_TABLE_COLUMNS: [(u32, u16); 4] =
    [(2, DESCR), (3, TYPE), (5, SPEED), (6, PHYSICAL_ADDRESS)];
const IF_X_TABLE_COLUMNS: [(u32, u16); 3] = [(1, NAME), (15, HIGH_SPEED), (18, ALIAS)];
const DESCR: u16 = 0;
const TYPE: u16 = 1;
const SPEED: u16 = 2;
const PHYSICAL_ADDRESS: u16 = 3;
const NAME: u16 = 4;
const HIGH_SPEED: u16 = 5;
const ALIAS: u16 = 6;
/// Columns of the raw table.
pub(super) const COLUMNS: usize = 7;

/// ifSpeed stands at its largest value above 4.29 Gbit/s.
const SPEED_SATURATED: f64 = 4_294_967_295.0;
/// An Arista port with lanes (`Ethernet1/1`) is a quarter of its parent.
const ARISTA_LANES: u64 = 4;

/// The two walks: columns to ask for and where they go.
pub(super) fn walks() -> [(Vec<Oid>, Vec<u16>); 2] {
    let walk = |parent: &[u32], columns: &[(u32, u16)]| {
        let oids = columns.iter().filter_map(|(arc, _)| {
            let arcs = [parent, &[*arc]].concat();
            Oid::from_arcs(&arcs).ok()
        });
        (oids.collect(), columns.iter().map(|(_, at)| *at).collect())
    };
    [
        walk(&IF_TABLE, &IF_TABLE_COLUMNS),
        walk(&IF_X_TABLE, &IF_X_TABLE_COLUMNS),
    ]
}

/// An interface as its parts see it.
#[derive(Debug, Clone, Default)]
struct Interface {
    name: Option<String>,
    media_type: Option<String>,
    configured_speed: Option<u64>,
    port_speed: Option<u64>,
}

/// The facts by ifIndex; empty if the device has no interface.
pub(super) fn labels(
    table: &RawTable,
    (variant, model): (Variant, &str),
    types: &ValueMap,
) -> BTreeMap<String, LabelFacts> {
    let interfaces: Vec<Interface> = (0..table.rows())
        .map(|row| interface(table, row, (variant, model), types))
        .collect();
    let by_name: BTreeMap<&str, &Interface> = interfaces
        .iter()
        .rev() // Of two of one name the first counts.
        .filter_map(|interface| Some((interface.name.as_deref()?, interface)))
        .collect();
    let mut labels = BTreeMap::new();
    for (row, interface) in interfaces.iter().enumerate() {
        let index = table.index(row).unwrap_or(&[]);
        let label: Vec<String> = index.iter().map(u32::to_string).collect();
        let mut facts = LabelFacts::new();
        put_text(&mut facts, "interface_name", interface.name.clone());
        put_text(&mut facts, "description", text(table, row, DESCR));
        put_text(&mut facts, "alias", text(table, row, ALIAS));
        put_text(&mut facts, "media_type", interface.media_type.clone());
        put_text(&mut facts, "physical_address", physical_address(table, row));
        put_number(&mut facts, "configured_speed", interface.configured_speed);
        put_number(&mut facts, "port_speed", interface.port_speed);
        put_parent(&mut facts, interface, variant, &by_name);
        if !facts.is_empty() {
            labels.insert(label.join("."), facts);
        }
    }
    labels
}

fn interface(
    table: &RawTable,
    row: usize,
    (variant, model): (Variant, &str),
    types: &ValueMap,
) -> Interface {
    let name = text(table, row, NAME);
    let configured_speed = configured_speed(table, row);
    let by_name = name
        .as_deref()
        .and_then(|name| variant.port_speed_of(name, model));
    Interface {
        media_type: number(table, row, TYPE).map(|number| media_type(number, types)),
        configured_speed,
        port_speed: by_name.or(configured_speed),
        name,
    }
}

fn put_parent(
    facts: &mut LabelFacts,
    own: &Interface,
    variant: Variant,
    by_name: &BTreeMap<&str, &Interface>,
) {
    let Some(name) = own.name.as_deref().and_then(|name| variant.parent_of(name)) else {
        return;
    };
    let parent = match variant {
        Variant::Arista => {
            let whole = own
                .configured_speed
                .map(|speed| speed.saturating_mul(ARISTA_LANES));
            Interface {
                name: None,
                media_type: own.media_type.clone(),
                configured_speed: whole,
                port_speed: whole,
            }
        }
        Variant::Generic | Variant::Cisco | Variant::Juniper => by_name
            .get(name)
            .map(|parent| (*parent).clone())
            .unwrap_or_default(),
    };
    put_text(facts, "parent_interface_name", Some(name.to_owned()));
    put_text(facts, "parent_interface_media_type", parent.media_type);
    put_number(
        facts,
        "parent_interface_configured_speed",
        parent.configured_speed,
    );
    put_number(facts, "parent_interface_port_speed", parent.port_speed);
}

fn put_text(facts: &mut LabelFacts, field: &str, text: Option<String>) {
    if let Some(text) = text {
        facts.insert(field.to_owned(), Value::String(text));
    }
}

fn put_number(facts: &mut LabelFacts, field: &str, number: Option<u64>) {
    if let Some(number) = number {
        facts.insert(field.to_owned(), Value::from(number));
    }
}

/// A number has a name up to the last that IANA's list here knows; beyond it, it is its own name.
fn media_type(number: f64, types: &ValueMap) -> String {
    let shown = number.to_string();
    let known = shown
        .parse()
        .ok()
        .and_then(|number: i64| types.get(&number));
    known.map_or(shown, |name| name.to_string())
}

/// ifHighSpeed × 10^6, or ifSpeed where that is finer (0 and 1 Mbit/s) or the only one.
fn configured_speed(table: &RawTable, row: usize) -> Option<u64> {
    let high = number(table, row, HIGH_SPEED).map(|megabits| megabits * 1e6);
    if let Some(high) = high.filter(|high| *high > 1e6) {
        return to_u64(high);
    }
    let low = number(table, row, SPEED).filter(|low| *low > 0.0 && *low < SPEED_SATURATED);
    low.or(high).and_then(to_u64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: not negative, and below 2^32 × 10^6"
)]
fn to_u64(number: f64) -> Option<u64> {
    (0.0..5e15).contains(&number).then_some(number as u64)
}

fn number(table: &RawTable, row: usize, column: u16) -> Option<f64> {
    table.cell(usize::from(column), row).number()
}

/// Printable text; nothing for an empty one.
fn text(table: &RawTable, row: usize, column: u16) -> Option<String> {
    let Cell::Text(octets) = table.cell(usize::from(column), row) else {
        return None;
    };
    let text = String::from_utf8_lossy(octets);
    let text = text.trim_end_matches('\0').replace(char::is_control, " ");
    (!text.trim().is_empty()).then_some(text)
}

fn physical_address(table: &RawTable, row: usize) -> Option<String> {
    let Cell::Text(octets) = table.cell(usize::from(PHYSICAL_ADDRESS), row) else {
        return None;
    };
    let pairs: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    (!pairs.is_empty()).then(|| pairs.join(":"))
}
