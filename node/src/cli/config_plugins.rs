//! What `ocelli config check` finds beyond the text: sections that make no plugin.
//!
//! Does: make each plugin as a start would (profiles are read, `rows` and `tags` held against their
//! dimensions) and tell why one cannot be. Does not: run a plugin or open a secret.
//! In: a loaded configuration and the directory of its files. Out: [`PluginFault`]s.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ocelli_config::sections::federation::UpstreamConfig;
use ocelli_config::{Loaded, Name, Place};
use ocelli_plugins::profiles::ProfileLibrary;
use ocelli_plugins::registry::{self, RegistryError};

/// A section of which no plugin can be made, or that names what no plugin has; a node parks the
/// former and sends nothing for the latter.
#[derive(Debug)]
pub(crate) struct PluginFault {
    /// The key at fault, or the section's name.
    pub(crate) place: Option<Place>,
    /// What is wrong and what to do.
    pub(crate) error: String,
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
    let mut faults: Vec<PluginFault> = discoveries.collect();
    let (before, mut groups) = (faults.len(), BTreeSet::new());
    for (index, polling) in config.pollings.iter().enumerate() {
        match registry::polling(polling, &library) {
            Ok(plugin) => {
                let of_plugin = plugin.schema().groups.iter();
                groups.extend(of_plugin.map(|group| group.name.clone()));
            }
            Err(error) => faults.push(fault(loaded, &format!("polling[{index}]"), error)),
        }
    }
    // Where nodes dial in, groups of their plugins come too, which are not known here.
    let is_known = faults.len() == before && !groups.is_empty();
    if is_known && config.listen.quic.is_none() {
        faults.extend(unknown_groups(loaded, &groups));
    }
    faults
}

/// Groups that upstreams are to get and no plugin of this node has.
fn unknown_groups(loaded: &Loaded, known: &BTreeSet<String>) -> Vec<PluginFault> {
    let upstreams = loaded.config.upstreams.iter().enumerate();
    let wanted = upstreams.flat_map(|(index, upstream)| {
        let groups = upstream.groups.iter().flatten();
        groups.map(move |group| (index, upstream, group))
    });
    let unknown = wanted.filter(|(_, _, group)| !known.contains(group.as_str()));
    let fault = |(index, upstream, group): (usize, &UpstreamConfig, &Name)| {
        let list: Vec<&str> = known.iter().map(String::as_str).collect();
        let error = format!(
            "upstream {:?}: no polling has a group {:?}; the groups are: {}",
            upstream.name.as_str(),
            group.as_str(),
            list.join(", "),
        );
        let place = loaded.place_of(&format!("upstream[{index}].groups"));
        PluginFault {
            place: place.cloned(),
            error,
        }
    };
    unknown.map(fault).collect()
}

fn fault(loaded: &Loaded, section: &str, error: RegistryError) -> PluginFault {
    let of_key = loaded.place_of(&format!("{section}.{}", error.key()));
    let place = of_key.or_else(|| loaded.place_of(&format!("{section}.name")));
    PluginFault {
        place: place.cloned(),
        error: error.to_string(),
    }
}
