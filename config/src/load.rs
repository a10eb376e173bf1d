//! From texts to a [`Config`]: every finding at once, bad items parked, the rest running.
//!
//! Does: say how a configuration is loaded and what comes of it. Does not: walk the tree
//! (`loader`), read files (`source`), open secrets (`secret`), choose the last good copy
//! (`last_good`).
//! In: [`Sources`]. Out: [`Loaded`], or [`Invalid`] when the whole cannot be used.
//! Invariant (promise P10): a bad item of an array table costs itself only.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::Config;
use crate::problem::Problem;
use crate::reading::Reading;
use crate::source::{Place, Source, SourceKind, Sources};

mod loader;

use loader::Loader;

/// What a configuration is read with.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The machine's host name: `node.name` where nothing else sets it.
    pub hostname: &'a str,
    /// Refuses the whole for one bad item, as `--strict` and `config check` do.
    pub is_strict: bool,
}

/// A configuration that can run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Items that were refused; the rest runs without them.
    pub parked: Vec<Parked>,
    /// What is taken but should be changed.
    pub warnings: Vec<Problem>,
    /// The texts that it was read from.
    pub sources: Sources,
    places: BTreeMap<String, Place>,
}

/// An item of an array table that is left out, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The array table, such as `[[polling]]`.
    pub section: String,
    /// Which of its items in the order of the text, from 1.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Why.
    pub problems: Vec<Problem>,
}

/// A configuration that cannot be used, with all that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Where a key was set, by its path: `snmp.timeout`, `polling[0].every` (the index counts the
    /// items of [`Config`]). `None`: it has its default.
    #[must_use]
    pub fn place_of(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}

impl fmt::Display for Parked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} number {}", self.section, self.number)?;
        self.name
            .as_ref()
            .map_or(Ok(()), |name| write!(formatter, " ({name:?})"))?;
        let reasons = if self.problems.len() == 1 {
            "is"
        } else {
            "are"
        };
        write!(
            formatter,
            " is parked; {} {reasons} wrong",
            self.problems.len()
        )
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n\n" };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Reads `sources` as one configuration.
///
/// # Errors
/// [`Invalid`] with every finding: a text that is no TOML, an unknown section, a bad value outside
/// the array tables; when strict, also any bad item.
pub fn load(mut sources: Sources, options: LoadOptions<'_>) -> Result<Loaded, Invalid> {
    sources.push(host_name_source(options.hostname));
    let mut loader = Loader::new(Reading::new(&sources));
    let config = loader.config();
    let Loader {
        mut reading,
        parked,
        places,
    } = loader;
    let mut problems = reading.take_errors();
    if options.is_strict {
        problems.extend(parked.iter().flat_map(|item| item.problems.iter().cloned()));
    }
    let warnings = reading.take_warnings();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            parked,
            warnings,
            sources,
            places,
        }),
        _ => Err(Invalid { problems }),
    }
}

/// The weakest source of all, though it comes last: a default never overrides.
fn host_name_source(hostname: &str) -> Source {
    Source {
        kind: SourceKind::Default,
        text: format!("node.name = {}\n", crate::value::quoted(hostname)),
        base: std::path::PathBuf::new(),
    }
}
