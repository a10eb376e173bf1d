//! Tests of seats: who may speak for an origin while another link may still hold it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use ocelli_federation::frame::{Control, Role};
use ocelli_federation::ingest::{CONTEST_WAIT, QUARANTINE};
use ocelli_federation::link::MemoryLink;

use super::*;
use crate::assembly::testing::{HandClock, link_of};

const ORIGIN: OriginId = OriginId(7);

type Claim = Pin<Box<dyn Future<Output = Option<Seat>>>>;

struct Bed {
    clock: Arc<HandClock>,
    desk: Arc<Desk>,
}

impl Bed {
    fn new() -> Self {
        let clock = HandClock::new();
        let desk = Desk::new(clock.clone());
        Self { clock, desk }
    }

    fn claim(&self) -> Claim {
        let desk = Arc::clone(&self.desk);
        Box::pin(async move { desk.claim(ORIGIN).await })
    }

    /// A link that holds the origin; its other end speaks.
    fn seat(&self, seat: &Seat) -> (Arc<dyn Link>, MemoryLink) {
        let (below, here) = link_of(("dc1", ORIGIN), Role::Uplink, Arc::clone(&self.clock));
        let here: Arc<dyn Link> = Arc::new(here);
        seat.take(&here);
        (here, below)
    }

    /// Moves time on in steps in which the desk looks; the claim's verdict, if there is one.
    async fn wait(&self, claim: &mut Claim, for_ms: u64) -> Option<Option<Seat>> {
        for _ in 0..for_ms / 100 {
            if let Poll::Ready(verdict) = poll(claim).await {
                return Some(verdict);
            }
            self.clock.advance(LOOK_EVERY);
        }
        match poll(claim).await {
            Poll::Ready(verdict) => Some(verdict),
            Poll::Pending => None,
        }
    }
}

async fn poll(claim: &mut Claim) -> Poll<Option<Seat>> {
    poll_fn(|context| Poll::Ready(claim.as_mut().poll(context))).await
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

#[tokio::test]
async fn the_first_who_states_an_origin_is_seated_at_once_and_another_origin_is_not_its_business() {
    let bed = Bed::new();
    let seat = bed.claim().await;
    assert!(seat.is_some());
    let other = bed.desk.claim(OriginId(8)).await;
    assert!(other.is_some());
}

#[tokio::test]
async fn who_dials_again_while_its_dead_link_is_not_yet_timed_out_takes_its_place() {
    let bed = Bed::new();
    let first = bed.claim().await.unwrap();
    let (link, _silent) = bed.seat(&first);
    let mut second = bed.claim();
    assert!(
        bed.wait(&mut second, ms(CONTEST_WAIT) - 100)
            .await
            .is_none(),
        "it waits"
    );
    let verdict = bed.wait(&mut second, 200).await.unwrap();
    assert!(verdict.is_some(), "the silent one made room");
    assert!(link.receive().await.is_err(), "the dead link is closed");
}

#[tokio::test]
async fn a_dead_link_that_ends_lets_the_next_in_at_once() {
    let bed = Bed::new();
    let first = bed.claim().await.unwrap();
    let mut second = bed.claim();
    assert!(bed.wait(&mut second, 300).await.is_none());
    drop(first);
    assert!(bed.wait(&mut second, 0).await.unwrap().is_some());
}

#[tokio::test]
async fn two_live_nodes_that_state_one_origin_are_both_refused_for_a_while() {
    let bed = Bed::new();
    let first = bed.claim().await.unwrap();
    let (link, below) = bed.seat(&first);
    let mut second = bed.claim();
    assert!(bed.wait(&mut second, 100).await.is_none());
    below
        .send_control(Control::Heads(Vec::new()))
        .await
        .unwrap();
    link.receive().await.unwrap();
    let verdict = bed.wait(&mut second, 300).await.unwrap();
    assert!(verdict.is_none(), "the second is refused");
    assert!(link.receive().await.is_err(), "so is the first");
    drop(first);
    assert!(bed.claim().await.is_none(), "nobody is let in for a while");
    bed.clock.advance(QUARANTINE);
    assert!(bed.claim().await.is_some());
}

#[tokio::test]
async fn a_claim_that_gives_up_leaves_the_holder_alone() {
    let bed = Bed::new();
    let first = bed.claim().await.unwrap();
    let (link, below) = bed.seat(&first);
    let mut second = bed.claim();
    assert!(bed.wait(&mut second, 100).await.is_none());
    drop(second);
    bed.clock.advance(CONTEST_WAIT * 2);
    below
        .send_control(Control::Heads(Vec::new()))
        .await
        .unwrap();
    assert!(link.receive().await.is_ok());
}

#[tokio::test]
async fn of_two_that_wait_the_later_one_stays() {
    let bed = Bed::new();
    let first = bed.claim().await.unwrap();
    let mut second = bed.claim();
    assert!(bed.wait(&mut second, 100).await.is_none());
    let mut third = bed.claim();
    assert!(bed.wait(&mut third, 0).await.is_none());
    assert!(
        bed.wait(&mut second, 0).await.unwrap().is_none(),
        "it dialled again: refused"
    );
    drop(first);
    assert!(bed.wait(&mut third, 0).await.unwrap().is_some());
}
