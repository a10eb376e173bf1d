//! The issuer of a mesh as a service: answers requests for certificates.
//!
//! Does: sign on the blocking pool, one request at a time; answer or refuse, log each; take up
//! what `ocelli ca revoke` wrote within 5 s. Does not: decide (`identity::Ledger`), listen.
//! In: [`Signings`] of the endpoint, an authority's directory, time and chance. Out: certificates,
//! refusals with their reason, the newest list in the node's own identity.
//! What is the issuer's own fault is told to the node without details, and logged here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::{Clock, Monotonic, Rng};
use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::identity::{AuthorityDirectory, DirectoryError, IdentityStore, Issued, Proof};
use crate::link::{SigningOffer, Signings};

/// How often the authority's directory is looked at for a new revocation list.
const LOOK: Duration = Duration::from_secs(5);
/// As HTTP has them.
const MALFORMED: u16 = 400;
const FORBIDDEN: u16 = 403;
const OWN_FAULT: u16 = 500;

/// What an issuer needs.
pub struct IssuerOptions {
    /// The authority, as `ca.dir` names it.
    pub authority: Arc<AuthorityDirectory>,
    /// The node's own identity, which learns of revocations first.
    pub identity: Arc<IdentityStore>,
    /// The node's.
    pub clock: Arc<dyn Clock>,
    /// For serial numbers: unpredictable.
    pub rng: Box<dyn Rng>,
}

type SharedRng = Arc<Mutex<Box<dyn Rng>>>;

/// Answers until the endpoint has stopped.
pub async fn run_issuer(mut signings: Signings, options: IssuerOptions) {
    let IssuerOptions {
        authority,
        identity,
        clock,
        rng,
    } = options;
    let rng: SharedRng = Arc::new(Mutex::new(rng));
    let mut look_at = Monotonic::default();
    loop {
        if clock.monotonic() >= look_at {
            look_at = clock.monotonic().after(LOOK);
            take_up(&authority, &identity).await;
        }
        tokio::select! {
            offer = signings.next() => match offer {
                Some(offer) => answer(offer, &authority, (&clock, &rng)).await,
                None => return,
            },
            () = clock.sleep_until(look_at) => {}
        }
    }
}

/// Takes the list of the directory, which may be newer than what this node knows.
async fn take_up(authority: &Arc<AuthorityDirectory>, identity: &IdentityStore) {
    let directory = Arc::clone(authority);
    let list = tokio::task::spawn_blocking(move || directory.written_list()).await;
    match list {
        Ok(Ok(list)) => {
            if let Err(error) = identity.accept_revocations(&list) {
                warn!(%error, "revocation list of the own authority not taken");
            }
        }
        Ok(Err(error)) => warn!(%error, "revocation list of the own authority cannot be read"),
        Err(error) => warn!(%error, "reading the revocation list ended"),
    }
}

async fn answer(
    offer: SigningOffer,
    authority: &Arc<AuthorityDirectory>,
    (clock, rng): (&Arc<dyn Clock>, &SharedRng),
) {
    let from = offer.remote_address();
    let peer = offer.peer().map(|peer| peer.identity.to_string());
    let peer = peer.unwrap_or_else(|| "a node without a certificate".to_owned());
    let (directory, rng) = (Arc::clone(authority), Arc::clone(rng));
    let now = clock.wall();
    let signing = tokio::task::spawn_blocking(move || {
        let signed = sign(&offer, &directory, (now, &mut **rng.lock()));
        (offer, signed)
    });
    let (offer, signed) = match signing.await {
        Ok(signed) => signed,
        Err(failure) => return error!(%from, error = %failure, "signing ended"),
    };
    match signed {
        Ok(issued) => {
            let (identity, serial) = (issued.peer.identity, issued.peer.serial);
            info!(%from, %peer, %identity, %serial, "certificate issued");
            let told = offer.grant(Bytes::from(issued.certificate_pem)).await;
            if let Err(closed) = told {
                warn!(%from, %serial, error = %closed, "certificate did not arrive");
            }
        }
        Err(refused) => {
            let (code, reason) = told_of(&refused);
            match code {
                OWN_FAULT => error!(%from, %peer, error = %refused, "certificate not issued"),
                _ => warn!(%from, %peer, error = %refused, "certificate refused"),
            }
            offer.refuse(code, &reason).await;
        }
    }
}

/// A token counts before the certificate of the connection: with it a node may take another name.
fn sign(
    offer: &SigningOffer,
    authority: &AuthorityDirectory,
    (now, rng): (ocelli_model::clock::WallMs, &mut dyn Rng),
) -> Result<Issued, DirectoryError> {
    let request = offer.request();
    let proof = match (&request.token, offer.peer()) {
        (Some(token), _) => Proof::Token(token.expose()),
        (None, Some(peer)) => Proof::Certificate(peer),
        // The endpoint offers none such.
        (None, None) => return Err(crate::identity::SignRefused::UnknownToken.into()),
    };
    authority.sign(&request.csr, proof, (now, rng))
}

fn told_of(error: &DirectoryError) -> (u16, String) {
    match error {
        DirectoryError::Refused(refused) => (FORBIDDEN, refused.to_string()),
        DirectoryError::Authority(wrong) => (MALFORMED, wrong.to_string()),
        _ => {
            let reason = "this issuer cannot sign now; its log says why, ask again later";
            (OWN_FAULT, reason.to_owned())
        }
    }
}
