//! A running `ocelli` node, and its command line.
//!
//! Does: write a configuration, start `ocelli run`, wait until it is ready, run other commands.
//! Does not: look inside; all goes by the contract for scripts.
//! In: configuration text without `[node]` and `[listen]`. Out: [`Node`], [`ocelli`].

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::http::Client;
use super::process::{Running, tail};
use super::{built_binary, free_tcp_port, wait_for};

/// A node whose files lie in a folder of the test.
#[derive(Debug)]
pub struct Node {
    /// Its process.
    pub running: Running,
    /// Its API.
    pub client: Client,
    folder: PathBuf,
    config: PathBuf,
}

impl Node {
    /// Starts a node named `n1` of site `dc1` and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready within twenty seconds.
    #[must_use]
    pub fn start(folder: &Path, config: &str) -> Self {
        let port = free_tcp_port();
        let data = folder.join("data");
        let text = format!(
            "[node]\nname = \"n1\"\nsite = \"dc1\"\ndata_dir = {data:?}\n\n\
             [listen]\nhttp = \"127.0.0.1:{port}\"\n\n{config}"
        );
        let config = folder.join("ocelli.toml");
        std::fs::write(&config, text).expect("the test's folder takes files");
        let running = Self::spawn(folder, &config);
        let mut node = Self {
            running,
            client: Client::new(port),
            folder: folder.into(),
            config,
        };
        node.wait_ready();
        node
    }

    /// Starts the node again after it ended.
    ///
    /// # Panics
    /// As [`Node::start`].
    pub fn start_again(&mut self) {
        self.running = Self::spawn(&self.folder, &self.config);
        self.wait_ready();
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// SIGTERM, and the exit code.
    ///
    /// # Panics
    /// If it does not end within fifteen seconds.
    pub fn drain(&mut self) -> Option<i32> {
        self.running.signal(nix::sys::signal::Signal::SIGTERM);
        self.running.wait(Duration::from_secs(15)).code()
    }

    fn spawn(folder: &Path, config: &Path) -> Running {
        let mut command = Command::new(built_binary("ocelli"));
        command
            .args(["run", "--log", "json", "--config"])
            .arg(config);
        Running::start("ocelli", command, folder)
    }

    fn wait_ready(&mut self) {
        let (running, client) = (&mut self.running, &self.client);
        wait_for("the node to be ready", Duration::from_secs(20), || {
            assert!(
                !running.has_ended(),
                "the node ended: {}",
                tail(&running.stderr())
            );
            client.get("/readyz").filter(|(status, _)| *status == 200)
        });
    }
}

/// Runs `ocelli` with these arguments to its end.
///
/// # Panics
/// If the program cannot be started.
#[must_use]
pub fn ocelli<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    let mut command = Command::new(built_binary("ocelli"));
    command
        .args(arguments)
        .output()
        .expect("the built program starts")
}
