//! `/v1/subscribe` over a WebSocket, asked by a real client library.
//!
//! Does: compare frames with the lines of HTTP, go on by a cursor from one to the other, send what
//! a client should not. Does not: judge roles (the node's own tests do, for the same route).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::Duration;

use ocelli_tests::harness::node::Node;
use ocelli_tests::harness::wait_for;
use ocelli_tests::record_lines::{RecordLine, RecordLines};
use serde_json::Value;
use tempfile::tempdir;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

const HOST: &str = "[[polling]]\nname = \"host\"\nkind = \"host\"\nevery = \"1s\"\n";
const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocket<TcpStream>;

/// A socket, or the status that refused it.
fn open(node: &Node, query: &str, header: Option<(&'static str, &str)>) -> Result<Socket, u16> {
    let url = node.client.url(&format!("/v1/subscribe?{query}"));
    let mut request = url.replacen("http", "ws", 1).into_client_request().unwrap();
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let address = node.client.url("");
    let stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// Texts until `is_enough`.
fn texts(socket: &mut Socket, mut is_enough: impl FnMut(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            let is_last = is_enough(&text);
            found.push(text.to_string());
            if is_last {
                return found;
            }
        }
    }
}

/// How the node ends a socket.
fn ended(socket: &mut Socket) -> CloseCode {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.unwrap().code,
            Ok(_) => {}
            Err(error) => panic!("no close frame: {error}"),
        }
    }
}

fn node_with_records(folder: &std::path::Path) -> Node {
    let node = Node::start(folder, HOST);
    wait_for("three records", PATIENCE, || {
        (RecordLines::read(&node.client).contents().len() >= 3).then_some(())
    });
    node
}

#[test]
fn frames_are_the_lines_of_http_and_a_cursor_goes_from_one_to_the_other() {
    let folder = tempdir().unwrap();
    let node = node_with_records(folder.path());
    let held = RecordLines::read(&node.client).contents();
    let mut socket = open(&node, "format=records&from=oldest", None).unwrap();
    let mut left = held.len();
    let is_last = |text: &str| {
        left = left.saturating_sub(usize::from(RecordLine::parse(text).is_some()));
        left == 0
    };
    let frames = texts(&mut socket, is_last);
    assert!(frames.iter().all(|frame| !frame.contains('\n')));
    let told: BTreeMap<_, _> = frames
        .iter()
        .filter_map(|frame| RecordLine::parse(frame))
        .map(|line| (line.key, line.content))
        .collect();
    for (key, content) in &held {
        assert_eq!(told.get(key), Some(content), "{key:?}");
    }
    let cursor = texts(&mut socket, |text| text.contains("\"cursor\""))
        .pop()
        .unwrap();
    let cursor: Value = serde_json::from_str(&cursor).unwrap();
    socket.close(None).unwrap();
    let cursor = cursor["cursor"].as_str().unwrap();
    let more = RecordLines::read_from(&node.client, cursor);
    let again = more.lines.iter().find(|line| held.contains_key(&line.key));
    assert!(again.is_none(), "{again:?} came twice");

    let mut groups = open(&node, "from=latest", None).unwrap();
    let first = texts(&mut groups, |_| true).pop().unwrap();
    let group: Value = serde_json::from_str(&first).unwrap();
    assert!(group["metrics_group_type"].is_string(), "{first}");
    let mut influx = open(&node, "from=oldest&format=influx", None).unwrap();
    let points = texts(&mut influx, |_| true).pop().unwrap();
    assert!(points.contains("resource_site=dc1"), "{points}");
}

#[test]
fn pings_are_answered_and_what_a_client_should_not_say_ends_its_socket_alone() {
    let folder = tempdir().unwrap();
    let node = node_with_records(folder.path());
    let mut witness = open(&node, "format=records", None).unwrap();
    let mut socket = open(&node, "from=now", None).unwrap();
    socket.send(Message::Ping("are you there".into())).unwrap();
    let pong = loop {
        if let Message::Pong(bytes) = socket.read().unwrap() {
            break bytes;
        }
    };
    assert_eq!(&pong[..], b"are you there");
    socket.send(Message::text("{\"filter\":\"x\"}")).unwrap();
    assert_eq!(ended(&mut socket), CloseCode::Unsupported);

    let mut large = open(&node, "from=now", None).unwrap();
    large.send(Message::binary(vec![0; 100_000])).unwrap();
    assert_eq!(ended(&mut large), CloseCode::Size);

    let mut polite = open(&node, "from=now", None).unwrap();
    polite.close(None).unwrap();
    assert_eq!(ended(&mut polite), CloseCode::Normal);

    let check = |query: &str, header: Option<(&'static str, &str)>, status: u16| {
        let refused = open(&node, query, header).map(|_| ()).unwrap_err();
        assert_eq!(refused, status, "{query} {header:?}");
    };
    check("format=sse", None, 400);
    check("filter=colour", None, 400);
    check("from=1~nonsense", None, 400);
    check("from=now", Some(("sec-websocket-version", "8")), 400);
    check("from=now", Some(("origin", "https://evil.example")), 403);
    check("from=now", Some(("host", "rebound.example")), 403);
    check(
        "from=now",
        Some(("authorization", "Bearer nobody-knows-this")),
        401,
    );

    let next = texts(&mut witness, |text| RecordLine::parse(text).is_some());
    assert!(!next.is_empty(), "the witness is still served");
}
