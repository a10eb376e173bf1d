//! The books of an authority: certificates issued, revoked, tokens, numbers of lists.
//!
//! Does: fold entries into a state, decide what a request is granted. Does not: sign
//! (`authority`), write (`authority_directory`).
//! In: [`LedgerEntry`]s in order; a request with its proof and the time. Out: [`Ledger`], grants.
//! One line of JSON an entry, only ever appended; a token is used by the line that issues for it.

use std::collections::BTreeMap;

use ocelli_model::clock::WallMs;
use ocelli_model::tier::Tier;
use serde::{Deserialize, Serialize};

use super::authority::{Authority, CertificateRequest, DAY_MS, Grant, begin_of};
use super::name::{IdentityNameError, NodeIdentity};
use super::peer::{PeerIdentity, Serial};
use super::scope::{SiteScope, SiteScopeError};
use super::token::{TokenRecord, find};

/// Tokens that are kept at once; expired ones do not count.
pub const TOKENS_MAX: usize = 1_024;
/// Certificates of nodes live so long unless told otherwise.
pub const CERTIFICATE_DAYS: u32 = 90;
/// An expired certificate stays on lists for a day: clocks differ.
const LISTED_AFTER_END_MS: i64 = DAY_MS;

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// Its number.
    pub serial: Serial,
    /// For whom.
    pub identity: NodeIdentity,
    /// For which sites; `*` for all.
    pub speaks_for: Vec<String>,
    /// Valid from.
    pub not_before: WallMs,
    /// Valid until.
    pub not_after: WallMs,
    /// SHA-256, hex.
    pub fingerprint: String,
    /// When it was issued.
    pub issued: WallMs,
    /// The token that it was issued for.
    pub token: Option<String>,
}

/// A line of the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum LedgerEntry {
    /// A certificate was issued.
    Issued(IssuedCertificate),
    /// Certificates were revoked, and a list with this number says so.
    Revoked {
        /// Which.
        serials: Vec<Serial>,
        /// When.
        at: WallMs,
        /// Number of the list.
        list: u64,
    },
    /// A token was made.
    Token(TokenRecord),
}

/// All entries, folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    issued: BTreeMap<Serial, IssuedCertificate>,
    revoked: BTreeMap<Serial, WallMs>,
    tokens: Vec<TokenRecord>,
    uses: BTreeMap<String, u32>,
    list_number: u64,
}

/// By what right a certificate is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// A join token.
    Token(&'a str),
    /// The valid certificate of the connection that asks.
    Certificate(&'a PeerIdentity),
}

/// Why a request is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignRefused {
    /// No such token.
    #[error("join token is not known here; make one with `ocelli ca token` at this issuer")]
    UnknownToken,
    /// Too late.
    #[error("join token {id} has expired; make a new one with `ocelli ca token`")]
    ExpiredToken {
        /// Which.
        id: String,
    },
    /// Used as often as allowed.
    #[error("join token {id} is used up; make a new one with `ocelli ca token`")]
    UsedToken {
        /// Which.
        id: String,
    },
    /// The request names no node and the token neither.
    #[error("certificate request names no node of {tier} {name}; set node.name and ask again")]
    NoNode {
        /// Tier of the token.
        tier: Tier,
        /// Name of the token.
        name: String,
    },
    /// The request names another node than the proof.
    #[error(
        "certificate is asked for {asked}, the proof is good for {granted}; correct one of both"
    )]
    OtherIdentity {
        /// Who is asked for.
        asked: String,
        /// Who may be had.
        granted: String,
    },
    /// A node of that name has a valid certificate already.
    #[error(
        "{identity} has a valid certificate, {serial}; a token for any node does not replace it: \
         revoke it, or make a token with --node"
    )]
    Taken {
        /// Who.
        identity: NodeIdentity,
        /// Number of its certificate.
        serial: Serial,
    },
    /// Issued by another authority.
    #[error("certificate of {identity} is of another authority; renew it there, or use a token")]
    OtherAuthority {
        /// Whose.
        identity: NodeIdentity,
    },
    /// Taken back.
    #[error("certificate {serial} was revoked; join anew with a token if the node is wanted")]
    Revoked {
        /// Which.
        serial: Serial,
    },
    /// Too late to renew.
    #[error("certificate of {identity} has expired; join anew with a token")]
    Expired {
        /// Whose.
        identity: NodeIdentity,
    },
    /// A token with names that are none.
    #[error(transparent)]
    Name(#[from] IdentityNameError),
    /// A token with sites that are none.
    #[error(transparent)]
    Scope(#[from] SiteScopeError),
}

impl Ledger {
    /// Takes one entry in.
    pub fn apply(&mut self, entry: LedgerEntry) {
        match entry {
            LedgerEntry::Issued(certificate) => {
                if let Some(token) = &certificate.token {
                    *self.uses.entry(token.clone()).or_default() += 1;
                }
                self.issued.insert(certificate.serial.clone(), certificate);
            }
            LedgerEntry::Revoked { serials, at, list } => {
                for serial in serials {
                    self.revoked.entry(serial).or_insert(at);
                }
                self.list_number = self.list_number.max(list);
            }
            LedgerEntry::Token(token) => self.tokens.push(token),
        }
    }

    /// Certificates issued, by serial.
    pub fn issued(&self) -> impl Iterator<Item = &IssuedCertificate> {
        self.issued.values()
    }

    /// When a certificate was revoked.
    #[must_use]
    pub fn revoked_at(&self, serial: &Serial) -> Option<WallMs> {
        self.revoked.get(serial).copied()
    }

    /// Tokens that may still be used, each with the uses left.
    pub fn tokens(&self, now: WallMs) -> impl Iterator<Item = (&TokenRecord, u32)> {
        let live = self
            .tokens
            .iter()
            .filter(move |token| token.order.expires > now);
        live.map(|token| (token, self.uses_left(token)))
    }

    /// Number of the newest list; 0: there is none.
    #[must_use]
    pub const fn list_number(&self) -> u64 {
        self.list_number
    }

    /// What the next list holds: revoked certificates that would be valid still.
    #[must_use]
    pub fn listed(&self, now: WallMs) -> Vec<(Serial, WallMs)> {
        let is_needed = |serial: &Serial| {
            let end = self
                .issued
                .get(serial)
                .map_or(i64::MAX, |issued| issued.not_after.0);
            end.saturating_add(LISTED_AFTER_END_MS) > now.0
        };
        let revoked = self.revoked.iter().filter(|(serial, _)| is_needed(serial));
        revoked.map(|(serial, at)| (serial.clone(), *at)).collect()
    }

    /// Certificates that a word of the operator means: a serial, an identity, the name of a node.
    /// Only those that are valid still and not revoked yet.
    #[must_use]
    pub fn named(&self, word: &str, now: WallMs) -> Vec<&IssuedCertificate> {
        let serial: Option<Serial> = word.parse().ok();
        let exact = serial.and_then(|serial| self.issued.get(&serial));
        let is_live = |issued: &&IssuedCertificate| {
            issued.not_after > now && !self.revoked.contains_key(&issued.serial)
        };
        if exact.is_some() {
            return exact.into_iter().filter(is_live).collect();
        }
        let identity: Option<NodeIdentity> = word.parse().ok();
        let is_meant = |issued: &&IssuedCertificate| match &identity {
            Some(identity) => issued.identity == *identity,
            None => issued.identity.node == word,
        };
        self.issued
            .values()
            .filter(is_meant)
            .filter(is_live)
            .collect()
    }

    /// Whether a request is granted, and what. Pure: the caller signs and writes it down before it
    /// answers.
    ///
    /// # Errors
    /// [`SignRefused`], for the asking node and the audit.
    pub fn decide(
        &self,
        authority: &Authority,
        request: &CertificateRequest,
        proof: Proof<'_>,
        (now, serial): (WallMs, Serial),
    ) -> Result<(Grant, Option<String>), SignRefused> {
        match proof {
            Proof::Token(text) => {
                let token = find(&self.tokens, text).ok_or(SignRefused::UnknownToken)?;
                let grant = self.by_token(authority, request, token, (now, serial))?;
                Ok((grant, Some(token.id.clone())))
            }
            Proof::Certificate(peer) => Ok((
                self.by_certificate(authority, request, peer, (now, serial))?,
                None,
            )),
        }
    }

    fn by_token(
        &self,
        authority: &Authority,
        request: &CertificateRequest,
        token: &TokenRecord,
        (now, serial): (WallMs, Serial),
    ) -> Result<Grant, SignRefused> {
        let id = token.id.clone();
        let order = &token.order;
        if order.expires <= now {
            return Err(SignRefused::ExpiredToken { id });
        }
        if self.uses_left(token) == 0 {
            return Err(SignRefused::UsedToken { id });
        }
        let asked = request.asked();
        let node = order
            .node
            .as_deref()
            .or(asked.map(|asked| asked.node.as_str()));
        let node = node.ok_or_else(|| SignRefused::NoNode {
            tier: order.tier,
            name: order.name.clone(),
        })?;
        let identity = NodeIdentity::new(authority.mesh(), order.tier, &order.name, node)?;
        check_asked(asked, &identity)?;
        if order.node.is_none() {
            self.check_free(&identity, now)?;
        }
        let life_ms = i64::from(order.days) * DAY_MS;
        Ok(Grant {
            scope: scope_of(&identity, &order.speaks_for)?,
            identity,
            serial,
            not_before: begin_of(now, life_ms),
            not_after: WallMs(now.0.saturating_add(life_ms)),
        })
    }

    /// A token that many may use must not take the name of a node that lives.
    fn check_free(&self, identity: &NodeIdentity, now: WallMs) -> Result<(), SignRefused> {
        match self.named(&identity.to_string(), now).first() {
            None => Ok(()),
            Some(holder) => Err(SignRefused::Taken {
                identity: identity.clone(),
                serial: holder.serial.clone(),
            }),
        }
    }

    fn by_certificate(
        &self,
        authority: &Authority,
        request: &CertificateRequest,
        peer: &PeerIdentity,
        (now, serial): (WallMs, Serial),
    ) -> Result<Grant, SignRefused> {
        let identity = peer.identity.clone();
        if !authority.is_issuer_of(peer) || identity.mesh != authority.mesh() {
            return Err(SignRefused::OtherAuthority { identity });
        }
        if self.revoked.contains_key(&peer.serial) {
            let serial = peer.serial.clone();
            return Err(SignRefused::Revoked { serial });
        }
        if peer.not_after_ms <= now.0 {
            return Err(SignRefused::Expired { identity });
        }
        check_asked(request.asked(), &identity)?;
        let life_ms = peer.not_after_ms.saturating_sub(peer.not_before_ms);
        let not_before = begin_of(now, life_ms);
        Ok(Grant {
            identity,
            scope: peer.scope.clone(),
            serial,
            not_before,
            not_after: WallMs(not_before.0.saturating_add(life_ms)),
        })
    }

    fn uses_left(&self, token: &TokenRecord) -> u32 {
        let used = self.uses.get(&token.id).copied().unwrap_or(0);
        token.order.uses.saturating_sub(used)
    }
}

fn check_asked(asked: Option<&NodeIdentity>, granted: &NodeIdentity) -> Result<(), SignRefused> {
    match asked.filter(|asked| *asked != granted) {
        None => Ok(()),
        Some(asked) => Err(SignRefused::OtherIdentity {
            asked: asked.to_string(),
            granted: granted.to_string(),
        }),
    }
}

/// The scope of an order: what it says, else the own name for a site, all for who forwards.
///
/// # Errors
/// [`SiteScopeError`].
pub fn scope_of(
    identity: &NodeIdentity,
    speaks_for: &[String],
) -> Result<SiteScope, SiteScopeError> {
    match (speaks_for.is_empty(), identity.tier) {
        (false, _) => SiteScope::of_sites(speaks_for.iter().map(String::as_str)),
        (true, Tier::Site) => Ok(SiteScope::of_site(&identity.name)),
        (true, Tier::Region | Tier::Global) => Ok(SiteScope::Every),
    }
}
