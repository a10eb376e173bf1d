//! `[http]`, `[http.tls]`, `[[http.access]]`: who reads this node's API, and how.
//!
//! Does: declare the keys and check that what is reachable is guarded. Does not: bind, read files,
//! compare tokens.
//! In: tables of the text. Out: [`HttpConfig`], [`TlsConfig`], [`AccessConfig`].

use std::path::PathBuf;

use ocelli_model::filter::Filter;

use crate::address::Moment;
use crate::number::Count;
use crate::reading::Reading;
use crate::secret::SecretText;
use crate::section::{Keys, nested_section, section};
use crate::sections::federation::BytesPerSecond;
use crate::sections::node::ListenConfig;
use crate::value::{Name, choice};

/// Letters of a SHA-256 in hexadecimal.
const SHA256_LETTERS: usize = 64;

choice! {
    /// What a holder of a token or certificate may do. Each may do what those before it may.
    pub enum Role {
        /// Read what its filter passes.
        Read = "read",
        /// Also change what runs: cursors, sinks, maintenance.
        Operate = "operate",
        /// Also change who belongs to the mesh.
        Admin = "admin",
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
        /// Subscriptions open at once, and as many again over links; one more is answered with 429.
        /// Each may hold 64 KiB, and all together a quarter of `node.memory_max`: a node with less
        /// memory answers with 503 earlier.
        pub subscriptions_max: Count<1, 100_000> = 4_096,
        /// Serves HTTPS: `[http.tls]`. Default: plain HTTP, on loopback only.
        pub tls: Option<TlsConfig>,
    }
}

section! {
    /// HTTPS. The files are read again at each reload; open connections stay.
    pub struct TlsConfig {
        /// The certificate chain, PEM, the server's own first.
        pub cert: PathBuf,
        /// The private key, PEM, readable by the service's user only.
        pub key: PathBuf,
        /// Certificates of the authorities of clients, PEM: a client that shows a certificate of
        /// theirs is known by its names (`san`). Default: clients show tokens only.
        pub client_ca: Option<PathBuf>,
    }
}

section! {
    /// Who may ask, known by a token or by a name of a client certificate. Without one, a
    /// listener on loopback may be read by all of this machine, any other by nobody; who may
    /// open the socket in the data directory may do everything.
    pub struct AccessConfig {
        /// Its name in logs and metrics.
        pub name: Name,
        /// The token, at least 16 bytes; kept as a hash only.
        pub token: Option<SecretText>,
        /// SHA-256 of the token, 64 hexadecimal digits, so that the token is nowhere on this node.
        pub sha256: Option<Name>,
        /// A subject alternative name (DNS, URI or mail) of a client certificate; needs
        /// `http.tls.client_ca`.
        pub san: Option<Name>,
        /// From when on it is refused. Default: never.
        pub expires: Option<Moment>,
        /// What it may do.
        pub role: Role = "read",
        /// Which resources it sees; all else is 404. Default: all.
        pub filter: Option<Filter>,
        /// Subscriptions that it may hold open at once; one more is answered with 429.
        pub subscriptions_max: Count<1, 100_000> = 16,
        /// How fast its streams are sent, all together. Default: as fast as it reads.
        pub bytes_per_second: Option<BytesPerSecond>,
    }
}

nested_section!(TlsConfig, "[http.tls]", "a table with cert and key");

/// What concerns `[listen]`, `[http]` and `[[http.access]]` together.
pub(crate) fn check_listen(
    (listen, keys): (&ListenConfig, &Keys<'_>),
    http: &HttpConfig,
    has_access: bool,
    reading: &mut Reading<'_>,
) {
    let is_guarded = http.tls.is_some() && has_access;
    if !listen.http.ip().is_loopback() && !http.insecure && !is_guarded {
        let reason = format!("{} is reachable from other machines", listen.http);
        let remedy = "listen on 127.0.0.1 or [::1], or add [http.tls] and an [[http.access]], \
                      or set http.insecure = true";
        reading.wrong(keys.span_of("http"), reason, remedy);
    }
}

/// One way to be known, and one that can be.
pub(crate) fn check_access(
    access: &AccessConfig,
    keys: &Keys<'_>,
    has_client_ca: bool,
    reading: &mut Reading<'_>,
) {
    let ways = [
        access.token.is_some(),
        access.sha256.is_some(),
        access.san.is_some(),
    ];
    if ways.iter().filter(|is_given| **is_given).count() != 1 {
        let reason = "an access is known by one of token, sha256 and san";
        reading.wrong(keys.span, reason, "keep exactly one of them");
    }
    if access.san.is_some() && !has_client_ca {
        let reason = "san without http.tls.client_ca: no client is asked for a certificate";
        reading.wrong(
            keys.span_of("san"),
            reason,
            "add client_ca to [http.tls] or use a token",
        );
    }
    let is_hash = |text: &str| {
        text.len() == SHA256_LETTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if access.sha256.as_ref().is_some_and(|text| !is_hash(text)) {
        let remedy = "give 64 hexadecimal digits, as sha256sum prints them";
        reading.wrong(keys.span_of("sha256"), "not a SHA-256", remedy);
    }
}
