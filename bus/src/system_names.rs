//! The names that devices give themselves (`sysName`), as enrichment found them.
//!
//! Does: follow durable enrichments, look a name up, say where each stands for the checkpoint.
//! Does not: hold other facts, decide what a name on the command line means (`model::resource`).
//! In: durable entries. Out: names by resource. A run that found no name any more ends the old one.
//! Full: beyond [`SYSTEM_NAMES_MAX`] a resource whose name is new is left without, counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_model::enrichment::{DEVICE_NAMESPACE, SYSTEM_LABEL, SYSTEM_NAME_FIELD};
use ocelli_model::resource::ResourceId;
use parking_lot::RwLock;
use serde_json::Value;

use crate::last_values::Place;
use crate::payload::{self, Payload};
use crate::record::OriginId;
use crate::stored::StoredBlock;

/// Most names held: some 200 bytes each, so 50 MiB at most, for ten times the largest mesh planned.
const SYSTEM_NAMES_MAX: usize = 262_144;
/// Longest name held, bytes: sysName is a DisplayString of 255 (RFC 3418).
const SYSTEM_NAME_BYTES_MAX: usize = 255;

#[derive(Debug)]
struct Named {
    name: Arc<str>,
    origin: OriginId,
    /// When the run that found it ended, seconds.
    found: f64,
    place: Place,
}

/// The names of all resources whose device told one.
#[derive(Debug, Default)]
pub struct SystemNames {
    inner: RwLock<BTreeMap<ResourceId, Named>>,
}

impl SystemNames {
    /// What the device of `resource` calls itself.
    #[must_use]
    pub fn get(&self, resource: &ResourceId) -> Option<Arc<str>> {
        let inner = self.inner.read();
        inner.get(resource).map(|named| Arc::clone(&named.name))
    }

    /// How many names are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets what origins told that are gone for good.
    pub fn forget(&self, is_gone: impl Fn(OriginId) -> bool) {
        self.inner.write().retain(|_, named| !is_gone(named.origin));
    }

    /// Takes an enrichment of a durable block in. Answers how many names found no room.
    pub(crate) fn apply_entry(
        &self,
        block: &StoredBlock,
        index: usize,
        resource: &ResourceId,
    ) -> u64 {
        let Some(view) = block.entries().get(index) else {
            return 0;
        };
        // A body that cannot be read is told of where it is read for a subscriber.
        let body = block.body(view).ok();
        let payload = body.and_then(|body| payload::read(&view.head, body).ok());
        let Some(Payload::Enrich(record)) = payload else {
            return 0;
        };
        if record.namespace != DEVICE_NAMESPACE {
            return 0;
        }
        let Ok(group) = record.group() else {
            return 0;
        };
        let system = group.labels().get(SYSTEM_LABEL);
        let name = system.and_then(|facts| facts.get(SYSTEM_NAME_FIELD));
        let name = name
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty() && name.len() <= SYSTEM_NAME_BYTES_MAX);
        let named = name.map(|name| Named {
            name: Arc::from(name),
            origin: block.header().stream.origin,
            found: record.created.get(),
            place: Place {
                block: block.position(),
                index: u32::try_from(index).unwrap_or(u32::MAX),
            },
        });
        self.take(resource, record.created.get(), named)
    }

    /// Where the names stand.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.inner
            .read()
            .values()
            .map(|named| named.place)
            .collect()
    }

    fn take(&self, resource: &ResourceId, found: f64, named: Option<Named>) -> u64 {
        let mut inner = self.inner.write();
        let known = inner.get(resource);
        if known.is_some_and(|known| known.found > found) {
            return 0;
        }
        let Some(named) = named else {
            inner.remove(resource);
            return 0;
        };
        if known.is_none() && inner.len() >= SYSTEM_NAMES_MAX {
            return 1;
        }
        inner.insert(resource.clone(), named);
        0
    }
}
