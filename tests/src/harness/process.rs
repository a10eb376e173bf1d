//! A child process that never outlives its test.
//!
//! Does: start a program with its output in files, signal it, wait for its end, kill it on drop.
//! Does not: use process groups or names; only the pid that it started.
//! In: a command. Out: [`Running`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait_for;

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command`, its output in `folder/NAME.out` and `.err`.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let file = |ending: &str| {
            let path = folder.join(format!("{name}.{ending}"));
            let file = File::create(&path).expect("the test's folder takes files");
            (path, file)
        };
        let ((stdout, out), (stderr, err)) = (file("out"), file("err"));
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {name} ({command:?}): {error}; tests/run installs what is needed")
        });
        Self {
            child,
            name: name.to_owned(),
            stdout,
            stderr,
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // A process that has ended already needs no signal.
            let _gone = kill(Pid::from_raw(pid), signal).is_err();
        }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it still runs after `patience`; the message holds what it wrote last.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let name = self.name.clone();
        let stderr = self.stderr();
        let what = format!("the end of {name}, which wrote: {}", tail(&stderr));
        wait_for(&what, patience, || {
            self.child.try_wait().expect("a child can be waited for")
        })
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// `kill -9`, and reaps it.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _status = self.child.wait();
    }

    /// What it wrote to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What it wrote to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.kill();
        }
    }
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// The last lines of a text.
#[must_use]
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
