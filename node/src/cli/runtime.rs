//! The runtime of one command: a thread, a deadline, the keyboard.
//!
//! Does: run a future to its end on this thread, tasks of its own included; end it on Ctrl-C with
//! 130 and at a deadline with 124. Does not: serve a node (`run` has arbiters of its own).
//! In: a future. Out: what it gave, or a [`Failure`].

use std::future::Future;
use std::time::Duration;

use ocelli_model::clock::Clock as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Failure};
use crate::clock::RealClock;

/// Runs `future` on a current-thread runtime.
///
/// # Errors
/// What the future says, Ctrl-C, or a runtime that cannot be built.
pub fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| runtime_failure(&error))?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        tokio::select! {
            ended = future => ended,
            _ = tokio::signal::ctrl_c() => Err(Failure::silent(Exit::Interrupted)),
        }
    }))
}

/// Runs what goes on until it is told to stop: Ctrl-C or SIGTERM cancel the token, a second one
/// ends it at once with 130.
///
/// # Errors
/// What the future says, or a runtime that cannot be built.
pub fn run_until_stopped<T, F>(start: impl FnOnce(CancellationToken) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| runtime_failure(&error))?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).map_err(|e| runtime_failure(&e))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| runtime_failure(&e))?;
        let mut ended = std::pin::pin!(start(stop.clone()));
        loop {
            tokio::select! {
                ended = &mut ended => return ended,
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                return Err(Failure::silent(Exit::Interrupted));
            }
            stop.cancel();
        }
    }))
}

fn runtime_failure(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot start the runtime: {error}"))
}

/// Ends `future` after `limit`; `None`: it was not done by then.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let clock = RealClock;
    let at = clock.monotonic().after(limit);
    tokio::select! {
        ended = future => Some(ended),
        () = clock.sleep_until(at) => None,
    }
}
