//! How fast backfill may go: a window that follows the line, and buckets for stated rates.
//!
//! Does: grow while acknowledgements come promptly, shrink when they do not. Does not: read clocks.
//! In: acknowledgements with their delay. Out: whether more may be sent.
//! Why a window of our own above QUIC's: QUIC fills the line, and what stands in the line's queue
//! delays live data. Here the queue that backfill builds stays below [`DELAY_ADDED`].

use std::time::Duration;

use ocelli_model::clock::Monotonic;

/// Smallest window, bytes. One block may always be on its way, however large.
const WINDOW_BYTES_MIN: u64 = 64 * 1024;
/// Delay that backfill may add to the shortest one seen, a hop: three of them, and the commits
/// between, stay below the 120 ms that live data may take while a backlog drains (design §13).
const DELAY_ADDED: Duration = Duration::from_millis(30);
/// Delay at which the line counts as full whatever the shortest one was.
const DELAY_MAX: Duration = Duration::from_secs(2);
/// Time whose tokens a bucket holds.
const BURST: Duration = Duration::from_secs(1);

/// Bytes of backfill that may be on their way.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: u64,
    bytes_max: u64,
    delay_min: Option<Duration>,
    shrunk: Monotonic,
}

impl Window {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes: WINDOW_BYTES_MIN,
            bytes_max: bytes_max.max(WINDOW_BYTES_MIN),
            delay_min: None,
            shrunk: Monotonic::default(),
        }
    }

    /// Bytes that fit beside `in_flight`; 0 while it is full.
    pub(crate) fn room(&self, in_flight: u64) -> u64 {
        if in_flight == 0 {
            self.bytes
        } else {
            self.bytes.saturating_sub(in_flight)
        }
    }

    /// A block of any channel was acknowledged `delay` after it was sent.
    pub(crate) fn measured(&mut self, delay: Duration) {
        self.delay_min = Some(self.delay_min.map_or(delay, |known| known.min(delay)));
    }

    /// A block of backfill was acknowledged.
    pub(crate) fn acknowledged(&mut self, bytes: u64, delay: Duration, now: Monotonic) {
        let base = self.delay_min.unwrap_or(delay);
        let bearable = (base + DELAY_ADDED).max(base * 2).min(DELAY_MAX);
        if delay <= bearable {
            self.bytes = (self.bytes + bytes).min(self.bytes_max);
        } else if now.since(self.shrunk) > delay {
            self.bytes = (self.bytes / 2).max(WINDOW_BYTES_MIN);
            self.shrunk = now;
        }
    }
}

/// Bytes a second, with debts: what went out in one piece is paid for afterwards.
#[derive(Debug)]
pub(crate) struct Bucket {
    bytes_per_second: u64,
    /// Millionths of a byte keep slow rates exact over short times.
    tokens: i128,
    filled: Monotonic,
}

impl Bucket {
    pub(crate) fn new(bytes_per_second: u64, now: Monotonic) -> Self {
        let tokens = i128::from(bytes_per_second) * 1_000_000;
        Self {
            bytes_per_second,
            tokens,
            filled: now,
        }
    }

    /// Whether there is no debt now.
    pub(crate) fn is_open(&mut self, now: Monotonic) -> bool {
        let micros = now.since(self.filled).as_micros().min(u128::from(u32::MAX));
        let earned = i128::from(self.bytes_per_second) * i128::try_from(micros).unwrap_or(0);
        let most =
            i128::from(self.bytes_per_second) * i128::try_from(BURST.as_micros()).unwrap_or(0);
        self.tokens = (self.tokens + earned).min(most);
        self.filled = now;
        self.tokens > 0
    }

    /// Bytes that were taken and are not earned yet.
    pub(crate) fn debt(&self) -> u64 {
        u64::try_from(-self.tokens / 1_000_000).unwrap_or(0)
    }

    /// Takes bytes, into debt if there are none.
    pub(crate) fn take(&mut self, bytes: u64) {
        self.tokens -= i128::from(bytes) * 1_000_000;
    }
}

/// The stated rate of an origin: live blocks may use all of it, backfill what live blocks leave.
#[derive(Debug)]
pub(crate) struct RateShare {
    /// Paid by live blocks alone: what backfill took never holds them up.
    live: Bucket,
    /// Paid by all.
    all: Bucket,
}

impl RateShare {
    pub(crate) fn new(bytes_per_second: u64, now: Monotonic) -> Self {
        Self {
            live: Bucket::new(bytes_per_second, now),
            all: Bucket::new(bytes_per_second, now),
        }
    }

    /// Whether a block may go now.
    pub(crate) fn is_open(&mut self, is_live: bool, now: Monotonic) -> bool {
        self.bucket(is_live).is_open(now)
    }

    /// Bytes that are above the rate now.
    pub(crate) fn debt(&mut self, is_live: bool) -> u64 {
        self.bucket(is_live).debt()
    }

    /// Takes bytes, into debt if there are none.
    pub(crate) fn take(&mut self, is_live: bool, bytes: u64) {
        self.all.take(bytes);
        if is_live {
            self.live.take(bytes);
        }
    }

    /// Its rate.
    pub(crate) fn rate(&self) -> u64 {
        self.all.bytes_per_second
    }

    fn bucket(&mut self, is_live: bool) -> &mut Bucket {
        match is_live {
            true => &mut self.live,
            false => &mut self.all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_never_takes_what_live_blocks_need_and_gets_what_they_leave() {
        let mut share = RateShare::new(1_000, at(0));
        share.take(false, 9_000);
        assert!(!share.is_open(false, at(0)) && share.is_open(true, at(0)));
        let mut sent = [0, 0];
        // 500 B live a second, as much backfill as may go: both together come to the rate.
        for second in 10..110 {
            share.take(true, 500);
            sent[0] += 500;
            while share.is_open(false, at(second * 1_000)) {
                share.take(false, 100);
                sent[1] += 100;
            }
            assert!(share.is_open(true, at(second * 1_000)), "second {second}");
        }
        assert!((49_000..=51_500).contains(&sent[1]), "{sent:?}");
        // Live alone at the rate leaves nothing.
        for second in 110..130 {
            share.take(true, 1_000);
            assert!(!share.is_open(false, at(second * 1_000)) || second == 110);
        }
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1_000_000)
    }

    #[test]
    fn the_window_grows_on_a_wide_line_and_falls_to_one_block_on_a_thin_one() {
        let mut window = Window::new(4 << 20);
        for round in 0..100 {
            window.acknowledged(256 << 10, Duration::from_millis(20), at(round));
        }
        assert_eq!(window.room(0), 4 << 20);
        window.measured(Duration::from_millis(20));
        for round in 0..10 {
            window.acknowledged(
                256 << 10,
                Duration::from_secs(16),
                at(200_000 + round * 20_000),
            );
        }
        assert_eq!(window.room(0), WINDOW_BYTES_MIN);
        assert_eq!(
            window.room(256 << 10),
            0,
            "the next block waits for the acknowledgement"
        );
    }

    #[test]
    fn a_bucket_gives_its_rate_and_debts_are_paid_first() {
        let mut bucket = Bucket::new(1_000, at(0));
        assert!(bucket.is_open(at(0)));
        bucket.take(3_000);
        assert!(!bucket.is_open(at(1_999)));
        assert!(bucket.is_open(at(2_001)));
        assert!(bucket.is_open(at(1_000_000)));
        bucket.take(1_000);
        assert!(
            !bucket.is_open(at(1_000_000)),
            "it holds one second at most"
        );
        assert!(
            !Bucket::new(0, at(0)).is_open(at(9_000)),
            "a rate of 0 is a pause"
        );
    }
}
