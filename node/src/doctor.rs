//! `ocelli doctor`: looks at everything that keeps a node from working, before or while it runs.
//!
//! Does: the list of checks, what each found, in order. Does not: change anything but one probe
//! file in the data directory; print (`cli::doctor`).
//! In: a configuration, its running node if there is one. Out: [`Finding`]s, one a line.
//! Never holds a secret: what opened is not kept, what did not is told without its value.

mod identity;
mod local;
mod running;
mod upstreams;

use ocelli_config::{Config, Loaded};
use serde_json::{Value, json};

use crate::clock::RealClock;
use ocelli_model::clock::Clock as _;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and should be changed.
    Warning,
    /// It does not work.
    Failing,
}

impl Verdict {
    /// The word in tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Failing => "failing",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the check, stable.
    pub check: &'static str,
    /// What was looked at.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// What to do; empty if nothing is to be done.
    pub remedy: String,
}

impl Finding {
    /// All is well.
    pub fn good(check: &'static str, subject: &str, reason: impl ToString) -> Self {
        Self::new(check, subject, (Verdict::Good, reason.to_string()), "")
    }

    /// It works, and should be changed.
    pub fn warning(check: &'static str, subject: &str, reason: &str, remedy: &str) -> Self {
        Self::new(
            check,
            subject,
            (Verdict::Warning, reason.to_owned()),
            remedy,
        )
    }

    /// It does not work.
    pub fn failing(check: &'static str, subject: &str, reason: &str, remedy: &str) -> Self {
        Self::new(
            check,
            subject,
            (Verdict::Failing, reason.to_owned()),
            remedy,
        )
    }

    fn new(
        check: &'static str,
        subject: &str,
        (verdict, reason): (Verdict, String),
        remedy: &str,
    ) -> Self {
        Self {
            check,
            subject: subject.to_owned(),
            verdict,
            reason,
            remedy: remedy.to_owned(),
        }
    }

    /// One object. Field names are stable: additions only.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "check": self.check,
            "subject": self.subject,
            "verdict": self.verdict.as_str(),
            "reason": self.reason,
            "remedy": self.remedy,
        })
    }
}

/// Looks at a node of this configuration. `running`: what its own socket answered, if it runs.
pub async fn examine(loaded: &Loaded, running: Option<&Value>) -> Vec<Finding> {
    let config = &loaded.config;
    let is_running = running.is_some();
    let mut findings = configuration(loaded);
    findings.extend(local::data_directory(config));
    findings.extend(local::space(config));
    findings.push(local::clock(&config.node.data_dir, RealClock.wall()));
    findings.extend(local::ports(config, is_running));
    findings.push(local::open_files());
    findings.extend(local::http(config));
    findings.extend(credentials(config));
    let (store, told) = identity::look(config, RealClock.wall());
    findings.extend(told);
    if let Some(store) = store {
        findings.extend(upstreams::reach(config, &store).await);
    }
    match running {
        Some(answers) => findings.extend(running::judge(answers)),
        None => findings.push(Finding::good(
            "node",
            "",
            "no node runs on this data directory",
        )),
    }
    findings
}

/// What loading found: parked items fail, warnings warn.
fn configuration(loaded: &Loaded) -> Vec<Finding> {
    let parked = loaded.parked.iter().map(|item| {
        let remedy = "mend it: `ocelli config check` shows its place";
        Finding::failing("config", "parked item", &item.to_string(), remedy)
    });
    let warnings = loaded.warnings.iter().map(|warning| {
        let remedy = "see `ocelli config check`";
        Finding::warning("config", "", &warning.to_string(), remedy)
    });
    let mut findings: Vec<Finding> = parked.chain(warnings).collect();
    if findings.is_empty() {
        findings.push(Finding::good("config", "", "valid"));
    }
    findings
}

/// Whether each secret can be opened; what it is goes nowhere.
fn credentials(config: &Config) -> Vec<Finding> {
    let opened = ocelli_config::open_credentials(config, &crate::secrets::process_secrets());
    let failed = opened.failed.iter().map(|(name, error)| {
        let remedy = "make the secret readable to this user";
        Finding::failing("credentials", name, &error.to_string(), remedy)
    });
    let accesses = config.accesses.iter().filter_map(|access| {
        let token = access.token.as_ref()?;
        let error = token.open(&crate::secrets::process_secrets()).err()?;
        let remedy = "make the token readable to this user, or give its sha256";
        let name = access.name.as_str();
        Some(Finding::failing(
            "credentials",
            name,
            &error.to_string(),
            remedy,
        ))
    });
    let mut findings: Vec<Finding> = failed.chain(accesses).collect();
    if findings.is_empty() {
        let count = opened.snmp.len();
        findings.push(Finding::good(
            "credentials",
            "",
            format!("{count} can be opened"),
        ));
    }
    findings
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
