//! The harness: real processes on loopback, started and ended by the tests that need them.
//!
//! Does: find free ports and binaries, start `ocelli`, `snmpd` and `prometheus`, wait for what they
//! say, end them by pid. Does not: fake any of them. In: configuration texts. Out: guards that end
//! their process when dropped. Waiting is polling with a deadline: other programs announce nothing.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub mod http;
pub mod mesh;
pub mod node;
pub mod own_site;
pub mod process;
pub mod prometheus;
pub mod relay;
pub mod simulator;
pub mod snmpd;

/// Between two looks at what another program did.
const POLL_PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` gives something, at most `patience`.
///
/// # Panics
/// When `patience` is over; the message says what was waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "real programs are waited for in real time"
)]
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < patience,
            "waited {patience:?} in vain for {what}"
        );
        std::thread::sleep(POLL_PAUSE);
    }
}

/// A TCP port of loopback that was free a moment ago.
///
/// # Panics
/// If loopback has no free port.
#[must_use]
pub fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("loopback has a free TCP port").port()
}

/// A UDP port of loopback that was free a moment ago.
///
/// # Panics
/// If loopback has no free port.
#[must_use]
pub fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
    let address = socket.and_then(|socket| socket.local_addr());
    address.expect("loopback has a free UDP port").port()
}

/// Path of a program of this workspace, beside the running test.
///
/// # Panics
/// If it was not built: `cargo build --workspace --bins` comes before the tests.
#[must_use]
pub fn built_binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().expect("a running test has a path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace --bins`",
        path.display()
    );
    path
}

/// Where the shared recordings lie; says so and gives `None` if they are absent.
#[must_use]
pub fn shared_data() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("OCELLI_SHARED_DATA").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        say(&format!("SKIPPED: {} is absent", folder.display()));
        return None;
    }
    Some(folder)
}

/// Whether the long rounds were asked for (`tests/run --full`).
#[must_use]
pub fn is_full() -> bool {
    std::env::var("OCELLI_TEST_FULL").is_ok_and(|value| value == "1")
}

/// A line for whoever reads the test's output.
#[expect(
    clippy::print_stderr,
    reason = "what a test skips or measures must be seen"
)]
pub fn say(line: &str) {
    eprintln!("{line}");
}
