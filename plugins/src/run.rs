//! What every run of a plugin is given, and what it may not do by itself.
//!
//! Does: carry clock, deadline and the pool for blocking work. Does not: carry state from
//! one run to the next: a plugin has none.
//! In: the actor that starts the run. Out: [`Run`] to the plugin, borrowed for the run alone.
//! Invariant: a run ends by its deadline with what it has; the actor drops the future otherwise.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ocelli_model::clock::{Clock, Monotonic};
use tokio::sync::Semaphore;

/// Blocking jobs at one time, all arbiters together: they read files, so more threads than this
/// only queue at the disk. A run waits its turn within its deadline.
pub const BLOCKING_JOBS_MAX: usize = 8;

/// A run in progress. Lives on the arbiter that started it; dropping it cancels the run.
pub type PluginFuture<'run, T> = Pin<Box<dyn Future<Output = T> + 'run>>;

/// What a run works with and within.
#[derive(Clone, Copy)]
pub struct Run<'run> {
    /// The node's clock.
    pub clock: &'run dyn Clock,
    /// When the run must have ended.
    pub deadline: Monotonic,
    /// Where work goes that blocks for more than 100 µs.
    pub blocking: &'run BlockingPool,
}

/// A bounded share of the runtime's blocking threads. Clones share one bound.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    places: Arc<Semaphore>,
}

/// Why a blocking job gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// The node is stopping.
    #[error("the blocking pool is closed; the node is stopping")]
    Closed,
    /// The job panicked; the panic hook has logged where.
    #[error("the blocking job panicked; report the panic in the log with the file it read")]
    Panicked,
}

impl Default for BlockingPool {
    fn default() -> Self {
        Self::new(BLOCKING_JOBS_MAX)
    }
}

impl BlockingPool {
    /// A pool of at most `jobs_max` jobs at one time (at least one).
    #[must_use]
    pub fn new(jobs_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(jobs_max.max(1)));
        Self { places }
    }

    /// Runs `job` on a blocking thread of the current tokio runtime, once there is a place.
    /// A job that has begun goes on when the caller stops waiting, and keeps its place until then.
    ///
    /// # Errors
    /// [`BlockingError`] if the job did not end.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BlockingError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| BlockingError::Closed)?;
        let ended = tokio::task::spawn_blocking(move || {
            let outcome = job();
            drop(place);
            outcome
        });
        ended.await.map_err(|error| match error.is_cancelled() {
            true => BlockingError::Closed,
            false => BlockingError::Panicked,
        })
    }

    /// Lets no further job begin.
    pub fn close(&self) {
        self.places.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_gives_its_place_back() {
        let pool = BlockingPool::new(1);
        let failed = pool.run(|| panic!("as planned")).await;
        assert_eq!(failed, Err::<(), _>(BlockingError::Panicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_closed_pool_says_so() {
        let pool = BlockingPool::default();
        pool.close();
        assert_eq!(pool.run(|| 7).await, Err(BlockingError::Closed));
    }
}
