//! Proof of `dialer`: over real sockets it leaves a dead member, and moves back to a healthy one.

use std::time::Duration;

use super::super::group::{Choice, HEALTHY_FOR};
use super::super::quic::bed::*;
use super::*;

struct Counting(u64);

impl Rng for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// A dialler of `node` whose best member is the first of two.
fn dialler(node: &Node, members: [String; 2]) -> Dialer {
    let names: Vec<&str> = members.iter().map(String::as_str).collect();
    let is_first = |site: &String| Choice::new(site, &names).rank() == [0, 1];
    let site = (0..99)
        .map(|number| format!("site {number}"))
        .find(is_first);
    let tls = Arc::new(node.card.client());
    let options = DialerOptions {
        site: site.unwrap(),
        members: members.to_vec(),
        healthy_for: HEALTHY_FOR,
        tls: Arc::new(move || Arc::clone(&tls)),
        facts: Arc::new(facts),
        clock: node.clock.clone(),
        rng: Box::new(Counting(0)),
    };
    Dialer::new(Arc::clone(&node.endpoint), options)
}

/// Moves the clock a second each few milliseconds until `work` is done.
async fn while_time_passes<T>(node: &Node, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        let wait = tokio::time::timeout(Duration::from_millis(15), &mut work);
        match wait.await {
            Ok(value) => return value,
            Err(_) => node.clock.advance(Duration::from_secs(1)),
        }
    }
}

/// Welcomes whoever comes, for ever.
async fn serve(mut node: Node) {
    let mut links = Vec::new();
    loop {
        links.push(node.welcome().await);
    }
}

#[tokio::test]
async fn a_dead_member_is_left_and_moved_back_to_once_it_is_healthy() {
    let authority = Authority::new();
    let card = |name: &str| authority.issue(&format!("ocelli://mesh/region/emea/{name}"));
    let site = Node::open(
        authority.issue("ocelli://mesh/site/dc1/a"),
        Wanted::default(),
    );
    // A member that is down, and whose port stays its own.
    let reserved = std::net::UdpSocket::bind(loopback(0)).unwrap();
    let address = reserved.local_addr().unwrap();
    let second = Node::open(card("r2"), Wanted::default());
    let members = [address.to_string(), second.address.to_string()];
    let mut dialler = dialler(&site, members.clone());
    let states = dialler.states();
    let _second = tokio::spawn(serve(second));
    let first_link = while_time_passes(&site, dialler.connect()).await;
    assert_eq!(first_link.member, members[1]);
    let error = states.borrow()[0].error.clone().unwrap();
    assert!(error.contains("does not answer within 5 s"), "{error}");
    assert!(states.borrow()[1].is_connected);

    drop(reserved);
    let wanted = Wanted {
        address,
        ..Wanted::default()
    };
    let _first = tokio::spawn(serve(Node::open(card("r1"), wanted)));
    let began = site.clock.monotonic();
    let better = while_time_passes(&site, dialler.better()).await;
    assert_eq!(better.member, members[0]);
    let took = site.clock.monotonic().since(began);
    assert!(took >= Duration::from_secs(60), "{took:?}");
    assert!(
        first_link.link.statistics().rtt > Duration::ZERO,
        "it stood meanwhile"
    );

    better.link.close(CloseCode::Lost, "the test ends it");
    dialler.lost();
    let again = while_time_passes(&site, dialler.connect()).await;
    assert_eq!(
        again.member, members[1],
        "the next one while the first pauses"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_and_tried_again() {
    let authority = Authority::new();
    let site = Node::open(
        authority.issue("ocelli://mesh/site/dc1/a"),
        Wanted::default(),
    );
    let members = ["no port".to_owned(), "neither".to_owned()];
    let mut dialler = dialler(&site, members);
    let mut states = dialler.states();
    let connect = while_time_passes(&site, dialler.connect());
    let told = states.wait_for(|states| states.iter().all(|state| state.error.is_some()));
    tokio::select! {
        _ = connect => panic!("connected to nothing"),
        told = told => {
            let error = told.unwrap()[0].error.clone().unwrap();
            assert!(error.contains("cannot resolve no port"), "{error}");
        }
    }
}
