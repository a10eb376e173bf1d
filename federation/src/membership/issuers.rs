//! Asks several issuers in turn.
//!
//! Does: resolve names, ask each address once, stop at the first that answers for good. Does not:
//! try again later, believe what is answered.
//! In: `host:port` of issuers, a request. Out: the chain, or the error that says most.
//! Names are resolved at each attempt, since an issuer may have moved.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ocelli_model::clock::Clock;

use crate::identity::SigningRequest;
use crate::link::{AskError, ask_to_sign};

/// A name that is not resolved by then counts as a failure.
const RESOLVE_MAX: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Issuers that are asked.
const ISSUERS_MAX: usize = 16;

/// Why no issuer granted a certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuersError {
    /// There is none to ask.
    #[error("no issuer is named; set an upstream, or name an issuer to ask")]
    NoIssuer,
    /// A name means no address.
    #[error("issuer {name} cannot be found: {reason}; check the name")]
    Name {
        /// As configured.
        name: String,
        /// What the system says.
        reason: String,
    },
    /// One was reached, or tried.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl IssuersError {
    /// Whether trying again without a change at either end may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoIssuer => false,
            Self::Name { .. } => true,
            Self::Ask(error) => error.is_transient(),
        }
    }
}

/// The chain of the first issuer that grants one. A refusal for good ends the search unless it
/// says that the node is no issuer: another issuer has the same books.
pub(super) async fn ask_issuers(
    names: &[String],
    tls: &rustls::ClientConfig,
    request: &SigningRequest,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<u8>, IssuersError> {
    let mut failed = IssuersError::NoIssuer;
    for name in names.iter().take(ISSUERS_MAX) {
        let addresses = match resolve(name, clock).await {
            Ok(addresses) => addresses,
            Err(error) => {
                failed = error;
                continue;
            }
        };
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match ask_to_sign(address, tls, request, clock).await {
                Ok(chain) => return Ok(chain),
                Err(
                    error @ AskError::Refused {
                        code: 400 | 403, ..
                    },
                ) => return Err(error.into()),
                Err(error) => failed = error.into(),
            }
        }
    }
    Err(failed)
}

async fn resolve(name: &str, clock: &Arc<dyn Clock>) -> Result<Vec<SocketAddr>, IssuersError> {
    let wrong = |reason: String| IssuersError::Name {
        name: name.to_owned(),
        reason,
    };
    let over = clock.sleep_until(clock.monotonic().after(RESOLVE_MAX));
    let found = tokio::select! {
        found = tokio::net::lookup_host(name) => found,
        () = over => return Err(wrong("the name service does not answer".to_owned())),
    };
    Ok(found.map_err(|error| wrong(error.to_string()))?.collect())
}
