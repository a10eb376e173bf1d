//! What a node and an issuer say to each other about a certificate: the body of
//! `Request::SignCertificate`.
//!
//! Does: encode and decode. Does not: sign (`authority_directory`), carry (`link`).
//! In: a request with or without a token, or bytes of a peer. Out: bytes, or [`SigningRequest`].
//! The answer is one item: the chain as PEM. A refusal is the trailer with its reason.
//!
//! ```text
//! 0  1  form, 1     1  2  bytes of the token, 0: none     3  …  token     …  the request, DER
//! ```

use std::fmt;

use ocelli_model::secret::Secret;

use super::authority::REQUEST_BYTES_MAX;

/// The one form there is.
const FORM: u8 = 1;
/// Longer tokens are none.
const TOKEN_BYTES_MAX: usize = 256;

/// A node asks for a certificate.
pub struct SigningRequest {
    /// The request, DER.
    pub csr: Vec<u8>,
    /// A join token; `None`: the certificate of the connection is the proof.
    pub token: Option<Secret<String>>,
}

/// Bytes that ask for no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request for a certificate cannot be read; upgrade the older of the two nodes")]
pub struct SigningRequestError;

impl SigningRequest {
    /// The bytes of a request.
    ///
    /// # Errors
    /// [`SigningRequestError`] if token or request are longer than any.
    pub fn encode(&self) -> Result<Secret<Vec<u8>>, SigningRequestError> {
        let token = self
            .token
            .as_ref()
            .map_or("", |token| token.expose().as_str());
        if token.len() > TOKEN_BYTES_MAX || self.csr.len() > REQUEST_BYTES_MAX {
            return Err(SigningRequestError);
        }
        let length = u16::try_from(token.len()).map_err(|_| SigningRequestError)?;
        // Reserved whole: growing would leave pieces of the token in memory.
        let mut bytes = Vec::with_capacity(3 + token.len() + self.csr.len());
        bytes.push(FORM);
        bytes.extend(length.to_le_bytes());
        bytes.extend(token.as_bytes());
        bytes.extend(&self.csr);
        Ok(Secret::new(bytes))
    }

    /// Reads the bytes of a peer.
    ///
    /// # Errors
    /// [`SigningRequestError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SigningRequestError> {
        read(bytes).ok_or(SigningRequestError)
    }
}

fn read(bytes: &[u8]) -> Option<SigningRequest> {
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    let [form, low, high] = *head;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if form != FORM || length > TOKEN_BYTES_MAX {
        return None;
    }
    let (token, csr) = rest.split_at_checked(length)?;
    let token = std::str::from_utf8(token).ok()?;
    let is_sound = !csr.is_empty() && csr.len() <= REQUEST_BYTES_MAX;
    is_sound.then(|| SigningRequest {
        csr: csr.to_vec(),
        token: (!token.is_empty()).then(|| Secret::new(token.to_owned())),
    })
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("SigningRequest");
        shown
            .field("csr_bytes", &self.csr.len())
            .field("token", &self.token)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_request_is_read_back_and_its_token_never_printed() {
        for token in [None, Some("ocelli-join-canary")] {
            let token = token.map(|token| Secret::new(token.to_owned()));
            let csr = vec![1, 2, 3];
            let request = SigningRequest { csr, token };
            let bytes = request.encode().unwrap();
            let back = SigningRequest::decode(bytes.expose()).unwrap();
            assert_eq!(back.csr, request.csr);
            let text = |one: &SigningRequest| one.token.as_ref().map(|t| t.expose().clone());
            assert_eq!(text(&back), text(&request));
            assert!(!format!("{back:?} {bytes:?}").contains("canary"));
        }
    }

    #[test]
    fn what_is_longer_than_any_request_is_refused_at_both_ends() {
        let long = SigningRequest {
            csr: vec![0; REQUEST_BYTES_MAX + 1],
            token: None,
        };
        assert!(long.encode().is_err());
        let token = Some(Secret::new("x".repeat(TOKEN_BYTES_MAX + 1)));
        assert!(
            SigningRequest {
                csr: vec![0],
                token
            }
            .encode()
            .is_err()
        );
        let mut bytes = vec![FORM, 0, 0];
        bytes.resize(4 + REQUEST_BYTES_MAX, 0);
        assert!(SigningRequest::decode(&bytes).is_err());
        for wrong in [
            &[][..],
            &[FORM, 0, 0],
            &[2, 0, 0, 1],
            &[FORM, 9, 0, 1],
            &[FORM, 1, 0, 255, 1],
        ] {
            assert!(SigningRequest::decode(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(request) = SigningRequest::decode(&bytes) {
                prop_assert!(request.csr.len() < bytes.len());
            }
        }
    }
}
