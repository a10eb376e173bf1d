//! A connection that asks for a certificate and does nothing else: the node's side.
//!
//! Does: dial an issuer from a socket of its own, ask, take the answer. Does not: believe the
//! answer, choose the issuer, try again (`membership`).
//! In: an address, TLS of `identity`, a request. Out: the chain as PEM.
//! It needs no endpoint, since a node without a certificate has none. One try ends within 35 s.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::Clock;
use quinn::{Connection, Endpoint};

use super::closing;
use super::reader::{FrameReader, ReadFrameError};
use super::streams::closed_of_write;
use super::transport::{TlsError, client_config};
use crate::frame::{
    FrameError, FrameKind, Request, RequestKind, Trailer, decode_trailer, encode_request,
};
use crate::identity::{SERVER_NAME, SigningRequest, SigningRequestError};
use crate::link::close::{CloseCode, Closed};
use crate::link::limits::HANDSHAKE_MAX;
use crate::link::statistics::FrameCounters;
use crate::link::waiting::within;

/// Largest chain that is taken.
const CHAIN_BYTES_MAX: usize = 256 << 10;
/// How long an issuer may take; it may have others before.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Window for one small answer.
const WINDOW_BYTES: u64 = 1 << 20;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No socket, or nothing can be sent there.
    #[error("cannot dial issuer {address}: {reason}; check the address")]
    Address {
        /// Where.
        address: SocketAddr,
        /// What the system or QUIC says.
        reason: String,
    },
    /// The TLS configuration.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is asked is no request.
    #[error(transparent)]
    Request(#[from] SigningRequestError),
    /// Likewise.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No answer in time.
    #[error("issuer {address} does not answer; is it up and reachable by UDP?")]
    Timeout {
        /// Where.
        address: SocketAddr,
    },
    /// The connection failed: a certificate was refused, or it is no issuer.
    #[error("connection to issuer {address} failed: {closed}")]
    Closed {
        /// Where.
        address: SocketAddr,
        /// Why.
        closed: Closed,
    },
    /// The issuer says no.
    #[error("issuer {address} refuses ({code}): {reason}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// For programs, as HTTP has them.
        code: u16,
        /// For people, with what to do.
        reason: String,
    },
    /// It answers what is no answer.
    #[error("issuer {address} gives no sound answer: {reason}; upgrade the older of the two nodes")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// What is wrong.
        reason: String,
    },
}

impl AskError {
    /// Whether trying again without a change at either end may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Closed { .. } | Self::Address { .. } => true,
            Self::Refused { code, .. } => *code >= 500,
            Self::Tls(_) | Self::Request(_) | Self::Frame(_) | Self::Broken { .. } => false,
        }
    }
}

/// Asks the issuer at `address` once. Runs inside a runtime.
///
/// # Errors
/// [`AskError`].
pub async fn ask_to_sign(
    address: SocketAddr,
    tls: &rustls::ClientConfig,
    request: &SigningRequest,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<u8>, AskError> {
    let request = encode_request(&Request {
        kind: RequestKind::SignCertificate,
        body: request.encode()?.expose().clone(),
    })?;
    let config = client_config(tls, WINDOW_BYTES)?;
    let refused = |reason: String| AskError::Address { address, reason };
    let here = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let endpoint = Endpoint::client(here).map_err(|error| refused(error.to_string()))?;
    let connecting = endpoint.connect_with(config, address, SERVER_NAME);
    let connecting = connecting.map_err(|error| refused(error.to_string()))?;
    let connection = match within(&**clock, HANDSHAKE_MAX, connecting).await {
        Some(Ok(connection)) => connection,
        Some(Err(quinn::ConnectionError::TimedOut)) | None => {
            return Err(AskError::Timeout { address });
        }
        Some(Err(error)) => {
            let closed = closing::closed_of(&error);
            return Err(AskError::Closed { address, closed });
        }
    };
    let answer = within(&**clock, ANSWER_MAX, ask(address, &connection, request)).await;
    let closed = Closed::here(CloseCode::Done, "the request is over");
    closing::close(&connection, &closed);
    answer.ok_or(AskError::Timeout { address })?
}

async fn ask(
    address: SocketAddr,
    connection: &Connection,
    request: Bytes,
) -> Result<Vec<u8>, AskError> {
    let lost = |closed: Closed| AskError::Closed { address, closed };
    let opened = connection.open_bi().await;
    let (mut send, receive) = opened.map_err(|error| lost(closing::closed_of(&error)))?;
    let written = send.write_chunk(request).await;
    written.map_err(|error| lost(closed_of_write(error)))?;
    let mut reader = FrameReader::new(receive, Arc::new(FrameCounters::default()));
    let mut chain = None;
    // Two frames: the chain, and that it was all.
    for _ in 0..2 {
        match next(&mut reader).await {
            Ok(Said::Chain(bytes)) if chain.is_none() => chain = Some(bytes),
            Ok(Said::End(Trailer::Done)) if chain.is_some() => break,
            Ok(Said::End(Trailer::Failed { code, reason })) => {
                return Err(AskError::Refused {
                    address,
                    code,
                    reason,
                });
            }
            Ok(_) => return Err(broken(address, "its frames are out of order")),
            Err(ReadFrameError::Closed(closed)) => return Err(lost(closed)),
            Err(error) => return Err(broken(address, &error.to_string())),
        }
    }
    chain.ok_or_else(|| broken(address, "there is no certificate in it"))
}

fn broken(address: SocketAddr, reason: &str) -> AskError {
    let reason = reason.to_owned();
    AskError::Broken { address, reason }
}

enum Said {
    Chain(Vec<u8>),
    End(Trailer),
}

async fn next(reader: &mut FrameReader) -> Result<Said, ReadFrameError> {
    let Some(head) = reader.head().await? else {
        let needed = crate::frame::HEAD_BYTES;
        return Err(ReadFrameError::Truncated { found: 0, needed });
    };
    let is_known = matches!(head.kind, FrameKind::Item | FrameKind::Trailer);
    if !is_known || head.payload_bytes > CHAIN_BYTES_MAX {
        return Err(ReadFrameError::Frame(FrameError::Misplaced {
            kind: head.kind.name(),
            place: "in the answer of an issuer, or it is too large there",
        }));
    }
    let payload = reader.payload(head).await?;
    match head.kind {
        FrameKind::Item => Ok(Said::Chain(payload.to_vec())),
        _ => Ok(Said::End(decode_trailer(&payload)?)),
    }
}
