//! How operations end: what they hold is given back, whoever waits is woken.
//!
//! Does: give back timer, turn, window and socket; note silence, after which a session asks from
//! another port. Does not: decide that an operation has ended.
//! In: an index and how it ended. Out: a finished operation, those behind it in their turn.

use std::any::Any;

use ocelli_model::clock::Monotonic;

use super::Core;
use crate::engine::error::ExchangeError;
use crate::engine::operation::{Finish, Phase};
use crate::engine::session::SessionCore;
use crate::engine::trace::TraceEvent;

impl Core {
    /// Ends an operation and wakes its caller.
    pub(super) fn finish(&mut self, index: u32, finish: Finish, now: Monotonic) {
        self.settle(index, now);
        let Some(operation) = self.operation(index) else {
            return;
        };
        if operation.finish.is_some() {
            return;
        }
        let session = operation.session.clone();
        let is_silence = matches!(
            finish,
            Finish::Failed(ExchangeError::Timeout { .. } | ExchangeError::Unreachable { .. })
        );
        operation.trace(now, || TraceEvent::Ended {
            failure: match &finish {
                Finish::Failed(error) => Some(error.to_string()),
                Finish::Ended | Finish::Panicked(_) => None,
            },
            packets: operation.packets,
            retries: operation.retries,
        });
        operation.finish = Some(finish);
        let waker = operation.waker.take();
        if is_silence {
            self.note_silence(&session);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives back all that an operation holds: timer, place in queue, window and socket.
    pub(super) fn settle(&mut self, index: u32, now: Monotonic) {
        self.wheel.cancel(index);
        let Some(operation) = self.operation(index) else {
            return;
        };
        let session = operation.session.clone();
        let phase = std::mem::replace(&mut operation.phase, Phase::Done);
        match phase {
            Phase::Done => return,
            Phase::Waiting => session.budget.with(|budget| budget.leave(index)),
            Phase::InFlight | Phase::RetryPaced => self.release(&session),
        }
        self.pump(&session.budget, now);
    }

    pub(super) fn release(&mut self, session: &SessionCore) {
        session.budget.with(|budget| budget.window.release());
        if let Some(place) = self.sockets.get_mut(session.state.borrow().place) {
            place.in_flight = place.in_flight.saturating_sub(1);
        }
    }

    /// After some silent operations in a row the session asks from another port.
    fn note_silence(&mut self, session: &SessionCore) {
        let mut state = session.state.borrow_mut();
        state.silent_operations = state.silent_operations.saturating_add(1);
        // With another operation in flight the socket must stay for its answer.
        let is_idle = session.budget.in_flight() == 0;
        if state.silent_operations >= session.silent_before_renewal && is_idle {
            state.silent_operations = 0;
            let place = self.sockets.renew(state.place);
            if place != state.place {
                state.place = place;
                self.counters.sockets_renewed += 1;
            }
        }
    }

    /// The sink of this operation panicked.
    pub(super) fn panicked(&mut self, index: u32, payload: Box<dyn Any + Send>, now: Monotonic) {
        self.finish(index, Finish::Panicked(payload), now);
    }
}
