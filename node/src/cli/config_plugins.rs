//! What `ocelli config check` finds beyond the text: sections that make no plugin.
//!
//! Does: make each plugin as a start would (profiles are read, `rows` and `tags` held against their
//! dimensions) and tell why one cannot be. Does not: run a plugin or open a secret.
//! In: a loaded configuration and the directory of its files. Out: [`PluginFault`]s.

use std::path::PathBuf;

use ocelli_config::{Loaded, Place};
use ocelli_plugins::profiles::ProfileLibrary;
use ocelli_plugins::registry::{self, RegistryError};

/// A section of which no plugin can be made; a node parks it.
#[derive(Debug)]
pub(crate) struct PluginFault {
    /// The key at fault, or the section's name.
    pub(crate) place: Option<Place>,
    /// What is wrong and what to do.
    pub(crate) error: RegistryError,
}

/// Every fault of the discoveries and pollings; `directory` is what profile files are relative to.
pub(crate) fn plugin_faults(loaded: &Loaded, directory: PathBuf) -> Vec<PluginFault> {
    let library = ProfileLibrary::with_directory(directory);
    let config = &loaded.config;
    let site = config.node.site.as_str();
    let discoveries = config.discoveries.iter().enumerate();
    let discoveries = discoveries.filter_map(|(index, discovery)| {
        let error = registry::discovery(discovery, site).err()?;
        Some(fault(loaded, &format!("discovery[{index}]"), error))
    });
    let pollings = config.pollings.iter().enumerate();
    let pollings = pollings.filter_map(|(index, polling)| {
        let error = registry::polling(polling, &library).err()?;
        Some(fault(loaded, &format!("polling[{index}]"), error))
    });
    discoveries.chain(pollings).collect()
}

fn fault(loaded: &Loaded, section: &str, error: RegistryError) -> PluginFault {
    let of_key = loaded.place_of(&format!("{section}.{}", error.key()));
    let place = of_key.or_else(|| loaded.place_of(&format!("{section}.name")));
    PluginFault {
        place: place.cloned(),
        error,
    }
}
