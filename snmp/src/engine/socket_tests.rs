//! Real sockets on loopback: batches, timestamps, cut datagrams, refused ports.

use std::net::{Ipv6Addr, UdpSocket};

use super::*;

fn pair(local: &str) -> (EngineSocket, UdpSocket, SocketAddr) {
    let engine = EngineSocket::open(local.parse().unwrap()).unwrap();
    let peer = UdpSocket::bind(local).unwrap();
    let to = engine.socket.local_addr().unwrap().as_socket().unwrap();
    (engine, peer, to)
}

#[test]
fn a_batch_comes_with_sender_timestamp_and_bytes() {
    for local in ["127.0.0.1:0", "[::1]:0"] {
        if local.starts_with('[') && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            eprintln!("SKIPPED: no IPv6 loopback here");
            continue;
        }
        let (mut engine, peer, to) = pair(local);
        for round in 0..3u8 {
            for number in 0..10 {
                peer.send_to(&[round, number], to).unwrap();
            }
            let mut inbox = Inbox::new();
            engine.receive(&mut inbox).unwrap();
            assert_eq!(inbox.len(), 10, "{local}");
            for number in 0..10u8 {
                let (arrival, bytes) = inbox.datagram(number.into()).unwrap();
                assert_eq!(bytes, [round, number]);
                assert_eq!(arrival.from, peer.local_addr().unwrap());
                assert!(arrival.stamp.is_some_and(|stamp| stamp.0 > 1 << 40));
                assert!(!arrival.is_cut);
            }
        }
    }
}

#[test]
fn nothing_waiting_is_an_empty_batch_and_no_error() {
    let (mut engine, _peer, _to) = pair("127.0.0.1:0");
    let mut inbox = Inbox::new();
    engine.receive(&mut inbox).unwrap();
    assert_eq!(inbox.len(), 0);
}

#[test]
fn a_datagram_beyond_the_limit_is_marked_as_cut() {
    let (mut engine, peer, to) = pair("127.0.0.1:0");
    peer.send_to(&[7; 20_000], to).unwrap();
    let mut inbox = Inbox::new();
    engine.receive(&mut inbox).unwrap();
    let (arrival, _) = inbox.datagram(0).unwrap();
    assert!(arrival.is_cut);
}

#[test]
fn a_full_outbox_is_sent_in_order_and_empty_afterwards() {
    let (mut engine, peer, _) = pair("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let (outbox, socket) = engine.sending();
    for number in 0..u8::try_from(BATCH_PACKETS).unwrap() {
        assert!(!outbox.is_full());
        *outbox.buffer().last_mut().unwrap() = number;
        outbox.push(1, to, 0);
    }
    assert!(outbox.is_full());
    let flushed = outbox.flush(socket, |refused| panic!("{refused:?}"));
    assert_eq!((flushed.sent, flushed.dropped), (BATCH_PACKETS, 0));
    assert!(outbox.is_empty());
    for number in 0..u8::try_from(BATCH_PACKETS).unwrap() {
        let mut bytes = [0; 8];
        assert_eq!(peer.recv(&mut bytes).unwrap(), 1);
        assert_eq!(bytes[0], number);
    }
}

#[test]
fn a_closed_port_is_told_with_the_request() {
    let (mut engine, peer, _) = pair("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    drop(peer);
    let (outbox, socket) = engine.sending();
    outbox.buffer().fill(9);
    outbox.push(30, to, 0);
    outbox.flush(socket, |_| {});
    let mut inbox = Inbox::new();
    assert_eq!(engine.receive(&mut inbox), Err(Errno::ECONNREFUSED));
    let mut told = Vec::new();
    engine.errors(|error| told.push((error.errno, error.quoted.to_vec())));
    assert_eq!(told, [(Errno::ECONNREFUSED, vec![9; 30])]);
}

#[test]
fn an_address_without_a_way_is_refused_by_name() {
    let mut engine = EngineSocket::open("127.0.0.1:0".parse().unwrap()).unwrap();
    let (outbox, socket) = engine.sending();
    // From a loopback source nothing beyond loopback can be reached.
    outbox.push(1, "192.0.2.1:161".parse().unwrap(), 5);
    let mut refused = Vec::new();
    outbox.flush(socket, |one| refused.push(one.owner));
    assert_eq!(refused, [5]);
}

#[test]
fn a_source_that_is_not_ours_cannot_be_opened_and_the_text_names_it() {
    let error = EngineSocket::open("192.0.2.1:0".parse().unwrap())
        .err()
        .unwrap();
    assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
}
