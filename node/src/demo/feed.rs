//! A subscriber of one tier, over HTTP as anybody's.
//!
//! Does: subscribe from the first record on, split what comes into lines, note when each came.
//! Does not: count or show. In: a node's API. Out: [`Told`] on a bounded channel.
//! Full: it waits, and so does the node; nothing is skipped.

use std::rc::Rc;

use bytes::Bytes;
use ocelli_model::clock::{Clock, WallMs};
use ocelli_model::line_buffer::LineBuffer;
use reqwest::Response;
use tokio::sync::mpsc::Sender;

use super::failed;
use super::hops::TOP;
use super::wire::Line;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::clock::RealClock;

/// Batches and gaps, from the first on.
const EVERYTHING: [(&str, &str); 3] = [
    ("format", "records"),
    ("from", "oldest"),
    ("include", "gaps"),
];
/// One metric of a switch and one of the machine: below the top only arrivals count.
const ONE_METRIC: [(&str, &str); 2] = [("metric", "bits_in"), ("metric", "load1")];

/// A line and where and when it came.
pub(super) struct Told {
    /// Index of the tier, from below.
    pub(super) tier: usize,
    pub(super) line: Line,
    pub(super) at: WallMs,
}

/// Follows a node of `tier` until it ends or nobody listens.
pub(super) async fn follow(client: Rc<Client>, tier: usize, sender: Sender<Result<Told, Failure>>) {
    if let Err(failure) = read(&client, tier, &sender).await {
        let _nobody_listens = sender.send(Err(failure)).await;
    }
}

async fn read(
    client: &Client,
    tier: usize,
    sender: &Sender<Result<Told, Failure>>,
) -> Result<(), Failure> {
    let mut query = EVERYTHING.to_vec();
    if tier != TOP {
        query.extend(ONE_METRIC);
    }
    let mut response = client.open("/v1/subscribe", &query).await?;
    let mut lines = LineBuffer::default();
    while let Some(chunk) = next(client, &mut response).await? {
        let at = RealClock.wall();
        lines.push(&chunk);
        while let Some(line) = lines.pop().map_err(|error| failed(&error))? {
            let line: Line = serde_json::from_slice(&line).map_err(|error| failed(&error))?;
            if sender.send(Ok(Told { tier, line, at })).await.is_err() {
                return Ok(());
            }
        }
    }
    Err(failed(&format!(
        "{} ended the subscription",
        client.address()
    )))
}

async fn next(client: &Client, response: &mut Response) -> Result<Option<Bytes>, Failure> {
    client.chunk(response).await
}
