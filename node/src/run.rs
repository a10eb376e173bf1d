//! `ocelli run`: a node from its start to its drain.
//!
//! Does: start the actix system, assemble, follow SIGTERM, SIGINT and SIGHUP. Does not: parse
//! arguments (`cli`), assemble (`assembly`). In: [`RunOptions`]. Out: an exit code.

use std::path::{Path, PathBuf};

use ocelli_config::Loaded;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::assembly::{Node, NodeError};
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::{RunOptions, Start};

/// Runs a node until it is told to stop.
///
/// # Errors
/// A [`Failure`] with one clear line: configuration (78), anything else that keeps it from
/// starting (1).
pub fn run(options: &RunOptions) -> Result<Exit, Failure> {
    let Start { loaded, fallback } = options.start()?;
    if options.check {
        return Ok(Exit::Done);
    }
    if let Some(invalid) = fallback {
        error!(error = %invalid, "configuration cannot be used; the last good copy is in force");
    }
    tell_findings(&loaded);
    let directory = directory_of(&options.config.config);
    let system = actix_rt::System::new();
    system.block_on(serve(options, loaded, directory))
}

async fn serve(options: &RunOptions, loaded: Loaded, directory: PathBuf) -> Result<Exit, Failure> {
    // Before anything runs: a signal that comes during the start is not lost.
    let mut signals = Signals::new()?;
    let mut node = Node::start(loaded, directory)
        .await
        .map_err(|error| failure(&error))?;
    loop {
        match signals.next().await {
            Told::Stop => break,
            Told::Reload => reload(options, &mut node).await,
        }
    }
    info!("draining");
    node.drain().await;
    Ok(Exit::Done)
}

async fn reload(options: &RunOptions, node: &mut Node) {
    let started = options.start();
    let loaded = match started {
        Ok(Start {
            fallback: Some(invalid),
            ..
        }) => {
            return error!(error = %invalid, "configuration refused; the one in force stays");
        }
        Ok(Start {
            loaded,
            fallback: None,
        }) => loaded,
        Err(failure) => {
            return error!(error = %failure, "configuration refused; the one in force stays");
        }
    };
    tell_findings(&loaded);
    match node.reload(loaded).await {
        Ok(()) => info!("configuration reloaded"),
        Err(error) => error!(%error, "configuration refused; the one in force stays"),
    }
}

fn tell_findings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        warn!(%warning, "configuration");
    }
    for item in &loaded.parked {
        error!(item = %item, "configuration item parked");
    }
}

fn failure(error: &NodeError) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// What relative paths refer to: the directory of the configuration.
fn directory_of(config: &Path) -> PathBuf {
    let directory = if config.is_dir() {
        Some(config)
    } else {
        config.parent()
    };
    directory.map(Path::to_owned).unwrap_or_default()
}

/// What an operator or the service manager wants.
pub(crate) enum Told {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that a node follows.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            let listened = signal(kind);
            listened.map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot listen to signals: {error}"))
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}
