//! What changes a running node from outside: asked over its socket, done on its main thread.
//!
//! Does: name the requests, hand them over, wait for the answer. Does not: check who asks
//! (`http::guard`), carry them out (`assembly`, `run`).
//! In: routes of the API. Out: [`ControlRequest`]s. Full: `REQUESTS_MAX` wait; more are refused.

use ocelli_actors::{ApproveError, ProbeOrder, ProbeRefused, ProbeReport};
use ocelli_federation::ingest::SecondGeneration;
use ocelli_model::resource::ResourceId;
use tokio::sync::{mpsc, oneshot};

use crate::assembly::reload::{ReloadError, ReloadReport};
use crate::assembly::replaying::ReplayOrder;
use crate::assembly::roster::{Forgotten, RosterOrderError};

/// Requests that wait for the main thread: people make them, a few at one time.
const REQUESTS_MAX: usize = 16;

/// A request with the way back.
pub enum ControlRequest {
    /// Run a plugin once beside the slots of a resource.
    Poll {
        /// Against what.
        resource: ResourceId,
        /// What.
        order: ProbeOrder,
        /// What came of it.
        answer: oneshot::Sender<Result<ProbeReport, ProbeRefused>>,
    },
    /// Accept the set that a discovery holds.
    Approve {
        /// Its name.
        discovery: String,
        /// Hash of the set that was looked at.
        hash: u128,
        /// What came of it.
        answer: oneshot::Sender<Result<(), ApproveError>>,
    },
    /// Take the second generation of a site or node.
    Adopt {
        /// Site, or `SITE/NODE`.
        name: String,
        /// What came of it.
        answer: oneshot::Sender<Result<Vec<SecondGeneration>, RosterOrderError>>,
    },
    /// Expect nothing more of a site or node.
    Forget {
        /// Site, or `SITE/NODE`.
        name: String,
        /// Only tell what it would be.
        is_dry_run: bool,
        /// What came of it.
        answer: oneshot::Sender<Result<Forgotten, RosterOrderError>>,
    },
    /// Send a member of an upstream what others acknowledged.
    Replay(ReplayOrder),
    /// Read the configuration again.
    Reload {
        /// Only tell what would change.
        is_dry_run: bool,
        /// What came of it.
        answer: oneshot::Sender<Result<ReloadReport, ReloadError>>,
    },
}

/// Why a request was not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The node serves an API and nothing else.
    #[error("this node takes no commands: it is a demo or it is stopping")]
    Deaf,
    /// Too many wait.
    #[error("{REQUESTS_MAX} commands wait already; try again when they have been carried out")]
    Full,
}

/// The way to a node's main thread. Clones share it.
#[derive(Clone)]
pub struct Control {
    requests: mpsc::Sender<ControlRequest>,
}

impl Control {
    /// The way and its other end; a node drops that end if it takes no commands.
    #[must_use]
    pub fn open() -> (Self, mpsc::Receiver<ControlRequest>) {
        let (requests, taken) = mpsc::channel(REQUESTS_MAX);
        (Self { requests }, taken)
    }

    /// Hands a request over and waits for its answer.
    ///
    /// # Errors
    /// [`ControlError`]; what the request itself came to is in the answer.
    pub async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> ControlRequest,
    ) -> Result<T, ControlError> {
        let (answer, is_answered) = oneshot::channel();
        let sent = self.requests.try_send(request(answer));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ControlError::Full,
            mpsc::error::TrySendError::Closed(_) => ControlError::Deaf,
        })?;
        is_answered.await.map_err(|_| ControlError::Deaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reload(answer: oneshot::Sender<Result<ReloadReport, ReloadError>>) -> ControlRequest {
        ControlRequest::Reload {
            is_dry_run: true,
            answer,
        }
    }

    #[tokio::test]
    async fn a_node_that_takes_no_commands_says_so_and_a_full_one_too() {
        let (control, requests) = Control::open();
        for _ in 0..REQUESTS_MAX {
            let (answer, _) = oneshot::channel();
            control.requests.try_send(reload(answer)).ok();
        }
        assert_eq!(control.ask(reload).await.err(), Some(ControlError::Full));
        drop(requests);
        assert_eq!(control.ask(reload).await.err(), Some(ControlError::Deaf));
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_unanswered_is_no_answer() {
        let (control, mut requests) = Control::open();
        let (answer, ()) = tokio::join!(control.ask(reload), async {
            drop(requests.recv().await);
        });
        assert_eq!(answer.err(), Some(ControlError::Deaf));
    }
}
