//! The whole engine against devices on loopback: what works, what fails and by which name.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ocelli_model::clock::Clock;
use ocelli_model::oid::Oid;

use crate::engine::agent_tests::{Cells, TestAgent, cell, column};
use crate::engine::bed_tests::{Bed, V3Agent, device, healthy, run, serve, user};
use crate::engine::*;
use crate::v3::EngineEvent;

fn columns(numbers: impl IntoIterator<Item = u32>) -> WalkPlan {
    let columns: Vec<Oid> = numbers.into_iter().map(column).collect();
    WalkPlan::new(&columns).unwrap()
}

fn names(names: &[Oid]) -> GetPlan {
    GetPlan::new(names).unwrap()
}

async fn walk(bed: &Bed, session: &Session, plan: &WalkPlan) -> (WalkOutcome, Cells) {
    session
        .walk(plan, bed.deadline(5_000), Cells::default())
        .await
}

async fn get_one(bed: &Bed, session: &Session) -> Result<GetOutcome, GetError> {
    let plan = names(&[cell(1, 1)]);
    let (result, cells) = session
        .get(&plan, bed.deadline(5_000), Cells::default())
        .await;
    if result.is_ok() {
        assert_eq!(cells.0.len(), 1);
    }
    result
}

fn v3(bed: &Bed, address: SocketAddr, user: Arc<crate::usm::UsmUser>) -> Session {
    bed.session_with(address, |settings| {
        settings.credential = Arc::new(Credential::user(user));
    })
}

// === What works ===

#[test]
fn a_get_of_many_names_is_packed_over_few_requests_and_each_value_comes_once() {
    run(|bed| async move {
        let session = bed.session(healthy(TestAgent::table(5, 60)).await);
        let mut wanted: Vec<Oid> = (1..=300).map(|at| cell(at % 5 + 1, at / 5 + 1)).collect();
        wanted.push(cell(9, 9));
        let (result, cells) = session
            .get(&names(&wanted), bed.deadline(5_000), Cells::default())
            .await;
        let outcome = result.unwrap();
        assert!(outcome.packets <= 8, "{} packets", outcome.packets);
        let mut positions: Vec<usize> = cells.0.iter().map(|cell| cell.0).collect();
        positions.sort_unstable();
        assert_eq!(positions, (0..301).collect::<Vec<_>>());
        assert_eq!(cells.0.last().unwrap().2, None, "an exception is a value");
    });
}

#[test]
fn a_walk_reads_a_table_by_v1_v2c_and_getnext() {
    run(|bed| async move {
        let check = |version, is_bulk: bool| {
            let bed = bed.clone();
            async move {
                let address = healthy(TestAgent::table(4, 30)).await;
                let session = bed.session_with(address, |settings| {
                    let credential = Credential::community(version, b"public");
                    settings.credential = Arc::new(credential);
                    settings.is_bulk = is_bulk;
                });
                let (outcome, cells) = walk(&bed, &session, &columns(1..=4)).await;
                assert!(outcome.is_complete(), "{version:?}: {outcome:?}");
                assert_eq!((cells.0.len(), outcome.cells, outcome.rows), (120, 120, 30));
                outcome.packets
            }
        };
        assert_eq!(check(CommunityVersion::V2c, false).await, 31);
        assert!(check(CommunityVersion::V2c, true).await < 6);
        assert_eq!(check(CommunityVersion::V1, true).await, 31);
    });
}

#[test]
fn a_v3_session_discovers_its_agent_once_and_goes_on_after_a_reboot_with_one_packet_more() {
    run(|bed| async move {
        let (agent, address) = V3Agent::serve(&bed, TestAgent::table(4, 30)).await;
        let session = v3(&bed, address, user(b"monitor", b"authauth1", b"privpriv1"));
        let (outcome, cells) = walk(&bed, &session, &columns(1..=4)).await;
        assert!(outcome.is_complete(), "{outcome:?}");
        assert_eq!(cells.0.len(), 120);
        assert_eq!(session.take_engine_event(), Some(EngineEvent::Discovered));
        let before = agent.datagrams.get();
        get_one(&bed, &session).await.unwrap();
        assert_eq!(
            agent.datagrams.get(),
            before + 1,
            "nothing is discovered again"
        );
        agent.restart(6);
        get_one(&bed, &session).await.unwrap();
        assert_eq!(agent.datagrams.get(), before + 3, "one report, one answer");
        let rebooted = EngineEvent::Rebooted { from: 5, to: 6 };
        assert_eq!(session.take_engine_event(), Some(rebooted));
    });
}

#[test]
fn boots_that_go_backwards_are_accepted_with_an_event_and_refused_by_a_strict_credential() {
    run(|bed| async move {
        let (agent, address) = V3Agent::serve(&bed, TestAgent::table(1, 3)).await;
        let lax = v3(&bed, address, user(b"monitor", b"authauth1", b"privpriv1"));
        let strict = bed.session_with(address, |settings| {
            let security = Security::User {
                user: user(b"monitor", b"authauth1", b"privpriv1"),
                context_name: Vec::new(),
                is_strict: true,
            };
            settings.credential = Arc::new(Credential {
                security,
                reply_from: Vec::new(),
            });
        });
        get_one(&bed, &lax).await.unwrap();
        get_one(&bed, &strict).await.unwrap();
        agent.restart(1);
        get_one(&bed, &lax).await.unwrap();
        let regressed = EngineEvent::BootsRegressed { from: 5, to: 1 };
        assert_eq!(lax.take_engine_event(), Some(regressed));
        let error = get_one(&bed, &strict).await.unwrap_err();
        let cause = error.gap_cause().to_string();
        assert_eq!(cause, "auth/engine_boots_regressed");
    });
}

#[test]
fn a_late_answer_to_the_first_try_counts_and_teaches_the_round_trip() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 3);
        let mut held: Option<Vec<u8>> = None;
        // Answers the first try only when the second comes: later than the time-out.
        let address = device(move |request| {
            let first = held.replace(request.to_vec());
            first
                .and_then(|first| agent.answer(&first))
                .into_iter()
                .collect()
        })
        .await;
        let session = bed.session(address);
        let outcome = get_one(&bed, &session).await.unwrap();
        assert_eq!((outcome.packets, outcome.retries), (2, 1));
        assert!(session.round_trip().unwrap() >= Duration::from_millis(39));
    });
}

// === What fails, and how it is called ===

#[test]
fn silence_is_a_timeout_with_its_tries_and_ends_by_the_deadline_at_the_latest() {
    run(|bed| async move {
        let address = device(|_| Vec::new()).await;
        let session = bed.session(address);
        let error = get_one(&bed, &session).await.unwrap_err();
        assert_eq!(error.gap_cause().to_string(), "timeout");
        assert!(error.is_transient());
        assert!(
            error.to_string().contains("did not answer 3 tries"),
            "{error}"
        );
        let before = bed.clock.monotonic();
        let plan = names(&[cell(1, 1)]);
        let (result, _) = session.get(&plan, bed.deadline(20), Cells::default()).await;
        assert_eq!(result.unwrap_err().gap_cause().to_string(), "timeout");
        let took = bed.clock.monotonic().since(before);
        assert!(took < Duration::from_millis(200), "{took:?}");
    });
}

#[test]
fn a_device_that_falls_silent_in_mid_walk_leaves_its_rows_and_the_last_oid() {
    run(|bed| async move {
        let agent = TestAgent::table(2, 1_000);
        let mut left = 10;
        let address = device(move |request| {
            left -= 1;
            let reply = (left >= 0).then(|| agent.answer(request)).flatten();
            reply.into_iter().collect()
        })
        .await;
        let (outcome, cells) = walk(&bed, &bed.session(address), &columns(1..=2)).await;
        assert!(matches!(
            outcome.end,
            WalkEnd::Failed(ExchangeError::Timeout { .. })
        ));
        assert!(outcome.rows >= 200, "{outcome:?}");
        assert_eq!(cells.0.len() as u64, outcome.cells);
        assert_eq!(outcome.last_oid, Some(cell(1, outcome.rows)));
        let reason = outcome.partial_reason().unwrap();
        assert!(reason.contains("last OID 1.3.6.1.2.1.2.2.1.1."), "{reason}");
    });
}

#[test]
fn a_table_without_end_is_cut_by_the_deadline_and_stays_partial() {
    run(|bed| async move {
        let rows = Rc::new(Cell::new(0u32));
        let counted = Rc::clone(&rows);
        let address = device(move |request| {
            counted.set(counted.get() + 1);
            // Always the same two rows further on: a table that never ends.
            let mut agent = TestAgent::new(std::collections::BTreeMap::new());
            for row in 0..60 {
                agent.mib.insert(cell(1, counted.get() * 25 + row), 1);
            }
            agent.answer(request).into_iter().collect()
        })
        .await;
        let session = bed.session(address);
        let (outcome, cells) = session
            .walk(&columns([1]), bed.deadline(60), Cells::default())
            .await;
        let WalkEnd::Failed(error) = &outcome.end else {
            panic!("{outcome:?}");
        };
        assert_eq!(error.gap_cause().to_string(), "overrun");
        assert!(!cells.0.is_empty());
    });
}

#[test]
fn an_answer_from_elsewhere_is_named_and_taken_only_where_the_credential_lists_it() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 3);
        let asked = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let address = asked.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            let mut buffer = vec![0; 2_000];
            loop {
                let (len, from) = asked.recv_from(&mut buffer).await.unwrap();
                let reply = agent.answer(&buffer[..len]).unwrap();
                other.send_to(&reply, from).await.unwrap();
            }
        });
        let error = get_one(&bed, &bed.session(address)).await.unwrap_err();
        let cause = error.gap_cause().to_string();
        assert_eq!(
            cause,
            "timeout/reply with our request id came from 127.0.0.2"
        );
        assert!(!error.is_transient());
        assert_eq!(bed.engine.counters().wrong_source, 3);
        let lenient = bed.session_with(address, |settings| {
            let mut credential = Credential::community(CommunityVersion::V2c, b"public");
            credential.reply_from = vec!["127.0.0.2".parse().unwrap()];
            settings.credential = Arc::new(credential);
        });
        get_one(&bed, &lenient).await.unwrap();
    });
}

#[test]
fn foreign_ids_garbage_and_doubles_are_counted_and_the_answer_still_comes() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 3);
        let address = device(move |request| {
            let reply = agent.answer(request).unwrap();
            let mut foreign = reply.clone();
            // The last octet of the four of the id, behind head, version, community, PDU head.
            let id_at = foreign.windows(2).position(|two| two == [2, 4]).unwrap() + 5;
            foreign[id_at] ^= 1;
            vec![b"garbage".to_vec(), foreign, vec![], reply.clone(), reply]
        })
        .await;
        let session = bed.session(address);
        get_one(&bed, &session).await.unwrap();
        get_one(&bed, &session).await.unwrap();
        let counters = bed.engine.counters();
        assert!(counters.malformed >= 2, "{counters:?}");
        assert!(counters.unmatched >= 2, "{counters:?}");
        assert_eq!(counters.retries, 0);
    });
}

#[test]
fn a_device_that_sends_nothing_but_garbage_is_a_bad_reply() {
    run(|bed| async move {
        let address = device(|_| vec![b"\x30\x05hello".to_vec()]).await;
        let error = get_one(&bed, &bed.session(address)).await.unwrap_err();
        let cause = error.gap_cause().to_string();
        assert!(cause.starts_with("bad_reply/"), "{cause}");
    });
}

#[test]
fn an_answer_about_another_name_is_a_bad_reply_that_names_both() {
    run(|bed| async move {
        let mut agent = TestAgent::table(1, 3);
        agent.detour = Some((cell(1, 1), cell(1, 3)));
        let address = device(move |request| {
            // GETNEXT semantics where GET was asked: the PDU tag is the only a0 octet.
            let at = request.iter().position(|octet| *octet == 0xa0).unwrap();
            request[at] = 0xa1;
            agent.answer(request).into_iter().collect()
        })
        .await;
        let error = get_one(&bed, &bed.session(address)).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("1.3.6.1.2.1.2.2.1.1.3"), "{text}");
        assert!(text.contains("1.3.6.1.2.1.2.2.1.1.1"), "{text}");
    });
}

#[test]
fn a_closed_port_is_unreachable_and_not_a_timeout() {
    run(|bed| async move {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        // The engine's own socket is open before the port is free.
        let session = bed.session_with(address, patient);
        drop(socket);
        let plan = names(&[cell(1, 1)]);
        // Waiting the tries out would take three minutes, and meet the deadline.
        let deadline = bed.deadline(120_000);
        let (result, _) = session.get(&plan, deadline, Cells::default()).await;
        let cause = result.unwrap_err().gap_cause().to_string();
        assert_eq!(cause, "unreachable/connection refused");
        assert!(bed.clock.monotonic() < deadline);
        let counters = bed.engine.counters();
        assert_eq!((counters.sent, counters.timeouts), (2, 0), "one retry");
    });
}

/// Three tries of a minute each.
fn patient(settings: &mut SessionSettings) {
    settings.timeout = TimeoutBounds::around(Duration::from_secs(60));
    settings.tries = 3;
}

#[test]
fn an_agent_that_is_restarted_answers_the_second_try() {
    run(|bed| async move {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let session = bed.session_with(address, patient);
        drop(socket);
        let engine = Rc::clone(&bed.engine);
        tokio::task::spawn_local(async move {
            while engine.counters().unreachable == 0 {
                tokio::task::yield_now().await;
            }
            let socket = tokio::net::UdpSocket::bind(address).await.unwrap();
            let agent = TestAgent::table(1, 3);
            serve(socket, move |request| {
                agent.answer(request).into_iter().collect()
            });
        });
        let plan = names(&[cell(1, 1)]);
        let (result, cells) = session
            .get(&plan, bed.deadline(120_000), Cells::default())
            .await;
        let outcome = result.unwrap();
        assert_eq!((cells.0.len(), outcome.retries), (1, 1));
    });
}

#[test]
fn wrong_user_key_privacy_and_level_have_causes_of_their_own() {
    run(|bed| async move {
        let (_agent, address) = V3Agent::serve(&bed, TestAgent::table(1, 3)).await;
        let check = |credentials: crate::usm::Credentials<'_>, expected: &'static str| {
            let mut cache = crate::usm::MasterKeyCache::default();
            let user = crate::usm::UsmUser::new(&credentials, &mut cache).unwrap();
            let session = v3(&bed, address, Arc::new(user));
            let bed = bed.clone();
            async move {
                let error = get_one(&bed, &session).await.unwrap_err();
                assert_eq!(error.gap_cause().to_string(), expected, "{error}");
            }
        };
        let credentials = |user: &'static [u8], auth: &'static [u8], privacy: &'static [u8]| {
            crate::usm::Credentials {
                user,
                auth: Some((crate::usm::AuthProtocol::Sha1, auth)),
                privacy: Some((crate::usm::PrivacyProtocol::Aes128, privacy)),
            }
        };
        let right = credentials(b"monitor", b"authauth1", b"privpriv1");
        let stranger = credentials(b"nobody", b"authauth1", b"privpriv1");
        check(stranger, "auth/unknown_user").await;
        let wrong_auth = credentials(b"monitor", b"authauth2", b"privpriv1");
        check(wrong_auth, "auth/wrong_digest").await;
        let wrong_privacy = credentials(b"monitor", b"authauth1", b"privpriv2");
        check(wrong_privacy, "auth/decrypt").await;
        let mut other_hash = right;
        other_hash.auth = Some((crate::usm::AuthProtocol::Sha256, b"authauth1"));
        check(other_hash, "auth/wrong_digest").await;
    });
}

#[test]
fn one_black_hole_among_100_devices_costs_the_others_nothing() {
    run(|bed| async move {
        let mut sessions = Vec::new();
        for number in 0..100 {
            let agent = TestAgent::table(3, 20);
            let is_hole = number == 42;
            let address = device(move |request| {
                let reply = (!is_hole).then(|| agent.answer(request)).flatten();
                reply.into_iter().collect()
            })
            .await;
            sessions.push(bed.session_with(address, |settings| {
                // Slow machines take long over 100 devices: only the hole may time out.
                settings.timeout = TimeoutBounds::around(Duration::from_millis(1_000));
                settings.tries = 1;
            }));
        }
        let plan = columns(1..=3);
        let walks = sessions.iter().map(|session| walk(&bed, session, &plan));
        let outcomes = join_all(walks).await;
        let complete = outcomes.iter().filter(|(outcome, _)| outcome.is_complete());
        assert_eq!(complete.count(), 99);
        assert!(matches!(
            outcomes[42].0.end,
            WalkEnd::Failed(ExchangeError::Timeout { .. })
        ));
    });
}

// === Load ===

#[test]
fn two_sessions_of_one_device_never_have_more_in_flight_than_its_budget() {
    run(|bed| async move {
        let agent = TestAgent::table(2, 200);
        let waiting = Rc::new(RefCell::new(Vec::<Vec<u8>>::new()));
        let most = Rc::new(Cell::new(0));
        let seen = Rc::clone(&most);
        // Holds each request until the next is there or it is sent again: shows overlap.
        let address = device(move |request| {
            let mut waiting = waiting.borrow_mut();
            if !waiting.iter().any(|known| known == request) {
                waiting.push(request.to_vec());
            }
            seen.set(seen.get().max(waiting.len()));
            waiting
                .drain(..)
                .filter_map(|request| agent.answer(&request))
                .collect()
        })
        .await;
        let budget = DeviceBudget::new(LoadLimit::default());
        let session = || bed.session_with(address, |settings| settings.budget = budget.clone());
        let (first, second) = (session(), session());
        let plan = columns(1..=2);
        let both = [walk(&bed, &first, &plan), walk(&bed, &second, &plan)];
        for (outcome, _) in join_all(both).await {
            assert!(outcome.is_complete(), "{outcome:?}");
        }
        assert_eq!(most.get(), 1);
        assert_eq!((budget.in_flight(), budget.waiting()), (0, 0));
    });
}

#[test]
fn the_rate_of_a_device_holds_over_gets_walks_and_retries() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 40);
        let times = Rc::new(RefCell::new(Vec::new()));
        let clock = Arc::clone(&bed.clock);
        let seen = Rc::clone(&times);
        let address = device(move |request| {
            seen.borrow_mut().push(clock.monotonic());
            agent.answer(request).into_iter().collect()
        })
        .await;
        let session = bed.session_with(address, |settings| {
            settings.is_bulk = false;
            settings.budget = DeviceBudget::new(LoadLimit {
                in_flight: 4,
                packets_per_second: NonZeroU32::new(200),
            });
        });
        let (outcome, _) = walk(&bed, &session, &columns([1])).await;
        assert!(outcome.is_complete());
        let times = times.borrow();
        let took = times.last().unwrap().since(times[0]);
        assert!(took >= Duration::from_millis(40 * 5 - 10), "{took:?}");
    });
}

#[test]
fn the_operation_beyond_the_queue_of_a_device_is_refused_at_once() {
    run(|bed| async move {
        let address = device(|_| Vec::new()).await;
        let session = bed.session(address);
        let plan = names(&[cell(1, 1)]);
        let many = (0..70).map(|_| session.get(&plan, bed.deadline(50), Cells::default()));
        let results = join_all(many).await;
        let refused = results.iter().filter(|(result, _)| {
            matches!(
                result,
                Err(GetError::Exchange(ExchangeError::DeviceQueueFull { .. }))
            )
        });
        assert_eq!(refused.count(), 70 - 1 - limits::WAITING_PER_DEVICE_MAX);
        let unsent = results.iter().filter(|(result, _)| {
            let cause = result.as_ref().unwrap_err().gap_cause().to_string();
            cause == "budget"
        });
        assert_eq!(unsent.count(), limits::WAITING_PER_DEVICE_MAX);
        assert_eq!(bed.engine.operations(), 0);
    });
}

#[test]
fn after_three_silent_operations_a_session_asks_from_another_port() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 3);
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        // A path that lost our port: it answers any other.
        tokio::task::spawn_local(async move {
            let mut buffer = vec![0; 2_000];
            let mut lost = None;
            loop {
                let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
                if *lost.get_or_insert(from.port()) != from.port() {
                    let reply = agent.answer(&buffer[..len]).unwrap();
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        let session = bed.session_with(address, |settings| settings.tries = 1);
        for _ in 0..3 {
            get_one(&bed, &session).await.unwrap_err();
        }
        get_one(&bed, &session).await.unwrap();
        assert_eq!(bed.engine.counters().sockets_renewed, 1);
    });
}

#[test]
fn a_bulk_that_kills_the_agent_is_complete_from_its_second_walk() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 60);
        // The octets of max-repetitions stand behind those of non-repeaters: 02 01 00 02 01 NN.
        let address = device(move |request| {
            let at = request.windows(5).position(|five| five == [2, 1, 0, 2, 1]);
            let rows = at.map_or(0, |at| request[at + 5]);
            let reply = (rows <= 5).then(|| agent.answer(request)).flatten();
            reply.into_iter().collect()
        })
        .await;
        let session = bed.session(address);
        let plan = columns([1]);
        walk(&bed, &session, &plan).await;
        let (outcome, cells) = walk(&bed, &session, &plan).await;
        assert!(outcome.is_complete(), "{outcome:?}");
        assert_eq!(cells.0.len(), 60);
        assert!(session.repetitions() <= 6);
    });
}

// === Ends ===

#[test]
fn a_dropped_get_gives_back_all_it_held() {
    run(|bed| async move {
        let session = bed.session(device(|_| Vec::new()).await);
        let plan = names(&[cell(1, 1)]);
        let get = session.get(&plan, bed.deadline(60_000), Cells::default());
        let ended = tokio::time::timeout(Duration::from_millis(5), get).await;
        assert!(ended.is_err());
        assert_eq!(bed.engine.operations(), 0);
        let healthy = bed.session(healthy(TestAgent::table(1, 1)).await);
        get_one(&bed, &healthy).await.unwrap();
    });
}

#[test]
fn a_stopped_engine_ends_what_runs_and_refuses_what_comes() {
    run(|bed| async move {
        let session = bed.session(device(|_| Vec::new()).await);
        let plan = names(&[cell(1, 1)]);
        let get = session.get(&plan, bed.deadline(60_000), Cells::default());
        let stop = async { bed.engine.stop() };
        let ((result, _), ()) = tokio::join!(get, stop);
        let stopped = GetError::Exchange(ExchangeError::Stopped);
        assert_eq!(result.unwrap_err(), stopped);
        assert_eq!(get_one(&bed, &session).await.unwrap_err(), stopped);
    });
}

#[test]
fn a_sink_that_panics_ends_its_own_operation_alone() {
    struct Panics;
    impl VarbindSink for Panics {
        fn varbind(
            &mut self,
            _: usize,
            _: crate::oid::Index<'_>,
            _: crate::value::Value<'_>,
            _: Received,
        ) {
            panic!("a sink with a bug");
        }
    }
    run(|bed| async move {
        let session = bed.session(healthy(TestAgent::table(1, 3)).await);
        let other = bed.session(healthy(TestAgent::table(1, 3)).await);
        let task = {
            let (session, deadline) = (session.clone(), bed.deadline(1_000));
            tokio::task::spawn_local(async move {
                session.get(&names(&[cell(1, 1)]), deadline, Panics).await.0
            })
        };
        assert!(task.await.unwrap_err().is_panic());
        get_one(&bed, &other).await.unwrap();
        get_one(&bed, &session).await.unwrap();
    });
}

#[test]
fn an_idle_session_takes_less_than_two_kibibytes() {
    let bytes = size_of::<crate::engine::session::SessionCore>() + size_of::<Credential>();
    assert!(bytes < 2_048, "{bytes} bytes");
}

#[test]
fn an_agent_that_drops_what_it_cannot_decrypt_is_told_from_one_that_is_down() {
    run(|bed| async move {
        let (agent, address) = V3Agent::serve(&bed, TestAgent::table(1, 3)).await;
        agent.drops_undecryptable.set(true);
        let session = v3(&bed, address, user(b"monitor", b"authauth1", b"privpriv2"));
        for _ in 0..2 {
            let error = get_one(&bed, &session).await.unwrap_err();
            assert_eq!(error.gap_cause().to_string(), "auth/decrypt");
        }
    });
}

#[test]
fn an_authorization_error_is_a_credential_below_the_level_needed() {
    run(|bed| async move {
        let agent = TestAgent::table(1, 3);
        let address = device(move |request| {
            let reply = agent.answer(request).unwrap();
            // Error status 16 in place of 0, behind the id: 02 04 .... 02 01 00.
            let id_at = reply.windows(2).position(|two| two == [2, 4]).unwrap();
            let mut reply = reply;
            reply[id_at + 8] = 16;
            vec![reply]
        })
        .await;
        let error = get_one(&bed, &bed.session(address)).await.unwrap_err();
        assert_eq!(error.gap_cause().to_string(), "auth/level");
    });
}
