//! Checks of this machine: data directory, space, clock, ports, open files, HTTP.
//!
//! Does: try what the node will do. Does not: talk to other nodes.
//! In: a configuration. Out: [`Finding`]s. Leaves nothing behind: the probe file is removed.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use ocelli_config::Config;
use ocelli_model::clock::WallMs;

use super::Finding;

/// The file that is written and removed.
const PROBE: &str = ".doctor";
/// Free space below which nothing can be kept for long: four segments of 64 MiB.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// A clock may be behind the newest file by so much: they are stamped by another clock source.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// A node with links, subscribers and device sockets of every core.
const OPEN_FILES_MIN: u64 = 4_096;

pub(super) fn data_directory(config: &Config) -> Vec<Finding> {
    let path = &config.node.data_dir;
    let shown = path.display().to_string();
    let check = "data_dir";
    // What is not there yet is made in the nearest directory that is.
    let Some(there) = path.ancestors().find(|one| one.exists()) else {
        let remedy = "set node.data_dir to a path that can be made";
        return vec![Finding::failing(
            check,
            &shown,
            "no part of it exists",
            remedy,
        )];
    };
    let probe = there.join(PROBE);
    let tried =
        std::fs::write(&probe, b"ocelli doctor").and_then(|()| std::fs::remove_file(&probe));
    vec![match tried {
        Ok(()) if there == path => Finding::good(check, &shown, "writable"),
        Ok(()) => Finding::good(check, &shown, "is made at the first start"),
        Err(error) => {
            let remedy = "give it to the user that runs the node, or free its file system";
            Finding::failing(check, &shown, &error.to_string(), remedy)
        }
    }]
}

/// Whether the disk can hold what the configuration wants to keep.
pub(super) fn space(config: &Config) -> Vec<Finding> {
    let path = &config.node.data_dir;
    let shown = path.display().to_string();
    let Some(there) = path.ancestors().find(|one| one.exists()) else {
        return Vec::new();
    };
    let check = "space";
    let space = match rustix::fs::statvfs(there) {
        Ok(space) => space,
        Err(error) => {
            let remedy = "look at the file system";
            return vec![Finding::failing(check, &shown, &error.to_string(), remedy)];
        }
    };
    let (free, whole) = (
        space.f_bavail.saturating_mul(space.f_frsize),
        space.f_blocks.saturating_mul(space.f_frsize),
    );
    let wanted = config.bus.bytes_max.map(|size| size.bytes());
    vec![space_finding(&shown, (free, whole), wanted)]
}

pub(super) fn space_finding(
    shown: &str,
    (free, whole): (u64, u64),
    wanted: Option<u64>,
) -> Finding {
    let mib = |bytes: u64| bytes >> 20;
    let check = "space";
    if free < FREE_BYTES_MIN {
        let reason = format!(
            "{} MiB are free, {} are needed",
            mib(free),
            mib(FREE_BYTES_MIN)
        );
        let remedy = "free space, or move node.data_dir to a larger file system";
        return Finding::failing(check, shown, &reason, remedy);
    }
    match wanted.filter(|wanted| *wanted > whole) {
        Some(wanted) => {
            let reason = format!(
                "bus.bytes_max is {} MiB, the file system has {} MiB: the disk fills up before \
                 retention ends",
                mib(wanted),
                mib(whole)
            );
            Finding::warning(
                check,
                shown,
                &reason,
                "lower bus.bytes_max below the file system",
            )
        }
        None => Finding::good(check, shown, format!("{} MiB are free", mib(free))),
    }
}

/// A clock that is behind its own files gives slots that were there already.
pub(super) fn clock(data_dir: &Path, now: WallMs) -> Finding {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let changed = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let newest = changed
        .filter_map(|time| time.duration_since(UNIX_EPOCH).ok())
        .max();
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let behind = newest.map_or(Duration::ZERO, |newest| newest.saturating_sub(now));
    if behind > BEHIND_MAX {
        let reason = format!(
            "the clock is {} s behind the newest file of the data directory",
            behind.as_secs()
        );
        return Finding::failing("clock", "", &reason, "set the clock; run a time service");
    }
    Finding::good("clock", "", "not behind the data")
}

/// Whether the ports are free, or this node's own already.
pub(super) fn ports(config: &Config, is_running: bool) -> Vec<Finding> {
    let http = config.listen.http;
    let mut findings = vec![port(
        ("listen.http", &format!("{http} (TCP)")),
        TcpListener::bind(http).map(drop),
        (http, is_running),
    )];
    if let Some(quic) = config.listen.quic {
        let bound = UdpSocket::bind(quic).map(drop);
        let subject = format!("{quic} (UDP)");
        findings.push(port(("listen.quic", &subject), bound, (quic, is_running)));
    }
    findings
}

fn port(
    (check, subject): (&'static str, &str),
    bound: std::io::Result<()>,
    (address, is_running): (SocketAddr, bool),
) -> Finding {
    match bound {
        Ok(()) if address.port() == 0 => Finding::good(check, subject, "takes a free port"),
        Ok(()) => Finding::good(check, subject, "free"),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && is_running => {
            Finding::good(check, subject, "in use by this node")
        }
        Err(error) => {
            let remedy = format!("stop who listens there, or change {check}");
            Finding::failing(check, subject, &error.to_string(), &remedy)
        }
    }
}

/// The limit that this process has; a service manager may give its service another.
pub(super) fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    open_files_finding(limit.current)
}

pub(super) fn open_files_finding(limit: Option<u64>) -> Finding {
    match limit.filter(|limit| *limit < OPEN_FILES_MIN) {
        Some(limit) => {
            let reason = format!("{limit} may be open at once, {OPEN_FILES_MIN} are advised");
            let remedy = "raise it: `ulimit -n`, or LimitNOFILE= of the service";
            Finding::warning("open_files", "", &reason, remedy)
        }
        None => {
            let shown = limit.map_or("no limit".to_owned(), |limit| limit.to_string());
            Finding::good("open_files", "", shown)
        }
    }
}

pub(super) fn http(config: &Config) -> Vec<Finding> {
    let (subject, http) = (config.listen.http.to_string(), &config.http);
    if http.insecure {
        let reason = "http.insecure is set: everyone who reaches the port reads everything";
        let remedy = "set [http.tls] and [[http.access]], and remove insecure";
        return vec![Finding::warning("http", &subject, reason, remedy)];
    }
    let is_loopback = config.listen.http.ip().is_loopback();
    if !is_loopback && http.tls.is_none() {
        let reason = "plain HTTP beyond loopback: tokens and data can be read on the way";
        return vec![Finding::failing("http", &subject, reason, "set [http.tls]")];
    }
    match crate::assembly::access::HttpAccess::open(config) {
        Ok(_) if is_loopback => vec![Finding::good("http", &subject, "loopback only")],
        Ok(_) => vec![Finding::good("http", &subject, "TLS and tokens")],
        Err(error) => {
            let remedy = "give the files of [http.tls] that fit each other";
            vec![Finding::failing(
                "http",
                &subject,
                &error.to_string(),
                remedy,
            )]
        }
    }
}
