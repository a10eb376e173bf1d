//! `--config`, `--set`, `--strict`: how commands find and read the configuration.
//!
//! Does: gather files, `OCELLI_SET_…` and `--set` into sources and load them. Does not: fall back
//! to the last good copy: that is a start's decision (`run`).
//! In: options and the environment. Out: [`Loaded`], or a [`Failure`] with every finding.

use std::path::PathBuf;

use ocelli_config::{
    Invalid, LoadOptions, Loaded, ReadError, Sources, load, override_of_option,
    overrides_of_environment, read_path,
};

use super::exit::{Exit, Failure};

/// Where a configuration is looked for if nothing names one.
pub const CONFIG_PATH_DEFAULT: &str = "/etc/ocelli/ocelli.toml";

/// Options of commands that read a configuration.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigOptions {
    /// Configuration: a TOML file, or a directory whose *.toml are read in name order.
    #[arg(long, env = "OCELLI_CONFIG", default_value = CONFIG_PATH_DEFAULT, value_name = "PATH")]
    pub config: PathBuf,
    #[command(flatten)]
    /// Overrides of single keys.
    pub overrides: OverrideOptions,
}

/// A configuration that is looked at: `check`, `show` and `diff` take it in one way.
#[derive(Debug, Clone, clap::Args)]
pub struct GivenConfig {
    /// Configuration: a TOML file, or a directory whose *.toml are read in name order. Default:
    /// $OCELLI_CONFIG, else /etc/ocelli/ocelli.toml.
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    /// The same as PATH.
    #[arg(long, value_name = "PATH", conflicts_with = "path")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: OverrideOptions,
}

impl GivenConfig {
    /// The path that was given, else the default.
    #[must_use]
    pub fn options(self) -> ConfigOptions {
        let of_environment = || std::env::var_os("OCELLI_CONFIG").map(PathBuf::from);
        let given = self.path.or(self.config).or_else(of_environment);
        ConfigOptions {
            config: given.unwrap_or_else(|| PathBuf::from(CONFIG_PATH_DEFAULT)),
            overrides: self.overrides,
        }
    }
}

/// `--set` and `--strict`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OverrideOptions {
    /// Set a key in place of the file, such as node.name=x; may be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Refuse the whole for one bad item instead of parking it.
    #[arg(long)]
    pub strict: bool,
}

impl ConfigOptions {
    /// Reads the texts.
    ///
    /// # Errors
    /// A file that cannot be read, or an override of no key.
    pub fn sources(&self) -> Result<Sources, Failure> {
        let sources = read_path(&self.config).map_err(|error| read_failure(&error))?;
        self.overrides.lay_over(sources)
    }

    /// Reads and judges the configuration.
    ///
    /// # Errors
    /// As [`ConfigOptions::sources`], or every finding of a configuration that cannot be used.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let hostname = host_name();
        load(self.sources()?, self.overrides.load_options(&hostname))
            .map_err(|invalid| invalid_failure(&invalid))
    }
}

impl OverrideOptions {
    /// Adds `OCELLI_SET_…` and `--set` to the files.
    ///
    /// # Errors
    /// An override of no key, or of one that may not be set so.
    pub fn lay_over(&self, mut sources: Sources) -> Result<Sources, Failure> {
        let usage = |error: ocelli_config::OverrideError| Failure::new(Exit::Usage, error);
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        for source in overrides_of_environment(variables).map_err(usage)? {
            sources.push(source);
        }
        for option in &self.set {
            sources.push(override_of_option(option).map_err(usage)?);
        }
        Ok(sources)
    }

    /// How strictly, and under which host name, to load.
    #[must_use]
    pub const fn load_options<'a>(&self, hostname: &'a str) -> LoadOptions<'a> {
        LoadOptions {
            hostname,
            is_strict: self.strict,
        }
    }
}

/// The machine's name; `localhost` if it has none that is text.
#[must_use]
pub fn host_name() -> String {
    let name = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| String::from("localhost"))
}

/// A configuration that cannot be read from disk.
#[must_use]
pub fn read_failure(error: &ReadError) -> Failure {
    Failure::new(Exit::Configuration, error)
}

/// A configuration that cannot be used, with all its findings.
#[must_use]
pub fn invalid_failure(invalid: &Invalid) -> Failure {
    let count = invalid.problems.len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    Failure::new(
        Exit::Configuration,
        format!("the configuration has {count} {noun}\n{invalid}"),
    )
}
