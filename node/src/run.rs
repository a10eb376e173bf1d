//! `ocelli run`: a node from its start to its drain.
//!
//! Does: start the actix system, assemble, follow SIGTERM, SIGINT and SIGHUP, carry out commands
//! that came over the node's socket. Does not: parse
//! arguments (`cli`), assemble (`assembly`). In: [`RunOptions`]. Out: an exit code.

use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ocelli_config::Loaded;
use rustix::process::Signal as KernelSignal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::assembly::reload::{ReloadError, ReloadReport};
use crate::assembly::{Node, NodeError};
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::{RunOptions, Start};
use crate::control::ControlRequest;

/// Runs a node until it is told to stop.
///
/// # Errors
/// A [`Failure`] with one clear line: configuration (78), anything else that keeps it from
/// starting (1).
pub fn run(options: &RunOptions) -> Result<Exit, Failure> {
    if let Some(parent) = options.parent {
        end_with(parent)?;
    }
    let Start { loaded, fallback } = options.start()?;
    if options.check {
        return Ok(Exit::Done);
    }
    if let Some(invalid) = fallback {
        error!(error = %invalid, "configuration cannot be used; the last good copy is in force");
    }
    tell_findings(&loaded);
    raise_file_limit();
    let directory = directory_of(&options.config.config);
    let system = actix_rt::System::new();
    system.block_on(serve(options, loaded, directory))
}

/// Has the kernel send SIGTERM once the parent has ended.
fn end_with(parent: u32) -> Result<(), Failure> {
    let asked = rustix::process::set_parent_process_death_signal(Some(KernelSignal::TERM));
    asked.map_err(|error| failed(&format!("cannot follow the end of {parent}: {error}")))?;
    // It may have ended before the kernel knew.
    let present = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if present.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
        return Err(failed(&format!("the parent {parent} has ended")));
    }
    Ok(())
}

/// Thousands of subscribers need more open files than the shell's habit of 1,024: all that the
/// system allows are asked for.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!(%error, "the limit of open files stays as it is");
    }
}

fn failed(text: &str) -> Failure {
    Failure::new(Exit::Failed, text)
}

async fn serve(options: &RunOptions, loaded: Loaded, directory: PathBuf) -> Result<Exit, Failure> {
    // Before anything runs: a signal that comes during the start is not lost.
    let mut signals = Signals::new()?;
    let mut life = loaded;
    loop {
        let node = Node::start(life, directory.clone())
            .await
            .map_err(|error| failure(&error))?;
        match live(options, node, &mut signals).await {
            Ended::Told(node) => {
                info!("draining");
                node.drain().await;
                return Ok(Exit::Done);
            }
            Ended::Joined(node) => {
                info!("the node has its certificate and starts again with it");
                node.drain().await;
                life = options.start()?.loaded;
            }
            Ended::RolledBack(node) => {
                warn!("a neighbour holds newer records of this node: its disk went back in time");
                node.forsake().await.map_err(|error| failure(&error))?;
                life = options.start()?.loaded;
            }
        }
    }
}

/// Why a node no longer runs as it was started.
enum Ended {
    /// Told to stop.
    Told(Node),
    /// It has a certificate now: it begins again as who it is.
    Joined(Node),
    /// Its origin belongs to a later state of its disk: it begins again under a new one.
    RolledBack(Node),
}

async fn live(options: &RunOptions, mut node: Node, signals: &mut Signals) -> Ended {
    let mut requests = node.take_requests();
    let mut rolled_back = std::pin::pin!(node.rolled_back());
    let mut joined = std::pin::pin!(node.joined());
    loop {
        tokio::select! {
            told = signals.next() => {
                if matches!(told, Told::Stop) {
                    return Ended::Told(node);
                }
                let reloaded = reload(options, &mut node, false);
                match until_stop(signals, reloaded).await {
                    None => return Ended::Told(node),
                    Some(Ok(_)) => info!("configuration reloaded"),
                    Some(Err(error)) => refused(&error),
                }
            }
            Some(request) = next(&mut requests) => {
                let done = carry_out(request, options, &mut node);
                if until_stop(signals, done).await.is_none() {
                    return Ended::Told(node);
                }
            }
            () = &mut joined => return Ended::Joined(node),
            () = &mut rolled_back => return Ended::RolledBack(node),
        }
    }
}

async fn next(requests: &mut Option<mpsc::Receiver<ControlRequest>>) -> Option<ControlRequest> {
    requests.as_mut()?.recv().await
}

/// A stop does not wait for a command: `None`. A reload asked for meanwhile comes after it: one
/// under way may have read the files before they were changed again.
async fn until_stop<T>(signals: &mut Signals, done: impl Future<Output = T>) -> Option<T> {
    let mut done = std::pin::pin!(done);
    let mut is_reload_due = false;
    let ended = loop {
        tokio::select! {
            done = &mut done => break Some(done),
            told = signals.next() => match told {
                Told::Stop => break None,
                Told::Reload => is_reload_due = true,
            },
        }
    };
    signals.is_reload_due |= is_reload_due;
    ended
}

/// Whoever asked may be gone; then nobody needs the answer.
async fn carry_out(request: ControlRequest, options: &RunOptions, node: &mut Node) {
    match request {
        ControlRequest::Poll {
            resource,
            order,
            answer,
        } => {
            // A run may take its whole deadline: others need not wait for it.
            let run = node.probe(&resource, order);
            actix_rt::spawn(async move { answer.send(run.await).ok() });
        }
        ControlRequest::Approve {
            discovery,
            hash,
            answer,
        } => {
            answer.send(node.approve(&discovery, hash).await).ok();
        }
        ControlRequest::Adopt { name, answer } => {
            answer.send(node.adopt(&name).await).ok();
        }
        ControlRequest::Forget {
            name,
            is_dry_run,
            answer,
        } => {
            answer.send(node.forget(&name, is_dry_run).await).ok();
        }
        ControlRequest::Replay(order) => node.replay(order).await,
        ControlRequest::Reload { is_dry_run, answer } => {
            let reloaded = reload(options, node, is_dry_run).await;
            if let Err(error) = &reloaded {
                refused(error);
            }
            answer.send(reloaded).ok();
        }
    }
}

fn refused(error: &ReloadError) {
    error!(%error, "configuration refused; the one in force stays");
}

/// The same for SIGHUP and the command: validate, then show or apply.
async fn reload(
    options: &RunOptions,
    node: &mut Node,
    is_dry_run: bool,
) -> Result<ReloadReport, ReloadError> {
    let refused = |text: String| ReloadError::Configuration { text };
    let loaded = match options.start() {
        Ok(Start {
            fallback: Some(invalid),
            ..
        }) => return Err(refused(invalid.to_string())),
        Ok(Start {
            loaded,
            fallback: None,
        }) => loaded,
        Err(failure) => return Err(refused(failure.to_string())),
    };
    if is_dry_run {
        return node.preview(&loaded);
    }
    refuse_blank(&loaded).map_err(refused)?;
    tell_findings(&loaded);
    node.reload(loaded).await
}

/// A file that is being written is empty for a moment: that is no wish to stop everything.
fn refuse_blank(loaded: &Loaded) -> Result<(), String> {
    let mut files = loaded.sources.iter().map(|(_, source)| source);
    match files.find(|source| source.text.trim().is_empty()) {
        None => Ok(()),
        Some(source) => Err(format!(
            "{} is empty, maybe half written; write it whole and reload again, or remove it",
            source.name()
        )),
    }
}

fn tell_findings(loaded: &Loaded) {
    for warning in &loaded.warnings {
        warn!(%warning, "configuration");
    }
}

fn failure(error: &NodeError) -> Failure {
    let exit = match error {
        // What `[identity]` and `[node]` name does not fit together, or is no identity.
        NodeError::Identity(_) => Exit::Configuration,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

/// What relative paths refer to: the directory of the configuration.
pub(crate) fn directory_of(config: &Path) -> PathBuf {
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
    /// SIGHUP came while something else was done.
    is_reload_due: bool,
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
            is_reload_due: false,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Told {
        if std::mem::take(&mut self.is_reload_due) {
            return Told::Reload;
        }
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}
