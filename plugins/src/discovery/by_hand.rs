//! Discovery from the configuration itself: `kind = "static"`.
//!
//! Does: make resources of what is written, with the defaults of the design (id = endpoint, site =
//! the node's). Does not: read anything. In: the configuration's section and the node's site.
//! Out: the same set in each run, stamped with its time, as rows without a time in a file are.
//! What the model's rules refuse is an error at start, not at run time.

use ocelli_config::sections::discovery::StaticResource;
use ocelli_model::resource::{Resource, ResourceError, ResourceFields, ResourceFile};
use ocelli_model::unix_seconds::UnixSeconds;

use super::{Discovery, DiscoveryError};
use crate::run::{PluginFuture, Run};

/// `kind = "static"`.
#[derive(Debug, Clone)]
pub struct StaticDiscovery {
    name: String,
    fields: Vec<ResourceFields>,
}

/// A resource that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resource {endpoint:?} of discovery {name:?} is refused: {reason}")]
pub struct StaticError {
    /// Name of the discovery.
    pub name: String,
    /// Its endpoint, as written.
    pub endpoint: String,
    /// The rule that it breaks.
    pub reason: ResourceError,
}

impl StaticDiscovery {
    /// The plugin `name` with these resources, of `site` where they name none.
    ///
    /// # Errors
    /// [`StaticError`] for the first resource that breaks a rule.
    pub fn new(name: &str, resources: &[StaticResource], site: &str) -> Result<Self, StaticError> {
        let fields: Vec<_> = resources
            .iter()
            .map(|written| written.resource_fields(name, site))
            .collect();
        for fields in &fields {
            Resource::new(fields.clone()).map_err(|reason| StaticError {
                name: name.to_owned(),
                endpoint: fields.endpoint.clone(),
                reason,
            })?;
        }
        Ok(Self {
            name: name.to_owned(),
            fields,
        })
    }

    fn resources(&self, now: UnixSeconds) -> Result<ResourceFile, DiscoveryError> {
        let stamped = self.fields.iter().map(|fields| {
            let created = now;
            Resource::new(ResourceFields {
                created,
                ..fields.clone()
            })
        });
        let resources = stamped.collect::<Result<Vec<_>, _>>();
        Ok(ResourceFile {
            // Checked when the plugin was made.
            resources: resources.map_err(|error| DiscoveryError::Malformed {
                source_name: self.name.clone(),
                reason: error.to_string(),
            })?,
            refusals: Vec::new(),
            undated: Some(now),
        })
    }
}

impl Discovery for StaticDiscovery {
    fn discover<'run>(
        &'run self,
        run: Run<'run>,
    ) -> PluginFuture<'run, Result<ResourceFile, DiscoveryError>> {
        let now = UnixSeconds::from(run.clock.wall());
        Box::pin(std::future::ready(self.resources(now)))
    }
}
