//! A tier in a process of its own, so that its CPU time and memory are its own.
//!
//! Does: run a node that takes links (and holds them) as a child process, ask it for its figures.
//! Does not: decide what they mean. In: a directory with a card. Out: [`Facts`].
//! The child is this bench again, told by an environment variable; it ends with its stdin.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::tier::Tier;
use tokio::sync::mpsc;

use super::cards::Card;
use super::node::{Node, Who, bus_options};
use super::process_cpu;

const FOLDER: &str = "OCELLI_BENCH_TIER";
const PORT: &str = "OCELLI_BENCH_PORT";
pub(crate) const REGION: &str = "emea";

/// What a tier says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    pub(crate) cpu: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) resident_kib_max: u64,
    pub(crate) links: u64,
}

/// A region in a process of its own.
pub(crate) struct Region {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

pub(crate) fn who() -> Who {
    Who::new(Tier::Region, REGION)
}

impl Region {
    /// Starts a region in `folder`, where its card lies. `port`: 0 for any.
    pub(crate) fn start(folder: &Path, port: u16) -> Self {
        Self::start_as(folder, port, "node")
    }

    /// Starts this bench as something else that answers alike.
    pub(crate) fn start_as(folder: &Path, port: u16, role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(FOLDER, folder)
            .env(PORT, port.to_string())
            .env("OCELLI_BENCH_ROLE", role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let port = line_of(&mut answers).parse().unwrap();
        Self {
            child,
            orders,
            answers,
            port,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its figures now.
    pub(crate) fn facts(&mut self) -> Facts {
        writeln!(self.orders, "facts").unwrap();
        let line = line_of(&mut self.answers);
        let figures: Vec<u64> = line.split(' ').map(|one| one.parse().unwrap()).collect();
        Facts {
            cpu: Duration::from_micros(figures[0]),
            resident_kib: figures[1],
            resident_kib_max: figures[2],
            links: figures[3],
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn line_of(answers: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// As what this process was started, if it is a child.
pub(crate) fn role() -> Option<(String, PathBuf, u16)> {
    let folder = std::env::var_os(FOLDER)?;
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let role = std::env::var("OCELLI_BENCH_ROLE").unwrap();
    Some((role, folder.into(), port))
}

/// The child's life: a region until stdin ends.
pub(crate) fn live(folder: &Path, port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let card = Card::read(folder);
    let node = Node::open(&folder.join("bus"), who(), card, bus_options());
    runtime.block_on(async {
        let (endpoint, offers) = node.endpoint(port);
        say_ready(endpoint.local_address().unwrap().port());
        tokio::spawn(Arc::clone(&node).serve(offers));
        let mut orders = orders();
        while orders.recv().await.is_some() {
            say_facts(endpoint.links_open());
        }
    });
}

/// The first line of a child.
pub(crate) fn say_ready(port: u16) {
    println!("{port}");
}

/// The answer of a child to each order.
pub(crate) fn say_facts(links: usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let (now, most) = (of("VmRSS:"), of("VmHWM:"));
    println!("{} {now} {most} {links}", process_cpu().as_micros());
}

/// Lines of stdin, from a thread of their own.
pub(crate) fn orders() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
