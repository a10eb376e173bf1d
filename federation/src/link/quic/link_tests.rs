//! Proof of links over QUIC: what the contract says, over real sockets on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use ocelli_bus::limits::BLOCK_BYTES_MAX;
use ocelli_bus::record::Seq;

use super::bed::*;
use super::shares::Shares;
use super::*;
use crate::frame::{
    Channel, Control, Frame, FrameKind, RefuseCode, Request, RequestKind, Role, Trailer,
    VersionRange, encode_control,
};
use crate::identity::test_mesh::{TestMesh, store};
use crate::identity::{Expected, Tier};
use crate::link::close::CloseCode;
use crate::link::contract::{Link, SendError, Side};
use crate::link::limits::{HELLO_MAX, LinkBudget, OUTBOX_BYTES_MAX};

fn block(channel: Channel, number: u8, bytes: usize) -> Bytes {
    let mut block = vec![number; bytes];
    block[0] = channel.number();
    Bytes::from(block)
}

#[tokio::test]
async fn frames_of_each_channel_arrive_whole_and_in_order_both_ways() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    assert_eq!((down.side(), up.side()), (Side::Dialler, Side::Acceptor));
    assert_eq!(up.peer().identity.to_string(), "ocelli://mesh/site/dc1/a");
    assert_eq!(
        down.peer().identity.to_string(),
        "ocelli://mesh/region/emea/r1"
    );
    let send = async {
        for number in 0..20 {
            for channel in Channel::ALL {
                let bytes = if number == 7 {
                    BLOCK_BYTES_MAX
                } else {
                    1 + 997 * usize::from(number)
                };
                down.send_block(channel, block(channel, number, bytes))
                    .await
                    .unwrap();
            }
            down.send_control(Control::Heads(Vec::new())).await.unwrap();
        }
    };
    let receive = async {
        let mut next: BTreeMap<u8, u8> = BTreeMap::new();
        for _ in 0..80 {
            match up.receive().await.unwrap() {
                Frame::Block { channel, block } => {
                    assert_eq!(block[0], channel.number());
                    let number = next.entry(channel.number()).or_default();
                    assert!(block.len() == 1 || block[block.len() - 1] == *number);
                    *number += 1;
                }
                Frame::Control(control) => assert_eq!(control, Control::Heads(Vec::new())),
            }
        }
        assert_eq!(next.into_values().collect::<Vec<_>>(), [20, 20, 20]);
        up.send_control(Control::CoverageEnd).await.unwrap();
    };
    tokio::join!(send, receive);
    assert_eq!(
        down.receive().await.unwrap(),
        Frame::Control(Control::CoverageEnd)
    );
    let (sent, received) = (down.statistics(), up.statistics());
    assert_eq!(sent.frames.sent[&FrameKind::Block], 60);
    assert_eq!(received.frames.received[&FrameKind::Block], 60);
    assert!(sent.bytes_sent > 3 * BLOCK_BYTES_MAX as u64 && sent.rtt > Duration::ZERO);
}

#[tokio::test]
async fn a_dialler_is_connected_at_welcome_and_not_before() {
    let (_, mut region, site) = two_nodes();
    let mut dial = Box::pin(site.dial(region.address));
    let offer = tokio::select! {
        offer = region.offers.next() => offer.unwrap(),
        _ = &mut dial => panic!("connected without a welcome"),
    };
    assert!(poll!(&mut dial).is_pending());
    assert_eq!(offer.hello().node, "a");
    let (up, down) = tokio::join!(offer.welcome(welcome()), dial);
    let (up, down) = (up.unwrap(), down.unwrap());
    assert_eq!(up.hello(), down.hello());
    assert_eq!(region.endpoint.links_open(), 1);
}

#[tokio::test]
async fn a_refusal_reaches_the_dialler_with_code_reason_and_hint() {
    let (_, mut region, site) = two_nodes();
    let refuse = async {
        let offer = region.offers.next().await.unwrap();
        offer
            .refuse(RefuseCode::DuplicateOrigin, "origin 1 is live", "stop one")
            .await;
    };
    let (dialled, ()) = tokio::join!(site.dial(region.address), refuse);
    let error = dialled.err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("duplicate_origin") && text.contains("stop one"),
        "{text}"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn neighbours_one_version_apart_speak_the_older_one_and_others_are_told() {
    // (of the dialler, of the acceptor, the version they speak)
    let rows = [
        ((1, 2), (1, 1), Some(1)),
        ((1, 1), (1, 2), Some(1)),
        ((2, 3), (1, 2), Some(2)),
        ((3, 4), (1, 2), None),
    ];
    for (dialler, acceptor, expected) in rows {
        let authority = Authority::new();
        let open = |uri: &str, (min, max)| {
            let versions = VersionRange { min, max };
            Node::open(
                authority.issue(uri),
                Wanted {
                    versions,
                    ..Wanted::default()
                },
            )
        };
        let mut region = open("ocelli://mesh/region/emea/r1", acceptor);
        let site = open("ocelli://mesh/site/dc1/a", dialler);
        let Some(version) = expected else {
            let error = site.dial(region.address).await.err().unwrap();
            let text = error.to_string();
            assert!(text.contains("1–2") && text.contains("3–4"), "{text}");
            assert!(!error.is_transient());
            continue;
        };
        let (down, up) = linked(&mut region, &site).await;
        assert_eq!(
            (down.welcome().version, up.welcome().version),
            (version, version)
        );
    }
}

#[tokio::test]
async fn peers_of_another_mesh_or_another_name_are_refused() {
    let (authority, region, _) = two_nodes();
    let other = authority.issue("ocelli://other/site/dc1/a");
    let raw = Raw::dial(&other, region.address).await;
    let (_send, mut receive) = raw.hello("ocelli://other/site/dc1/a").await;
    let Control::Refuse { code, reason, .. } = read_control(&mut receive).await else {
        panic!("not refused");
    };
    assert_eq!(code, RefuseCode::Mesh, "{reason}");
    assert_eq!(raw.closed().await.code, CloseCode::Refused);

    let liar = authority.issue("ocelli://mesh/site/dc1/a");
    let raw = Raw::dial(&liar, region.address).await;
    let (_send, mut receive) = raw.hello("ocelli://mesh/site/dc2/a").await;
    let Control::Refuse { code, reason, .. } = read_control(&mut receive).await else {
        panic!("not refused");
    };
    assert_eq!(code, RefuseCode::Identity);
    assert!(reason.contains("dc1") && reason.contains("dc2"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_and_neighbours_stay() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    let stranger = Authority::new().issue("ocelli://mesh/site/dc9/x");
    let stranger = Node::open(stranger, Wanted::default());
    let error = stranger.dial(region.address).await.err().unwrap();
    assert!(matches!(error, DialError::Handshake { .. }), "{error}");
    down.send_control(Control::Heads(Vec::new())).await.unwrap();
    assert!(up.receive().await.is_ok());
}

#[tokio::test]
async fn the_dialler_refuses_acceptors_that_are_not_what_they_say() {
    let (authority, _, site) = two_nodes();
    let card = authority.issue("ocelli://mesh/region/emea/r2");
    let server = RawServer::open(&card);
    let check = async |answer: Control, expected: &str| {
        let bytes = encode_control(&answer).unwrap().to_vec();
        let (dialled, (connection, ..)) =
            tokio::join!(site.dial(server.address), server.answer(|_| bytes));
        let text = dialled.err().unwrap().to_string();
        assert!(text.contains(expected), "{expected}: {text}");
        connection.closed().await;
    };
    let mut wrong = server.welcome();
    wrong.node = "r3".to_owned();
    check(Control::Welcome(wrong), "calls itself").await;
    let mut wrong = server.welcome();
    wrong.version = 9;
    check(Control::Welcome(wrong), "version 9").await;
    check(Control::CoverageEnd, "coverage_end stands in the handshake").await;
    check(Control::Hello(hello_of(&card.uri)), "where welcome does").await;
}

#[tokio::test]
async fn a_role_that_the_tiers_do_not_have_is_refused() {
    let (_, region, site) = two_nodes();
    let peer = DialFacts {
        role: Role::Peer,
        ..facts()
    };
    let tls = site.card.client();
    let error = site
        .endpoint
        .dial(region.address, &tls, peer)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("refuses (role)"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn nodes_with_identities_of_one_mesh_link_and_strangers_do_not() {
    let mut mesh = TestMesh::new("mesh", 1);
    let mut stranger = TestMesh::new("mesh", 2);
    let (region_uri, site_uri) = ("ocelli://mesh/region/emea/r1", "ocelli://mesh/site/dc1/a");
    let region = store(&mesh.node(Tier::Region, "emea", "r1"));
    let region = Card::of_store(region_uri, &region, Expected::Upstream);
    let mut region = Node::open(region, Wanted::default());
    let site = store(&mesh.node(Tier::Site, "dc1", "a"));
    let site = Node::open(
        Card::of_store(site_uri, &site, Expected::Upstream),
        Wanted::default(),
    );
    let (down, up) = linked(&mut region, &site).await;
    assert_eq!(up.peer().identity.to_string(), site_uri);
    assert_eq!(down.peer().identity.to_string(), region_uri);
    assert_ne!(up.peer().fingerprint, down.peer().fingerprint);
    let other = store(&stranger.node(Tier::Site, "dc1", "a"));
    let other = Card::of_store(site_uri, &other, Expected::Upstream);
    let other = Node::open(other, Wanted::default());
    let error = other.dial(region.address).await.err().unwrap();
    assert!(matches!(error, DialError::Handshake { .. }), "{error}");
}

#[tokio::test]
async fn a_link_finished_in_order_brings_everything_and_ends_without_blame() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    for number in 0..8 {
        down.send_block(Channel::Live, block(Channel::Live, number, 100_000))
            .await
            .unwrap();
    }
    let receive = async {
        let mut frames = 0;
        let closed = loop {
            match up.receive().await {
                Ok(_) => frames += 1,
                Err(closed) => break closed,
            }
        };
        (frames, closed)
    };
    let finish = down.finish("planned restart", Duration::from_secs(5));
    let ((frames, closed), ()) = tokio::join!(receive, finish);
    assert_eq!(
        (frames, closed.code, closed.is_by_peer),
        (9, CloseCode::Done, true)
    );
    assert_eq!(closed.reason, "planned restart");
    let sent = down.send_control(Control::Heads(Vec::new())).await;
    assert!(matches!(sent, Err(SendError::Closed(_))));
}

#[tokio::test]
async fn a_peer_restarted_on_the_same_address_is_seen_at_once() {
    let authority = Arc::new(Authority::new());
    let card = |authority: &Authority| authority.issue("ocelli://mesh/region/emea/r1");
    let site = Node::open(
        authority.issue("ocelli://mesh/site/dc1/a"),
        Wanted::default(),
    );
    let (told, address) = tokio::sync::oneshot::channel();
    let (kill, killed) = tokio::sync::oneshot::channel::<()>();
    let first = card(&authority);
    let first = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (node, link) = runtime.block_on(async {
            let mut node = Node::open(first, Wanted::default());
            told.send(node.address).unwrap();
            let link = node.welcome().await;
            killed.await.unwrap();
            (node, link)
        });
        // As a kill would: nothing runs any more that could say goodbye.
        drop(runtime);
        drop((node, link));
    });
    let address = address.await.unwrap();
    let down = site.dial(address).await.unwrap();
    kill.send(()).unwrap();
    first.join().unwrap();
    let _again = Node::open(
        card(&authority),
        Wanted {
            address,
            ..Wanted::default()
        },
    );
    down.send_control(Control::Heads(Vec::new())).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(3), down.closed()).await;
    let closed = closed.expect("within less than the idle time");
    assert_eq!(
        (closed.code, closed.is_by_peer),
        (CloseCode::Lost, true),
        "{closed}"
    );
}

#[tokio::test]
async fn revoked_peers_are_cut_off_with_the_reason() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    assert_eq!(region.endpoint.close_links(|_| None), 0);
    let is_site = |peer: &crate::identity::PeerIdentity| {
        (peer.identity.name == "dc1").then(|| "serial 01 is revoked".to_owned())
    };
    assert_eq!(region.endpoint.close_links(is_site), 1);
    let closed = down.closed().await;
    assert_eq!((closed.code, closed.is_by_peer), (CloseCode::Revoked, true));
    assert_eq!(closed.reason, "serial 01 is revoked");
    assert_eq!(up.closed().await.code, CloseCode::Revoked);
    assert_eq!(region.endpoint.links_open(), 0);
}

#[tokio::test]
async fn a_new_tls_configuration_holds_for_new_links_only() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    let other = Authority::new().issue("ocelli://mesh/region/emea/r1");
    region.endpoint.set_server_tls(&other.server()).unwrap();
    assert!(matches!(
        site.dial(region.address).await,
        Err(DialError::Handshake { .. })
    ));
    down.send_control(Control::Heads(Vec::new())).await.unwrap();
    assert!(up.receive().await.is_ok());
}

#[tokio::test]
async fn places_are_limited_in_all_and_by_address_and_given_back() {
    let authority = Authority::new();
    let site = Node::open(
        authority.issue("ocelli://mesh/site/dc1/a"),
        Wanted::default(),
    );
    let budget = LinkBudget {
        ingest_bytes_max: 64 << 20,
        links_max: 2,
    };
    for (links_max, links_per_address_max) in [(2, 16), (16, 2)] {
        let wanted = Wanted {
            budget: LinkBudget {
                links_max,
                ..budget
            },
            links_per_address_max,
            ..Wanted::default()
        };
        let card = authority.issue("ocelli://mesh/region/emea/r1");
        let mut region = Node::open(card, wanted);
        let (first, first_up) = linked(&mut region, &site).await;
        let (_second, _second_up) = linked(&mut region, &site).await;
        let error = site.dial(region.address).await.err().unwrap();
        assert!(matches!(error, DialError::Handshake { .. }), "{error}");
        assert!(
            error.to_string().contains("no place is free there"),
            "{error}"
        );
        let statistics = region.endpoint.statistics();
        assert_eq!(statistics.refused_full + statistics.refused_address, 1);
        first.close(CloseCode::Done, "room");
        first_up.closed().await;
        linked(&mut region, &site).await;
    }
}

#[tokio::test]
async fn nobody_who_answers_is_told_within_the_deadline() {
    let (authority, region, site) = two_nodes();
    // The acceptor never decides.
    let mut dial = Box::pin(site.dial(region.address));
    let mut offers = region.offers;
    let _offer = tokio::select! {
        offer = offers.next() => offer.unwrap(),
        _ = &mut dial => panic!("no welcome was sent"),
    };
    site.clock.advance(HELLO_MAX);
    let error = dial.await.err().unwrap();
    assert!(
        error.to_string().contains("no welcome within 5 s"),
        "{error}"
    );
    // Nobody is there at all.
    let silent = std::net::UdpSocket::bind(loopback(0)).unwrap();
    let site = Node::open(
        authority.issue("ocelli://mesh/site/dc1/b"),
        Wanted::default(),
    );
    let mut dial = Box::pin(site.dial(silent.local_addr().unwrap()));
    assert!(poll!(&mut dial).is_pending());
    site.clock.advance(Duration::from_secs(5));
    let error = dial.await.err().unwrap();
    assert!(
        matches!(error, DialError::Timeout { .. }) && error.is_transient(),
        "{error}"
    );
}

#[tokio::test]
async fn what_waits_for_a_user_that_does_not_receive_is_bounded() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    let budget = Wanted::default().budget;
    let window = Shares::new(budget).take().window();
    let share = budget.inbox_bytes() as u64 + window;
    let size = 100_000;
    let mut sent = 0_u64;
    loop {
        let send = down.send_block(Channel::Backfill, block(Channel::Backfill, 1, size));
        match tokio::time::timeout(Duration::from_millis(500), send).await {
            Ok(result) => result.unwrap(),
            Err(_) => break,
        }
        sent += size as u64;
    }
    // On the way: the peer's share, this side's send window and its queue.
    let bound = share + super::super::limits::SEND_WINDOW_DIALLER + OUTBOX_BYTES_MAX as u64;
    assert!(sent <= bound + size as u64, "{sent} of {bound}");
    assert!(down.statistics().queued_bytes <= OUTBOX_BYTES_MAX as u64 + size as u64);
    // Urgent streams pass although backfill stands still below.
    drop(up.receive().await.unwrap());
    down.send_block(Channel::Live, block(Channel::Live, 1, 10))
        .await
        .unwrap();
    let live = async {
        loop {
            if let Frame::Block {
                channel: Channel::Live,
                ..
            } = up.receive().await.unwrap()
            {
                return;
            }
        }
    };
    live.await;
}

// === Requests ===

fn limits() -> RequestLimits {
    RequestLimits {
        bytes_max: 1_000,
        piece_time_max: Duration::from_secs(5),
    }
}

fn question(body: &[u8]) -> Request {
    Request {
        kind: RequestKind::Subscribe,
        body: body.to_vec(),
    }
}

#[tokio::test]
async fn a_request_is_answered_in_pieces_beside_the_blocks() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    // Either side may ask, each for its own.
    let replay = Request {
        kind: RequestKind::Replay,
        body: Vec::new(),
    };
    for (asks, answers, question) in [(&down, &up, question(b"all")), (&up, &down, replay)] {
        let mut asked = asks.open_request(&question, limits()).await.unwrap();
        let (request, mut stream) = answers.accept_request().await.unwrap().accept(limits());
        assert_eq!(request, question);
        for text in ["one", "two"] {
            stream
                .send(Piece::Item(Bytes::from_static(text.as_bytes())))
                .await
                .unwrap();
        }
        stream
            .send(Piece::Block(Bytes::from_static(b"block")))
            .await
            .unwrap();
        stream.end(&Trailer::Done).await.unwrap();
        drop(stream);
        let mut pieces = Vec::new();
        while let Some(piece) = asked.receive().await.unwrap() {
            pieces.push(piece);
        }
        let item = |text: &'static str| Piece::Item(Bytes::from_static(text.as_bytes()));
        let last = Piece::Block(Bytes::from_static(b"block"));
        assert_eq!(pieces, [item("one"), item("two"), last]);
    }
}

#[tokio::test]
async fn requests_that_fail_end_alone_each_with_its_cause() {
    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    let ask = async || {
        let asked = down.open_request(&question(b"x"), limits()).await.unwrap();
        let (_, stream) = up.accept_request().await.unwrap().accept(limits());
        (asked, stream)
    };
    let (mut asked, mut stream) = ask().await;
    let reason = "no such filter".to_owned();
    stream
        .end(&Trailer::Failed { code: 400, reason })
        .await
        .unwrap();
    let error = asked.receive().await.unwrap_err();
    assert!(
        matches!(error, RequestError::Failed { code: 400, .. }),
        "{error}"
    );

    let (mut asked, mut stream) = ask().await;
    stream
        .send(Piece::Item(Bytes::from(vec![0; 1_001])))
        .await
        .unwrap();
    let error = asked.receive().await.unwrap_err();
    assert!(
        matches!(error, RequestError::TooMuch { bytes_max: 1_000 }),
        "{error}"
    );

    let (mut asked, stream) = ask().await;
    drop(stream);
    let error = asked.receive().await.unwrap_err();
    assert!(matches!(error, RequestError::Broken(_)), "{error}");

    let (mut asked, _stream) = ask().await;
    let mut waiting = Box::pin(asked.receive());
    assert!(poll!(&mut waiting).is_pending());
    site.clock.advance(Duration::from_secs(5));
    let error = waiting.await.unwrap_err();
    assert!(matches!(error, RequestError::Timeout(_)), "{error}");

    let huge = Request {
        kind: RequestKind::Replay,
        body: vec![0; 2 << 20],
    };
    let error = down.open_request(&huge, limits()).await.err().unwrap();
    assert!(matches!(error, RequestError::Frame(_)), "{error}");

    let mut asked = up.open_request(&question(b"x"), limits()).await.unwrap();
    let error = asked.receive().await.unwrap_err();
    assert!(
        matches!(error, RequestError::Failed { code: 403, .. }),
        "{error}"
    );

    down.send_control(Control::Heads(Vec::new())).await.unwrap();
    assert!(up.receive().await.is_ok(), "the link stands");
    down.close(CloseCode::Done, "over");
    assert!(matches!(asked_after(&down).await, RequestError::Closed(_)));
    assert!(up.accept_request().await.is_err());
}

async fn asked_after(link: &Arc<QuicLink>) -> RequestError {
    link.open_request(&question(b"x"), limits())
        .await
        .err()
        .unwrap()
}

#[tokio::test]
async fn coverage_of_ten_thousand_streams_crosses_in_pieces() {
    use crate::frame::StreamCoverage;
    use ocelli_bus::SeqRanges;
    use ocelli_bus::record::{OriginId, StreamId};

    let (_, mut region, site) = two_nodes();
    let (down, up) = linked(&mut region, &site).await;
    let streams: Vec<_> = (1..=10_000)
        .map(|number| StreamCoverage {
            stream: StreamId::data(OriginId(number)),
            ranges: SeqRanges::up_to(Seq(5)),
            head: None,
        })
        .collect();
    let send = async {
        for frame in Control::coverage(streams.clone()) {
            up.send_control(frame).await.unwrap();
        }
    };
    let receive = async {
        let mut told = Vec::new();
        loop {
            match down.receive().await.unwrap() {
                Frame::Control(Control::Coverage(piece)) => told.extend(piece),
                Frame::Control(Control::CoverageEnd) => return told,
                other => panic!("{other:?}"),
            }
        }
    };
    let ((), told) = tokio::join!(send, receive);
    assert!(told == streams);
}

#[tokio::test]
async fn a_node_that_listens_nowhere_in_particular_dials_both_families_of_addresses() {
    let authority = Authority::new();
    let card = |uri: &str| authority.issue(uri);
    let anywhere = Wanted {
        address: any_address(),
        ..Wanted::default()
    };
    let is_dual = anywhere.address.is_ipv6();
    let site = Node::open(card("ocelli://mesh/site/dc1/a"), anywhere);
    let mut reached = 0;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        if address.is_ipv6() && !is_dual {
            eprintln!("SKIPPED: IPv6 is not available here");
            continue;
        }
        let wanted = Wanted {
            address,
            ..Wanted::default()
        };
        let mut region = Node::open(card("ocelli://mesh/region/emea/b"), wanted);
        let at = region.address;
        let (dialled, _) = tokio::join!(site.dial(at), region.welcome());
        dialled.unwrap_or_else(|error| panic!("{at}: {error}"));
        reached += 1;
    }
    assert_eq!(reached, 1 + usize::from(is_dual));
    let narrow = Node::open(card("ocelli://mesh/site/dc2/a"), Wanted::default());
    let error = narrow.dial("[::1]:9".parse().unwrap()).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, DialError::Family { .. }), "{text}");
    assert!(
        text.contains("listen on [::]") && !error.is_transient(),
        "{text}"
    );
}
