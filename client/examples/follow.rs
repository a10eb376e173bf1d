//! Follows a node and prints a line for each record; goes on by its cursor until it is killed.
//!
//! Does: `follow URL[,URL…] [FROM] [COUNT]`; a token in the file that OCELLI_TOKEN_FILE names.
//! Does not: keep its cursor: the last one is printed with each line of type `cursor`.
//! In: arguments. Out: `ORIGIN SEQ KIND RESOURCE` and `cursor TEXT` on stdout, losses on stderr.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program of its own: it prints, and brings its clock"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ocelli_client::{Body, FollowError, Follower, Item, NodeUrl, Settings};
use ocelli_model::clock::{Clock, Monotonic, Sleep, WallMs};
use ocelli_model::secret::Secret;

/// This machine's clock.
struct SystemClock(Instant);

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic(0).after(self.0.elapsed())
    }

    fn wall(&self) -> WallMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or(Duration::ZERO).as_millis();
        WallMs(i64::try_from(since).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        Box::pin(tokio::time::sleep(at.since(self.monotonic())))
    }
}

fn settings() -> Result<Settings, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let urls = arguments.next().ok_or("usage: follow URL[,URL…] [FROM]")?;
    let mut nodes = urls.split(',').map(NodeUrl::parse);
    let mut settings = Settings::of(urls.split(',').next().unwrap_or_default())?;
    settings.nodes = nodes.by_ref().collect::<Result<_, _>>()?;
    settings.from = arguments.next().unwrap_or_else(|| "now".to_owned());
    if let Some(path) = std::env::var_os("OCELLI_TOKEN_FILE") {
        let token = std::fs::read_to_string(path)?;
        settings.proofs.token = Some(Secret::new(token.trim().to_owned()));
    }
    Ok(settings)
}

fn show(item: &Item) {
    match item {
        Item::Record(record) => {
            let kind = match &record.body {
                Body::Batch(groups) => format!("batch of {} groups", groups.len()),
                Body::Gap { cause, .. } => format!("gap {cause}"),
                Body::Pending { .. } => "pending".to_owned(),
                Body::Released => "released".to_owned(),
                Body::Event { kind, .. } => format!("event {kind}"),
            };
            let resource = record.resource.as_deref().unwrap_or("-");
            let seq = record.seq.unwrap_or(0);
            println!("{} {seq} {resource} {kind}", record.origin);
        }
        Item::Cursor(cursor) => println!("cursor {cursor}"),
        other => println!("{other:?}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(SystemClock(Instant::now()));
    let mut follower = Follower::new(settings()?, clock)?;
    let mut connections = 0;
    loop {
        match follower.next().await {
            Ok(item) => show(&item),
            Err(error @ FollowError::Refused { .. }) => return Err(error.into()),
            Err(error) => eprintln!("{error}"),
        }
        let statistics = follower.statistics();
        if statistics.connections != connections {
            connections = statistics.connections;
            let loss = statistics.last_loss.as_deref().unwrap_or("begun");
            eprintln!("connection {connections}: {loss}");
        }
    }
}
