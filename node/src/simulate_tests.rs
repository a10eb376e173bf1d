//! Tests of `simulate` over real sockets, each on a free port.

use std::net::UdpSocket;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use ocelli_model::clock::Sleep;
use ocelli_snmp::message::{CommunityMessage, Version, encode_request};
use ocelli_snmp::oid::OidRef;
use ocelli_snmp::pdu::{ErrorStatus, Request, RequestId, RequestKind};
use ocelli_snmp::v3::{Outgoing, Peer, Received};
use tokio_util::sync::CancellationToken;

use super::*;

/// Nobody answers if nothing came by then; only tests of silence wait for it.
const PATIENCE: Duration = Duration::from_millis(400);
const UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const HC_IN: &str = "1.3.6.1.2.1.31.1.1.1.6.1";

struct TestClock;

impl Clock for TestClock {
    fn monotonic(&self) -> Monotonic {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
        Monotonic(u64::try_from(Duration::from(now).as_nanos()).unwrap())
    }

    fn wall(&self) -> WallMs {
        WallMs(1_700_000_000_123)
    }

    fn sleep_until(&self, _at: Monotonic) -> Sleep {
        Box::pin(std::future::pending())
    }
}

fn start(change: impl FnOnce(&mut SimulateOptions)) -> Simulator {
    let mut options = SimulateOptions {
        agents: 3,
        port: 0,
        ..SimulateOptions::default()
    };
    change(&mut options);
    Simulator::start(&options, Arc::new(TestClock)).unwrap()
}

fn with_faults(specs: &[&str]) -> Simulator {
    start(|options| {
        options.faults = specs
            .iter()
            .map(|spec| parse_fault(spec).unwrap())
            .collect();
    })
}

fn names(texts: &[&str]) -> Vec<EncodedOid> {
    texts
        .iter()
        .map(|text| EncodedOid::new(&text.parse().unwrap()).unwrap())
        .collect()
}

/// A manager's socket that takes answers from anywhere.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What came back: where from, and the message.
type Answer = (SocketAddrV4, Vec<u8>);

fn ask(simulator: &Simulator, agent: u32, kind: RequestKind, texts: &[&str]) -> Option<Answer> {
    let (socket, mut buffer) = (socket(), [0; 4_000]);
    let names = names(texts);
    let request = Request {
        kind,
        id: RequestId::from_bits(7),
        names: &names,
    };
    let message = encode_request(&mut buffer, Version::V2c, b"public", &request).unwrap();
    socket
        .send_to(message, simulator.address(agent).unwrap())
        .unwrap();
    receive(&socket)
}

fn receive(socket: &UdpSocket) -> Option<Answer> {
    let mut buffer = vec![0; 65_536];
    match socket.recv_from(&mut buffer) {
        Ok((length, std::net::SocketAddr::V4(from))) => {
            buffer.truncate(length);
            Some((from, buffer))
        }
        _ => None,
    }
}

/// Names and values as text, of an answer that must come from the agent with our id.
fn read(simulator: &Simulator, agent: u32, kind: RequestKind, texts: &[&str]) -> Vec<String> {
    let (from, message) = ask(simulator, agent, kind, texts).expect("an answer");
    assert_eq!(Some(from), simulator.address(agent));
    let message = CommunityMessage::decode(&message).unwrap();
    let view = message.pdu.standard().unwrap();
    assert_eq!(view.request_id(), RequestId::from_bits(7).get());
    assert_eq!(view.error_status(), ErrorStatus::NoError);
    let print = |name: OidRef<'_>, value: &Value<'_>| format!("{name} {value:?}");
    view.varbinds()
        .map(|bind| bind.unwrap())
        .map(|bind| print(bind.name, &bind.value))
        .collect()
}

fn number(simulator: &Simulator, agent: u32, name: &str) -> u64 {
    let (_, message) = ask(simulator, agent, RequestKind::Get, &[name]).expect("an answer");
    let message = CommunityMessage::decode(&message).unwrap();
    let mut varbinds = message.pdu.standard().unwrap().varbinds();
    varbinds.next().unwrap().unwrap().value.as_u64().unwrap()
}

const BULK: RequestKind = RequestKind::GetBulk {
    non_repeaters: 0,
    max_repetitions: 50,
};

#[test]
fn each_agent_answers_from_its_own_address_with_its_own_name() {
    let simulator = start(|_| {});
    for agent in 1..=3 {
        let read = read(&simulator, agent, RequestKind::Get, &["1.3.6.1.2.1.1.5.0"]);
        let name = format!("sim-{agent:05}");
        let expected = Value::OctetString(name.as_bytes());
        assert_eq!(read, [format!("1.3.6.1.2.1.1.5.0 {expected:?}")]);
    }
    simulator.stop().unwrap();
}

#[test]
fn a_counter_lies_between_its_true_values_before_and_after() {
    let simulator = start(|_| {});
    let truth = |at: Monotonic| {
        let name = HC_IN.parse().unwrap();
        simulator
            .truth(2, &name, at, |value| value.as_u64().unwrap())
            .unwrap()
    };
    let before = TestClock.monotonic();
    let read = number(&simulator, 2, HC_IN);
    let after = TestClock.monotonic();
    assert!((truth(before)..=truth(after)).contains(&read));
    assert!(truth(after.after(Duration::from_secs(60))) > truth(after) + 60 * 2_000);
}

#[test]
fn a_bulk_answer_is_cut_at_the_message_size_and_goes_on_in_order() {
    let simulator = start(|_| {});
    let (_, message) = ask(&simulator, 1, BULK, &["1.3.6.1.2.1.31.1.1.1.18"]).unwrap();
    assert!(message.len() <= MESSAGE_OCTETS_MAX && message.len() > MESSAGE_OCTETS_MAX - 100);
    let (_, small) = ask(&simulator, 1, BULK, &[HC_IN]).unwrap();
    let small = CommunityMessage::decode(&small).unwrap();
    let names: Vec<EncodedOid> = small
        .pdu
        .standard()
        .unwrap()
        .varbinds()
        .map(|bind| {
            let mut name = EncodedOid::default();
            name.set(bind.unwrap().name);
            name
        })
        .collect();
    assert_eq!(names.len(), 50);
    assert!(names.is_sorted_by(|one, other| one.as_oid_ref() < other.as_oid_ref()));
    assert_eq!(
        format!("{:?}", names[47]),
        "EncodedOid(1.3.6.1.2.1.31.1.1.1.7.1)"
    );
}

#[test]
fn exceptions_are_told_apart() {
    let simulator = start(|_| {});
    let asked = [
        "1.3.6.1.2.1.31.1.1.1.6.49",
        "1.3.6.1.2.1.99.1.0",
        "1.3.6.1.2.1.1.3.1",
    ];
    let read_back = read(&simulator, 1, RequestKind::Get, &asked);
    let expected = ["NoSuchInstance", "NoSuchObject", "NoSuchInstance"];
    let expected: Vec<String> = asked
        .iter()
        .zip(expected)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(read_back, expected);
    let end = read(&simulator, 1, BULK, &["1.3.6.1.7"]);
    assert_eq!(end, ["1.3.6.1.7 EndOfMibView"]);
}

#[test]
fn a_walk_over_everything_ends_and_visits_every_row_once() {
    let simulator = start(|options| options.interfaces = 5);
    let (mut at, mut seen) = ("1".to_owned(), 0);
    loop {
        let row = read(&simulator, 1, RequestKind::GetNext, &[&at]).remove(0);
        let (name, value) = row.split_once(' ').unwrap();
        if value == "EndOfMibView" {
            break;
        }
        assert!(
            at.parse::<Oid>().unwrap() < name.parse().unwrap(),
            "{at} then {name}"
        );
        (at, seen) = (name.to_owned(), seen + 1);
    }
    // Ten scalars and 42 columns.
    assert_eq!(seen, 10 + 42 * 5);
    let counts = simulator.totals(1).unwrap();
    assert_eq!((counts.get_next, counts.names), (seen + 1, seen + 1));
}

/// Asks by v1; error status and the names answered.
fn ask_v1(simulator: &Simulator, kind: RequestKind, text: &str) -> (ErrorStatus, Vec<String>) {
    let (socket, mut buffer) = (socket(), [0; 500]);
    let names = names(&[text]);
    let request = Request {
        kind,
        id: RequestId::from_bits(7),
        names: &names,
    };
    let message = encode_request(&mut buffer, Version::V1, b"public", &request).unwrap();
    socket
        .send_to(message, simulator.address(1).unwrap())
        .unwrap();
    let (_, message) = receive(&socket).expect("an answer");
    let message = CommunityMessage::decode(&message).unwrap();
    assert_eq!(message.version, Version::V1);
    let view = message.pdu.standard().unwrap();
    let names = view.varbinds().map(|bind| bind.unwrap().name.to_string());
    (view.error_status(), names.collect())
}

#[test]
fn v1_sees_no_exceptions_and_no_64_bit_counters() {
    let simulator = start(|_| {});
    let check = |kind: RequestKind, asked: &str, status: ErrorStatus, name: &str| {
        let expected = (status, vec![name.to_owned()]);
        assert_eq!(ask_v1(&simulator, kind, asked), expected, "{asked}");
    };
    check(RequestKind::Get, UPTIME, ErrorStatus::NoError, UPTIME);
    check(RequestKind::Get, HC_IN, ErrorStatus::NoSuchName, HC_IN);
    let last = "1.3.6.1.6.3.10.2.1.3.0";
    check(RequestKind::GetNext, last, ErrorStatus::NoSuchName, last);
    let before = "1.3.6.1.2.1.31.1.1.1.5.48";
    let behind = "1.3.6.1.2.1.31.1.1.1.14.1";
    check(RequestKind::GetNext, before, ErrorStatus::NoError, behind);
}

#[test]
fn v3_users_are_served_at_their_level() {
    let specs = [
        "open",
        "signed,SHA-256,password1",
        "sealed,SHA-1,password1,AES-128,password2",
    ];
    let users: Vec<UsmUser> = specs
        .iter()
        .map(|spec| parse_v3_user(spec).unwrap())
        .collect();
    let simulator = start(|options| options.users = users.clone());
    for user in users {
        let mut peer = Peer::new(Arc::new(user), b"", 5);
        let names = names(&[HC_IN]);
        let mut answered = 0;
        for bits in 0..3 {
            let (socket, mut buffer, id) = (socket(), [0; 2_000], RequestId::from_bits(bits));
            let request = Request {
                kind: BULK,
                id,
                names: &names,
            };
            let (Outgoing::Discovery(sent) | Outgoing::Request(sent)) = peer
                .encode(&mut buffer, &request, TestClock.monotonic())
                .unwrap();
            socket.send_to(sent, simulator.address(3).unwrap()).unwrap();
            let (_, mut message) = receive(&socket).expect("an answer");
            assert!(message.len() <= MESSAGE_OCTETS_MAX);
            match peer
                .receive(&mut message, id, TestClock.monotonic())
                .unwrap()
            {
                Received::Response { scoped, .. } => {
                    answered += 1;
                    assert!(scoped.pdu.varbinds().count() >= 48);
                }
                Received::Report(_) => {}
            }
        }
        assert_eq!(answered, 2, "one discovery, then answers");
    }
    assert_eq!(simulator.totals(3).unwrap().reports, 3);
}

#[test]
fn each_fault_of_answers_shows() {
    let check = |spec: &str, look: fn(&Simulator, Option<Answer>)| {
        let simulator = with_faults(&[&format!("{spec}:agents=2")]);
        look(
            &simulator,
            ask(&simulator, 2, BULK, &["1.3.6.1.2.1.31.1.1.1.6"]),
        );
        assert_eq!(
            read(&simulator, 1, RequestKind::Get, &[UPTIME]).len(),
            1,
            "{spec}"
        );
        assert_eq!(
            simulator.totals(2).unwrap().requests,
            1,
            "{spec}: counted all the same"
        );
    };
    check("silence", |_, answer| assert_eq!(answer, None));
    check("loss=1", |_, answer| assert_eq!(answer, None));
    check("delay=30ms", |_, answer| assert!(answer.is_some()));
    check("wrong-source", |simulator, answer| {
        assert_ne!(Some(answer.unwrap().0), simulator.address(2));
    });
    check("garbage", |_, answer| {
        assert!(CommunityMessage::decode(&answer.unwrap().1).is_err());
    });
    check("foreign-id", |_, answer| {
        let (_, message) = answer.unwrap();
        let message = CommunityMessage::decode(&message).unwrap();
        let id = message.pdu.standard().unwrap().request_id();
        assert_ne!(id, RequestId::from_bits(7).get());
    });
    check("toobig=49", |_, answer| {
        let (_, message) = answer.unwrap();
        let message = CommunityMessage::decode(&message).unwrap();
        let view = message.pdu.standard().unwrap();
        assert_eq!(view.error_status(), ErrorStatus::TooBig);
        assert_eq!(view.varbinds().count(), 0);
    });
}

#[test]
fn a_delayed_answer_comes_after_its_delay() {
    let simulator = with_faults(&["delay=60ms"]);
    let before = TestClock.monotonic();
    assert!(ask(&simulator, 1, RequestKind::Get, &[UPTIME]).is_some());
    assert!(TestClock.monotonic().since(before) >= Duration::from_millis(60));
}

#[test]
fn a_stuck_walk_repeats_itself_and_an_endless_one_goes_on() {
    let simulator = with_faults(&["stuck:agents=1", "endless:agents=2"]);
    let fourth = "1.3.6.1.2.1.31.1.1.1.6.4";
    let stuck = read(&simulator, 1, RequestKind::GetNext, &[fourth]).remove(0);
    assert!(stuck.starts_with(&format!("{fourth} ")), "{stuck}");
    let bulk = read(&simulator, 1, BULK, &["1.3.6.1.2.1.31.1.1.1.6"]);
    assert!(
        bulk[3..].iter().all(|row| row.starts_with(fourth)),
        "{bulk:?}"
    );
    let beyond = "1.3.6.1.2.1.31.1.1.1.6.4000000";
    let next = read(&simulator, 2, RequestKind::GetNext, &[beyond]).remove(0);
    assert!(
        next.starts_with("1.3.6.1.2.1.31.1.1.1.6.4000001 Counter64"),
        "{next}"
    );
}

#[test]
fn an_injected_fault_begins_now_and_heals() {
    let simulator = start(|_| {});
    simulator.inject(&parse_fault("silence:agents=1").unwrap());
    assert_eq!(ask(&simulator, 1, RequestKind::Get, &[UPTIME]), None);
    simulator.heal();
    assert!(ask(&simulator, 1, RequestKind::Get, &[UPTIME]).is_some());
}

#[test]
fn a_reboot_shows_in_up_time_and_names_move_at_a_reindex() {
    let simulator = start(|_| {});
    assert!(number(&simulator, 1, UPTIME) > 10_000_000);
    simulator.inject(&parse_fault("reindex:agents=1").unwrap());
    assert!(number(&simulator, 1, UPTIME) < 10_000);
    let read = read(
        &simulator,
        1,
        RequestKind::Get,
        &["1.3.6.1.2.1.31.1.1.1.1.2"],
    );
    let moved = Value::OctetString(b"Gi1/0/1");
    assert_eq!(read, [format!("1.3.6.1.2.1.31.1.1.1.1.2 {moved:?}")]);
}

#[test]
fn a_wrong_community_is_not_answered_but_counted() {
    let simulator = start(|options| options.community = "other".to_owned());
    assert_eq!(ask(&simulator, 1, RequestKind::Get, &[UPTIME]), None);
    assert_eq!(simulator.totals(1).unwrap().wrong_community, 1);
}

#[test]
fn every_oid_asked_for_is_counted() {
    let simulator = start(|_| {});
    for _ in 0..3 {
        ask(&simulator, 2, RequestKind::Get, &[UPTIME, HC_IN]).unwrap();
    }
    ask(&simulator, 2, BULK, &[HC_IN]).unwrap();
    let counts = &simulator.counts()[1];
    assert_eq!((counts.agent, counts.address.as_str()), (2, "127.1.0.2"));
    let expected = [(UPTIME.to_owned(), 3), (HC_IN.to_owned(), 4)];
    assert_eq!(counts.oids, expected);
    let json = serde_json::to_value(counts).unwrap();
    assert_eq!(
        (&json["requests"], &json["get_bulk"]),
        (&4.into(), &1.into())
    );
}

#[test]
fn the_resources_are_what_json_discovery_reads() {
    let simulator = start(|_| {});
    let json = simulator.resources_json(TestClock.wall());
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed.as_array().unwrap().len(), 3);
    assert_eq!(parsed[2]["resource_endpoint"], "127.1.0.3");
    assert_eq!(parsed[2]["resource_id"], "sim-00003");
    assert_eq!(
        parsed[0]["resource_metadata"]["snmp_port"],
        simulator.port().to_string()
    );
    assert_eq!(parsed[0]["resource_creation_timestamp"], 1_700_000_000.123);
}

/// Calls back when `ready` is printed.
struct WhenReady<F>(F);

impl<F: FnMut()> io::Write for WhenReady<F> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if octets.starts_with(b"ready") {
            (self.0)();
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_run_says_when_it_is_ready_and_writes_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (resources, counts) = (
        folder.path().join("resources"),
        folder.path().join("counts"),
    );
    let options = SimulateOptions {
        port: 0,
        resources_out: Some(resources.clone()),
        counts_out: Some(counts.clone()),
        ..SimulateOptions::default()
    };
    let stop = CancellationToken::new();
    let out = WhenReady(|| {
        assert!(
            std::fs::read_to_string(&resources)
                .unwrap()
                .starts_with('[')
        );
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR1).unwrap();
    });
    let ask_to_stop = async {
        let deadline = TestClock.monotonic().after(Duration::from_secs(20));
        while !counts.exists() && TestClock.monotonic() < deadline {
            tokio::task::yield_now().await;
        }
        assert!(counts.exists(), "SIGUSR1 wrote no counts");
        std::fs::remove_file(&counts).unwrap();
        stop.cancel();
    };
    let run = run(options, Arc::new(TestClock), stop.clone(), out);
    let (ended, ()) = tokio::join!(run, ask_to_stop);
    ended.unwrap();
    let written = std::fs::read_to_string(&counts).unwrap();
    assert!(written.contains("\"address\":\"127.1.0.1\""), "{written}");
}

#[test]
fn what_cannot_be_written_is_named() {
    let path: PathBuf = "/nonexistent/resources".into();
    let options = SimulateOptions {
        port: 0,
        resources_out: Some(path),
        ..SimulateOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let run = run(
        options,
        Arc::new(TestClock),
        CancellationToken::new(),
        io::sink(),
    );
    let error = runtime.block_on(run).unwrap_err().to_string();
    assert!(
        error.contains("cannot write /nonexistent/resources"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_simulated_says_why() {
    let check = |change: fn(&mut SimulateOptions), expected: &str| {
        let mut options = SimulateOptions {
            port: 0,
            ..SimulateOptions::default()
        };
        change(&mut options);
        let error = match Simulator::start(&options, Arc::new(TestClock)) {
            Ok(_) => panic!("started in spite of {expected}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{error}");
    };
    check(|options| options.agents = 0, "0 agents");
    check(|options| options.agents = AGENTS_MAX + 1, "100001 agents");
    check(
        |options| options.base = Ipv4Addr::new(10, 0, 0, 1),
        "127.0.0.0/8",
    );
    let beyond = |options: &mut SimulateOptions| {
        options.base = Ipv4Addr::new(127, 255, 255, 250);
        options.agents = 10;
    };
    check(beyond, "128.0.0.3");
    check(
        |options| options.recordings = vec!["/nonexistent".into()],
        "/nonexistent",
    );
    let first = start(|_| {});
    let options = SimulateOptions {
        port: first.port(),
        ..SimulateOptions::default()
    };
    let error = Simulator::start(&options, Arc::new(TestClock))
        .err()
        .unwrap();
    assert!(error.to_string().contains("another simulator"), "{error}");
}

#[test]
fn texts_that_are_no_user_say_why_and_show_no_password() {
    let check = |text: &str, expected: &str| {
        let error = parse_v3_user(text).unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains("secret"),
            "{error}"
        );
    };
    check("user,SHA-1", "2 parts");
    check("user,SHA-9,secret123", "SHA-9");
    check("user,SHA-1,secret", "6 octets");
    check(",SHA-1,secret123", "0 octets");
    check("user,SHA-1,secret123,ROT13,secret123", "ROT13");
}
