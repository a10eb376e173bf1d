//! All callers that are known, by hash of token or name in a certificate.
//!
//! Does: open `[[http.access]]`, find who shows a proof, in a time that does not depend on which.
//! Does not: keep a token: only its SHA-256. In: configuration, secrets. Out: [`AccessList`].
//! Cost: one SHA-256 and one comparison per access and request.

use std::sync::Arc;

use actix_web::http::StatusCode;
use ocelli_config::sections::http::{AccessConfig, Role};
use ocelli_config::{Config, SecretError, SecretSource};
use ocelli_model::clock::WallMs;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::caller::Caller;
use super::quota::{Pace, Slots};
use crate::http::ApiError;
use crate::http::lines::CLIENT_BYTES;

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Of `node.memory_max` for subscriptions: a quarter.
const MEMORY_SHARE: u64 = 4;

/// SHA-256 of a token.
type Hash = [u8; 32];

/// Why an access cannot be used; nobody gets in by it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The token cannot be had.
    #[error("token: {0}")]
    Secret(#[from] SecretError),
    /// It could be guessed.
    #[error("token: it has less than {TOKEN_BYTES_MIN} bytes; make one with openssl rand -hex 24")]
    TooShort,
    /// Not 64 hexadecimal digits.
    #[error("sha256: not 64 hexadecimal digits; sha256sum prints them")]
    NoHash,
    /// None of token, sha256 and san.
    #[error("no token, sha256 or san; give one of them")]
    NoProof,
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Came {
    /// By the socket in the data directory.
    Socket,
    /// By a listener on loopback.
    Loopback,
    /// By a listener that others reach.
    Network,
}

/// What a request shows.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::http) struct Proof<'a> {
    /// `Authorization: Bearer`.
    pub(in crate::http) token: Option<&'a str>,
    /// Subject alternative names of a client certificate that was checked.
    pub(in crate::http) names: &'a [String],
}

#[derive(Debug)]
enum Known {
    Token(Hash),
    Name(String),
}

#[derive(Debug)]
struct Access {
    known: Known,
    expires: Option<WallMs>,
    caller: Arc<Caller>,
}

/// Everyone who is known; swapped whole at a reload.
#[derive(Debug)]
pub struct AccessList {
    accesses: Vec<Access>,
    hosts: Vec<String>,
    loopback: Arc<Caller>,
    network: Arc<Caller>,
    socket: Arc<Caller>,
}

impl AccessList {
    /// Opens what the configuration names. Entries that cannot be used come back with the reason.
    #[must_use]
    pub fn open(config: &Config, secrets: &dyn SecretSource) -> (Self, Vec<(String, Unusable)>) {
        let all = Slots::new(config.http.subscriptions_max.get());
        let memory = Slots::new(memory_places(config));
        let (mut accesses, mut unusable) = (Vec::new(), Vec::new());
        for access in &config.accesses {
            match known_by(access, secrets) {
                Ok(known) => accesses.push(Access {
                    known,
                    expires: access.expires.as_ref().map(|moment| moment.at()),
                    caller: Arc::new(caller_of(access, (&all, &memory))),
                }),
                Err(error) => unusable.push((access.name.to_string(), error)),
            }
        }
        let anonymous = |role| Arc::new(Caller::anonymous(role, (all.clone(), memory.clone())));
        let hosts = config.http.hosts.iter().map(ToString::to_string);
        let list = Self {
            accesses,
            hosts: hosts.collect(),
            loopback: anonymous(Some(Role::Read)),
            network: anonymous(config.http.insecure.then_some(Role::Read)),
            socket: anonymous(Some(Role::Admin)),
        };
        (list, unusable)
    }

    /// Host names that a request may carry.
    pub(in crate::http) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 for a token that is not known or has ended: never read as if none had been sent.
    pub(in crate::http) fn caller(
        &self,
        came: Came,
        proof: Proof<'_>,
        now: WallMs,
    ) -> Result<Arc<Caller>, ApiError> {
        if let Some(token) = proof.token {
            return self.of_token(token, now).ok_or_else(|| {
                let error = ("this token is not known, or has ended", "ask for a new one");
                ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", error)
            });
        }
        let is_named = |access: &&Access| match &access.known {
            Known::Name(name) => proof.names.contains(name) && is_valid(access, now),
            Known::Token(_) => false,
        };
        if let Some(access) = self.accesses.iter().find(is_named) {
            return Ok(Arc::clone(&access.caller));
        }
        Ok(Arc::clone(match came {
            Came::Socket => &self.socket,
            Came::Loopback => &self.loopback,
            Came::Network => &self.network,
        }))
    }

    /// Every hash is compared, whichever fits.
    fn of_token(&self, token: &str, now: WallMs) -> Option<Arc<Caller>> {
        let given: Hash = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for access in &self.accesses {
            let Known::Token(hash) = &access.known else {
                continue;
            };
            if bool::from(hash.ct_eq(&given)) && is_valid(access, now) {
                found = Some(&access.caller);
            }
        }
        found.cloned()
    }
}

fn is_valid(access: &Access, now: WallMs) -> bool {
    access.expires.is_none_or(|end| now < end)
}

fn known_by(access: &AccessConfig, secrets: &dyn SecretSource) -> Result<Known, Unusable> {
    if let Some(token) = &access.token {
        let token = token.open(secrets)?;
        if token.expose().len() < TOKEN_BYTES_MIN {
            return Err(Unusable::TooShort);
        }
        return Ok(Known::Token(Sha256::digest(token.expose()).into()));
    }
    if let Some(text) = &access.sha256 {
        return hash_of(text).map(Known::Token).ok_or(Unusable::NoHash);
    }
    let name = access.san.as_ref().ok_or(Unusable::NoProof)?;
    Ok(Known::Name(name.to_string()))
}

fn hash_of(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Subscriptions that the memory of this node has room for: a quarter of it.
pub(crate) fn memory_places(config: &Config) -> u32 {
    let places = config.node.memory_max.bytes() / MEMORY_SHARE / CLIENT_BYTES;
    u32::try_from(places).unwrap_or(u32::MAX).max(1)
}

fn caller_of(access: &AccessConfig, (all, memory): (&Slots, &Slots)) -> Caller {
    Caller {
        name: access.name.as_str().into(),
        role: Some(access.role),
        filter: access.filter.clone(),
        memory: memory.clone(),
        subscriptions: vec![Slots::new(access.subscriptions_max.get()), all.clone()],
        pace: access
            .bytes_per_second
            .map(|size| Arc::new(Pace::new(size.bytes()))),
    }
}
