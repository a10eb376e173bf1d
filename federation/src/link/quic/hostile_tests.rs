//! Proof that peers who break the rules are cut off with a reason, and harm nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use quinn::SendStream;

use super::bed::*;
use super::*;
use crate::frame::{Channel, Control, Frame, FrameKind, RefuseCode, encode_control, encode_head};
use crate::link::close::CloseCode;
use crate::link::contract::Link;
use crate::link::limits::{
    HELLO_MAX, OUTBOX_BYTES_MAX, REQUEST_FIRST_MAX, REQUESTS_MAX, SEND_WINDOW_ACCEPTOR,
    SEND_WINDOW_DIALLER, STALL_CHECK, STALL_TIME,
};

const SITE: &str = "ocelli://mesh/site/dc1/a";

/// A region with a healthy neighbour, and a raw peer after its Welcome.
struct Scene {
    region: Node,
    _neighbour_node: Node,
    neighbour: (Arc<QuicLink>, Arc<QuicLink>),
    raw: Raw,
    control: SendStream,
    _answers: quinn::RecvStream,
    victim: Arc<QuicLink>,
}

impl Scene {
    async fn new() -> Self {
        let (authority, mut region, neighbour_node) = two_nodes();
        let neighbour = linked(&mut region, &neighbour_node).await;
        let raw = Raw::dial(&authority.issue(SITE), region.address).await;
        let ((control, mut receive), victim) = tokio::join!(raw.hello(SITE), region.welcome());
        assert!(matches!(
            read_control(&mut receive).await,
            Control::Welcome(_)
        ));
        Self {
            region,
            _neighbour_node: neighbour_node,
            neighbour,
            raw,
            control,
            _answers: receive,
            victim,
        }
    }

    /// Both sides know the code and the reason; the neighbour's link works.
    async fn check(self, name: &str, code: CloseCode, reason: &str) {
        let here = self.victim.closed().await;
        let there = self.raw.closed().await;
        assert_eq!((here.code, there.code), (code, code), "{name}: {here}");
        assert!(here.reason.contains(reason), "{name}: {here}");
        assert!(
            here.reason.starts_with(&there.reason),
            "{name}: {here} {there}"
        );
        assert!(!here.is_by_peer && there.is_by_peer, "{name}");
        let (down, up) = &self.neighbour;
        down.send_block(Channel::Live, Bytes::from_static(b"well"))
            .await
            .unwrap();
        let frame = up.receive().await.unwrap();
        assert!(matches!(frame, Frame::Block { .. }), "{name}");
        assert_eq!(self.region.endpoint.links_open(), 1, "{name}");
    }
}

#[tokio::test]
async fn wrong_bytes_on_the_control_stream_end_the_connection() {
    let hello = encode_control(&Control::Hello(hello_of(SITE))).unwrap();
    let downwards = encode_control(&Control::CoverageEnd).unwrap();
    let mut flipped = encode_control(&Control::Heads(Vec::new()))
        .unwrap()
        .to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let rows: [(&str, Bytes, &str); 9] = [
        (
            "length bomb",
            raw_frame(FrameKind::Heads.number(), 0xffff_fff0, b""),
            "claims",
        ),
        (
            "unknown length bomb",
            raw_frame(200, 0x7fff_ffff, b""),
            "unknown claims",
        ),
        ("long hello", raw_frame(1, 9_000, b""), "hello claims 9000"),
        (
            "no envelope",
            raw_frame(9, 20, &[b'x'; 20]),
            "begin no message",
        ),
        ("flipped bit", Bytes::from(flipped), "checksum"),
        ("second hello", hello, "hello stands on the control stream"),
        (
            "what only the acceptor says",
            downwards,
            "this end of a link does not send",
        ),
        (
            "a block",
            raw_frame(16, 3, b"abc"),
            "block stands on the control stream",
        ),
        ("random", Bytes::from_static(&[0xa5; 64]), "claims"),
    ];
    for (name, bytes, reason) in rows {
        let mut scene = Scene::new().await;
        scene.control.write_all(&bytes).await.unwrap();
        scene.check(name, CloseCode::Protocol, reason).await;
    }
}

#[tokio::test]
async fn a_frame_that_ends_early_or_is_reset_ends_the_connection() {
    let mut scene = Scene::new().await;
    scene
        .control
        .write_all(&raw_frame(9, 100, b"half"))
        .await
        .unwrap();
    scene.control.finish().unwrap();
    scene
        .check(
            "truncated payload",
            CloseCode::Protocol,
            "ends inside a frame",
        )
        .await;

    let mut scene = Scene::new().await;
    scene.control.write_all(&[1, 2, 3]).await.unwrap();
    scene.control.finish().unwrap();
    scene
        .check(
            "truncated head",
            CloseCode::Protocol,
            "3 bytes into a part of 8",
        )
        .await;

    let mut scene = Scene::new().await;
    scene.control.reset(7_u32.into()).unwrap();
    scene
        .check("reset", CloseCode::Protocol, "reset the stream with code 7")
        .await;
}

#[tokio::test]
async fn wrong_channels_and_wrong_bytes_on_them_end_the_connection() {
    let oversize = encode_head(FrameKind::Block, 1 << 20).unwrap();
    let mut oversize = oversize.to_vec();
    oversize[2] = 0x20;
    // (name, channels to open, bytes on the first, code, reason)
    type Row = (
        &'static str,
        &'static [u8],
        Vec<u8>,
        CloseCode,
        &'static str,
    );
    let rows: [Row; 6] = [
        (
            "channel 0",
            &[0],
            Vec::new(),
            CloseCode::Streams,
            "channel 0 does not exist",
        ),
        (
            "channel 9",
            &[9],
            Vec::new(),
            CloseCode::Streams,
            "channel 9 does not exist",
        ),
        (
            "twice",
            &[2, 2],
            Vec::new(),
            CloseCode::Streams,
            "live has a second stream",
        ),
        (
            "control on a channel",
            &[2],
            raw_frame(9, 0, b"").to_vec(),
            CloseCode::Protocol,
            "heads stands on a channel",
        ),
        (
            "oversize block",
            &[2],
            oversize,
            CloseCode::Protocol,
            "block claims",
        ),
        (
            "random",
            &[3],
            vec![0xee; 99],
            CloseCode::Protocol,
            "backfill: frame unknown claims",
        ),
    ];
    for (name, channels, bytes, code, reason) in rows {
        let scene = Scene::new().await;
        let mut streams = Vec::new();
        for number in channels {
            streams.push(scene.raw.channel(*number).await);
        }
        if !bytes.is_empty() {
            streams[0].write_all(&bytes).await.unwrap();
        }
        scene.check(name, code, reason).await;
    }
}

#[tokio::test]
async fn a_second_control_stream_ends_the_connection() {
    let scene = Scene::new().await;
    let (_send, _receive) = scene.raw.hello(SITE).await;
    scene
        .check(
            "second control stream",
            CloseCode::Protocol,
            "there is one control stream",
        )
        .await;
}

#[tokio::test]
async fn unknown_frames_are_skipped_and_counted() {
    let mut scene = Scene::new().await;
    let unknown = raw_frame(250, 5_000, &[1; 5_000]);
    let heads = encode_control(&Control::Heads(Vec::new())).unwrap();
    for bytes in [&unknown, &heads, &unknown, &heads] {
        scene.control.write_all(bytes).await.unwrap();
    }
    for _ in 0..2 {
        let frame = scene.victim.receive().await.unwrap();
        assert_eq!(frame, Frame::Control(Control::Heads(Vec::new())));
    }
    assert_eq!(scene.victim.statistics().frames.unknown, 2);
}

#[tokio::test]
async fn streams_without_end_wait_at_the_limit() {
    let scene = Scene::new().await;
    let mut streams = Vec::new();
    for number in 1..=3 {
        streams.push(scene.raw.channel(number).await);
    }
    let mut fourth = Box::pin(scene.raw.connection.open_uni());
    assert!(poll!(&mut fourth).is_pending());
    let mut requests = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let (mut send, receive) = scene.raw.connection.open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        requests.push((send, receive));
    }
    let mut more = Box::pin(scene.raw.connection.open_bi());
    assert!(poll!(&mut more).is_pending());
    // What never becomes a request is given up, and its place is free again.
    let taken = async {
        loop {
            scene.region.clock.advance(REQUEST_FIRST_MAX);
            tokio::task::yield_now().await;
            let wait = tokio::time::timeout(Duration::from_millis(20), &mut more);
            if wait.await.is_ok() {
                return;
            }
        }
    };
    // A stream is free once both of its directions are over.
    for (send, _) in &mut requests {
        send.finish().unwrap();
    }
    taken.await;
    let (down, up) = &scene.neighbour;
    down.send_control(Control::Heads(Vec::new())).await.unwrap();
    assert!(up.receive().await.is_ok());
}

#[tokio::test]
async fn who_says_no_hello_is_told_to_go() {
    let (authority, region, _) = two_nodes();
    let raw = Raw::dial(&authority.issue(SITE), region.address).await;
    let (mut send, _receive) = raw.connection.open_bi().await.unwrap();
    send.write_all(&[9]).await.unwrap();
    let closed = async {
        loop {
            let wait = tokio::time::timeout(Duration::from_millis(20), raw.closed());
            if let Ok(closed) = wait.await {
                return closed;
            }
            // The deadline of TLS must not be the one that passes.
            if raw.connection.stats().frame_rx.handshake_done > 0 {
                region.clock.advance(HELLO_MAX);
            }
        }
    };
    let closed = closed.await;
    assert_eq!(closed.code, CloseCode::HandshakeTimeout, "{closed}");
    assert!(closed.reason.contains("no hello within 5 s"), "{closed}");
    assert_eq!(region.endpoint.statistics().admitted_open, 0);
}

#[tokio::test]
async fn a_first_frame_that_is_no_hello_is_refused_with_a_reason() {
    let (authority, region, _) = two_nodes();
    let newer = {
        let mut bytes = encode_control(&Control::Hello(hello_of(SITE)))
            .unwrap()
            .to_vec();
        bytes[6] = 2;
        bytes
    };
    let rows: [(&str, Vec<u8>, RefuseCode, &str); 4] = [
        ("random", vec![0x77; 32], RefuseCode::Malformed, "claims"),
        (
            "heads",
            encode_control(&Control::Heads(Vec::new()))
                .unwrap()
                .to_vec(),
            RefuseCode::Malformed,
            "heads stands in the handshake",
        ),
        (
            "a hello of version 2",
            newer,
            RefuseCode::Version,
            "version 2",
        ),
        (
            "hello without envelope",
            raw_frame(1, 30, &[3; 30]).to_vec(),
            RefuseCode::Malformed,
            "begin no message",
        ),
    ];
    for (name, bytes, expected, text) in rows {
        let raw = Raw::dial(&authority.issue(SITE), region.address).await;
        let (mut send, mut receive) = raw.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        let Control::Refuse { code, reason, .. } = read_control(&mut receive).await else {
            panic!("{name}: not refused");
        };
        assert_eq!(code, expected, "{name}: {reason}");
        assert!(reason.contains(text), "{name}: {reason}");
        assert_eq!(raw.closed().await.code, CloseCode::Refused, "{name}");
    }
}

/// Sends blocks until the link ends; the most bytes that waited in its queue.
async fn send_until_closed(link: &QuicLink) -> u64 {
    let mut most = 0;
    let block = Bytes::from(vec![5; 200_000]);
    while link
        .send_block(Channel::Backfill, block.clone())
        .await
        .is_ok()
    {
        most = most.max(link.statistics().queued_bytes);
    }
    most
}

/// A dialler sends to an acceptor that reads by `read`; how it ended.
async fn stalled(read: impl AsyncFn(quinn::Connection)) -> (Closed, Closed) {
    let (authority, _, site) = two_nodes();
    let server = RawServer::open(&authority.issue("ocelli://mesh/region/emea/r2"));
    let welcome = encode_control(&Control::Welcome(server.welcome()))
        .unwrap()
        .to_vec();
    let (link, (connection, ..)) =
        tokio::join!(site.dial(server.address), server.answer(|_| welcome));
    let link = link.unwrap();
    let clock = async {
        loop {
            site.clock.advance(STALL_CHECK);
            let wait = Duration::from_millis(30);
            if tokio::time::timeout(wait, link.closed()).await.is_ok() {
                return;
            }
        }
    };
    let reading = connection.clone();
    let (most, ()) = tokio::select! {
        both = async { tokio::join!(send_until_closed(&link), clock) } => both,
        () = async { read(reading).await; std::future::pending().await } => unreachable!(),
    };
    assert!(
        most <= OUTBOX_BYTES_MAX as u64 + 200_008,
        "{most} bytes queued"
    );
    let sent = link.statistics().bytes_sent;
    assert!(sent < SEND_WINDOW_DIALLER + (1 << 20), "{sent} bytes sent");
    let there = super::closing::closed_of(&connection.closed().await);
    (link.closed().await, there)
}

#[tokio::test]
async fn a_peer_that_never_reads_is_given_up_with_its_queue_bounded() {
    let (here, there) = stalled(async |_| {}).await;
    assert_eq!(
        (here.code, there.code),
        (CloseCode::Stalled, CloseCode::Stalled)
    );
    assert!(there.reason.contains("under 60 KiB in 60 s"), "{there}");
    assert!(STALL_TIME >= STALL_CHECK * 2);
}

#[tokio::test]
async fn a_peer_that_reads_byte_by_byte_is_given_up() {
    let read = async |connection: quinn::Connection| {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(connection.accept_uni().await.unwrap());
        }
        let mut byte = [0];
        loop {
            for stream in &mut streams {
                // Two of the three have one byte only.
                let wait = Duration::from_millis(1);
                let read = tokio::time::timeout(wait, stream.read(&mut byte)).await;
                if matches!(read, Ok(Err(_))) {
                    return;
                }
            }
        }
    };
    let (here, there) = stalled(read).await;
    assert_eq!(
        (here.code, there.code),
        (CloseCode::Stalled, CloseCode::Stalled)
    );
}

#[tokio::test]
async fn control_frames_to_a_peer_that_never_reads_are_bounded_too() {
    let scene = Scene::new().await;
    let list = Control::Revocations(vec![1; 200_000]);
    let mut sent = 0_u64;
    loop {
        let send = scene.victim.send_control(list.clone());
        match tokio::time::timeout(Duration::from_millis(300), send).await {
            Ok(result) => result.unwrap(),
            Err(_) => break,
        }
        sent += 200_000;
    }
    let bound = SEND_WINDOW_ACCEPTOR + OUTBOX_BYTES_MAX as u64 + 400_000;
    assert!(sent <= bound, "{sent} of {bound}");
}
