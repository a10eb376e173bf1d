//! A UDP line with faults: stands between two nodes and treats their packets as told.
//!
//! Does: cut, lose, delay, reorder, repeat, corrupt, slow down and stall packets, each direction
//! apart, changed while it runs; count what it did. Does not: read what it carries.
//! In: datagrams at [`Relay::address`]. Out: the same, or what the faults leave, at the target.
//! Chance comes from one seed, so a failing test names it and is run again with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

/// Longest datagram that is carried, bytes.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// Time that a slow line holds packets before it drops new ones, as a router's buffer does.
const QUEUE_MAX: Duration = Duration::from_millis(500);
/// How much later than its turn a reordered packet leaves.
const REORDER_DELAY: Duration = Duration::from_millis(30);

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From who dialled to the target.
    Up,
    /// Back.
    Down,
}

/// What happens to the packets of one direction. The default is a line without faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Nothing passes.
    pub cut: bool,
    /// Packets lost, of 1,000.
    pub lost: u32,
    /// Packets sent twice, of 1,000.
    pub repeated: u32,
    /// Packets that leave `REORDER_DELAY` late, of 1,000.
    pub reordered: u32,
    /// Packets with one bit turned, of 1,000.
    pub corrupted: u32,
    /// Time on the way.
    pub delay: Duration,
    /// Bits per second; `None`: no limit.
    pub bits_per_second: Option<u64>,
}

/// What the relay did so far, both directions together.
#[derive(Debug, Default)]
pub struct Counts {
    /// Datagrams passed on.
    pub passed: AtomicU64,
    /// Their bytes.
    pub passed_bytes: AtomicU64,
    /// Datagrams that a fault or a full queue took.
    pub dropped: AtomicU64,
}

#[derive(Debug)]
struct Line {
    faults: Faults,
    /// When the line has sent what it was given before.
    free_at: Option<Instant>,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    up: Line,
    down: Line,
    chance: u64,
}

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    counts: Arc<Counts>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay to `target`, without faults, whose chance comes from `seed`.
    ///
    /// # Panics
    /// If loopback gives no socket or no thread starts.
    #[must_use]
    pub fn start(target: SocketAddr, seed: u64) -> Self {
        let line = || Line {
            faults: Faults::default(),
            free_at: None,
        };
        let state = Arc::new(Mutex::new(State {
            target,
            up: line(),
            down: line(),
            chance: seed | 1,
        }));
        let counts = Arc::new(Counts::default());
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback binds");
        socket.set_nonblocking(true).expect("a socket of our own");
        let address = socket.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = watch::channel(false);
        let shared = Shared {
            state: Arc::clone(&state),
            counts: Arc::clone(&counts),
        };
        let thread = std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || run(socket, &shared, stopped))
            .expect("a thread starts");
        Self {
            address,
            state,
            counts,
            stop,
            thread: Some(thread),
        }
    }

    /// Where to dial.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the faults of one direction.
    pub fn set(&self, direction: Direction, faults: Faults) {
        lock(&self.state).line(direction).faults = faults;
    }

    /// Sets the faults of both directions.
    pub fn set_both(&self, faults: Faults) {
        self.set(Direction::Up, faults);
        self.set(Direction::Down, faults);
    }

    /// Cuts both directions, or ends the cut and all other faults.
    pub fn cut(&self, is_cut: bool) {
        self.set_both(Faults {
            cut: is_cut,
            ..Faults::default()
        });
    }

    /// Sends what dials from now on elsewhere; those who are through stay where they are.
    pub fn retarget(&self, target: SocketAddr) {
        lock(&self.state).target = target;
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A relay that panicked has already shown its message.
            let _panicked = thread.join().is_err();
        }
    }
}

#[derive(Debug, Clone)]
struct Shared {
    state: Arc<Mutex<State>>,
    counts: Arc<Counts>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder of this lock panics")
}

fn run(socket: std::net::UdpSocket, shared: &Shared, mut stopped: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        tokio::select! {
            ended = carry(socket, shared) => ended.expect("loopback carries datagrams"),
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    });
}

/// Takes packets of those who dial; each of them gets a socket of its own towards the target, so
/// that answers find their way back.
async fn carry(socket: std::net::UdpSocket, shared: &Shared) -> io::Result<()> {
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let mut towards: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // The kernel passes on that nobody listens any more; a relay does not mind.
            continue;
        };
        let outward = match towards.entry(from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let outward = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
                let target = lock(&shared.state).target;
                outward.connect(target).await?;
                let (inward, back) = (Arc::clone(&socket), Arc::clone(&outward));
                tokio::spawn(answers(back, inward, from, shared.clone()));
                place.insert(outward)
            }
        };
        shared.pass(Direction::Up, &buffer[..length], outward, None);
    }
}

async fn answers(back: Arc<UdpSocket>, inward: Arc<UdpSocket>, to: SocketAddr, shared: Shared) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        if let Ok(length) = back.recv(&mut buffer).await {
            shared.pass(Direction::Down, &buffer[..length], &inward, Some(to));
        }
    }
}

impl Shared {
    fn pass(
        &self,
        direction: Direction,
        packet: &[u8],
        socket: &Arc<UdpSocket>,
        to: Option<SocketAddr>,
    ) {
        let mut packet = packet.to_vec();
        let waits = lock(&self.state).treat(direction, &mut packet);
        if waits.is_empty() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        for wait in waits {
            self.counts.passed.fetch_add(1, Ordering::Relaxed);
            let bytes = packet.len() as u64;
            self.counts.passed_bytes.fetch_add(bytes, Ordering::Relaxed);
            let (packet, socket) = (packet.clone(), Arc::clone(socket));
            tokio::spawn(async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                // What the kernel does not take is lost, as on any line.
                let _lost = match to {
                    Some(to) => socket.send_to(&packet, to).await,
                    None => socket.send(&packet).await,
                }
                .is_err();
            });
        }
    }
}

impl State {
    fn line(&mut self, direction: Direction) -> &mut Line {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// Decides on one packet: after which waits it leaves, never more than twice.
    fn treat(&mut self, direction: Direction, packet: &mut [u8]) -> Vec<Duration> {
        let faults = self.line(direction).faults;
        if faults.cut || self.happens(faults.lost) {
            return Vec::new();
        }
        if self.happens(faults.corrupted) && !packet.is_empty() {
            let at = usize::try_from(self.next()).unwrap_or(0) % packet.len();
            packet[at] ^= 1 << (self.next() % 8);
        }
        let Some(queued) = self.line(direction).queue(packet.len()) else {
            return Vec::new();
        };
        let mut wait = queued + faults.delay;
        if self.happens(faults.reordered) {
            wait += REORDER_DELAY;
        }
        let count = 1 + usize::from(self.happens(faults.repeated));
        vec![wait; count]
    }

    fn happens(&mut self, of_thousand: u32) -> bool {
        of_thousand > 0 && self.next() % 1_000 < u64::from(of_thousand)
    }

    /// xorshift64*: enough chance for a line, and the same for the same seed.
    fn next(&mut self) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

impl Line {
    /// How long a packet waits until the line has sent it; `None` if the queue is full.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real line between real processes runs on real time"
    )]
    fn queue(&mut self, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.faults.bits_per_second else {
            self.free_at = None;
            return Some(Duration::ZERO);
        };
        let now = Instant::now();
        let from = self.free_at.map_or(now, |free_at| free_at.max(now));
        if from.duration_since(now) > QUEUE_MAX {
            return None;
        }
        let bits = bytes as u64 * 8;
        let until = from + Duration::from_micros(bits * 1_000_000 / rate.max(1));
        self.free_at = Some(until);
        Some(until.duration_since(now))
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
