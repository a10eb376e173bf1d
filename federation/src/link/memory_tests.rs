//! Proof of `memory`: order, priority, limits and each switch, as the contract says.

use std::sync::Arc;
use std::task::Poll;

use futures_util::poll;
use ocelli_bus::record::OriginId;
use ocelli_model::tier::Tier;

use super::*;
use crate::frame::{Features, Role};
use crate::link::testing::{HandClock, peer};

fn facts() -> MemoryFacts {
    let hello = Hello {
        version: 1,
        version_min: 1,
        features: Features::default(),
        mesh: "mesh".into(),
        tier: Tier::Site,
        name: "dc1".into(),
        node: "a".into(),
        origin: OriginId(1),
        role: Role::Uplink,
        build: "test".into(),
        extensions: Vec::new(),
    };
    let welcome = Welcome {
        version: 1,
        features: Features::default(),
        mesh: "mesh".into(),
        tier: Tier::Region,
        name: "emea".into(),
        node: "r".into(),
        origin: OriginId(2),
        ingest_bytes_in_flight_max: 1 << 20,
        build: "test".into(),
        extensions: Vec::new(),
    };
    MemoryFacts {
        dialler: peer("ocelli://mesh/site/dc1/a"),
        acceptor: peer("ocelli://mesh/region/emea/r"),
        hello,
        welcome,
    }
}

fn pair() -> (MemoryLink, MemoryLink, MemorySwitches, Arc<HandClock>) {
    let clock = HandClock::new();
    let (down, up, switches) = memory_pair(facts(), clock.clone());
    (down, up, switches, clock)
}

fn block(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// What the receiver got, in words.
async fn next(link: &MemoryLink) -> String {
    match link.receive().await {
        Ok(Frame::Block { channel, block }) => {
            format!("{} {}", channel.name(), String::from_utf8_lossy(&block))
        }
        Ok(Frame::Control(control)) => control.kind().name().to_owned(),
        Err(closed) => closed.code.name().to_owned(),
    }
}

#[tokio::test]
async fn waiting_frames_come_control_first_and_then_by_channel_each_in_order() {
    let (down, up, ..) = pair();
    for (channel, text) in [
        (Channel::Backfill, "b1"),
        (Channel::Live, "l1"),
        (Channel::Backfill, "b2"),
        (Channel::Definitions, "d1"),
        (Channel::Live, "l2"),
    ] {
        down.send_block(channel, block(text)).await.unwrap();
    }
    down.send_control(Control::Heads(Vec::new())).await.unwrap();
    let expected = [
        "heads",
        "definitions d1",
        "live l1",
        "live l2",
        "backfill b1",
        "backfill b2",
    ];
    for expected in expected {
        assert_eq!(next(&up).await, expected);
    }
    assert_eq!(up.statistics().frames.received[&FrameKind::Block], 5);
}

#[tokio::test]
async fn a_held_channel_is_overtaken_and_then_goes_on_in_order() {
    let (down, up, switches, _) = pair();
    switches.hold(Channel::Definitions, true);
    down.send_block(Channel::Definitions, block("d"))
        .await
        .unwrap();
    down.send_block(Channel::Backfill, block("b"))
        .await
        .unwrap();
    assert_eq!(next(&up).await, "backfill b");
    let mut waiting = Box::pin(next(&up));
    assert_eq!(poll!(&mut waiting), Poll::Pending);
    switches.hold(Channel::Definitions, false);
    assert_eq!(waiting.await, "definitions d");
}

#[tokio::test]
async fn a_set_order_lets_backfill_overtake_live() {
    let (down, up, switches, _) = pair();
    switches.set_order(&[3, 2]);
    down.send_block(Channel::Live, block("l")).await.unwrap();
    down.send_block(Channel::Backfill, block("b"))
        .await
        .unwrap();
    assert_eq!(next(&up).await, "backfill b");
    assert_eq!(next(&up).await, "live l");
}

#[tokio::test]
async fn a_full_queue_makes_its_sender_wait_and_no_other() {
    let (down, up, ..) = pair();
    for _ in 0..MEMORY_QUEUE_FRAMES {
        down.send_block(Channel::Live, block("x")).await.unwrap();
    }
    let mut waiting = down.send_block(Channel::Live, block("y"));
    assert!(poll!(&mut waiting).is_pending());
    down.send_block(Channel::Backfill, block("b"))
        .await
        .unwrap();
    assert_eq!(next(&up).await, "live x");
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_dropped_send_has_sent_nothing() {
    let (down, _up, switches, _) = pair();
    for _ in 0..MEMORY_QUEUE_FRAMES {
        down.send_block(Channel::Live, block("x")).await.unwrap();
    }
    let mut waiting = down.send_block(Channel::Live, block("y"));
    assert!(poll!(&mut waiting).is_pending());
    drop(waiting);
    assert_eq!(switches.under_way(Side::Dialler), MEMORY_QUEUE_FRAMES);
}

#[tokio::test]
async fn delayed_frames_arrive_when_their_time_has_come() {
    let (down, up, switches, clock) = pair();
    switches.set_delay(Duration::from_millis(300));
    down.send_block(Channel::Live, block("l")).await.unwrap();
    let mut waiting = Box::pin(next(&up));
    assert_eq!(poll!(&mut waiting), Poll::Pending);
    clock.advance(Duration::from_millis(299));
    assert_eq!(poll!(&mut waiting), Poll::Pending);
    clock.advance(Duration::from_millis(1));
    assert_eq!(waiting.await, "live l");
}

#[tokio::test]
async fn a_stalled_link_delivers_nothing_and_tells_nobody() {
    let (down, up, switches, _) = pair();
    switches.stall(true);
    down.send_block(Channel::Live, block("l")).await.unwrap();
    let (mut waiting, mut ended) = (Box::pin(next(&up)), down.closed());
    assert!(poll!(&mut waiting).is_pending() && poll!(&mut ended).is_pending());
    switches.stall(false);
    assert_eq!(waiting.await, "live l");
}

#[tokio::test]
async fn a_cut_loses_what_is_under_way_and_both_ends_learn_of_it() {
    let (down, up, switches, _) = pair();
    down.send_block(Channel::Live, block("l")).await.unwrap();
    switches.cut();
    assert_eq!(next(&up).await, "lost");
    let error = down
        .send_block(Channel::Live, block("m"))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(!down.closed().await.is_by_peer && !up.closed().await.is_by_peer);
}

#[tokio::test]
async fn a_counted_cut_falls_between_two_frames() {
    let (down, up, switches, _) = pair();
    for text in ["1", "2", "3"] {
        down.send_block(Channel::Live, block(text)).await.unwrap();
    }
    switches.cut_after(2);
    assert_eq!(next(&up).await, "live 1");
    assert_eq!(next(&up).await, "live 2");
    assert_eq!(next(&up).await, "lost");
}

#[tokio::test]
async fn a_link_finished_in_order_delivers_all_before_it_ends() {
    let (down, up, ..) = pair();
    down.send_block(Channel::Live, block("l")).await.unwrap();
    let mut finish = down.finish("restart", Duration::from_secs(5));
    assert!(poll!(&mut finish).is_pending());
    assert_eq!(next(&up).await, "goodbye");
    assert_eq!(next(&up).await, "live l");
    finish.await;
    let closed = up.closed().await;
    assert_eq!((closed.code, closed.is_by_peer), (CloseCode::Done, true));
    assert_eq!(closed.reason, "restart");
}

#[tokio::test]
async fn finishing_towards_a_peer_that_takes_nothing_ends_with_its_patience() {
    let (down, _up, _, clock) = pair();
    down.send_block(Channel::Live, block("l")).await.unwrap();
    let mut finish = down.finish("restart", Duration::from_secs(5));
    assert!(poll!(&mut finish).is_pending());
    clock.advance(Duration::from_secs(5));
    finish.await;
    assert!(!down.closed().await.is_by_peer);
}

#[tokio::test]
async fn frames_beyond_the_rules_are_refused_and_the_link_stands() {
    let (down, up, ..) = pair();
    let wrong = up.send_block(Channel::Live, block("x")).await.unwrap_err();
    assert!(matches!(wrong, SendError::WrongSide), "{wrong}");
    let huge = Bytes::from(vec![0; BLOCK_BYTES_MAX + 1]);
    let wrong = down.send_block(Channel::Live, huge).await.unwrap_err();
    assert!(
        matches!(wrong, SendError::Frame(_)) && !wrong.is_transient(),
        "{wrong}"
    );
    let long = Control::Revocations(vec![0; crate::frame::CONTROL_BYTES_MAX]);
    let wrong = down.send_control(long).await.unwrap_err();
    assert!(matches!(wrong, SendError::Frame(_)), "{wrong}");
    down.send_control(Control::CoverageEnd).await.unwrap();
    assert_eq!(next(&up).await, "coverage_end");
}

#[tokio::test]
async fn an_end_that_is_dropped_ends_the_other() {
    let (down, up, ..) = pair();
    drop(down);
    assert_eq!(next(&up).await, "done");
}
