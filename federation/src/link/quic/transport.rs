//! Settings of QUIC and TLS that every connection has.
//!
//! Does: turn limits and a budget into quinn's configurations. Does not: open sockets.
//! In: the window of a link, TLS configurations of `identity`, the key for stateless resets.
//! Out: configurations of an endpoint, of its server side and of a dial.
//! Whatever a TLS configuration says, ALPN is `ocelli/1` and early data, which can be replayed, is
//! off.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AckFrequencyConfig, ClientConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig,
    VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;

use crate::identity::ALPN;
use crate::link::limits::{
    IDLE_MAX, INCOMING_BYTES_MAX, INCOMING_MAX, KEEP_ALIVE, REQUESTS_MAX, SEND_WINDOW_ACCEPTOR,
    SEND_WINDOW_DIALLER, STREAM_WINDOW_MAX, WINDOW_MIN,
};
use crate::link::pulse::BEAT_BYTES;

/// What ring expects for HMAC-SHA-256, and a CID's key besides.
pub const RESET_KEY_BYTES: usize = 32;

/// Beats that may wait for the line or to be read; beyond it the oldest leaves.
const BEATS_WAITING: usize = 8;

/// Packets that one acknowledgement of QUIC covers; reordered ones are told at once, and the last
/// ones after QUIC's delay (25 ms). A peer that does not know the extension goes on as before.
const ACKNOWLEDGED_PACKETS: u32 = 10;

/// A TLS configuration that QUIC cannot use.
#[derive(Debug, thiserror::Error)]
#[error("TLS configuration cannot carry QUIC: {source}; it needs TLS 1.3 with AES-128-GCM")]
pub struct TlsError {
    #[from]
    source: quinn::crypto::rustls::NoInitialCipherSuite,
}

/// Bytes that only this node knows and that outlive its restarts: with them the peer of a
/// connection from before a restart is told at once that the connection is gone.
///
/// `secret` is the node's private key as DER; it cannot be computed back.
#[must_use]
pub fn reset_key_of(secret: &[u8]) -> [u8; RESET_KEY_BYTES] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, b"ocelli stateless reset 1");
    let mut bytes = [0; RESET_KEY_BYTES];
    bytes.copy_from_slice(&tag.as_ref()[..RESET_KEY_BYTES]);
    bytes
}

/// An endpoint whose connection ids and reset tokens are the same after a restart; a random key for
/// either would make a restarted node drop old packets instead of answering them with a reset.
pub(super) fn endpoint_config(reset_key: &[u8; RESET_KEY_BYTES]) -> EndpointConfig {
    let key = hmac::Key::new(hmac::HMAC_SHA256, reset_key);
    let id_tag = hmac::sign(&key, b"connection ids");
    let mut id_key = [0; 8];
    id_key.copy_from_slice(&id_tag.as_ref()[..8]);
    let id_key = u64::from_le_bytes(id_key);
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    config
}

/// The accepting side.
pub(super) fn server_config(tls: &rustls::ServerConfig) -> Result<ServerConfig, TlsError> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = 0;
    let crypto = QuicServerConfig::try_from(Arc::new(tls))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(accepted(WINDOW_MIN));
    config.max_incoming(INCOMING_MAX);
    config.incoming_buffer_size(INCOMING_BYTES_MAX / INCOMING_MAX as u64);
    config.incoming_buffer_size_total(INCOMING_BYTES_MAX);
    Ok(config)
}

/// What holds of a connection that was accepted and may hold `bytes` of what comes.
pub(super) fn accepted(bytes: u64) -> Arc<TransportConfig> {
    let mut transport = transport(bytes);
    // Channels of blocks come from the dialler alone.
    transport.max_concurrent_uni_streams(VarInt::from_u32(3));
    transport.max_concurrent_bidi_streams(VarInt::from_u32(1 + REQUESTS_MAX));
    transport.send_window(SEND_WINDOW_ACCEPTOR);
    Arc::new(transport)
}

/// The dialling side, of a connection that may hold `bytes` of what comes.
pub(super) fn client_config(
    tls: &rustls::ClientConfig,
    bytes: u64,
) -> Result<ClientConfig, TlsError> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = false;
    let crypto = QuicClientConfig::try_from(Arc::new(tls))?;
    let mut transport = transport(bytes);
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS_MAX));
    transport.send_window(SEND_WINDOW_DIALLER);
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// A stream has half of the connection's window: one that nobody reads does not hold the others up.
fn transport(bytes: u64) -> TransportConfig {
    let mut config = TransportConfig::default();
    // Both limits are constants far below QUIC's own.
    let idle = IdleTimeout::try_from(IDLE_MAX).ok();
    config.max_idle_timeout(idle);
    config.keep_alive_interval(Some(KEEP_ALIVE));
    config.stream_receive_window(window((bytes / 2).min(STREAM_WINDOW_MAX)));
    config.receive_window(window(bytes));
    // Beats only; a peer that floods them only loses its own.
    config.datagram_receive_buffer_size(Some(BEATS_WAITING * BEAT_BYTES));
    config.datagram_send_buffer_size(BEATS_WAITING * BEAT_BYTES);
    // A block is some ten packets: one acknowledgement for it instead of five.
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements.ack_eliciting_threshold(VarInt::from_u32(ACKNOWLEDGED_PACKETS));
    config.ack_frequency_config(Some(acknowledgements));
    config
}

fn window(bytes: u64) -> VarInt {
    VarInt::from_u64(bytes).unwrap_or(VarInt::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reset_key_depends_on_the_secret_and_on_nothing_else() {
        assert_eq!(reset_key_of(b"one"), reset_key_of(b"one"));
        assert_ne!(reset_key_of(b"one"), reset_key_of(b"two"));
    }
}
