//! A UDP line between two nodes that can be cut.
//!
//! Does: pass datagrams on, both ways, until it is cut. Does not: delay, lose or read them.
//! In: datagrams of one dialler at [`Relay::address`]. Out: the same at the target, and back.
//! Two threads, one a direction; they end within [`LOOK_EVERY`] of the drop.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How long a read waits before it looks whether the relay has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running relay.
#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    line: Arc<Line>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Line {
    /// Towards who dials.
    front: UdpSocket,
    /// Towards the target, connected.
    back: UdpSocket,
    dialler: Mutex<Option<SocketAddr>>,
    is_cut: AtomicBool,
    has_ended: AtomicBool,
}

impl Relay {
    /// A relay to a port on loopback.
    pub(super) fn start(target: u16) -> io::Result<Self> {
        let socket = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(LOOK_EVERY))?;
            io::Result::Ok(socket)
        };
        let (front, back) = (socket()?, socket()?);
        back.connect((Ipv4Addr::LOCALHOST, target))?;
        let address = front.local_addr()?;
        let line = Arc::new(Line {
            front,
            back,
            dialler: Mutex::new(None),
            is_cut: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        });
        let mut relay = Self {
            address,
            line: Arc::clone(&line),
            threads: Vec::with_capacity(2),
        };
        for way in [Line::up, Line::down] {
            let line = Arc::clone(&line);
            let thread = Builder::new().name("relay".to_owned());
            relay.threads.push(thread.spawn(move || line.carry(way))?);
        }
        Ok(relay)
    }

    /// Where to dial.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the line, or mends it.
    pub(super) fn cut(&self, is_cut: bool) {
        self.line.is_cut.store(is_cut, Ordering::Relaxed);
    }
}

impl Line {
    fn carry(&self, way: fn(&Self, &mut [u8]) -> io::Result<()>) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        while !self.has_ended.load(Ordering::Relaxed) {
            // A time-out is the chance to look; a refused port is a node that is not up yet.
            let _passed = way(self, &mut datagram).is_ok();
        }
    }

    fn up(&self, datagram: &mut [u8]) -> io::Result<()> {
        let (bytes, dialler) = self.front.recv_from(datagram)?;
        *self.dialler.lock() = Some(dialler);
        if !self.is_cut.load(Ordering::Relaxed) {
            self.back.send(&datagram[..bytes])?;
        }
        Ok(())
    }

    fn down(&self, datagram: &mut [u8]) -> io::Result<()> {
        let bytes = self.back.recv(datagram)?;
        let dialler = *self.dialler.lock();
        if let Some(dialler) = dialler.filter(|_| !self.is_cut.load(Ordering::Relaxed)) {
            self.front.send_to(&datagram[..bytes], dialler)?;
        }
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.line.has_ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _it_said_why = thread.join().is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_while_the_line_is_cut_never_arrives_and_what_is_sent_later_does() {
        let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        target
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let relay = Relay::start(target.local_addr().unwrap().port()).unwrap();
        let dialler = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        dialler
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        dialler.connect(relay.address()).unwrap();
        let mut datagram = [0; 8];
        let mut arrives = |sent: &[u8]| {
            dialler.send(sent).unwrap();
            let (bytes, from) = target.recv_from(&mut datagram).unwrap();
            assert_eq!(&datagram[..bytes], sent);
            from
        };
        let from = arrives(b"one");
        target.send_to(b"back", from).unwrap();
        let mut answer = [0; 8];
        assert_eq!(dialler.recv(&mut answer).unwrap(), 4);
        relay.cut(true);
        dialler.send(b"lost").unwrap();
        target.send_to(b"lost", from).unwrap();
        target
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        assert!(target.recv_from(&mut [0; 8]).is_err());
        target
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        relay.cut(false);
        let mut arrives = |sent: &[u8]| {
            dialler.send(sent).unwrap();
            let bytes = target.recv(&mut datagram).unwrap();
            assert_eq!(&datagram[..bytes], sent);
        };
        arrives(b"two");
    }
}
