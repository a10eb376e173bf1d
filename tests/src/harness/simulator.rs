//! A running `ocelli simulate`.
//!
//! Does: start it in a process of its own on a free port, wait until it is ready, say where its
//! resources are. Does not: choose faults or sizes. In: a folder and arguments. Out: [`Simulator`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Running, tail};
use super::{built_binary, free_udp_port, wait_for};

/// Simulated agents; ended when dropped.
#[derive(Debug)]
pub struct Simulator {
    /// Its process.
    pub running: Running,
    /// The file that `kind = "json"` reads.
    pub resources: PathBuf,
}

impl Simulator {
    /// Starts `agents` agents from `base` on, with more arguments.
    ///
    /// # Panics
    /// If it is not ready within thirty seconds.
    #[must_use]
    pub fn start(folder: &Path, (base, agents): (&str, usize), more: &[&str]) -> Self {
        let resources = folder.join("resources.json");
        let mut command = Command::new(built_binary("ocelli"));
        command.args(["simulate", "--agents", &agents.to_string(), "--base", base]);
        command
            .args(["--port", &free_udp_port().to_string()])
            .args(more);
        command.arg("--resources-out").arg(&resources);
        let mut running = Running::start("simulate", command, folder);
        wait_for("the simulator to be ready", Duration::from_secs(30), || {
            assert!(!running.has_ended(), "{}", tail(&running.stderr()));
            running.stdout().contains("ready").then_some(())
        });
        Self { running, resources }
    }
}
