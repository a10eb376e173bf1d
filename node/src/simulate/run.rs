//! `ocelli simulate`: starts agents, says so, and waits to be stopped.
//!
//! Does: write the resources file, print `ready`, write counts on SIGUSR1 and at the end.
//! Does not: parse the command line.
//! In: options, clock, stop. Out: `ready` on `out`, files, or [`SimulateError`].

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Clock;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{SimulateError, SimulateOptions, Simulator};

/// How often a failed socket is looked for.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Simulates until `stop`; `ready` goes to `out` once all agents answer and the files are there.
///
/// # Errors
/// All variants of [`SimulateError`].
pub async fn run(
    options: SimulateOptions,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    mut out: impl Write,
) -> Result<(), SimulateError> {
    let simulator = Simulator::start(&options, Arc::clone(&clock))?;
    if let Some(path) = &options.resources_out {
        write(path, &simulator.resources_json(clock.wall()))?;
    }
    let mut dump = signal(SignalKind::user_defined1())?;
    writeln!(out, "ready")?;
    out.flush()?;
    while simulator.is_serving() {
        let check = clock.sleep_until(clock.monotonic().after(CHECK_EVERY));
        tokio::select! {
            () = stop.cancelled() => break,
            received = dump.recv() => {
                if received.is_some() {
                    write_counts(&options, &simulator)?;
                }
            }
            () = check => {}
        }
    }
    write_counts(&options, &simulator)?;
    simulator.stop()
}

fn write_counts(options: &SimulateOptions, simulator: &Simulator) -> Result<(), SimulateError> {
    let Some(path) = &options.counts_out else {
        return Ok(());
    };
    let json = serde_json::to_string(&simulator.counts()).map_err(io::Error::other)?;
    write(path, &json)
}

/// Replaces the file by rename: a reader never sees half of it.
fn write(path: &Path, text: &str) -> Result<(), SimulateError> {
    let error = |source| SimulateError::Write {
        path: path.to_owned(),
        source,
    };
    let mut beside = path.to_owned().into_os_string();
    beside.push(".new");
    fs::write(&beside, text).map_err(error)?;
    fs::rename(&beside, path).map_err(error)
}
