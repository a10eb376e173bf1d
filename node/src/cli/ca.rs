//! `ocelli ca`: the authority of a mesh, by hand: roots, certificates, tokens, revocation.
//!
//! Does: read arguments, call the authority, write files, say what comes next. Does not: decide or
//! sign (`ocelli_federation::identity`).
//! In: the command line. Out: files; a token or a piece of configuration on stdout.
//! A private key is written with mode 0600 and never printed; one that is there is used again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ocelli_config::quoted;
use ocelli_federation::identity::{
    AuthorityDirectory, CertificateRequest, DirectoryError, IssueOrder, IssuedCertificate, Ledger,
    NodeIdentity, NodeKey, PeerIdentity, TokenOrder, Validity, pem, write_certificate, write_key,
};
use ocelli_model::clock::{Clock as _, WallMs};
use ocelli_model::rfc3339::rfc3339_of;
use ocelli_model::secret::Secret;
use ocelli_model::units::parse_duration;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::output::{Column, Listing, Streams, column, wide};
use crate::clock::RealClock;
use crate::rng::RealRng;

mod arguments;

pub(crate) use arguments::CaCommand;
use arguments::{
    InitArgs, IssueArgs, ListArgs, Place, RequestArgs, RevokeArgs, ShowArgs, TokenArgs, Whom,
};

/// Columns of `ca list`.
const COLUMNS: &[Column] = &[
    column("SERIAL", "serial"),
    column("TIER", "tier"),
    column("NAME", "name"),
    column("NODE", "node"),
    column("STATE", "state"),
    column("NOT AFTER", "not_after"),
    wide("SPEAKS FOR", "speaks_for"),
    wide("NOT BEFORE", "not_before"),
    wide("TOKEN", "token"),
    wide("FINGERPRINT", "fingerprint"),
];

/// Runs `ocelli ca …`.
pub(crate) fn run(command: CaCommand, streams: &mut Streams) -> Result<Exit, Failure> {
    let now = RealClock.wall();
    match command {
        CaCommand::Init(args) => init(&args, now, streams),
        CaCommand::Issue(args) => issue(&args, now, streams),
        CaCommand::Request(args) => request(&args, streams),
        CaCommand::Token(args) => token(args, now, streams),
        CaCommand::Revoke(args) => revoke(&args, now, streams),
        CaCommand::List(args) => list(&args, now, streams),
        CaCommand::Show(args) => show(&args, now, streams),
    }
}

fn init(args: &InitArgs, now: WallMs, streams: &mut Streams) -> Result<Exit, Failure> {
    let (dir, mut rng) = (&args.place.dir, RealRng::default());
    let made = AuthorityDirectory::init(dir, &args.mesh, args.days, (now, &mut rng));
    let made = made.map_err(|error| failure(&error))?;
    let end = rfc3339_of(WallMs(made.authority().not_after_ms()));
    let dir = dir.display();
    streams.say(format!(
        "root of mesh {:?} in {dir}/root.pem, until {end}",
        args.mesh
    ));
    streams.say(format!(
        "keep {dir}/root-key.pem secret and backed up: it signs every node"
    ));
    streams.say("next: ocelli ca issue --tier region --name NAME --node NODE");
    Ok(Exit::Done)
}

fn issue(args: &IssueArgs, now: WallMs, streams: &mut Streams) -> Result<Exit, Failure> {
    let directory = open(&args.place)?;
    let mesh = directory.authority().mesh();
    let identity = identity(mesh, &args.whom, &args.node)?;
    let files = Files::of(&args.out, &args.node)?;
    let day = Duration::from_secs(86_400);
    let valid_for = match &args.valid_for {
        Some(text) => parse_duration(text).map_err(usage)?,
        None => day.saturating_mul(args.days),
    };
    let order = IssueOrder {
        identity,
        speaks_for: args.speaks_for.clone(),
        valid_for,
    };
    let mut rng = RealRng::default();
    let issued = match &args.csr {
        Some(path) => {
            let request = read_request(path, &order.identity)?;
            directory.issue_for(&request, order, (now, &mut rng))
        }
        None => directory.issue_with_key(&key(&files.key)?, order, (now, &mut rng)),
    };
    let issued = issued.map_err(|error| failure(&error))?;
    write_certificate(&files.certificate, issued.certificate_pem.as_bytes()).map_err(failed)?;
    let (peer, end) = (&issued.peer, rfc3339_of(WallMs(issued.peer.not_after_ms)));
    streams.say(format!(
        "{} speaks for {}, until {end}",
        peer.identity, peer.scope
    ));
    if args.csr.is_some() {
        streams.say("the key stays where the request was made: correct `key` below");
    }
    streams.print(&snippet(&files, &args.place.dir))?;
    Ok(Exit::Done)
}

fn request(args: &RequestArgs, streams: &mut Streams) -> Result<Exit, Failure> {
    let identity = identity(&args.mesh, &args.whom, &args.node)?;
    let files = Files::of(&args.out, &args.node)?;
    let der = key(&files.key)?.request(&identity).map_err(failed)?;
    let text = pem::encode("CERTIFICATE REQUEST", &der);
    write_certificate(&files.request, text.as_bytes()).map_err(failed)?;
    streams.say(format!(
        "request for {identity}; the key stays in {}",
        files.key.display()
    ));
    streams.print(&format!("{}\n", files.request.display()))?;
    Ok(Exit::Done)
}

fn token(args: TokenArgs, now: WallMs, streams: &mut Streams) -> Result<Exit, Failure> {
    let directory = open(&args.place)?;
    let ttl = parse_duration(&args.ttl).map_err(usage)?;
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
    let expires = WallMs(now.0.saturating_add(ttl_ms));
    let order = TokenOrder {
        tier: args.whom.tier,
        name: args.whom.name,
        node: args.node,
        speaks_for: args.speaks_for,
        uses: args.uses,
        expires,
        days: args.days,
    };
    let made = directory.token(order, (now, &mut RealRng::default()));
    let text = made.map_err(|error| failure(&error))?;
    let uses = args.uses;
    streams.say(format!(
        "good for {uses} certificate(s), until {}",
        rfc3339_of(expires)
    ));
    // The one place where a token is printed: it is what was asked for.
    streams.print(&format!("{}\n", text.expose()))?;
    Ok(Exit::Done)
}

fn revoke(args: &RevokeArgs, now: WallMs, streams: &mut Streams) -> Result<Exit, Failure> {
    let directory = open(&args.place)?;
    let revoked = directory
        .revoke(&args.what, now)
        .map_err(|error| failure(&error))?;
    for one in &revoked {
        streams.print(&format!("{} {}\n", one.serial, one.identity))?;
    }
    let list = args.place.dir.join("crl.pem");
    streams.say(format!("revoked; the new list is {}", list.display()));
    streams.say("an issuing node spreads it by itself; elsewhere set identity.crl and reload");
    Ok(Exit::Done)
}

fn list(args: &ListArgs, now: WallMs, streams: &mut Streams) -> Result<Exit, Failure> {
    let ledger = open(&args.place)?
        .ledger()
        .map_err(|error| failure(&error))?;
    let items: Vec<Value> = ledger.issued().map(|one| item(&ledger, one, now)).collect();
    let listing = Listing {
        columns: COLUMNS,
        items: &items,
        document: None,
    };
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}

fn item(ledger: &Ledger, one: &IssuedCertificate, now: WallMs) -> Value {
    let revoked = ledger.revoked_at(&one.serial);
    let state = match revoked {
        Some(_) => "revoked",
        None => state_of(Validity::between((one.not_before, one.not_after), now)),
    };
    json!({
        "serial": one.serial,
        "identity": one.identity.to_string(),
        "tier": one.identity.tier,
        "name": one.identity.name,
        "node": one.identity.node,
        "state": state,
        "not_before": rfc3339_of(one.not_before),
        "not_after": rfc3339_of(one.not_after),
        "revoked": revoked.map(rfc3339_of),
        "speaks_for": one.speaks_for,
        "token": one.token,
        "fingerprint": one.fingerprint,
    })
}

fn show(args: &ShowArgs, now: WallMs, streams: &mut Streams) -> Result<Exit, Failure> {
    let item = match &args.certificate {
        Some(path) => certificate_item(&read_certificate(path)?, now),
        None => authority_item(&open(&args.place)?, now)?,
    };
    let fields: Vec<Value> = item
        .as_object()
        .into_iter()
        .flatten()
        .map(|(field, value)| json!({ "field": field, "value": value }))
        .collect();
    let columns = &[column("FIELD", "field"), wide("VALUE", "value")];
    let columns = &[
        columns[0],
        Column {
            is_wide: false,
            ..columns[1]
        },
    ];
    let listing = Listing {
        columns,
        items: &fields,
        document: Some(&item),
    };
    streams.list(args.output.format, &listing)?;
    Ok(Exit::Done)
}

fn certificate_item(peer: &PeerIdentity, now: WallMs) -> Value {
    json!({
        "identity": peer.identity.to_string(),
        "speaks_for": peer.scope.to_string(),
        "serial": peer.serial,
        "state": state_of(Validity::of(peer, now)),
        "not_before": rfc3339_of(WallMs(peer.not_before_ms)),
        "not_after": rfc3339_of(WallMs(peer.not_after_ms)),
        "fingerprint": peer.fingerprint_hex(),
    })
}

fn authority_item(directory: &AuthorityDirectory, now: WallMs) -> Result<Value, Failure> {
    let ledger = directory.ledger().map_err(|error| failure(&error))?;
    let authority = directory.authority();
    let tokens: Vec<Value> = ledger
        .tokens(now)
        .map(|(token, uses_left)| {
            let order = &token.order;
            json!({
                "id": token.id,
                "tier": order.tier,
                "name": order.name,
                "node": order.node,
                "expires": rfc3339_of(order.expires),
                "uses_left": uses_left,
            })
        })
        .collect();
    Ok(json!({
        "mesh": authority.mesh(),
        "root_not_after": rfc3339_of(WallMs(authority.not_after_ms())),
        "certificates": ledger.issued().count(),
        "revocation_list": ledger.list_number(),
        "revoked": ledger.listed(now).len(),
        "tokens": tokens,
    }))
}

const fn state_of(validity: Validity) -> &'static str {
    match validity {
        Validity::NotYet { .. } => "not_yet_valid",
        Validity::Sound { .. } => "valid",
        Validity::EndsSoon { .. } => "ends_soon",
        Validity::Expired { .. } => "expired",
    }
}

// === Files ===

/// The files of one node.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    request: PathBuf,
}

impl Files {
    /// The node's name becomes part of a path: it must not lead elsewhere.
    fn of(out: &Path, node: &str) -> Result<Self, Failure> {
        if node.contains('/') || node.starts_with('.') {
            let text = format!("{node:?} cannot be the name of a file");
            return Err(Failure::new(Exit::Usage, text).hint("choose a name without / and first ."));
        }
        std::fs::create_dir_all(out).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot make {}: {error}", out.display()),
            )
        })?;
        Ok(Self {
            certificate: out.join(format!("{node}.pem")),
            key: out.join(format!("{node}-key.pem")),
            request: out.join(format!("{node}.csr")),
        })
    }
}

/// The key of a file; a new one where there is none.
fn key(path: &Path) -> Result<NodeKey, Failure> {
    if path.exists() {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("cannot read {}: {error}", path.display()),
            )
        })?;
        return NodeKey::from_pem(&Secret::new(text)).map_err(failed);
    }
    let key = NodeKey::generate().map_err(failed)?;
    write_key(path, &key.to_pem()).map_err(failed)?;
    Ok(key)
}

fn read_request(path: &Path, identity: &NodeIdentity) -> Result<CertificateRequest, Failure> {
    let bytes = read(path)?;
    let request = CertificateRequest::parse(&bytes).map_err(failed)?;
    match request.asked().filter(|asked| *asked != identity) {
        None => Ok(request),
        Some(asked) => {
            let text = format!("{} asks for {asked}, not {identity}", path.display());
            Err(Failure::new(Exit::Usage, text)
                .hint("give the tier, name and node that it asks for"))
        }
    }
}

fn read_certificate(path: &Path) -> Result<PeerIdentity, Failure> {
    let bytes = read(path)?;
    let der = CertificateDer::from_pem_slice(&bytes);
    let der = der.map_err(|error| {
        Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
            .hint("give a certificate in PEM")
    })?;
    PeerIdentity::from_certificate(&der).map_err(failed)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("cannot read {}: {error}", path.display()))
    })
}

/// The section for the node's configuration, with paths that hold wherever it is started.
fn snippet(files: &Files, dir: &Path) -> String {
    let shown = |path: &Path| {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        quoted(&whole.display().to_string())
    };
    format!(
        "[identity]\ncertificate = {}\nkey = {}\nroots = [{}]\ncrl = {}\n",
        shown(&files.certificate),
        shown(&files.key),
        shown(&dir.join("root.pem")),
        shown(&dir.join("crl.pem")),
    )
}

fn open(place: &Place) -> Result<AuthorityDirectory, Failure> {
    if !place.dir.join("root.pem").exists() {
        let text = format!("no authority in {}", place.dir.display());
        return Err(Failure::new(Exit::NotFound, text)
            .hint("make one with `ocelli ca init --mesh NAME --dir DIRECTORY`, or give --dir"));
    }
    AuthorityDirectory::open(&place.dir).map_err(|error| failure(&error))
}

fn identity(mesh: &str, whom: &Whom, node: &str) -> Result<NodeIdentity, Failure> {
    NodeIdentity::new(mesh, whom.tier, &whom.name, node).map_err(usage)
}

fn failure(error: &DirectoryError) -> Failure {
    let exit = match error {
        DirectoryError::NothingNamed { .. } => Exit::NotFound,
        DirectoryError::Ambiguous { .. } | DirectoryError::Refused(_) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, error)
}

#[cfg(test)]
#[path = "ca_tests.rs"]
mod tests;
