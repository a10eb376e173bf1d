//! Tests of `peer` against `authority`: whole conversations without sockets.

use super::*;
use crate::oid::EncodedOid;
use crate::pdu::PduHead;
use crate::usm::{AuthProtocol, BOOTS_MAX, Credentials, MasterKeyCache, PrivacyProtocol};
use crate::v3::{Authority, AuthorityError, AuthorityReceived};
use crate::value::{Value, Varbind};

const AUTH: &[u8] = b"auth password";
const PRIVACY: &[u8] = b"privacy password";
const ENGINE: [u8; 9] = [0x80, 0, 0x1f, 0x88, 4, b's', b'w', b'-', b'1'];

fn at(seconds: u64) -> Monotonic {
    Monotonic(seconds * 1_000_000_000)
}

fn user(name: &[u8], auth: Option<AuthProtocol>, privacy: Option<PrivacyProtocol>) -> Arc<UsmUser> {
    let credentials = Credentials {
        user: name,
        auth: auth.map(|protocol| (protocol, AUTH)),
        privacy: privacy.map(|protocol| (protocol, PRIVACY)),
    };
    Arc::new(UsmUser::new(&credentials, &mut MasterKeyCache::default()).unwrap())
}

fn strong() -> Arc<UsmUser> {
    user(
        b"monitor",
        Some(AuthProtocol::Sha1),
        Some(PrivacyProtocol::Aes128),
    )
}

fn agent(engine: &[u8], boots: u32, started: u64, users: &[Arc<UsmUser>]) -> Authority {
    let users: Vec<UsmUser> = users.iter().map(|user| (**user).clone()).collect();
    Authority::new(
        EngineId::new(engine).unwrap(),
        boots,
        at(started),
        users.into(),
        7,
    )
}

/// What an exchange came to.
#[derive(Debug, PartialEq)]
enum Outcome {
    Answer(Option<EngineEvent>),
    Report(ReportReason, NextStep, Option<EngineEvent>),
    Refused(ReceiveError),
}

/// Sends one request; the agent answers each name with 42.
fn request(peer: &mut Peer, agent: &mut Authority, bits: u32, now: u64) -> Vec<u8> {
    let names = [EncodedOid::new(&"1.3.6.1.2.1.1.3.0".parse().unwrap()).unwrap()];
    let id = RequestId::from_bits(bits);
    let mut buffer = [0; 1_000];
    let request = Request {
        kind: RequestKind::Get,
        id,
        names: &names,
    };
    let (Outgoing::Discovery(sent) | Outgoing::Request(sent)) =
        peer.encode(&mut buffer, &request, at(now)).unwrap();
    answer(agent, sent, now).unwrap()
}

fn answer(agent: &mut Authority, sent: &mut [u8], now: u64) -> Result<Vec<u8>, AuthorityError> {
    let mut buffer = [0; 1_000];
    match agent.receive(sent, at(now))? {
        AuthorityReceived::Report(report) => Ok(agent
            .seal_report(&mut buffer, &report, at(now))
            .unwrap()
            .to_vec()),
        AuthorityReceived::Request { reply, pdu } => {
            let mut writer = BackWriter::new(&mut buffer);
            for bind in pdu.varbinds() {
                let bind = Varbind {
                    value: Value::Counter64(42),
                    ..bind.unwrap()
                };
                bind.write(&mut writer);
            }
            PduHead::response(pdu.request_id()).write(&mut writer, 0);
            Ok(agent
                .seal_response(writer, &reply, at(now))
                .unwrap()
                .to_vec())
        }
    }
}

fn take(peer: &mut Peer, mut datagram: Vec<u8>, bits: u32, now: u64) -> Outcome {
    let id = RequestId::from_bits(bits);
    match peer.receive(&mut datagram, id, at(now)) {
        Ok(Received::Response { scoped, event }) => {
            assert_eq!(scoped.pdu.request_id(), id.get());
            let bind = scoped.pdu.varbinds().next().unwrap().unwrap();
            assert_eq!(bind.value, Value::Counter64(42));
            Outcome::Answer(event)
        }
        Ok(Received::Report(report)) => Outcome::Report(report.reason, report.next, report.event),
        Err(error) => Outcome::Refused(error),
    }
}

fn exchange(peer: &mut Peer, agent: &mut Authority, bits: u32, now: u64) -> Outcome {
    let datagram = request(peer, agent, bits, now);
    take(peer, datagram, bits, now)
}

const UNKNOWN_ENGINE: Outcome =
    Outcome::Report(ReportReason::UnknownEngineId, NextStep::SendAgain, None);

fn give_up(reason: ReportReason) -> Outcome {
    Outcome::Report(reason, NextStep::GiveUp, None)
}

#[test]
fn every_pair_of_protocols_talks_after_one_discovery() {
    let mut levels = vec![(None, None)];
    for auth in AuthProtocol::ALL {
        levels.push((Some(auth), None));
        levels.extend(PrivacyProtocol::ALL.map(|privacy| (Some(auth), Some(privacy))));
    }
    for (auth, privacy) in levels {
        let user = user(b"monitor", auth, privacy);
        let mut agent = agent(&ENGINE, 3, 0, std::slice::from_ref(&user));
        let mut peer = Peer::new(user, b"", 99);
        assert_eq!(
            exchange(&mut peer, &mut agent, 1, 500),
            UNKNOWN_ENGINE,
            "{auth:?} {privacy:?}"
        );
        let event = auth.map(|_| EngineEvent::Discovered);
        let answer = exchange(&mut peer, &mut agent, 2, 500);
        assert_eq!(answer, Outcome::Answer(event), "{auth:?} {privacy:?}");
        assert_eq!(
            exchange(&mut peer, &mut agent, 3, 501),
            Outcome::Answer(None)
        );
        let time = auth.map(|_| EngineTime {
            boots: 3,
            time: 501,
            at: at(501),
        });
        assert_eq!(peer.engine_time(), time);
        assert_eq!(peer.engine_id().unwrap().as_slice(), ENGINE);
    }
}

/// A peer that has talked to the agent at 500 s.
fn acquainted(agent: &mut Authority) -> Peer {
    let mut peer = Peer::new(strong(), b"", 1);
    assert_eq!(exchange(&mut peer, agent, 1, 500), UNKNOWN_ENGINE);
    let first = exchange(&mut peer, agent, 2, 500);
    assert_eq!(first, Outcome::Answer(Some(EngineEvent::Discovered)));
    peer
}

#[test]
fn a_reboot_is_resynchronised_within_one_retry() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    agent.restart(4, at(600));
    let rebooted = Some(EngineEvent::Rebooted { from: 3, to: 4 });
    let report = Outcome::Report(ReportReason::NotInTimeWindow, NextStep::SendAgain, rebooted);
    assert_eq!(exchange(&mut peer, &mut agent, 3, 610), report);
    assert_eq!(
        exchange(&mut peer, &mut agent, 4, 610),
        Outcome::Answer(None)
    );
}

#[test]
fn boots_that_go_backwards_are_told_and_believed_after_proof() {
    let mut agent = agent(&ENGINE, 30, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    agent.restart(2, at(600));
    let report = Outcome::Report(ReportReason::NotInTimeWindow, NextStep::SendAgain, None);
    assert_eq!(exchange(&mut peer, &mut agent, 3, 610), report);
    assert_eq!(
        peer.engine_time().unwrap().boots,
        30,
        "a report alone proves nothing"
    );
    let regressed = Some(EngineEvent::BootsRegressed { from: 30, to: 2 });
    assert_eq!(
        exchange(&mut peer, &mut agent, 4, 610),
        Outcome::Answer(regressed)
    );
    assert_eq!(
        exchange(&mut peer, &mut agent, 5, 620),
        Outcome::Answer(None)
    );
    assert_eq!(peer.engine_time().unwrap().boots, 2);
}

#[test]
fn an_agent_that_does_not_count_its_starts_is_followed() {
    let mut agent = agent(&ENGINE, 1, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    agent.restart(1, at(1_000));
    let report = Outcome::Report(ReportReason::NotInTimeWindow, NextStep::SendAgain, None);
    assert_eq!(exchange(&mut peer, &mut agent, 3, 1_005), report);
    let regressed = Outcome::Answer(Some(EngineEvent::TimeRegressed));
    assert_eq!(exchange(&mut peer, &mut agent, 4, 1_005), regressed);
}

#[test]
fn a_locked_engine_is_never_believed_to_be_in_time() {
    let mut agent = agent(&ENGINE, BOOTS_MAX, 0, &[strong()]);
    let mut peer = Peer::new(strong(), b"", 1);
    assert_eq!(exchange(&mut peer, &mut agent, 1, 5), UNKNOWN_ENGINE);
    for bits in 2..6 {
        let outcome = exchange(&mut peer, &mut agent, bits, 5);
        assert!(
            matches!(
                outcome,
                Outcome::Report(ReportReason::NotInTimeWindow, _, _)
            ),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_changed_engine_id_is_followed_and_told_after_proof() {
    let mut old = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut old);
    let mut new = agent(b"\x80new engine", 1, 590, &[strong()]);
    assert_eq!(exchange(&mut peer, &mut new, 3, 600), UNKNOWN_ENGINE);
    let from = EngineId::new(&ENGINE).unwrap();
    let replaced = Outcome::Answer(Some(EngineEvent::Replaced { from }));
    assert_eq!(exchange(&mut peer, &mut new, 4, 600), replaced);
}

#[test]
fn a_forged_engine_id_costs_one_retry_and_no_knowledge() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    let known = peer.engine_time();
    let mut forger = super::tests::agent(b"\x80forged", 9, 0, &[]);
    assert_eq!(exchange(&mut peer, &mut forger, 3, 510), UNKNOWN_ENGINE);
    assert_eq!(exchange(&mut peer, &mut agent, 4, 510), UNKNOWN_ENGINE);
    assert_eq!(peer.engine_time(), known);
    assert_eq!(
        exchange(&mut peer, &mut agent, 5, 510),
        Outcome::Answer(None)
    );
}

#[test]
fn a_forged_time_report_changes_nothing() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    let known = peer.engine_time();
    let claimed = EngineTime {
        boots: 2_000,
        time: 5,
        at: at(510),
    };
    let id = EngineId::new(&ENGINE).unwrap();
    assert_eq!(
        peer.hint(ReportReason::NotInTimeWindow, id, claimed),
        NextStep::Wait
    );
    assert_eq!(peer.engine_time(), known);
    assert_eq!(
        exchange(&mut peer, &mut agent, 4, 510),
        Outcome::Answer(None)
    );
}

#[test]
fn each_wrong_setting_has_its_own_reason() {
    let check = |asked: Arc<UsmUser>, reason: ReportReason| {
        let mut agent = agent(&ENGINE, 3, 0, &[strong(), user(b"open", None, None)]);
        let mut peer = Peer::new(asked, b"", 1);
        assert_eq!(exchange(&mut peer, &mut agent, 1, 500), UNKNOWN_ENGINE);
        assert_eq!(exchange(&mut peer, &mut agent, 2, 500), give_up(reason));
    };
    let sha1 = Some(AuthProtocol::Sha1);
    let aes = Some(PrivacyProtocol::Aes128);
    check(user(b"nobody", sha1, aes), ReportReason::UnknownUserName);
    check(
        user(b"monitor", Some(AuthProtocol::Md5), aes),
        ReportReason::WrongDigest,
    );
    let des = Some(PrivacyProtocol::Des);
    check(user(b"monitor", sha1, des), ReportReason::DecryptionError);
    check(
        user(b"monitor", sha1, Some(PrivacyProtocol::Aes256)),
        ReportReason::DecryptionError,
    );
    check(
        user(b"open", sha1, None),
        ReportReason::UnsupportedSecurityLevel,
    );
}

#[test]
fn a_response_is_refused_unless_everything_fits() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    let datagram = request(&mut peer, &mut agent, 3, 500);

    let (found, expected) = (RequestId::from_bits(3).get(), RequestId::from_bits(4).get());
    let wrong_id = Outcome::Refused(ReceiveError::WrongId { found, expected });
    assert_eq!(take(&mut peer, datagram.clone(), 4, 500), wrong_id);

    let mut changed = datagram.clone();
    *changed.last_mut().unwrap() ^= 1;
    let wrong_digest = Outcome::Refused(ReceiveError::Open(OpenError::WrongDigest));
    assert_eq!(take(&mut peer, changed, 3, 500), wrong_digest);

    let stale = Outcome::Refused(ReceiveError::NotInTimeWindow {
        boots: 3,
        time: 500,
    });
    assert_eq!(take(&mut peer, datagram.clone(), 3, 500 + 151), stale);
    assert_eq!(
        take(&mut peer, datagram.clone(), 3, 500 + 150),
        Outcome::Answer(None)
    );

    let mut other = Peer::new(strong(), b"", 1);
    let wrong_engine = Outcome::Refused(ReceiveError::WrongEngine);
    assert_eq!(take(&mut other, datagram.clone(), 3, 500), wrong_engine);

    let mut stranger = Peer::new(user(b"other", Some(AuthProtocol::Sha1), None), b"", 1);
    let expected = SecurityLevel::AuthNoPriv;
    let found = SecurityLevel::AuthPriv;
    let wrong_level = Outcome::Refused(ReceiveError::WrongLevel { found, expected });
    assert_eq!(take(&mut stranger, datagram, 3, 500), wrong_level);
}

#[test]
fn a_response_at_a_weaker_level_is_refused() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    // The same user and keys, but asked without privacy: what a downgraded answer looks like.
    let mut weak = Peer::new(user(b"monitor", Some(AuthProtocol::Sha1), None), b"", 1);
    assert_eq!(exchange(&mut weak, &mut agent, 3, 500), UNKNOWN_ENGINE);
    let datagram = request(&mut weak, &mut agent, 4, 500);
    let expected = SecurityLevel::AuthPriv;
    let found = SecurityLevel::AuthNoPriv;
    let refused = Outcome::Refused(ReceiveError::WrongLevel { found, expected });
    assert_eq!(take(&mut peer, datagram, 4, 500), refused);
}

#[test]
fn a_datagram_that_fails_can_be_tried_again_with_other_keys() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    let mut datagram = request(&mut peer, &mut agent, 3, 500);
    let before = datagram.clone();
    let layout = Layout::decode(&datagram).unwrap();
    let engine = EngineId::new(&ENGINE).unwrap();
    let check = |datagram: &mut Vec<u8>, user: &UsmUser, error: OpenError| {
        assert_eq!(
            layout.open(datagram, &user.localize(&engine)).unwrap_err(),
            error
        );
        assert_eq!(*datagram, before);
    };
    let sha1 = Some(AuthProtocol::Sha1);
    let (aes, des) = (Some(PrivacyProtocol::Aes192), Some(PrivacyProtocol::Des));
    check(
        &mut datagram,
        &user(b"a", Some(AuthProtocol::Md5), aes),
        OpenError::WrongDigest,
    );
    check(
        &mut datagram,
        &user(b"a", sha1, aes),
        OpenError::WrongPrivacyKey,
    );
    let no_key = OpenError::NoKey {
        level: SecurityLevel::AuthPriv,
    };
    check(&mut datagram, &user(b"a", sha1, None), no_key);
    check(&mut datagram, &user(b"a", None, None), no_key);
    let octets = layout.body.len();
    let blocks = OpenError::Privacy(crate::usm::PrivacyError::BadBlocks { octets });
    let expected = if octets.is_multiple_of(8) {
        OpenError::WrongPrivacyKey
    } else {
        blocks
    };
    check(&mut datagram, &user(b"a", sha1, des), expected);
    assert!(
        layout
            .open(&mut datagram, &strong().localize(&engine))
            .is_ok()
    );
}

#[test]
fn an_agent_drops_what_asks_nothing() {
    let open = user(b"open", None, None);
    let mut agent = agent(&ENGINE, 3, 0, std::slice::from_ref(&open));
    let mut peer = Peer::new(open, b"", 1);
    assert_eq!(exchange(&mut peer, &mut agent, 1, 5), UNKNOWN_ENGINE);
    let mut response = request(&mut peer, &mut agent, 2, 5);
    let kind = PduKind::Response;
    assert_eq!(
        answer(&mut agent, &mut response, 5),
        Err(AuthorityError::NoRequest { kind })
    );
    let mut other = super::tests::agent(b"\x80other", 3, 0, &[]);
    let reason = ReportReason::UnknownEngineId;
    assert_eq!(
        answer(&mut other, &mut response, 5),
        Err(AuthorityError::NotReportable { reason })
    );
}

#[test]
fn a_request_that_comes_back_is_no_answer() {
    let open = user(b"open", None, None);
    let mut agent = agent(&ENGINE, 3, 0, std::slice::from_ref(&open));
    let mut peer = Peer::new(open, b"", 1);
    assert_eq!(exchange(&mut peer, &mut agent, 1, 5), UNKNOWN_ENGINE);
    let id = RequestId::from_bits(2);
    let names: [EncodedOid; 0] = [];
    let request = Request {
        kind: RequestKind::Get,
        id,
        names: &names,
    };
    let mut buffer = [0; 200];
    let Ok(Outgoing::Request(sent)) = peer.encode(&mut buffer, &request, at(5)) else {
        panic!("no request");
    };
    let echo = sent.to_vec();
    let refused = ReceiveError::NoAnswer { kind: PduKind::Get };
    assert_eq!(take(&mut peer, echo, 2, 5), Outcome::Refused(refused));
}

#[test]
fn a_message_that_does_not_fit_says_so() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let mut peer = acquainted(&mut agent);
    let names = [EncodedOid::new(&"1.3.6".parse().unwrap()).unwrap()];
    let request = Request {
        kind: RequestKind::Get,
        id: RequestId::from_bits(1),
        names: &names,
    };
    for capacity in 0..150 {
        let mut buffer = vec![0; capacity];
        if let Err(error) = peer.encode(&mut buffer, &request, at(500)) {
            assert_eq!(error, BufferFull { capacity });
        } else {
            assert!(capacity > 100);
            return;
        }
    }
    panic!("150 octets are enough");
}

#[test]
fn keys_do_not_print() {
    let mut agent = agent(&ENGINE, 3, 0, &[strong()]);
    let peer = acquainted(&mut agent);
    let printed = format!("{peer:?} {agent:?}");
    assert!(printed.contains("[redacted]"));
    let keys = strong().localize(&EngineId::new(&ENGINE).unwrap());
    for key in [keys.auth.unwrap().octets(), keys.privacy.unwrap().octets()] {
        assert!(!printed.contains(&format!("{key:?}")));
        assert!(!printed.contains(&format!("{:?}", &key[..4]).replace(['[', ']'], "")));
    }
    assert!(!printed.contains("password"));
    let credentials = Credentials {
        user: b"u",
        auth: Some((AuthProtocol::Md5, AUTH)),
        privacy: None,
    };
    assert!(!format!("{credentials:?}").contains("password"));
}
