//! Tests of supervision: crashes in every place where a core runs, back-off, parking, obituaries.
//! Time is simulated: a sleep ends when the test moves the clock.

use std::time::Duration;

use tokio::sync::oneshot;

use super::*;
use crate::restart::{BACKOFF_MAX, CRASHES_MAX, PARKED_RETRY};
use crate::testing::{StepClock, StepRng};

enum Order {
    Count(oneshot::Sender<(u32, u32)>),
    Panic,
    PanicLater,
    PanicInThen,
}

/// Counts its messages in this life, and its lives.
struct Counter {
    messages: u32,
    lives: u32,
    spawned: mpsc::Sender<Result<(), String>>,
}

impl Core for Counter {
    type Message = Order;
    const KIND: &'static str = "counter";
    const MAILBOX_CAPACITY: usize = 8;

    fn name(&self) -> Arc<str> {
        "one".into()
    }

    fn started(&mut self, _: &mut Life<Self>) {
        self.lives += 1;
    }

    fn restarting(&mut self, _: &Ending) {
        self.messages = 0;
    }

    fn handle(&mut self, message: Order, life: &mut Life<Self>) {
        self.messages += 1;
        match message {
            Order::Count(answer) => answer.send((self.messages, self.lives)).unwrap(),
            Order::Panic => panic!("as planned"),
            Order::PanicLater => {
                let later = async {
                    tokio::task::yield_now().await;
                    panic!("in a future")
                };
                spawn(life, later, |core, outcome: Result<(), _>, _| {
                    core.spawned.try_send(outcome).unwrap();
                });
            }
            Order::PanicInThen => {
                spawn(life, async {}, |_, _, _| panic!("after a future"));
            }
        }
    }
}

struct Bench {
    clock: Arc<StepClock>,
    counter: Addr<Guarded<Counter>>,
    obituaries: mpsc::Receiver<Obituary>,
    spawned: mpsc::Receiver<Result<(), String>>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(StepClock::default());
        let (obituary_sender, obituaries) = mpsc::channel(8);
        let (spawned_sender, spawned) = mpsc::channel(8);
        let supervision = Rc::new(Supervision {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            rng: RefCell::new(Box::new(StepRng::default())),
            obituaries: obituary_sender,
            counters: RuntimeCounters::new(1),
            events: Reporter::to_nowhere(Arc::clone(&clock) as Arc<dyn Clock>),
        });
        let core = Counter {
            messages: 0,
            lives: 0,
            spawned: spawned_sender,
        };
        Self {
            clock,
            counter: start(core, &supervision),
            obituaries,
            spawned,
        }
    }

    fn order(&self, order: Order) {
        self.counter.try_send(Envelope(order)).unwrap();
    }

    /// (messages of this life, lives).
    async fn count(&self) -> (u32, u32) {
        let (sender, receiver) = oneshot::channel();
        self.order(Order::Count(sender));
        receiver.await.unwrap()
    }
}

#[actix::test]
async fn a_panicking_message_costs_itself_only_and_the_queue_behind_it_survives() {
    let bench = Bench::new();
    assert_eq!(bench.count().await, (1, 1));
    bench.order(Order::Panic);
    let answers: Vec<_> = (0..5)
        .map(|_| {
            let (sender, receiver) = oneshot::channel();
            bench.order(Order::Count(sender));
            receiver
        })
        .collect();
    bench
        .clock
        .pass_when_slept(Duration::from_millis(200))
        .await;
    let mut counts = Vec::new();
    for answer in answers {
        counts.push(answer.await.unwrap());
    }
    assert_eq!(counts, [(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)]);
    assert!(bench.counter.connected());
}

#[actix::test]
async fn a_panic_in_a_future_is_its_own_and_one_after_it_is_the_cores() {
    let mut bench = Bench::new();
    bench.order(Order::PanicLater);
    assert_eq!(
        bench.spawned.recv().await,
        Some(Err("in a future".to_owned()))
    );
    assert_eq!(bench.count().await, (2, 1));
    bench.order(Order::PanicInThen);
    bench.clock.pass_when_slept(BACKOFF_MAX).await;
    assert_eq!(bench.count().await, (1, 2));
}

#[actix::test]
async fn the_sixth_crash_in_a_minute_parks_and_five_minutes_later_it_is_tried_again() {
    let mut bench = Bench::new();
    for _ in 0..CRASHES_MAX {
        bench.order(Order::Panic);
        bench.clock.pass_when_slept(Duration::from_secs(3)).await;
    }
    let crashed = bench.counter.send(Envelope(Order::Panic)).await;
    assert_eq!(crashed, Ok(Err(Down::Crashed)));
    let parked = Obituary {
        kind: "counter",
        name: "one".into(),
        end: End::Parked,
    };
    assert_eq!(bench.obituaries.recv().await, Some(parked.clone()));
    let refused = bench.counter.send(Envelope(Order::Panic)).await;
    assert_eq!(refused, Ok(Err(Down::Parked)));
    bench.clock.pass_when_slept(PARKED_RETRY).await;
    let unparked = Obituary {
        end: End::Unparked,
        ..parked
    };
    assert_eq!(bench.obituaries.recv().await, Some(unparked));
    assert_eq!(
        bench.count().await,
        (1, 2 + u32::try_from(CRASHES_MAX).unwrap())
    );
}

#[test]
fn a_long_panic_text_is_cut_at_a_character() {
    let text = panic_text(&"ä".repeat(PANIC_TEXT_BYTES_MAX));
    assert_eq!(text.len(), PANIC_TEXT_BYTES_MAX);
    assert_eq!(panic_text(&7_u8), "a panic without text");
}
