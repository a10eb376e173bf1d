//! What the relay does to packets between two sockets of one thread.

use std::net::UdpSocket;
use std::time::Duration;

use super::*;

/// How long a test waits for a packet that must come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it looks for one that must not.
const SILENCE: Duration = Duration::from_millis(300);

struct Ends {
    near: UdpSocket,
    far: UdpSocket,
    relay: Relay,
}

fn ends() -> Ends {
    let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (near, far) = (socket(), socket());
    let relay = Relay::start(far.local_addr().unwrap(), 7);
    near.connect(relay.address()).unwrap();
    Ends { near, far, relay }
}

fn received(socket: &UdpSocket, patience: Duration) -> Option<(Vec<u8>, SocketAddr)> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 2_048];
    let (length, from) = socket.recv_from(&mut buffer).ok()?;
    Some((buffer[..length].to_vec(), from))
}

#[test]
fn packets_pass_both_ways_and_a_cut_takes_one_way_only() {
    let ends = ends();
    ends.near.send(b"up").unwrap();
    let (packet, from) = received(&ends.far, PATIENCE).unwrap();
    assert_eq!(packet, b"up");
    ends.far.send_to(b"down", from).unwrap();
    assert_eq!(received(&ends.near, PATIENCE).unwrap().0, b"down");
    let cut = Faults {
        cut: true,
        ..Faults::default()
    };
    ends.relay.set(Direction::Down, cut);
    ends.near.send(b"again").unwrap();
    let (_, from) = received(&ends.far, PATIENCE).unwrap();
    ends.far.send_to(b"lost", from).unwrap();
    assert_eq!(received(&ends.near, SILENCE), None);
    ends.relay.cut(false);
    ends.far.send_to(b"healed", from).unwrap();
    assert_eq!(received(&ends.near, PATIENCE).unwrap().0, b"healed");
}

#[test]
fn a_share_of_the_packets_is_lost_repeated_and_corrupted() {
    let ends = ends();
    let faults = Faults {
        lost: 200,
        repeated: 200,
        corrupted: 200,
        ..Faults::default()
    };
    ends.relay.set(Direction::Up, faults);
    let sent = vec![0; 64];
    let mut packets = Vec::new();
    // In small lots: what overflows a socket's buffer would be lost without the relay.
    for _ in 0..20 {
        for _ in 0..50 {
            ends.near.send(&sent).unwrap();
        }
        while let Some((packet, _)) = received(&ends.far, Duration::from_millis(60)) {
            packets.push(packet);
        }
    }
    let damaged = packets.iter().filter(|packet| **packet != sent).count();
    let dropped = ends.relay.counts().dropped.load(Ordering::Relaxed);
    assert!((120..=280).contains(&dropped), "{dropped} lost of 1,000");
    let expected = 1_000 - dropped;
    let repeated = packets.len() as u64 - expected;
    assert!((80..=280).contains(&repeated), "{repeated} repeated");
    assert!((80..=320).contains(&damaged), "{damaged} damaged");
}

#[test]
fn a_slow_line_drops_what_its_queue_does_not_hold() {
    let ends = ends();
    let faults = Faults {
        bits_per_second: Some(128_000),
        ..Faults::default()
    };
    ends.relay.set(Direction::Up, faults);
    for _ in 0..100 {
        ends.near.send(&[0; 1_000]).unwrap();
    }
    let mut count = 0;
    while received(&ends.far, Duration::from_millis(700)).is_some() {
        count += 1;
    }
    // 500 ms of 16 kB/s are eight packets, and the one that finds the queue just short of full.
    assert!((7..=20).contains(&count), "{count} packets came through");
}
