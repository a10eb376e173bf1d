//! Resources: the things monitored, in Panoptes' sense.
//!
//! Does: validate the nine fields by Panoptes' rules and ours (no `|`, no control characters,
//! limits), read and write their JSON, find metadata without regard to case, name the device.
//! Does not: read files (`file` reads bytes), keep sets of resources (`catalog`).
//! In: JSON or [`ResourceFields`]. Out: [`Resource`], valid by construction, or [`ResourceError`].
//! Invariant: metadata always holds `_resource_ttl`, text of an integer above zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::schema::is_key_name;
use crate::unix_seconds::UnixSeconds;

mod endpoint;
mod error;
mod file;
mod identity;
mod naming;

pub use endpoint::{DeviceKey, Endpoint, EndpointError, Host};
pub use error::ResourceError;
pub use file::{
    RESOURCE_FILE_BYTES_MAX, RESOURCE_ROWS_MAX, Refusal, ResourceFile, ResourceFileError,
    parse_resource_file,
};
pub use identity::{IDENTITY_FIELDS, ResourceId, ResourceIdError};
pub use naming::{NameError, Named, find_by_name};

/// Longest of the seven string fields, bytes; a host name has 253.
pub const FIELD_BYTES_MAX: usize = 512;
/// Most metadata pairs of a resource.
pub const METADATA_PAIRS_MAX: usize = 256;
/// Longest metadata key, bytes.
pub const METADATA_KEY_BYTES_MAX: usize = 128;
/// Largest resource, all its texts together: a catalog entry of 64 KiB holds one and has room.
pub const RESOURCE_BYTES_MAX: usize = 32 * 1024;
/// The metadata key that holds how long a resource lives without being seen again, seconds.
pub const TTL_KEY: &str = "_resource_ttl";
/// [`TTL_KEY`] of a resource that does not state it: seven days.
pub const TTL_SECONDS_DEFAULT: u64 = 604_800;
/// The metadata key by which discovery names the device behind several endpoints.
pub const DEVICE_METADATA_KEY: &str = "device";

/// A thing to monitor. Equality is of the whole content; identity is [`Resource::id`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    id: ResourceId,
    endpoint: Arc<str>,
    metadata: BTreeMap<String, String>,
    created: UnixSeconds,
    plugin: Arc<str>,
    ttl_seconds: u64,
}

/// The fields of a resource before they are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFields {
    /// Site, class, subclass, type, id.
    pub identity: [String; 5],
    /// Host name or address, maybe with a port.
    pub endpoint: String,
    /// [`TTL_KEY`] may be absent.
    pub metadata: BTreeMap<String, String>,
    /// When discovery first saw it.
    pub created: UnixSeconds,
    /// Name of the discovery plugin.
    pub plugin: String,
}

/// What stands in for fields that a discovery file may leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDefaults {
    /// Name of the reading discovery plugin, for rows without `resource_plugin`.
    pub plugin: String,
    /// Now, for rows without a creation timestamp.
    pub now: UnixSeconds,
}

impl Resource {
    /// A resource of these fields.
    ///
    /// # Errors
    /// A [`ResourceError`] for the first field that breaks a rule.
    pub fn new(fields: ResourceFields) -> Result<Self, ResourceError> {
        let id = ResourceId::new(fields.identity.each_ref().map(String::as_str))?;
        check_field("resource_endpoint", &fields.endpoint)?;
        check_field("resource_plugin", &fields.plugin)?;
        let mut metadata = fields.metadata;
        let ttl_seconds = take_ttl(&mut metadata)?;
        check_metadata(&metadata)?;
        let resource = Self {
            id,
            endpoint: fields.endpoint.into(),
            metadata,
            created: fields.created,
            plugin: fields.plugin.into(),
            ttl_seconds,
        };
        match resource.text_bytes() {
            bytes if bytes > RESOURCE_BYTES_MAX => Err(ResourceError::TooLarge { bytes }),
            _ => Ok(resource),
        }
    }

    /// Reads the JSON object of a discovery file: as Panoptes writes it, and more kindly where its
    /// documents or files differ (`resource_creation_plugin`, text timestamps, integer TTL).
    ///
    /// # Errors
    /// A [`ResourceError`] for the first field that is missing or breaks a rule.
    pub fn from_json(value: &Value, defaults: &ResourceDefaults) -> Result<Self, ResourceError> {
        let Value::Object(object) = value else {
            return Err(ResourceError::NotObject {
                found: type_name(value),
            });
        };
        let mut identity: [String; 5] = Default::default();
        for (part, field) in identity.iter_mut().zip(IDENTITY_FIELDS) {
            *part = required_text(object.get(field), field)?;
        }
        let plugin = match object
            .get("resource_plugin")
            .filter(|plugin| !plugin.is_null())
        {
            Some(plugin) => Some(plugin),
            None => object.get("resource_creation_plugin"),
        };
        let plugin = match plugin {
            None | Some(Value::Null) => defaults.plugin.clone(),
            named => required_text(named, "resource_plugin")?,
        };
        Self::new(ResourceFields {
            identity,
            endpoint: required_text(object.get("resource_endpoint"), "resource_endpoint")?,
            metadata: metadata_of_json(object.get("resource_metadata"))?,
            created: created_of_json(object.get("resource_creation_timestamp"), defaults.now)?,
            plugin,
        })
    }

    /// Which resource it is.
    #[must_use]
    pub fn id(&self) -> &ResourceId {
        &self.id
    }

    /// Host name or address to poll, as discovery gave it.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All metadata, by key.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The value of `key` without regard to ASCII case; of keys that differ in case alone the
    /// first in byte order.
    #[must_use]
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }

    /// When discovery first saw it.
    #[must_use]
    pub fn created(&self) -> UnixSeconds {
        self.created
    }

    /// Name of the discovery plugin that found it.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// How long it lives without being seen again, seconds, above zero.
    #[must_use]
    pub fn ttl_seconds(&self) -> u64 {
        self.ttl_seconds
    }

    /// Whether all but the creation time is equal.
    #[must_use]
    pub fn is_same_but_created(&self, other: &Self) -> bool {
        (&self.id, &self.endpoint, &self.metadata, &self.plugin)
            == (&other.id, &other.endpoint, &other.metadata, &other.plugin)
    }

    /// Length of all its texts together, bytes; at most [`RESOURCE_BYTES_MAX`].
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let pairs = self
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len());
        self.id.as_str().len() + self.endpoint.len() + self.plugin.len() + pairs.sum::<usize>()
    }

    /// Which device it is part of: metadata `device`, else the endpoint's host.
    #[must_use]
    pub fn device_key(&self) -> DeviceKey {
        DeviceKey::of(
            self.metadata_value(DEVICE_METADATA_KEY)
                .unwrap_or(&self.endpoint),
        )
    }
}

/// Panoptes' JSON object, fields in its order. The same shape is the binary form.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Resource")]
struct Record {
    resource_site: String,
    resource_class: String,
    resource_subclass: String,
    resource_type: String,
    resource_id: String,
    resource_endpoint: String,
    resource_metadata: BTreeMap<String, String>,
    resource_creation_timestamp: UnixSeconds,
    #[serde(alias = "resource_creation_plugin")]
    resource_plugin: String,
}

/// [`Record`] without copies.
#[derive(Serialize)]
#[serde(rename = "Resource")]
struct RecordRef<'a> {
    resource_site: &'a str,
    resource_class: &'a str,
    resource_subclass: &'a str,
    resource_type: &'a str,
    resource_id: &'a str,
    resource_endpoint: &'a str,
    resource_metadata: &'a BTreeMap<String, String>,
    resource_creation_timestamp: UnixSeconds,
    resource_plugin: &'a str,
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = RecordRef {
            resource_site: self.id.site(),
            resource_class: self.id.class(),
            resource_subclass: self.id.subclass(),
            resource_type: self.id.resource_type(),
            resource_id: self.id.id(),
            resource_endpoint: &self.endpoint,
            resource_metadata: &self.metadata,
            resource_creation_timestamp: self.created,
            resource_plugin: &self.plugin,
        };
        record.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = Record::deserialize(deserializer)?;
        let fields = ResourceFields {
            identity: [
                record.resource_site,
                record.resource_class,
                record.resource_subclass,
                record.resource_type,
                record.resource_id,
            ],
            endpoint: record.resource_endpoint,
            metadata: record.resource_metadata,
            created: record.resource_creation_timestamp,
            plugin: record.resource_plugin,
        };
        Self::new(fields).map_err(serde::de::Error::custom)
    }
}

// === Rules ===

/// The rule of the seven string fields: not empty, no `|`, no control character, not too long.
pub(crate) fn check_field(field: &'static str, text: &str) -> Result<(), ResourceError> {
    if text.is_empty() {
        return Err(ResourceError::Empty { field });
    }
    if text.len() > FIELD_BYTES_MAX {
        let bytes = text.len();
        return Err(ResourceError::TooLong { field, bytes });
    }
    match text
        .chars()
        .find(|found| *found == '|' || found.is_control())
    {
        Some(character) => Err(ResourceError::Character { field, character }),
        None => Ok(()),
    }
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), ResourceError> {
    if metadata.len() > METADATA_PAIRS_MAX {
        return Err(ResourceError::MetadataCount {
            found: metadata.len(),
        });
    }
    for (key, value) in metadata {
        if !is_key_name(key) || key.len() > METADATA_KEY_BYTES_MAX {
            let key = key.chars().take(METADATA_KEY_BYTES_MAX).collect();
            return Err(ResourceError::MetadataKey { key });
        }
        if value.is_empty() || value.contains('|') {
            return Err(ResourceError::MetadataValue {
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
    Ok(())
}

/// Seconds to live; fills the default in where there is none.
fn take_ttl(metadata: &mut BTreeMap<String, String>) -> Result<u64, ResourceError> {
    let Some(text) = metadata.get(TTL_KEY) else {
        metadata.insert(TTL_KEY.to_owned(), TTL_SECONDS_DEFAULT.to_string());
        return Ok(TTL_SECONDS_DEFAULT);
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|seconds| is_number && *seconds > 0)
        .ok_or_else(|| ResourceError::Ttl {
            value: text.clone(),
        })
}

// === Reading JSON ===

fn required_text(value: Option<&Value>, field: &'static str) -> Result<String, ResourceError> {
    match value {
        None => Err(ResourceError::Missing { field }),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(ResourceError::NotText {
            field,
            found: type_name(other),
        }),
    }
}

fn metadata_of_json(value: Option<&Value>) -> Result<BTreeMap<String, String>, ResourceError> {
    let field = "resource_metadata";
    let object = match value {
        None => return Err(ResourceError::Missing { field }),
        Some(Value::Object(object)) => object,
        Some(other) => {
            return Err(ResourceError::NotMetadata {
                found: type_name(other),
            });
        }
    };
    let mut metadata = BTreeMap::new();
    for (key, value) in object {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(seconds) if key == TTL_KEY && seconds.is_u64() => seconds.to_string(),
            other => {
                return Err(ResourceError::MetadataType {
                    key: key.chars().take(METADATA_KEY_BYTES_MAX).collect(),
                    found: type_name(other),
                });
            }
        };
        metadata.insert(key.clone(), text);
    }
    Ok(metadata)
}

/// Missing, null and 0 mean now, as in Panoptes; text is read as a number (its shipped files).
fn created_of_json(value: Option<&Value>, now: UnixSeconds) -> Result<UnixSeconds, ResourceError> {
    let created = match value {
        None | Some(Value::Null) => return Ok(now),
        Some(Value::Number(number)) => number.as_f64().and_then(UnixSeconds::new),
        Some(Value::String(text)) => UnixSeconds::parse(text),
        Some(_) => None,
    };
    let found = || value.map(ToString::to_string).unwrap_or_default();
    let created = created.ok_or_else(|| ResourceError::Timestamp { found: found() })?;
    Ok(if created.get() == 0.0 { now } else { created })
}

/// What a JSON value is, for error texts.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "resource_tests.rs"]
pub(crate) mod tests;
