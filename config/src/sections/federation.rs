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
use crate::section::{Keys, Setting, nested_section, section};
use crate::sections::node::ListenConfig;
use crate::sections::polling::PollingConfig;
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
    /// Windows in the place of slots.
    pub struct DownsampleConfig {
        /// Length of a window. It holds whole slots: a multiple of `every` of each polling that
        /// polls more often; those that poll no more often pass as they are.
        pub window: Interval,
    }
}
nested_section!(
    DownsampleConfig,
    "[upstream.downsample]",
    "an inline table such as { window = \"5m\" }"
);

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
        /// Names of the metrics groups that are sent, such as `interface`. Batches with these
        /// groups alone go up as a stream of an origin of its own, named `NODE+UPSTREAM`, which
        /// says what it is made of; the batches that it stands for count above as skipped. Gaps and
        /// events go as they are. Another choice is another origin and holds for what is measured
        /// from then on; what was derived for the upstream before goes up too. Default: all groups.
        pub groups: Option<Vec<Name>>,
        /// One batch for each window in the place of one for each slot, as `groups` sends them: of
        /// a gauge last, least, largest, sum and number of values, of a counter last and number. A
        /// window is sent when its slots are there or have gaps, or two windows after its end, and
        /// again, with a higher `rev`, when more of it comes. Default: every slot.
        pub downsample: Option<DownsampleConfig>,
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

/// What is made of streams here must be made of whole slots, and once.
pub(crate) fn check_derived(
    upstream: &UpstreamConfig,
    keys: &Keys<'_>,
    (pollings, has_peers): (&[PollingConfig], bool),
    reading: &mut Reading<'_>,
) {
    if upstream.groups.as_ref().is_some_and(Vec::is_empty) {
        let remedy = "name one, or remove the key: all go then";
        reading.wrong(keys.span_of("groups"), "groups names no group", remedy);
    }
    let key = match (&upstream.groups, &upstream.downsample) {
        (_, Some(_)) => "downsample",
        (Some(_), None) => "groups",
        (None, None) => return,
    };
    if has_peers {
        let reason = format!("{key} beside [[peer]]: each peer would make the same stream");
        let remedy = "put it on the upstream of the nodes below, or remove the peers";
        reading.wrong(keys.span_of(key), reason, remedy);
    }
    let window = upstream.downsample.as_ref().map(|it| it.window.get());
    let Some(window) = window.map(|it| it.as_millis()) else {
        return;
    };
    for polling in pollings {
        let every = polling.every().get().as_millis().max(1);
        if every < window && !window.is_multiple_of(every) {
            let (name, every) = (polling.name(), polling.every().show().unwrap_or_default());
            let reason = format!("the window holds no whole slots of polling {name}: {every}");
            let remedy = format!("make it a multiple of {every}");
            reading.wrong(keys.span_of("downsample"), reason, remedy);
        }
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
