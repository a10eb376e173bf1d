//! The configuration of a demo: the example in `examples/demo.toml`, as a user would write it.
//!
//! Does: put the slot's length and a free port in, load it as any file. Does not: write it.
//! In: a temporary directory, an interval. Out: [`Loaded`] or a [`Failure`] with every finding.

use std::path::Path;
use std::time::Duration;

use ocelli_config::{LoadOptions, Loaded, Source, Sources, override_of_option};

use crate::cli::config_source::invalid_failure;
use crate::cli::exit::{Exit, Failure};

/// Site of the node and of the simulated switches.
pub(super) const SITE: &str = "demo";
/// Where the example looks for the switches.
pub(super) const RESOURCES_FILE: &str = "resources.json";

/// The example.
const TEXT: &str = include_str!("../../../examples/demo.toml");
/// The slot of the example.
const EVERY: &str = "every = \"2s\"";
/// Loopback, any free port.
const LISTEN: &str = "listen.http=127.0.0.1:0";

/// The last line of the example's node; what follows is what a site does.
const NODE_END: &str = "data_dir = \"data\"\n";

/// What a site of a mesh discovers and polls: the example without its node.
pub(super) fn site_part(every: Duration) -> String {
    let text = with_slot(every);
    let part = text.split_once(NODE_END).map_or("", |(_, part)| part);
    part.to_owned()
}

fn with_slot(every: Duration) -> String {
    TEXT.replace(EVERY, &format!("every = \"{}ms\"", every.as_millis()))
}

/// Loads the example as if it lay in `directory`.
pub(super) fn load(directory: &Path, every: Duration) -> Result<Loaded, Failure> {
    let text = with_slot(every);
    let mut sources = Sources::new();
    sources.push(Source::file(directory.join("demo.toml"), text));
    let listen = override_of_option(LISTEN).map_err(|error| Failure::new(Exit::Failed, error))?;
    sources.push(listen);
    let options = LoadOptions {
        hostname: SITE,
        is_strict: true,
    };
    ocelli_config::load(sources, options).map_err(|invalid| invalid_failure(&invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_valid_and_lives_in_the_demos_directory_with_its_interval() {
        let loaded = load(Path::new("/demo"), Duration::from_millis(1_500)).unwrap();
        let config = &loaded.config;
        assert_eq!(config.node.data_dir, Path::new("/demo/data"));
        assert_eq!(config.listen.http.port(), 0);
        let intervals: Vec<Duration> = config
            .pollings
            .iter()
            .map(|polling| polling.every().get())
            .collect();
        assert_eq!(intervals, [Duration::from_millis(1_500); 2]);
    }

    #[test]
    fn a_site_of_a_mesh_polls_what_the_example_polls() {
        let part = site_part(Duration::from_secs(3));
        assert!(!part.contains("[node]"), "{part}");
        assert_eq!(part.matches("every = \"3000ms\"").count(), 2, "{part}");
        assert!(part.contains("[[discovery]]"), "{part}");
    }

    #[test]
    fn a_slot_that_no_configuration_takes_is_refused_as_the_users_would_be() {
        let failure = load(Path::new("/demo"), Duration::from_millis(1)).unwrap_err();
        assert_eq!(failure.exit, Exit::Configuration, "{failure}");
    }
}
