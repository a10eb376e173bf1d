//! Another configuration for a running node: what would change, a trial, the change.
//!
//! Does: tell the difference; run a polling plugin whose section or profile changed once on a
//! resource that it reads well now, and keep the plugin as it was if the trial fails; apply the
//! rest. Does not: read files.
//! In: a loaded configuration. Out: [`ReloadReport`].
//! Invariant: a configuration that cannot be assembled, or of which an item would be left out that
//! is not left out now, changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ocelli_actors::{ProbeOrder, ResourcePlan, Site};
use ocelli_config::{Change, Difference, Loaded, Parked, difference};
use ocelli_model::clock::Clock as _;
use ocelli_model::gap::{GapCause, GapKind};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::node::{Node, NodeError, keep_last_good};
use super::notices;
use super::site::{Assembled, Counters, assemble, refused_items};
use crate::clock::RealClock;

/// A trial takes this long at most; a device that was fine answers within seconds.
const TRIAL_LIMIT: Duration = Duration::from_secs(30);

/// Why a configuration is not taken; the one in force stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The files cannot be read or used.
    #[error("{text}")]
    Configuration {
        /// Every finding.
        text: String,
    },
    /// The node does not take it.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// What a reload changed, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// Each change in words, secrets redacted.
    pub changes: Vec<String>,
    /// Keys that take effect at the next start only.
    pub needs_restart: Vec<String>,
    /// What is taken but should be changed.
    pub warnings: Vec<String>,
    /// Trials of changed polling plugins.
    pub trials: Vec<Trial>,
    /// Whether it is in force now.
    pub is_applied: bool,
}

/// A changed polling plugin run once before it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The plugin.
    pub plugin: String,
    /// Against what; `None`: no resource is read well by it now, so none can tell.
    pub resource: Option<String>,
    /// Why it failed; the plugin stays as it was.
    pub failure: Option<String>,
}

impl ReloadReport {
    /// One object. Field names are stable: additions only.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let trials = self.trials.iter().map(|trial| {
            json!({
                "plugin": trial.plugin,
                "resource": trial.resource,
                "failure": trial.failure,
                "rolled_back": trial.failure.is_some(),
            })
        });
        json!({
            "applied": self.is_applied,
            "changes": self.changes,
            "needs_restart": self.needs_restart,
            "warnings": self.warnings,
            "trials": trials.collect::<Vec<_>>(),
        })
    }

    fn of(changes: &Difference, loaded: &Loaded) -> Self {
        let warnings = loaded.warnings.iter().map(ToString::to_string);
        let parked = loaded.parked.iter().map(ToString::to_string);
        let warnings = warnings.chain(parked);
        Self {
            changes: changes.changes.iter().map(ToString::to_string).collect(),
            needs_restart: changes.needs_restart().map(str::to_owned).collect(),
            warnings: warnings.collect(),
            ..Self::default()
        }
    }
}

impl Node {
    /// What a configuration would change; changes nothing.
    ///
    /// # Errors
    /// As [`Self::reload`] of what can be told without changing anything.
    pub fn preview(&self, loaded: &Loaded) -> Result<ReloadReport, ReloadError> {
        let before = self.site();
        let changes = difference(&before.config, &loaded.config);
        let (config, directory) = (loaded.config.clone(), self.directory.clone());
        let assembled = assemble(config, &loaded.sources, directory, &mut Counters::new());
        let parked = assembled.map_err(NodeError::from)?.parked;
        self.refuse_new(&parked, &loaded.parked)?;
        Ok(ReloadReport::of(&changes, loaded))
    }

    /// A reload is whole or not at all: what is parked already may stay so, but nothing that runs
    /// or is new is left out. `refused` are the items that the configuration itself left out.
    fn refuse_new(
        &self,
        parked: &BTreeMap<String, String>,
        refused: &[Parked],
    ) -> Result<(), ReloadError> {
        let known = self.parked.load();
        let new = parked.iter().filter(|(id, _)| !known.contains_key(*id));
        let mut new: Vec<String> = new.map(|(id, reason)| format!("{id}: {reason}")).collect();
        let broken = newly_refused(&self.refused, refused);
        let problems = broken.into_iter().flat_map(|item| &item.problems);
        new.extend(problems.map(ToString::to_string));
        match new.is_empty() {
            true => Ok(()),
            false => Err(ReloadError::Configuration {
                text: new.join("\n\n"),
            }),
        }
    }

    /// Follows another configuration as a difference.
    ///
    /// # Errors
    /// [`ReloadError`]; the one before stays in force.
    pub async fn reload(&mut self, loaded: Loaded) -> Result<ReloadReport, ReloadError> {
        let before = self.site();
        let changes = difference(&before.config, &loaded.config);
        let mut report = ReloadReport::of(&changes, &loaded);
        let Loaded {
            mut config,
            sources,
            parked: refused,
            ..
        } = loaded;
        // Another one holds from the next start on, and differs until then.
        let data_dir = before.config.node.data_dir.clone();
        config.node.data_dir = data_dir.clone();
        let directory = self.directory.clone();
        let assembled = assemble(config.clone(), &sources, directory, &mut self.counters);
        let Assembled { site, mut parked } = assembled.map_err(NodeError::from)?;
        self.refuse_new(&parked, &refused)?;
        parked.extend(refused_items(&refused));
        self.identity.reload(&config).map_err(NodeError::from)?;
        if let Some(joining) = &mut self.joining {
            joining.follow(&config).map_err(NodeError::from)?;
        }
        self.access.reload(&config).map_err(NodeError::from)?;
        let redone = redone_pollings(&site, &before);
        let told = redone
            .iter()
            .map(|name| format!("polling {name:?}: its profile changed"));
        report.changes.extend(told);
        let changed = changed_pollings(&site, &changes);
        report.trials = self.try_out(&site, &(&changed | &redone)).await;
        let failed = report.trials.iter().filter_map(|trial| {
            let failure = trial.failure.clone()?;
            Some((trial.plugin.clone(), failure))
        });
        let failed: BTreeMap<String, String> = failed.collect();
        let site = Arc::new(site.rolled_back(&before, &failed.keys().cloned().collect()));
        let taken = self.runtime.reload(Arc::clone(&site)).await;
        taken.map_err(NodeError::from)?;
        if let Some(federation) = &self.federation {
            federation.follow(&site.config).await;
        }
        self.site.store(site);
        self.refused = refused;
        let before = self.parked.swap(Arc::new(parked));
        notices::tell_parked(&self.runtime.events(), &before, &self.parked.load());
        self.rolled_back.store(Arc::new(failed));
        keep_last_good(&data_dir, &sources);
        report.is_applied = true;
        Ok(report)
    }

    /// Runs each changed plugin once where it reads well now.
    async fn try_out(&self, new: &Site, changed: &BTreeSet<String>) -> Vec<Trial> {
        join_all(changed.iter().map(|plugin| self.try_one(new, plugin))).await
    }

    async fn try_one(&self, new: &Site, plugin: &str) -> Trial {
        let Some(plan) = self.reads_well(new, plugin) else {
            return Trial {
                plugin: plugin.to_owned(),
                resource: None,
                failure: None,
            };
        };
        let resource = plan.resource.id();
        let trial = Arc::new(new.plan(&plan.resource, plan.epoch, plan.from));
        let run = self
            .runtime
            .probe(resource, ProbeOrder::trial(plugin, trial));
        let limit = RealClock.monotonic().after(TRIAL_LIMIT);
        let failure: Option<GapCause> = tokio::select! {
            // A run that was refused says nothing about the plugin.
            probed = run => probed.ok().and_then(|report| report.outcome.err()),
            () = RealClock.sleep_until(limit) => Some(GapKind::Overrun.into()),
        };
        match &failure {
            None => info!(%plugin, %resource, "trial of the change went well"),
            Some(cause) => warn!(%plugin, %resource, %cause, "change rolled back"),
        }
        Trial {
            plugin: plugin.to_owned(),
            resource: Some(resource.to_string()),
            failure: failure.map(|cause| cause.to_string()),
        }
    }

    /// A resource whose last slot of the plugin is a batch, and that the new one polls too.
    fn reads_well(&self, new: &Site, plugin: &str) -> Option<Arc<ResourcePlan>> {
        let followed = self.runtime.followed();
        let followed = followed.load();
        let is_fine = |plan: &&Arc<ResourcePlan>| {
            let mut pairs = plan.pairs.iter();
            let pair = pairs.find(|pair| *pair.instance.name == *plugin);
            let is_read = pair.is_some_and(|pair| {
                pair.status.last_batch().is_some() && pair.status.open_gap().is_none()
            });
            is_read && new.pairing(&plan.resource, plugin).is_ok()
        };
        followed.resources.values().find(is_fine).cloned()
    }
}

/// Items that are left out now and were not before. One without a name is known by what is wrong
/// with it: its number and its place change with what stands before it.
fn newly_refused<'a>(before: &[Parked], now: &'a [Parked]) -> Vec<&'a Parked> {
    let key = |item: &Parked| {
        let reasons = item.problems.iter().map(|problem| problem.reason.as_str());
        let name = item.name.clone().ok_or_else(|| reasons.collect::<String>());
        (item.section.clone(), name)
    };
    let mut known: Vec<_> = before.iter().map(key).collect();
    let is_new = |item: &&Parked| {
        let found = known.iter().position(|known| *known == key(item));
        found.map(|found| known.swap_remove(found)).is_none()
    };
    now.iter().filter(is_new).collect()
}

/// Polling plugins that do something else than before although their section may say the same:
/// another text of their profile.
fn redone_pollings(new: &Site, before: &Site) -> BTreeSet<String> {
    let revision_of = |site: &Site, name: &str| {
        let mut pollings = site.pollings.iter();
        let polling = pollings.find(|polling| *polling.instance.name == *name)?;
        Some(polling.instance.plugin.revision())
    };
    let names = new.pollings.iter().map(|polling| &*polling.instance.name);
    let redone = names.filter(|name| {
        let (old, new) = (revision_of(before, name), revision_of(new, name));
        old.is_some() && old != new
    });
    redone.map(str::to_owned).collect()
}

/// Polling plugins that were there before and have other values now.
fn changed_pollings(new: &Site, changes: &Difference) -> BTreeSet<String> {
    let is_changed = |name: &str| {
        changes.changes.iter().any(|change| match change {
            Change::Changed { item, .. } => {
                item.section == "polling" && item.name == format!("{name:?}")
            }
            _ => false,
        })
    };
    let names = new.pollings.iter().map(|polling| &*polling.instance.name);
    let changed = names.filter(|name| is_changed(name));
    changed.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use ocelli_config::{LoadOptions, Source, Sources, load};

    use super::*;

    fn parked(text: &str) -> Vec<Parked> {
        let mut sources = Sources::new();
        sources.push(Source::file("/etc/ocelli/a.toml", text.to_owned()));
        let options = LoadOptions {
            hostname: "n1",
            is_strict: false,
        };
        load(sources, options).unwrap().parked
    }

    #[test]
    fn only_an_item_that_was_not_left_out_before_is_newly_refused() {
        const NAMED: &str = "[[polling]]\nname = \"a\"\nkind = \"telepathy\"\n";
        const OTHER: &str = "[[polling]]\nname = \"b\"\nkind = \"telepathy\"\n";
        const NAMELESS: &str = "[[credentials.snmp]]\nversion = \"9\"\n";
        let check = |before: &[&str], now: &[&str], expected: usize| {
            let (old, new) = (parked(&before.concat()), parked(&now.concat()));
            assert_eq!((old.len(), new.len()), (before.len(), now.len()));
            assert_eq!(
                newly_refused(&old, &new).len(),
                expected,
                "{before:?} {now:?}"
            );
        };
        check(&[], &[], 0);
        check(&[NAMED, NAMELESS], &[NAMED, NAMELESS], 0);
        // Their places and numbers change.
        check(&[NAMED, NAMELESS], &[NAMELESS, NAMED], 0);
        check(&[NAMED, NAMELESS], &[NAMELESS], 0);
        check(&[NAMED], &[NAMED, OTHER], 1);
        check(&[NAMED], &[OTHER], 1);
        // The same mistake in one more item without a name.
        check(&[NAMELESS], &[NAMELESS, NAMELESS], 1);
        check(&[], &[NAMED, OTHER, NAMELESS], 3);
    }
}
