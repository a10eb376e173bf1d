//! The sockets of one engine: few, shared by all sessions, renewed for a device that fell silent.
//!
//! Does: open the first of a family when it is needed, move a silent session to a newer one, close
//! what no session uses. Does not: receive or send (`core` does, by `socket`).
//! Sessions that send from one local address share its sockets.
//! In: sessions. Out: a place. A new socket has a new source port, which is what a stale entry of
//! a NAT or firewall on the path needs.
//! Full: beyond [`SOCKETS_PER_FAMILY_MAX`] a silent session takes the newest that there is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::limits::{SOCKETS_PER_FAMILY_MAX, SOURCES_MAX};
use super::socket::{EngineSocket, OpenError};

/// Places for sockets of all local addresses.
const PLACES: usize = SOURCES_MAX * SOCKETS_PER_FAMILY_MAX;

/// The local addresses to send from; unspecified lets the kernel choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// For IPv4 devices.
    pub v4: Ipv4Addr,
    /// For IPv6 devices.
    pub v6: Ipv6Addr,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            v4: Ipv4Addr::UNSPECIFIED,
            v6: Ipv6Addr::UNSPECIFIED,
        }
    }
}

/// A socket and who uses it.
pub(crate) struct Place {
    pub(crate) socket: EngineSocket,
    /// The local address as asked for.
    local: IpAddr,
    /// Ascends with each socket opened.
    age: u64,
    sessions: usize,
    /// Requests sent through it that wait for an answer; it is drained while there are any.
    pub(crate) in_flight: usize,
}

/// All sockets of an engine.
pub(crate) struct Sockets {
    source: Source,
    places: [Option<Place>; PLACES],
    opened: u64,
}

impl Sockets {
    /// None open yet.
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            places: std::array::from_fn(|_| None),
            opened: 0,
        }
    }

    /// The newest socket for a device at this address; opens the first one. `source` counts for
    /// devices of its family, others are asked from the engine's own.
    pub(crate) fn join(
        &mut self,
        device: IpAddr,
        source: Option<IpAddr>,
    ) -> Result<usize, OpenError> {
        let own = match device {
            IpAddr::V4(_) => IpAddr::V4(self.source.v4),
            IpAddr::V6(_) => IpAddr::V6(self.source.v6),
        };
        let fitting = source.filter(|source| source.is_ipv6() == device.is_ipv6());
        self.join_local(fitting.unwrap_or(own))
    }

    fn join_local(&mut self, local: IpAddr) -> Result<usize, OpenError> {
        let number = match self.newest(local) {
            Some(number) => number,
            None => self.open(local)?,
        };
        if let Some(place) = self.get_mut(number) {
            place.sessions += 1;
        }
        Ok(number)
    }

    /// A session that used `number` is gone.
    pub(crate) fn leave(&mut self, number: usize) {
        let Some(place) = self.get_mut(number) else {
            return;
        };
        place.sessions = place.sessions.saturating_sub(1);
        let is_unused = place.sessions == 0 && place.in_flight == 0;
        let local = place.local;
        if is_unused && self.newest(local) != Some(number) {
            self.places[number] = None;
        }
    }

    /// Another socket for a session that fell silent on `number`: a newer one if there is one,
    /// else a new one. If none can be opened it stays.
    pub(crate) fn renew(&mut self, number: usize) -> usize {
        let Some(local) = self.get_mut(number).map(|place| place.local) else {
            return number;
        };
        let open = self.places.iter().flatten();
        let count = open.filter(|place| place.local == local).count();
        let is_newest = self.newest(local) == Some(number);
        if is_newest && (count >= SOCKETS_PER_FAMILY_MAX || self.open(local).is_err()) {
            return number;
        }
        match self.join_local(local) {
            Ok(next) => {
                self.leave(number);
                next
            }
            Err(_) => number,
        }
    }

    /// The socket at a place.
    pub(crate) fn get_mut(&mut self, number: usize) -> Option<&mut Place> {
        self.places.get_mut(number)?.as_mut()
    }

    /// The places that have a socket.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.places.iter_mut().flatten()
    }

    /// How many places there are, open or not.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    fn newest(&self, local: IpAddr) -> Option<usize> {
        let open = self.places.iter().enumerate();
        open.filter_map(|(number, place)| Some((number, place.as_ref()?)))
            .filter(|(_, place)| place.local == local)
            .max_by_key(|(_, place)| place.age)
            .map(|(number, _)| number)
    }

    fn open(&mut self, local: IpAddr) -> Result<usize, OpenError> {
        let free = self.places.iter().position(Option::is_none);
        let Some(number) = free else {
            return Err(OpenError {
                local: SocketAddr::new(local, 0),
                source: io::Error::other(format!("{SOURCES_MAX} local addresses are the limit")),
            });
        };
        let socket = EngineSocket::open(SocketAddr::new(local, 0))?;
        self.opened += 1;
        let place = Place {
            socket,
            local,
            age: self.opened,
            sessions: 0,
            in_flight: 0,
        };
        self.places[number] = Some(place);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn sessions_share_one_socket_until_one_falls_silent() {
        let mut sockets = Sockets::new(Source::default());
        let first = sockets.join(DEVICE, None).unwrap();
        assert_eq!(sockets.join(DEVICE, None).unwrap(), first);
        let second = sockets.renew(first);
        assert_ne!(second, first);
        assert_eq!(sockets.renew(first), second, "the newer one is shared");
        assert_eq!(
            sockets.iter_mut().count(),
            1,
            "the one nobody uses is closed"
        );
    }

    #[test]
    fn however_many_devices_are_silent_few_sockets_are_open() {
        let mut sockets = Sockets::new(Source::default());
        let mut used: Vec<usize> = (0..10)
            .map(|_| sockets.join(DEVICE, None).unwrap())
            .collect();
        for round in 0..100 {
            let number = &mut used[round % 10];
            *number = sockets.renew(*number);
            assert!(sockets.iter_mut().count() <= SOCKETS_PER_FAMILY_MAX);
        }
        for number in used {
            sockets.leave(number);
        }
        assert_eq!(sockets.iter_mut().count(), 1);
    }

    #[test]
    fn sessions_of_different_local_addresses_share_no_socket_and_there_is_a_limit() {
        let mut sockets = Sockets::new(Source::default());
        let local = |last: u8| Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let own = sockets.join(DEVICE, None).unwrap();
        let second = sockets.join(DEVICE, local(2)).unwrap();
        assert_ne!(own, second);
        assert_eq!(sockets.join(DEVICE, local(2)).unwrap(), second);
        let v6 = Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(
            sockets.join(DEVICE, v6).unwrap(),
            own,
            "of the other family"
        );
        let renewed = sockets.renew(second);
        assert_eq!(sockets.get_mut(renewed).map(|place| place.local), local(2));
        let refused = (3..=200).find_map(|last| sockets.join(DEVICE, local(last)).err());
        let refused = refused.expect("200 addresses are too many").to_string();
        assert!(
            refused.contains("local addresses are the limit"),
            "{refused}"
        );
        assert!(sockets.iter_mut().count() <= PLACES);
    }
}
