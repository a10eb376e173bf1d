//! Those who dialled in and were not let in: told, and not each time that they try again.
//!
//! Does: pass address and reason to whoever tells people, once for each pair in [`TOLD_EVERY`].
//! Does not: count by reason (`identity` does, for all refused certificates), judge anybody.
//! In: handshakes and Hellos that failed. Out: calls of the sink; without one, log lines.
//! Memory: at most [`KNOWN_MAX`] pairs; a flood beyond them is not told one by one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Monotonic;
use parking_lot::Mutex;
use tracing::{debug, info};

/// A node that nobody mends dials every few seconds for ever.
const TOLD_EVERY: Duration = Duration::from_secs(600);
/// Pairs of address and reason: a few for each place that a site can have behind one address.
const KNOWN_MAX: usize = 256;

/// Hears of those who were not let in.
pub type TurnedAwaySink = Arc<dyn Fn(IpAddr, &str) + Send + Sync>;

/// What an endpoint knows of those whom it turned away.
#[derive(Default)]
pub(super) struct TurnedAway {
    sink: Mutex<Option<TurnedAwaySink>>,
    told: Mutex<BTreeMap<(IpAddr, String), Monotonic>>,
}

impl TurnedAway {
    /// From now on `sink` hears of them.
    pub(super) fn tell(&self, sink: TurnedAwaySink) {
        *self.sink.lock() = Some(sink);
    }

    /// Somebody was not let in.
    pub(super) fn note(&self, address: SocketAddr, reason: &str, now: Monotonic) {
        let from = address.ip().to_canonical();
        if !self.is_due((from, reason.to_owned()), now) {
            return debug!(%address, reason, "turned away again");
        }
        let sink = self.sink.lock().clone();
        match sink {
            Some(sink) => sink(from, reason),
            None => info!(%address, reason, "turned away"),
        }
    }

    fn is_due(&self, pair: (IpAddr, String), now: Monotonic) -> bool {
        let mut told = self.told.lock();
        told.retain(|_, at| now.since(*at) < TOLD_EVERY);
        if told.contains_key(&pair) || told.len() >= KNOWN_MAX {
            return false;
        }
        told.insert(pair, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::default().after(Duration::from_secs(seconds))
    }

    #[test]
    fn each_address_and_reason_is_told_once_in_ten_minutes_and_a_flood_is_not() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let away = TurnedAway::default();
        let list = Arc::clone(&heard);
        away.tell(Arc::new(move |from, reason| {
            list.lock().push(format!("{from} {reason}"));
        }));
        let note = |address: &str, reason: &str, seconds| {
            away.note(address.parse().unwrap(), reason, at(seconds));
            std::mem::take(&mut *heard.lock())
        };
        assert_eq!(note("10.0.0.1:5", "expired", 0), ["10.0.0.1 expired"]);
        assert_eq!(note("10.0.0.1:6", "expired", 9), [""; 0], "another port");
        assert_eq!(note("[::ffff:10.0.0.1]:6", "expired", 9), [""; 0]);
        assert_eq!(note("10.0.0.1:6", "revoked", 9), ["10.0.0.1 revoked"]);
        assert_eq!(note("10.0.0.2:5", "expired", 599), ["10.0.0.2 expired"]);
        assert_eq!(note("10.0.0.1:5", "expired", 600), ["10.0.0.1 expired"]);
        for number in 0..2 * KNOWN_MAX {
            away.note(
                "10.0.0.3:1".parse().unwrap(),
                &number.to_string(),
                at(2_000),
            );
        }
        assert_eq!(heard.lock().len(), KNOWN_MAX);
    }
}
