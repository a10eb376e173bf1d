//! `[identity]`, `[ca]`, `[[upstream]]`, `[[peer]]`, `[[origin]]`: a node's place in the mesh.
//!
//! Does: declare the keys and check what concerns two of them. Does not: open files, dial, issue.
//! In: tables of the text. Out: [`IdentityConfig`], [`CaConfig`], [`UpstreamConfig`],
//! [`PeerConfig`], [`OriginConfig`].
//! A node without `[identity]` has no neighbours: nothing between nodes goes unencrypted.

use std::path::PathBuf;

use ocelli_model::filter::Filter;

use crate::address::MeshAddress;
use crate::number::{Count, Interval, Size};
use crate::reading::Reading;
use crate::secret::SecretText;
use crate::section::{Keys, section};
use crate::sections::node::ListenConfig;
use crate::value::{Name, choice};

/// Slowest link that anything is sent over.
const BYTES_PER_SECOND_MIN: u64 = 1_024;
/// Smallest share that holds a segment and the one being written (64 MiB each).
const ORIGIN_BYTES_MIN: u64 = 134_217_728;

/// Bytes in a second.
pub type BytesPerSecond = Size<BYTES_PER_SECOND_MIN>;

section! {
    /// Who this node is to others. Needed for everything between nodes; the files are made by
    /// `ocelli ca issue`, or by the node itself with a join token. They are read again at each
    /// reload, live connections stay.
    pub struct IdentityConfig {
        /// The certificate chain, PEM, the node's own first. Its names say which mesh, tier and
        /// node this is, and for which sites it may speak.
        pub certificate: PathBuf,
        /// The private key, PEM, readable by the service's user only.
        pub key: PathBuf,
        /// Certificates of the authorities that neighbours' certificates are checked against, PEM.
        /// Two at once are how a root is exchanged.
        pub roots: Vec<PathBuf>,
        /// The newest signed revocation list. Neighbours hand over newer ones. Default: none yet.
        pub crl: Option<PathBuf>,
        /// A join token, with which a node without a certificate asks the issuer for its first.
        pub token: Option<SecretText>,
        /// Whether the node asks its issuer for a new certificate from ⅔ of its life on.
        pub renew: bool = true,
    }
}

section! {
    /// A certificate authority at this node.
    pub struct CaConfig {
        /// Whether this node answers requests for certificates with the authority in `dir`.
        pub issuer: bool = false,
        /// Directory of the authority, as `ocelli ca init` made it.
        pub dir: Option<PathBuf>,
    }
}

choice! {
    /// Which of several addresses take the data.
    pub enum UpstreamMode {
        /// One of them, the same for all nodes of a site; the others stand by.
        Any = "any",
        /// Each of them.
        All = "all",
    }
}

section! {
    /// A node, or a group of nodes, of the tier above, which what this node holds is sent to.
    pub struct UpstreamConfig {
        /// Its name in lists, logs and metrics; the sender's cursor is kept by it.
        pub name: Name,
        /// Addresses of its nodes, each `host:port`. The port is 7700 if none is given.
        pub connect: Vec<MeshAddress>,
        /// `"any"`: one of the addresses takes the data; `"all"`: each does.
        pub mode: UpstreamMode = "any",
        /// For `"any"`: how long an address of higher rank must have answered without a break
        /// before the link moves back to it.
        pub move_back_after: Interval = "1m",
        /// How fast what was missed is sent beside live data, in bytes a second. Default: as fast
        /// as the link takes it.
        pub backfill_bytes_per_second: Option<BytesPerSecond>,
        /// Whose data are sent. What is withheld counts above as skipped, not as lost; another
        /// path may bring it. Definitions, with the names of all resources, go in any case.
        /// Widened by a reload, it lets through what is measured from then on; removed, what was
        /// withheld and is still held is sent too, as backfill. Default: all.
        pub filter: Option<Filter>,
    }
}

section! {
    /// Another node of this tier, which gets a copy of all that this node takes.
    pub struct PeerConfig {
        /// Its name in lists, logs and metrics; the sender's cursor is kept by it.
        pub name: Name,
        /// Its address, `host:port`. The port is 7700 if none is given.
        pub connect: MeshAddress,
    }
}

section! {
    /// The share of some origins in this node's disk and attention, where many send to it.
    pub struct OriginConfig {
        /// Whose origins: a site, or `*` for all that no earlier entry names.
        pub site in "match": Name,
        /// Bytes on disk that are theirs: while they hold less, others lose segments first.
        pub bytes_min: Option<Size<ORIGIN_BYTES_MIN>>,
        /// Bytes on disk beyond which they lose their oldest segment.
        pub bytes_max: Option<Size<ORIGIN_BYTES_MIN>>,
        /// Samples a second above which their backfill waits and their live data is slowed.
        pub samples_per_second: Option<Count<1, 100_000_000>>,
    }
}

/// What needs an identity, by its place.
pub(crate) fn check_identity(
    (listen, keys): (&ListenConfig, &Keys<'_>),
    has_identity: bool,
    reading: &mut Reading<'_>,
) {
    if listen.quic.is_some() && !has_identity {
        reading.wrong(
            keys.span_of("quic"),
            "listen.quic without [identity]: neighbours would have no one to trust",
            "add [identity] with certificate, key and roots, or remove quic",
        );
    }
}

/// A node without identity has no neighbours.
pub(crate) fn check_neighbour(keys: &Keys<'_>, has_identity: bool, reading: &mut Reading<'_>) {
    if !has_identity {
        let reason = format!("{} without [identity]: there is nobody to be", keys.title);
        let remedy = "add [identity] with certificate, key and roots";
        reading.wrong(keys.span, reason, remedy);
    }
}

/// Where nothing is to connect to.
pub(crate) fn check_upstream(
    upstream: &UpstreamConfig,
    keys: &Keys<'_>,
    reading: &mut Reading<'_>,
) {
    if upstream.connect.is_empty() {
        let span = keys.span_of("connect");
        reading.wrong(
            span,
            "connect names no address",
            "write connect = [\"host:7700\"]",
        );
    }
}

/// Keys that need each other.
pub(crate) fn check_ca(ca: &CaConfig, keys: &Keys<'_>, reading: &mut Reading<'_>) {
    if ca.issuer && ca.dir.is_none() {
        let remedy = "add dir, the directory that `ocelli ca init` made";
        reading.wrong(keys.span_of("issuer"), "an issuer without dir", remedy);
    }
}

/// A trust store with nothing in it trusts nobody.
pub(crate) fn check_roots(identity: &IdentityConfig, keys: &Keys<'_>, reading: &mut Reading<'_>) {
    if identity.roots.is_empty() {
        let span = keys.span_of("roots");
        reading.wrong(
            span,
            "roots names no certificate",
            "write roots = [\"root.pem\"]",
        );
    }
}

/// A floor above its ceiling.
pub(crate) fn check_shares(origin: &OriginConfig, keys: &Keys<'_>, reading: &mut Reading<'_>) {
    if let (Some(least), Some(most)) = (origin.bytes_min, origin.bytes_max)
        && least.bytes() > most.bytes()
    {
        let span = keys.span_of("bytes_min");
        reading.wrong(
            span,
            "bytes_min is above bytes_max",
            "lower it or raise bytes_max",
        );
    }
}
