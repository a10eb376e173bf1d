//! What a follower wants, and where it asks.
//!
//! Does: read addresses, hold proofs as bytes. Does not: read files, dial.
//! In: texts. Out: [`Settings`].

use ocelli_model::secret::Secret;
use reqwest::Url;

/// Where a node is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeUrl {
    /// `http://` or `https://`.
    Http(Url),
    /// `quic://HOST:PORT`, a link of the mesh.
    #[cfg(feature = "quic")]
    Quic {
        /// A name or an address.
        host: String,
        /// UDP port.
        port: u16,
    },
}

/// What is shown, and whom it is shown to.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// Of `[[http.access]]`.
    pub token: Option<Secret<String>>,
    /// Authorities of the nodes, PEM; `None`: those of the system. A link needs the mesh's roots.
    pub ca_pem: Option<Vec<u8>>,
    /// Certificate of this client, PEM. For a link: an identity of the mesh.
    pub certificate_pem: Option<Vec<u8>>,
    /// Its private key, PEM.
    pub key_pem: Option<Secret<Vec<u8>>>,
}

/// What a follower wants.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Nodes that hold the same streams, asked in turn; a cursor goes from one to the next.
    pub nodes: Vec<NodeUrl>,
    /// What is shown to them.
    pub proofs: Proofs,
    /// Which resources; `None`: all that the proofs allow.
    pub filter: Option<String>,
    /// Only these groups; empty: all.
    pub groups: Vec<String>,
    /// Only these metrics; empty: all.
    pub metrics: Vec<String>,
    /// `now`, `latest`, `oldest`, milliseconds since 1970, or the cursor of an earlier follower.
    pub from: String,
    /// Take a cursor of another filter or projection all the same.
    pub rebase: bool,
}

/// An address or a proof that is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No address.
    #[error("{text:?} is no address of a node: {reason}; write http://HOST:PORT or https://HOST")]
    Url {
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody to ask.
    #[error("no node is named; give at least one address")]
    NoNode,
    /// A certificate, key or authority that TLS does not take.
    #[error("{what} is of no use: {reason}; give PEM")]
    Proof {
        /// Which.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl NodeUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`SettingsError::Url`], also for one that holds a password.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let refuse = |reason: &str| SettingsError::Url {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            // Without the text, which holds a password.
            return Err(SettingsError::Url {
                text: "…@…".to_owned(),
                reason: "an address holds no user and no password".to_owned(),
            });
        }
        match (url.scheme(), url.host_str()) {
            ("http" | "https", Some(_)) => Ok(Self::Http(url)),
            #[cfg(feature = "quic")]
            ("quic", Some(host)) => Ok(Self::Quic {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: url.port().ok_or_else(|| refuse("a link needs a port"))?,
            }),
            _ => Err(refuse("its scheme is not known")),
        }
    }
}

impl Settings {
    /// All records of one node from now on, without proofs.
    ///
    /// # Errors
    /// [`SettingsError::Url`].
    pub fn of(url: &str) -> Result<Self, SettingsError> {
        Ok(Self {
            nodes: vec![NodeUrl::parse(url)?],
            proofs: Proofs::default(),
            filter: None,
            groups: Vec::new(),
            metrics: Vec::new(),
            from: "now".to_owned(),
            rebase: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_what_is_none_says_why() {
        let is_http = |text| matches!(NodeUrl::parse(text), Ok(NodeUrl::Http(_)));
        assert!(is_http("http://127.0.0.1:7780") && is_http("https://world.example"));
        let check = |text: &str, expected: &str| {
            let error = NodeUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        };
        check("127.0.0.1", "relative URL");
        check("ftp://x", "scheme");
        check("https://anna:geheim@x", "no password");
        #[cfg(feature = "quic")]
        check("quic://region", "needs a port");
    }
}
