//! Discovery from a JSON file in Panoptes' format.
//!
//! Does: read the file on the blocking pool, hand it to the model's reader. Does not: decide what
//! to do with a set that shrank. In: a path. Out: the set with the rows refused by name.
//! A file that is missing, too large, cut short or empty of rows is an error: nothing changes.

use std::path::{Path, PathBuf};

use ocelli_model::resource::{
    RESOURCE_FILE_BYTES_MAX, ResourceDefaults, ResourceFile, parse_resource_file,
};
use ocelli_model::unix_seconds::UnixSeconds;

use super::{Discovery, DiscoveryError};
use crate::run::{PluginFuture, Run};

/// `kind = "json"`.
#[derive(Debug, Clone)]
pub struct JsonDiscovery {
    name: String,
    path: PathBuf,
    /// The path as messages show it.
    source: String,
}

impl JsonDiscovery {
    /// The plugin `name`, which reads `path`.
    #[must_use]
    pub fn new(name: String, path: PathBuf) -> Self {
        let source = path.display().to_string();
        Self { name, path, source }
    }

    fn defaults(&self, run: &Run<'_>) -> ResourceDefaults {
        ResourceDefaults {
            plugin: self.name.clone(),
            now: UnixSeconds::from(run.clock.wall()),
        }
    }
}

impl Discovery for JsonDiscovery {
    fn source(&self) -> Option<&str> {
        Some(&self.source)
    }

    fn discover<'run>(
        &'run self,
        run: Run<'run>,
    ) -> PluginFuture<'run, Result<ResourceFile, DiscoveryError>> {
        Box::pin(async move {
            let (path, defaults) = (self.path.clone(), self.defaults(&run));
            let read = run.blocking.run(move || read(&path, &defaults)).await;
            read.unwrap_or_else(|error| Err(unreadable(&self.path, error.to_string())))
        })
    }
}

fn read(path: &Path, defaults: &ResourceDefaults) -> Result<ResourceFile, DiscoveryError> {
    let missing = |error: std::io::Error| unreadable(path, error.to_string());
    let size = std::fs::metadata(path).map_err(missing)?.len();
    if size > RESOURCE_FILE_BYTES_MAX as u64 {
        let reason = format!("it has {size} bytes, {RESOURCE_FILE_BYTES_MAX} is the limit");
        return Err(unreadable(path, reason));
    }
    let bytes = std::fs::read(path).map_err(missing)?;
    parse_resource_file(&bytes, defaults).map_err(|error| DiscoveryError::Malformed {
        source_name: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn unreadable(path: &Path, reason: String) -> DiscoveryError {
    DiscoveryError::Unreadable {
        source_name: path.display().to_string(),
        reason: format!("{reason}; check path and permissions"),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
