//! `[node]`, `[listen]`, `[bus]`: what is local to one node.
//!
//! Does: declare the keys. Does not: bind, open or write.
//! In: tables of the text. Out: [`NodeConfig`], [`ListenConfig`], [`BusConfig`].

use std::net::SocketAddr;
use std::path::PathBuf;

use ocelli_model::tier::Tier;

use crate::number::{Count, Keep, Size};
use crate::section::section;
use crate::value::{Labels, Name};

section! {
    /// What this node is. Local to the node, never shared with others.
    pub struct NodeConfig {
        /// The site that the node stands at: the `resource_site` of resources that name none.
        pub site: Name = "local",
        /// The node's name in lists, logs and records; unique within the site. Default: the host
        /// name.
        pub name: Name,
        /// Where in the mesh the node stands. Above a site a node polls only what its own
        /// configuration tells it to.
        pub tier: Tier = "site",
        /// The mesh; nodes of different meshes refuse each other.
        pub mesh: Name = "ocelli",
        /// The `resource_site`s that the node may speak for; others that a discovery finds are
        /// refused by name. Its certificate must name them. Default: its own site.
        pub sites: Vec<Name>,
        /// Directory of the bus, the catalog, the last good configuration and the socket of the
        /// command line. Made at the first start, mode 0700; one node at a time may use it.
        pub data_dir: PathBuf = "/var/lib/ocelli",
        /// Names with values by which other nodes and filters know this one.
        pub labels: Labels,
        /// Ceiling for the sum of all queues and caches; what does not fit is shed as gaps. A
        /// quarter is for links, at least 256 KiB each: `1GiB` takes 1,024 of them.
        pub memory_max: Size<67_108_864> = "1GiB",
        /// Threads that poll. Default: one per core.
        pub arbiters: Option<Count<1, 256>>,
    }
}

section! {
    /// Where this node listens.
    pub struct ListenConfig {
        /// Address of the HTTP API. Port 0 takes a free one, which the log names. Beyond loopback
        /// only with `[http.tls]` and `[[http.access]]`, or with `http.insecure = true`.
        pub http: SocketAddr = "127.0.0.1:7780",
        /// Address on which nodes below and peers connect over QUIC (UDP); needs `[identity]`.
        /// Port 0 takes a free one, which the log names. Default: nobody may connect.
        pub quic: Option<SocketAddr>,
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
        /// Bytes of a segment file, reserved whole when it begins. Smaller where the file system
        /// is small; read at the start alone.
        pub segment_bytes: Size<1_048_576> = "64MiB",
    }
}
