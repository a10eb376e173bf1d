//! The other end: all agents of the bench behind one socket of another process.
//!
//! Does: answer GETBULK for a table of ten columns from replies encoded before, each from the
//! address that was asked; v2c or v3. Does not: anything else of SNMP.
//! In: requests. Out: the port on standard output, replies; ends with standard input.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::libc::in_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg,
    setsockopt, sockopt,
};
use ocelli_model::clock::Clock;
use ocelli_snmp::ber::BackWriter;
use ocelli_snmp::message::{CommunityMessage, Version, write_response};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::pdu::{PduHead, PduView};
use ocelli_snmp::usm::{EngineId, UsmUser};
use ocelli_snmp::v3::{Authority, AuthorityReceived};
use ocelli_snmp::value::{Value, Varbind};

use super::{COLUMNS, Mode, ROWS, RealClock, user};

const BATCH: usize = 64;
const DATAGRAM: usize = 2_112;

/// Varbind lists by first row and count of rows.
type Lists = HashMap<(u32, usize), Vec<u8>>;

struct Agents {
    authority: Option<Authority>,
    lists: Lists,
}

/// A column or, for an index, a cell.
pub(crate) fn column(number: u32) -> String {
    format!("1.3.6.1.2.1.31.1.1.1.{}", number + 6)
}

/// Serves until standard input ends.
pub(crate) fn serve(mode: Mode) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).unwrap();
    setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).ok();
    println!("{}", socket.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        std::io::stdin().read_to_end(&mut rest).ok();
        std::process::exit(0);
    });
    let authority = (mode == Mode::V3).then(|| {
        let users: Arc<[UsmUser]> = Arc::new([Arc::unwrap_or_clone(user())]);
        let engine_id = EngineId::new(b"\x80\x00\x1f\x88\x04bench").unwrap();
        Authority::new(engine_id, 3, RealClock.monotonic(), users, 1)
    });
    let mut agents = Agents {
        authority,
        lists: Lists::new(),
    };
    let mut bytes = vec![0; BATCH * DATAGRAM];
    let control = nix::cmsg_space!(in_pktinfo);
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, Some(control));
    loop {
        let found = receive(&socket, &mut headers, &mut bytes);
        for (position, (len, from, to)) in found.iter().enumerate() {
            let start = position * DATAGRAM;
            let request = &mut bytes[start..start + len];
            if let Some(reply) = agents.answer(request) {
                let slices = [IoSlice::new(&reply)];
                let controls = [ControlMessage::Ipv4PacketInfo(to)];
                let flags = MsgFlags::empty();
                sendmsg(socket.as_raw_fd(), &slices, &controls, flags, Some(from)).ok();
            }
        }
        if found.len() < BATCH {
            #[expect(
                clippy::disallowed_methods,
                reason = "a process of its own that only answers"
            )]
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn receive(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrIn>,
    bytes: &mut [u8],
) -> Vec<(usize, SockaddrIn, in_pktinfo)> {
    let mut slices: Vec<[IoSliceMut<'_>; 1]> = bytes
        .chunks_exact_mut(DATAGRAM)
        .map(|chunk| [IoSliceMut::new(chunk)])
        .collect();
    let flags = MsgFlags::MSG_DONTWAIT;
    let Ok(messages) = recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None) else {
        return Vec::new();
    };
    let found = messages.filter_map(|message| {
        let to = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(mut to) => {
                to.ipi_ifindex = 0;
                to.ipi_spec_dst = to.ipi_addr;
                Some(to)
            }
            _ => None,
        })?;
        Some((message.bytes, message.address?, to))
    });
    found.collect()
}

impl Agents {
    fn answer(&mut self, request: &mut [u8]) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4_096];
        let Some(authority) = &mut self.authority else {
            let message = CommunityMessage::decode(request).ok()?;
            let pdu = message.pdu.standard()?;
            let mut writer = BackWriter::new(&mut buffer);
            writer.bytes(list(&mut self.lists, pdu));
            let head = PduHead::response(pdu.request_id());
            write_response(&mut writer, 0, Version::V2c, b"public", &head);
            return writer.finish().ok().map(|message| message.to_vec());
        };
        let now = RealClock.monotonic();
        let message = match authority.receive(request, now).ok()? {
            AuthorityReceived::Request { reply, pdu } => {
                let mut writer = BackWriter::new(&mut buffer);
                writer.bytes(list(&mut self.lists, &pdu));
                PduHead::response(pdu.request_id()).write(&mut writer, 0);
                authority.seal_response(writer, &reply, now)
            }
            AuthorityReceived::Report(report) => authority.seal_report(&mut buffer, &report, now),
        };
        message.ok().map(|message| message.to_vec())
    }
}

/// The varbinds that follow the row asked from.
fn list<'a>(lists: &'a mut Lists, pdu: &PduView<'_>) -> &'a [u8] {
    let name = pdu.varbinds().next().unwrap().unwrap().name.to_oid();
    let row = name.arcs().get(11).copied().unwrap_or(0);
    let rows = pdu.max_repetitions();
    lists.entry((row, rows)).or_insert_with(|| {
        let mut buffer = vec![0; 16_384];
        let mut writer = BackWriter::new(&mut buffer);
        for step in (1..=u32::try_from(rows).unwrap()).rev() {
            for number in (0..COLUMNS).rev() {
                let row = row + step;
                let text = if row <= ROWS {
                    format!("{}.{row}", column(number))
                } else {
                    format!("1.3.6.1.2.1.31.1.2.1.{number}.{row}")
                };
                let name = EncodedOid::new(&text.parse().unwrap()).unwrap();
                let name = name.as_oid_ref();
                let value = Value::Counter64(0x0123_4567_89ab + u64::from(row));
                Varbind { name, value }.write(&mut writer);
            }
        }
        writer.finish().unwrap().to_vec()
    })
}
