//! `[node]`, `[listen]`, `[http]`, `[bus]`: what is local to one node.
//!
//! Does: declare the keys and check what concerns two of them. Does not: bind, open or write.
//! In: tables of the text. Out: [`NodeConfig`], [`ListenConfig`], [`HttpConfig`], [`BusConfig`].

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::number::{Count, Keep, Size};
use crate::reading::Reading;
use crate::section::{Keys, section};
use crate::value::{Labels, Name, choice};

choice! {
    /// Where in the mesh a node stands.
    pub enum Tier {
        /// Polls devices.
        Site = "site",
        /// Gathers sites.
        Region = "region",
        /// Gathers regions.
        Global = "global",
    }
}

section! {
    /// What this node is. Local to the node, never shared with others.
    pub struct NodeConfig {
        /// The site that the node stands at: the `resource_site` of resources that name none.
        pub site: Name = "local",
        /// The node's name in lists, logs and records; unique within the site. Default: the host
        /// name.
        pub name: Name,
        /// Which actors start. This version has `"site"` only.
        pub tier: Tier = "site",
        /// Directory of the bus, the catalog, the last good configuration and the socket of the
        /// command line. Made at the first start, mode 0700; one node at a time may use it.
        pub data_dir: PathBuf = "/var/lib/ocelli",
        /// Names with values by which other nodes and filters know this one.
        pub labels: Labels,
        /// Ceiling for the sum of all queues and caches; what does not fit is shed as gaps.
        pub memory_max: Size<67_108_864> = "1GiB",
        /// Threads that poll. Default: one per core.
        pub arbiters: Option<Count<1, 256>>,
    }
}

section! {
    /// Where this node listens.
    pub struct ListenConfig {
        /// Address of the HTTP API. Port 0 takes a free one, which the log names. Beyond loopback
        /// only with `http.insecure = true`, since this version has neither TLS nor tokens.
        pub http: SocketAddr = "127.0.0.1:7780",
        /// Address of the QUIC listener. Reserved: accepted and checked, not opened in this
        /// version.
        pub quic: Option<SocketAddr>,
    }
}

section! {
    /// The HTTP API.
    pub struct HttpConfig {
        /// Serves plain HTTP without tokens beyond loopback. Everyone who reaches the port reads
        /// everything; the log complains at each start.
        pub insecure: bool = false,
        /// Host names, without port, that requests may carry in `Host` besides `localhost` and
        /// the address listened on. Others are refused, so that no web page can read the API.
        pub hosts: Vec<Name>,
        /// Subscriptions open at once; one more is answered with 429.
        pub subscriptions_max: Count<1, 100_000> = 256,
    }
}

section! {
    /// The durable bus between polling and all readers: a hand-off log, not an archive.
    pub struct BusConfig {
        /// Age from which a segment may go once every required reader has taken it.
        pub retention: Keep = "6h",
        /// Bytes on disk at which the oldest segment goes even if a reader still needs it, which
        /// leaves a `retention` gap. Default: half of the file system, at most 64GiB.
        pub bytes_max: Option<Size<134_217_728>>,
        /// How long a reader may be silent before its cursor stops holding segments, loudly.
        pub cursor_idle_max: Keep = "24h",
    }
}

/// What concerns `[listen]` and `[http]` together.
pub(crate) fn check_listen(
    listen: &ListenConfig,
    http: &HttpConfig,
    keys: &Keys<'_>,
    reading: &mut Reading<'_>,
) {
    if !listen.http.ip().is_loopback() && !http.insecure {
        let reason = format!("{} is reachable from other machines", listen.http);
        let remedy = "listen on 127.0.0.1 or [::1], or set http.insecure = true: \
                      this version has neither TLS nor tokens";
        reading.wrong(keys.span_of("http"), reason, remedy);
    }
}

/// What this version cannot be.
pub(crate) fn check_tier(node: &NodeConfig, keys: &Keys<'_>, reading: &mut Reading<'_>) {
    if node.tier != Tier::Site {
        let reason = format!("tier {:?} is not in this version", node.tier.as_str());
        reading.wrong(
            keys.span_of("tier"),
            reason,
            "write tier = \"site\" or leave it out",
        );
    }
}
