//! The future of one operation: woken once, when it has ended.
//!
//! Does: wait for the end; dropped before, take the operation back so that nothing of it stays.
//! Does not: drive anything; the engine's tick does. In: an index. Out: how it ended, its state.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::driver::Engine;
use super::operation::{Finish, Operation};

/// An operation in the engine's table.
pub(crate) struct Pending {
    engine: Rc<Engine>,
    index: u32,
    is_taken: bool,
}

impl Pending {
    /// Of the operation at this index.
    pub(crate) fn new(engine: Rc<Engine>, index: u32) -> Self {
        Self {
            engine,
            index,
            is_taken: false,
        }
    }
}

impl Future for Pending {
    type Output = (Finish, Option<Operation>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(finish) = self.engine.poll(self.index, context.waker()) else {
            return Poll::Pending;
        };
        self.is_taken = true;
        Poll::Ready((finish, self.engine.remove(self.index)))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_taken {
            self.engine.cancel(self.index);
        }
    }
}
