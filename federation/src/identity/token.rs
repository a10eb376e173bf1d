//! Join tokens: who may ask an issuer for a first certificate, how often, until when.
//!
//! Does: make a token, keep its hash, find it again in constant time. Does not: count uses
//! (`ledger`), sign (`authority`).
//! In: chance and an order, or a text from a node. Out: the text once, [`TokenRecord`] for the
//! books. A token has 256 random bits, so that a plain SHA-256 of it is no help to anyone.

use ocelli_model::clock::{Rng, WallMs};
use ocelli_model::secret::Secret;
use ocelli_model::tier::Tier;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::peer::digest_of;
use super::trust::hex;

/// How each token begins: secret scanners know it by this.
const PREFIX: &str = "ocelli-join-";
/// Words of 64 bits in a token.
const RANDOM_WORDS: usize = 4;
/// Longer texts are no token.
const TOKEN_BYTES_MAX: usize = 256;

/// What a token grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenOrder {
    /// Tier of whoever uses it.
    pub tier: Tier,
    /// Site, region or global.
    pub name: String,
    /// The one node that may use it; `None`: any, by the name that it asks for.
    pub node: Option<String>,
    /// Sites that it may speak for; empty: its own name, or for other tiers than site all.
    pub speaks_for: Vec<String>,
    /// How many certificates it is good for.
    pub uses: u32,
    /// Until when it may be used.
    pub expires: WallMs,
    /// Days of each certificate.
    pub days: u32,
}

/// What an authority keeps of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Name in lists; says nothing about the token.
    pub id: String,
    /// SHA-256 of the token, hex.
    hash: String,
    /// What it grants.
    #[serde(flatten)]
    pub order: TokenOrder,
}

/// Makes a token. The text is shown once and kept nowhere.
pub(super) fn mint(rng: &mut dyn Rng, order: TokenOrder) -> (Secret<String>, TokenRecord) {
    let mut text = String::from(PREFIX);
    for _ in 0..RANDOM_WORDS {
        text.push_str(&format!("{:016x}", rng.next_u64()));
    }
    let record = TokenRecord {
        id: format!("{:016x}", rng.next_u64()),
        hash: hex(&digest_of(text.as_bytes())),
        order,
    };
    (Secret::new(text), record)
}

/// The record of a token; all records are compared, each in constant time.
pub(super) fn find<'a>(records: &'a [TokenRecord], text: &str) -> Option<&'a TokenRecord> {
    if text.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let hash = hex(&digest_of(text.as_bytes()));
    let mut found = None;
    for record in records {
        if bool::from(record.hash.as_bytes().ct_eq(hash.as_bytes())) {
            found = Some(record);
        }
    }
    found
}
