//! Ways into the vocabulary: filters, profiles, resource files, Panoptes' messages, short texts.
//!
//! Does: read, check that what was accepted is written back as the same and that two ways of
//! computing one thing agree. Does not: choose the bytes.
//! In: bytes. Out: nothing, or a panic that is a defect.

use std::collections::BTreeMap;

use ocelli_model::clock::WallMs;
use ocelli_model::filter::{Filter, InternedTable, Vocabulary};
use ocelli_model::panoptes::{
    parse_enrichment_group_set, parse_metrics_groups, parse_multi_group_set, parse_resource_set,
    parse_stored_group,
};
use ocelli_model::profile::{LowerContext, NativeProfile};
use ocelli_model::resource::{
    Endpoint, Resource, ResourceDefaults, ResourceFields, parse_resource_file,
};
use ocelli_model::rfc3339::{parse_rfc3339, rfc3339_of};
use ocelli_model::units::{format_duration, format_size, parse_duration, parse_size};
use ocelli_model::unix_seconds::UnixSeconds;

/// A filter over resources.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let filter = match text.parse::<Filter>() {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.line <= text.split('\n').count(), "{error}");
            return;
        }
    };
    let again: Filter = filter
        .to_string()
        .parse()
        .expect("what was read is written");
    let mut table = InternedTable::new(&Vocabulary::resource(), [&filter]);
    let resources = [
        resource("sw1", &[]),
        resource("1", &[("role", "lab"), ("a", "x")]),
    ];
    resources
        .iter()
        .for_each(|resource| table.push(resource).expect("there is room for two"));
    let mut compiled = table.compile(&filter).expect("the table has its columns");
    let matcher = compiled.matcher(&table);
    for (position, resource) in resources.iter().enumerate() {
        let verdict = filter.matches(resource);
        assert_eq!(again.matches(resource), verdict, "{text}");
        assert_eq!(filter.explain(resource).verdict, verdict, "{text}");
        assert_eq!(matcher.matches(position), verdict, "{text}");
    }
}

fn resource(id: &str, metadata: &[(&str, &str)]) -> Resource {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let fields = ResourceFields {
        identity: ["dc1", "network", "switch", "cisco", id].map(str::to_owned),
        endpoint: "10.0.0.1".to_owned(),
        metadata: metadata.iter().map(pair).collect(),
        plugin: "p".to_owned(),
        ..ResourceFields::default()
    };
    Resource::new(fields).expect("a sound resource")
}

/// A native profile, lowered to a collect plan.
pub fn profile(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // A carriage return alone is a line break of YAML too (YAML 1.2 §5.4).
    let lines = text.split(['\n', '\r']).count();
    let maps = BTreeMap::new();
    let context = LowerContext {
        every_ms: 60_000,
        maps: &maps,
    };
    let lowered = NativeProfile::parse("p.yaml", text).and_then(|native| native.lower(&context));
    match lowered {
        Ok(profile) => {
            assert_eq!(profile.plan.groups.len(), profile.schema.groups.len());
            assert_eq!(profile.rates.groups.len(), profile.schema.groups.len());
        }
        Err(findings) => {
            assert!(!findings.is_empty());
            for finding in findings {
                assert!(finding.place.line <= lines + 1, "{finding}");
            }
        }
    }
}

/// A file of resources.
pub fn resource_file(bytes: &[u8]) {
    let defaults = defaults();
    let Ok(file) = parse_resource_file(bytes, &defaults) else {
        return;
    };
    for resource in &file.resources {
        let json = serde_json_of(resource);
        let again =
            parse_resource_file(json.as_bytes(), &defaults).expect("what was read is written");
        assert_eq!(again.resources.first(), Some(resource), "{json}");
    }
}

fn serde_json_of(resource: &Resource) -> String {
    let json = ocelli_model::panoptes::ResourceJson::of(resource);
    format!("[{}]", String::from_utf8_lossy(json.as_bytes()))
}

/// What Panoptes' programs send and store.
pub fn panoptes(bytes: &[u8]) {
    let defaults = defaults();
    drop(parse_metrics_groups(bytes, &defaults));
    drop(parse_resource_set(bytes, &defaults));
    drop(parse_enrichment_group_set(bytes, &defaults));
    drop(parse_multi_group_set(bytes, &defaults));
    drop(parse_stored_group(bytes, "interface"));
}

fn defaults() -> ResourceDefaults {
    ResourceDefaults {
        plugin: "p".to_owned(),
        now: UnixSeconds::default(),
    }
}

/// Times that have a year of four digits, from 1970 on.
const WRITABLE: std::ops::Range<i64> = 0..253_402_300_800_000;

/// Durations, sizes, times and endpoints.
pub fn short_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(
            parse_duration(&format_duration(duration)).ok(),
            Some(duration),
            "{text}"
        );
    }
    if let Ok(size) = parse_size(text) {
        assert_eq!(parse_size(&format_size(size)).ok(), Some(size), "{text}");
    }
    if let Some(time) = parse_rfc3339(text).filter(|time| WRITABLE.contains(&time.0)) {
        let whole = WallMs(time.0 - time.0 % 1_000);
        assert_eq!(parse_rfc3339(&rfc3339_of(time)), Some(whole), "{text}");
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        let again = endpoint.to_string().parse::<Endpoint>();
        assert_eq!(again.ok(), Some(endpoint), "{text}");
    }
}
