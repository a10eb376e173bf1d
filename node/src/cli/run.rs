//! `ocelli run`: the arguments of a node's start, and what configuration it starts with.
//!
//! Does: name the options; choose between the present configuration, the last good copy and
//! refusal. Does not: assemble or run the node.
//! In: the command line. Out: [`RunOptions`], a [`Start`] or a [`Failure`] with exit 78.

use ocelli_config::{
    Invalid, Loaded, Sources, StartChoice, choose, data_dir_of, load, read_last_good, read_path,
};
use std::path::PathBuf;

use super::config_source::{ConfigOptions, host_name, invalid_failure, read_failure};
use super::exit::Failure;
use crate::DATA_DIR_DEFAULT;

/// Examples shown by `ocelli run --help`.
pub const EXAMPLES: &str = "\
Examples:
  ocelli run --config ocelli.toml
  ocelli run --config /etc/ocelli/ --log json     a directory; log lines for machines
  ocelli run --config ocelli.toml --check         validate and exit
  ocelli run --config ocelli.toml --set listen.http=127.0.0.1:0";

/// Arguments of `run`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunOptions {
    #[command(flatten)]
    /// Where the configuration is.
    pub config: ConfigOptions,
    /// Validate the configuration and exit: 0 if it is good, 78 if not.
    #[arg(long)]
    pub check: bool,
    /// End when this process, which started the node, ends: for a demo's nodes.
    #[arg(long, hide = true, value_name = "PID")]
    pub parent: Option<u32>,
}

/// What a node starts with.
#[derive(Debug)]
pub struct Start {
    /// The configuration in force.
    pub loaded: Loaded,
    /// Why it is the last good copy instead of the present one; say it loudly.
    pub fallback: Option<Invalid>,
}

impl RunOptions {
    /// The configuration that the node starts with.
    ///
    /// # Errors
    /// Exit 78 with every finding if neither the present one nor a last good copy can be used, or
    /// when strict; exit 2 for an override of no key.
    pub fn start(&self) -> Result<Start, Failure> {
        let hostname = host_name();
        let options = self.config.overrides.load_options(&hostname);
        let sources = match read_path(&self.config.config) {
            Ok(sources) => self.config.overrides.lay_over(sources)?,
            Err(error) => return Err(read_failure(&error)),
        };
        let copy = self.last_good(&sources)?;
        match choose(load(sources, options), copy, options) {
            StartChoice::Present(loaded) => Ok(Start {
                loaded: *loaded,
                fallback: None,
            }),
            StartChoice::LastGood(loaded, invalid) => Ok(Start {
                loaded: *loaded,
                fallback: Some(invalid),
            }),
            StartChoice::Refused(invalid) => Err(invalid_failure(&invalid)),
        }
    }

    /// The copy with today's overrides; none if it cannot be read: the present one then decides.
    fn last_good(&self, present: &Sources) -> Result<Option<Sources>, Failure> {
        let data_dir = data_dir_of(present).unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
        let copy = read_last_good(&data_dir).ok().flatten();
        copy.map(|sources| self.config.overrides.lay_over(sources))
            .transpose()
    }
}
