//! A node of a demo: a process of this very binary, which never outlives the demo.
//!
//! Does: start `ocelli run` with its log in a file, wait until it is ready, end it by its pid.
//! Does not: use names or process groups to end it. In: a folder with a configuration.
//! Out: [`Child`]; the last lines of its log where it fails. The child itself asks the kernel for
//! SIGTERM should the demo die (`--parent`).

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ocelli_model::clock::Clock;

use super::authority::CONFIG_FILE;
use super::failed;
use crate::cli::client::{Client, ConnectOptions};
use crate::cli::exit::Failure;
use crate::clock::RealClock;

/// A node on a busy machine is ready within a second or two.
const READY_PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a node may drain before it is killed.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Lines of a log that are shown.
const LINES_SHOWN: usize = 12;

/// A running node; killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    name: String,
    process: std::process::Child,
    log: PathBuf,
    /// Its API.
    pub(super) client: Rc<Client>,
    /// Where that is.
    pub(super) url: String,
}

impl Child {
    /// Starts the node whose configuration lies in `folder`.
    pub(super) fn start(name: &str, folder: &Path, http: u16) -> Result<Self, Failure> {
        let log = folder.join("ocelli.log");
        let file = File::create(&log).map_err(|error| failed(&error))?;
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command
            .args(["run", "--parent"])
            .arg(std::process::id().to_string())
            .arg("--config")
            .arg(folder.join(CONFIG_FILE))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // Ctrl-C is the demo's: it ends its nodes in order.
            .process_group(0);
        let url = format!("http://127.0.0.1:{http}");
        let connect = ConnectOptions {
            at: Some(url.clone()),
            wait: ANSWER_PATIENCE,
            ..ConnectOptions::default()
        };
        let client = Rc::new(connect.client()?);
        let process = command
            .spawn()
            .map_err(|error| failed(&format!("cannot start the node {name}: {error}")))?;
        Ok(Self {
            name: name.to_owned(),
            process,
            log,
            client,
            url,
        })
    }

    /// Waits until it is ready.
    pub(super) async fn ready(&mut self) -> Result<(), Failure> {
        let clock = RealClock;
        let until = clock.monotonic().after(READY_PATIENCE);
        while self.client.open("/readyz", &[]).await.is_err() {
            self.check()?;
            if clock.monotonic() >= until {
                return Err(self.failure("is not ready after 20 s"));
            }
            clock.sleep_until(clock.monotonic().after(LOOK_EVERY)).await;
        }
        Ok(())
    }

    /// Fails if it has ended, with what it said last.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failure(&format!("has ended ({status})"))),
            Err(error) => Err(self.failure(&format!("cannot be looked at: {error}"))),
        }
    }

    /// What failed, with the last lines of its log.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        failed(&format!("the node {} {what}; it said:\n{last}", self.name))
    }

    /// Asks it to drain.
    pub(super) fn ask_to_end(&self) {
        if let Ok(pid) = i32::try_from(self.process.id()) {
            // A child that is not waited for yet keeps its pid: nobody else is meant.
            let _ended_already = kill(Pid::from_raw(pid), Signal::SIGTERM).is_err();
        }
    }

    /// Waits for its end, kills it where that takes too long.
    pub(super) async fn end(mut self) {
        let clock = RealClock;
        let until = clock.monotonic().after(DRAIN_PATIENCE);
        while matches!(self.process.try_wait(), Ok(None)) && clock.monotonic() < until {
            clock.sleep_until(clock.monotonic().after(LOOK_EVERY)).await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ended_already = self.process.kill().is_err();
        let _reaped = self.process.wait().is_ok();
    }
}
