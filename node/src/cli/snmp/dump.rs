//! `-d`: every datagram of an operation in hexadecimal, as net-snmp dumps them.
//!
//! Does: write what was sent and received, one dump a datagram, as it happens. Does not: see
//! secrets: they are gone from a packet before it comes here, and print as `**`.
//! In: events of a traced session. Out: lines on stderr.

use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;

use ocelli_model::clock::Monotonic;
use ocelli_snmp::engine::{MaskedPacket, TraceEvent, Tracer};

/// Writes the datagrams of the sessions that it traces.
pub(crate) struct PacketDump {
    words: RefCell<Box<dyn Write>>,
}

impl PacketDump {
    /// A dump on stderr.
    pub(crate) fn to_stderr() -> Self {
        Self::to(Box::new(std::io::stderr()))
    }

    fn to(words: Box<dyn Write>) -> Self {
        Self {
            words: RefCell::new(words),
        }
    }

    fn put(&self, (verb, way): (&str, &str), peer: SocketAddr, packet: &MaskedPacket) {
        let (ip, port, bytes) = (peer.ip(), peer.port(), packet.len());
        let mut words = self.words.borrow_mut();
        // Whoever closed stderr wants no dump; the operation goes on.
        drop(writeln!(
            words,
            "\n{verb} {bytes} bytes {way} UDP: [{ip}]:{port}\n{packet}"
        ));
    }
}

impl Tracer for PacketDump {
    fn traced(&self, _: Monotonic, event: TraceEvent) {
        match &event {
            TraceEvent::Sent { to, packet, .. } => self.put(("Sending", "to"), *to, packet),
            TraceEvent::Received { from, packet } => {
                self.put(("Received", "from"), *from, packet);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// A buffer that the test keeps an eye on.
    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_datagram_is_dumped_as_net_snmp_does_but_for_the_community() {
        // A GET of sysName.0 with the community "public", and what net-snmp 5.9 dumps of it.
        let packet = [
            0x30, 0x29, 2, 1, 1, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xA0, 0x1C, 2, 4, 0x4C,
            0xA0, 0xF5, 0xE0, 2, 1, 0, 2, 1, 0, 0x30, 0x0E, 0x30, 0x0C, 6, 8, 0x2B, 6, 1, 2, 1, 1,
            5, 0, 5, 0,
        ];
        let written = Shared::default();
        let dump = PacketDump::to(Box::new(written.clone()));
        let event = TraceEvent::Received {
            from: "127.0.0.1:161".parse().unwrap(),
            packet: MaskedPacket::of(&packet),
        };
        dump.traced(Monotonic(0), event);
        let expected = "
Received 43 bytes from UDP: [127.0.0.1]:161
0000: 30 29 02 01  01 04 06 **  ** ** ** **  ** A0 1C 02    0).....******...
0016: 04 4C A0 F5  E0 02 01 00  02 01 00 30  0E 30 0C 06    .L.........0.0..
0032: 08 2B 06 01  02 01 01 05  00 05 00                    .+.........

";
        let text = String::from_utf8(written.0.borrow().clone()).unwrap();
        assert_eq!(text, expected);
    }
}
