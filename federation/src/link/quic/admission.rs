//! Who may begin a handshake: limits in all and for each address.
//!
//! Does: judge an attempt from counts alone, and count what was admitted until its guard drops.
//! Does not: look at certificates, touch sockets.
//! In: an address and whether it is proved. Out: [`Verdict`]. An address that is not proved may be
//! forged, so it is never counted against: it has to prove itself first (QUIC's Retry).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::link::limits::RETRY_ABOVE;

/// What becomes of an attempt.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Handshake; counted until the guard drops.
    Admit(Admitted),
    /// Ask for a proof of the address first.
    Retry,
    /// As many links as are allowed.
    Full,
    /// As many links from this address as are allowed.
    AddressFull,
}

/// Figures of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdmissionStatistics {
    /// Handshakes that are not finished.
    pub handshakes_open: usize,
    /// Incoming links and handshakes together.
    pub admitted_open: usize,
    /// Attempts that had to prove their address.
    pub retries: u64,
    /// Attempts refused because all places are taken.
    pub refused_full: u64,
    /// Attempts refused because the address has all its places.
    pub refused_address: u64,
}

/// The doorkeeper of an endpoint.
#[derive(Debug)]
pub(super) struct Admission {
    links_max: usize,
    links_per_address_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_address: BTreeMap<IpAddr, usize>,
    statistics: AdmissionStatistics,
}

/// One place, given back on drop.
#[derive(Debug)]
pub(super) struct Admitted {
    door: Arc<Admission>,
    address: IpAddr,
    is_handshake: bool,
}

impl Admission {
    pub(super) fn new(links_max: usize, links_per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            links_max,
            links_per_address_max,
            state: Mutex::default(),
        })
    }

    /// Judges an attempt.
    pub(super) fn judge(self: &Arc<Self>, address: IpAddr, is_proved: bool) -> Verdict {
        let address = address.to_canonical();
        let mut state = self.state.lock();
        let State {
            by_address,
            statistics,
        } = &mut *state;
        let here = by_address.get(&address).copied().unwrap_or(0);
        let is_address_full = here >= self.links_per_address_max;
        if statistics.admitted_open >= self.links_max {
            statistics.refused_full += 1;
            return Verdict::Full;
        }
        if !is_proved && (is_address_full || statistics.handshakes_open >= RETRY_ABOVE) {
            statistics.retries += 1;
            return Verdict::Retry;
        }
        if is_address_full {
            statistics.refused_address += 1;
            return Verdict::AddressFull;
        }
        by_address.insert(address, here + 1);
        statistics.admitted_open += 1;
        statistics.handshakes_open += 1;
        Verdict::Admit(Admitted {
            door: Arc::clone(self),
            address,
            is_handshake: true,
        })
    }

    pub(super) fn statistics(&self) -> AdmissionStatistics {
        self.state.lock().statistics
    }
}

impl Admitted {
    /// The handshake is over; the place is a link's from now on.
    pub(super) fn handshaken(&mut self) {
        if std::mem::take(&mut self.is_handshake) {
            self.door.state.lock().statistics.handshakes_open -= 1;
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.handshaken();
        let mut state = self.door.state.lock();
        state.statistics.admitted_open -= 1;
        let left = state.by_address.get(&self.address).copied().unwrap_or(0);
        if left > 1 {
            state.by_address.insert(self.address, left - 1);
        } else {
            state.by_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn admit(door: &Arc<Admission>, last: u8) -> Admitted {
        match door.judge(address(last), false) {
            Verdict::Admit(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_has_its_places_and_an_unproved_one_must_prove_itself() {
        let door = Admission::new(10, 2);
        let (first, _second) = (admit(&door, 1), admit(&door, 1));
        assert!(matches!(door.judge(address(1), false), Verdict::Retry));
        assert!(matches!(door.judge(address(1), true), Verdict::AddressFull));
        let mapped = IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 1]);
        assert!(matches!(door.judge(mapped, true), Verdict::AddressFull));
        let _other = admit(&door, 2);
        drop(first);
        let _again = admit(&door, 1);
        let statistics = door.statistics();
        assert_eq!(
            (statistics.admitted_open, statistics.refused_address),
            (3, 2)
        );
    }

    #[test]
    fn all_places_taken_refuses_everybody_until_one_is_free() {
        let door = Admission::new(2, 2);
        let (first, _second) = (admit(&door, 1), admit(&door, 2));
        assert!(matches!(door.judge(address(3), true), Verdict::Full));
        drop(first);
        let _third = admit(&door, 3);
    }

    #[test]
    fn many_open_handshakes_make_newcomers_prove_their_address() {
        let door = Admission::new(100, 100);
        let mut open: Vec<_> = (0..RETRY_ABOVE).map(|_| admit(&door, 1)).collect();
        assert!(matches!(door.judge(address(2), false), Verdict::Retry));
        assert!(matches!(door.judge(address(2), true), Verdict::Admit(_)));
        open[0].handshaken();
        let _place = admit(&door, 2);
        drop(open);
        assert_eq!(door.statistics().handshakes_open, 1);
    }
}
