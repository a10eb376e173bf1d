//! The engine under the bench's load: walks of one table, started so that the rate is met.
//!
//! Does: one task a device, each walks the table again and again, paced; a sink that adds up.
//! Does not: anything that a plugin would not do. In: a load. Out: work.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::{Clock, Monotonic};
use ocelli_model::oid::Oid;
use ocelli_snmp::engine::{
    CommunityVersion, Credential, Engine, Received, Session, SessionSettings, Source, VarbindSink,
    WalkPlan,
};
use ocelli_snmp::oid::Index;
use ocelli_snmp::value::Value;
use tokio::task::{LocalSet, spawn_local};

use super::agents::column;
use super::{
    COLUMNS, DEVICES, Load, Mode, ROWS, ROWS_PER_REPLY, RealClock, Work, Xorshift, cpu, device,
    user,
};

/// Adds up what it gets.
#[derive(Default)]
struct Sum {
    total: u64,
    cells: u64,
}

impl VarbindSink for Sum {
    #[inline]
    fn varbind(&mut self, column: usize, index: Index<'_>, value: Value<'_>, _: Received) {
        let index = u64::from(index.single().unwrap_or(0));
        self.total = (self.total + column as u64).wrapping_add(index);
        self.total = self.total.wrapping_add(value.as_u64().unwrap_or(0));
        self.cells += 1;
    }
}

/// Runs the engine and measures all but its first time.
pub(crate) fn run(load: Load) -> Work {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, measure(load))
}

async fn measure(load: Load) -> Work {
    let clock = Arc::new(RealClock);
    let engine = Engine::start(Source::default(), clock.clone(), Box::new(Xorshift(77)));
    let columns: Vec<Oid> = (0..COLUMNS)
        .map(|number| column(number).parse().unwrap())
        .collect();
    let plan = WalkPlan::new(&columns).unwrap();
    let credential = Arc::new(match load.mode {
        Mode::V2c => Credential::community(CommunityVersion::V2c, b"public"),
        Mode::V3 => Credential::user(user()),
    });
    let cells = Rc::new(Cell::new(0));
    let replies_per_walk = ROWS.div_ceil(ROWS_PER_REPLY.into()) + 1;
    let walks_per_second = f64::from(load.rate) / f64::from(replies_per_walk);
    let period = Duration::from_secs_f64(f64::from(DEVICES) / walks_per_second);
    let started = clock.monotonic();
    for number in 0..DEVICES {
        let address = device(number, load.port).into();
        let settings = SessionSettings::new(address, Arc::clone(&credential));
        let session = engine.session(settings).unwrap();
        let first = started.after(period.mul_f64(f64::from(number) / f64::from(DEVICES)));
        let device = walk_for_ever(session, plan.clone(), (first, period), Rc::clone(&cells));
        spawn_local(device);
    }
    clock
        .sleep_until(started.after(period + load.measure / 4))
        .await;
    let (cpu_before, before) = (cpu(), engine.counters());
    let (cells_before, started) = (cells.get(), clock.monotonic());
    clock.sleep_until(started.after(load.measure)).await;
    let after = engine.counters();
    let work = Work {
        replies: after.received - before.received,
        varbinds: cells.get() - cells_before,
        cpu: cpu() - cpu_before,
        elapsed: clock.monotonic().since(started),
    };
    assert_eq!(after.malformed, 0, "{after:?}");
    if after.retries > 0 {
        println!("  {} retries: the machine was busy", after.retries);
    }
    engine.stop();
    work
}

async fn walk_for_ever(
    session: Session,
    plan: WalkPlan,
    (first, period): (Monotonic, Duration),
    cells: Rc<Cell<u64>>,
) {
    let clock = RealClock;
    let mut start = first;
    loop {
        clock.sleep_until(start).await;
        let deadline = clock.monotonic().after(Duration::from_secs(10));
        let (outcome, sum) = session.walk(&plan, deadline, Sum::default()).await;
        if !outcome.is_complete() {
            return;
        }
        std::hint::black_box(sum.total);
        cells.set(cells.get() + sum.cells);
        start = start.after(period).max(clock.monotonic());
    }
}
