//! Items whose keys depend on one of them: `kind` of a plugin, `version` of a credential.
//!
//! Does: choose the section by that word and read it. Does not: walk the items (`load`).
//! In: the keys of one item. Out: the typed item, or errors in [`Reading`].

use crate::future::later_kind;
use crate::reading::Reading;
use crate::section::{Keys, Section};
use crate::sections::credentials::{SnmpCredentialConfig, check_levels};
use crate::sections::discovery::{DiscoveryConfig, EnrichmentConfig};
use crate::sections::polling::{PollingConfig, check_deadline};
use crate::tree::{Table, Value};

pub(crate) fn read_discovery(
    keys: &Keys<'_>,
    reading: &mut Reading<'_>,
) -> Option<DiscoveryConfig> {
    let (kind, table) = split(keys, "kind", &["json", "static"], reading)?;
    let keys = Keys {
        table: &table,
        ..*keys
    };
    match kind.as_str() {
        "json" => Section::read(&keys, reading).map(DiscoveryConfig::Json),
        _ => Section::read(&keys, reading).map(DiscoveryConfig::Static),
    }
}

pub(crate) fn read_enrichment(
    keys: &Keys<'_>,
    reading: &mut Reading<'_>,
) -> Option<EnrichmentConfig> {
    let (_, table) = split(keys, "kind", &["snmp"], reading)?;
    let keys = Keys {
        table: &table,
        ..*keys
    };
    Section::read(&keys, reading).map(EnrichmentConfig::Snmp)
}

pub(crate) fn read_polling(keys: &Keys<'_>, reading: &mut Reading<'_>) -> Option<PollingConfig> {
    let (kind, table) = split(keys, "kind", &["snmp", "host"], reading)?;
    let keys = Keys {
        table: &table,
        ..*keys
    };
    let polling = match kind.as_str() {
        "snmp" => Section::read(&keys, reading).map(PollingConfig::Snmp)?,
        _ => Section::read(&keys, reading).map(PollingConfig::Host)?,
    };
    check_deadline(&polling, &keys, reading);
    Some(polling)
}

pub(crate) fn read_snmp_credential(
    keys: &Keys<'_>,
    reading: &mut Reading<'_>,
) -> Option<SnmpCredentialConfig> {
    let (version, table) = split(keys, "version", &["1", "2c", "3"], reading)?;
    let keys = Keys {
        table: &table,
        ..*keys
    };
    let credential = match version.as_str() {
        "1" => Section::read(&keys, reading).map(SnmpCredentialConfig::V1)?,
        "2c" => Section::read(&keys, reading).map(SnmpCredentialConfig::V2c)?,
        _ => Section::read(&keys, reading).map(SnmpCredentialConfig::V3)?,
    };
    check_levels(&credential, &keys, reading);
    Some(credential)
}

/// The word that decides the kind, and the other keys.
fn split(
    keys: &Keys<'_>,
    key: &str,
    choices: &[&str],
    reading: &mut Reading<'_>,
) -> Option<(String, Table)> {
    let list: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
    let remedy = format!("write {key} = {}", list.join(" or "));
    let title = keys.title;
    let Some(entry) = keys.table.get(key) else {
        reading.wrong(keys.span, format!("{title} has no {key:?}"), remedy);
        return None;
    };
    let Value::Text(word) = &entry.node.value else {
        let reason = format!("{key} is {}, not a string", entry.node.value.kind());
        reading.wrong(entry.node.span, reason, remedy);
        return None;
    };
    if !choices.contains(&word.as_str()) {
        if key == "kind"
            && let Some(later) = later_kind(word)
        {
            let reason = format!("{title} of kind {word:?} is not in this version");
            reading.wrong(entry.node.span, reason, later);
        } else {
            let near = ocelli_model::suggest::nearest(word, choices.iter().copied());
            let remedy = format!("{remedy}{}", ocelli_model::suggest::did_you_mean(near));
            reading.wrong(
                entry.node.span,
                format!("{title} has no such {key}"),
                remedy,
            );
        }
        return None;
    }
    let others = keys
        .table
        .entries
        .iter()
        .filter(|other| other.key != key)
        .cloned();
    Some((
        word.clone(),
        Table {
            entries: others.collect(),
        },
    ))
}
