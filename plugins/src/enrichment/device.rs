//! What a device says about itself.
//!
//! Does: ask sysDescr, sysObjectID and sysName, make facts of them. Does not: interpret them.
//! In: the answers as a table of one row. Out: the labels of namespace `device`: `system` alone.

use std::collections::BTreeMap;

use ocelli_model::enrichment::{LabelFacts, SYSTEM_LABEL, SYSTEM_NAME_FIELD};
use ocelli_model::oid::Oid;
use ocelli_model::profile::{Cell, RawTable};
use serde_json::Value;

/// Field of the facts and last arcs below 1.3.6.1.2.1.1 (SNMPv2-MIB system).
const FIELDS: [(&str, u32); 3] = [("sysdescr", 1), ("sysobjectid", 2), (SYSTEM_NAME_FIELD, 5)];
/// Position of sysObjectID among them.
const SYS_OBJECT_ID: usize = 1;

/// The instances to ask for.
pub(super) fn instances() -> Vec<Oid> {
    let arcs = FIELDS.iter().map(|(_, arc)| [1, 3, 6, 1, 2, 1, 1, *arc, 0]);
    arcs.filter_map(|arcs| Oid::from_arcs(&arcs).ok()).collect()
}

/// sysObjectID as dotted text.
pub(super) fn sys_object_id(answers: &RawTable) -> Option<String> {
    text(answers, SYS_OBJECT_ID)
}

/// The facts; empty if the device answered none.
pub(super) fn labels(answers: &RawTable) -> BTreeMap<String, LabelFacts> {
    let mut facts = LabelFacts::new();
    for (position, (field, _)) in FIELDS.iter().enumerate() {
        if let Some(text) = text(answers, position) {
            facts.insert((*field).to_owned(), Value::String(text));
        }
    }
    let labels = (!facts.is_empty()).then(|| (SYSTEM_LABEL.to_owned(), facts));
    labels.into_iter().collect()
}

fn text(answers: &RawTable, column: usize) -> Option<String> {
    match answers.cell(column, 0) {
        Cell::Text(octets) => {
            let text = String::from_utf8_lossy(octets);
            let text = text.trim_matches(|edge: char| edge == '\0' || edge.is_whitespace());
            (!text.is_empty()).then(|| text.to_owned())
        }
        Cell::Number(_) | Cell::Missing => None,
    }
}
