//! PEM of bytes (RFC 7468): base64 in lines of 64 letters between two labels.
//!
//! Does: encode, for lists and requests, which the TLS library only reads. Does not: decode.
//! In: a label and DER. Out: text.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Letters of a line, 48 bytes.
const LINE_BYTES: usize = 48;

/// The text of `der` under `label`.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE_BYTES) {
        line.chunks(3)
            .for_each(|bytes| encode_three(bytes, &mut text));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Up to three bytes make four letters; what is missing is `=`.
fn encode_three(bytes: &[u8], text: &mut String) {
    let byte = |index: usize| u32::from(bytes.get(index).copied().unwrap_or(0));
    let number = byte(0) << 16 | byte(1) << 8 | byte(2);
    for place in 0..4 {
        let index = number >> (18 - 6 * place) & 63;
        let letter = LETTERS.get(index as usize).copied().unwrap_or(b'=');
        let is_there = place <= bytes.len();
        text.push(if is_there { char::from(letter) } else { '=' });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls_pki_types::CertificateRevocationListDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = encode("X509 CRL", &bytes);
            let back = CertificateRevocationListDer::from_pem_slice(text.as_bytes()).unwrap();
            prop_assert_eq!(back.to_vec(), bytes);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
        }
    }
}
