//! Real handshakes, both ends in memory: each refusal, two roots, reload, revocation, joining.

use ocelli_model::clock::WallMs;
use ocelli_model::tier::Tier;
use rustls::{ClientConnection, ServerConnection};

use super::*;
use crate::identity::joining::{NodeKey, joining_config};
use crate::identity::test_mesh::{NOW, TestMesh, TestTime, store};
use crate::identity::{
    Applied, DAY_MS, IdentityError, IdentityMaterial, NodeIdentity, PeerIdentity, RevocationError,
    TrustError, backdated,
};

/// What each end saw: its peer's chain, or its own error.
type Outcome = Result<Vec<CertificateDer<'static>>, Error>;

/// Rounds of bytes after which a handshake has ended, one way or the other.
const ROUNDS_MAX: usize = 20;

fn handshake(client: ClientConfig, server: ServerConfig) -> (Outcome, Outcome) {
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let (mut dialler, mut acceptor) = (Ok(()), Ok(()));
    for _ in 0..ROUNDS_MAX {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        acceptor = acceptor.and(server.process_new_packets().map(drop));
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        dialler = dialler.and(client.process_new_packets().map(drop));
    }
    let chain = |certificates: Option<&[CertificateDer<'static>]>| certificates.unwrap().to_vec();
    let dialler = dialler.map(|()| {
        assert!(!client.is_handshaking());
        assert_eq!(client.alpn_protocol(), Some(ALPN));
        chain(client.peer_certificates())
    });
    (
        dialler,
        acceptor.map(|()| chain(server.peer_certificates())),
    )
}

/// The handshake of two stores where the dialler wants `expected`.
fn meet(
    dialler: &Arc<IdentityStore>,
    acceptor: &Arc<IdentityStore>,
    expected: Expected,
) -> (Outcome, Outcome) {
    let client = dialler.client_config(expected).unwrap();
    handshake(client, acceptor.server_config(Admission::Nodes).unwrap())
}

#[track_caller]
fn refused_as(outcome: &Outcome, expected: &str) {
    let error = outcome.as_ref().unwrap_err();
    let refused = refusal_of(error).unwrap_or_else(|| panic!("not ours: {error}"));
    assert_eq!(refused.name(), expected, "{refused}");
    // The text that quinn sends to the other end has the reason and the remedy.
    assert!(error.to_string().contains(&refused.to_string()), "{error}");
}

fn site_and_region() -> (TestMesh, IdentityMaterial, IdentityMaterial) {
    let mut mesh = TestMesh::new("acme", 1);
    let site = mesh.node(Tier::Site, "dc1", "a");
    let region = mesh.node(Tier::Region, "emea", "r");
    (mesh, site, region)
}

#[test]
fn two_nodes_of_a_mesh_meet_and_know_each_other() {
    let (_, site, region) = site_and_region();
    let (site, region) = (store(&site), store(&region));
    let (dialler, acceptor) = meet(&site, &region, Expected::Upstream);
    let above = PeerIdentity::from_certificate(&dialler.unwrap()[0]).unwrap();
    let below = PeerIdentity::from_certificate(&acceptor.unwrap()[0]).unwrap();
    assert_eq!(above, *region.own());
    assert_eq!(below, *site.own());
    assert!(below.scope.allows("dc1") && !below.scope.allows("dc2"));
    assert!(region.refusals().is_empty() && site.refusals().is_empty());
}

#[test]
fn a_certificate_of_another_authority_is_refused_by_both_ends() {
    let (_, site, region) = site_and_region();
    let stranger = TestMesh::new("acme", 2).node(Tier::Site, "dc1", "a");
    let (site, region, stranger) = (store(&site), store(&region), store(&stranger));
    let (dialler, _) = meet(&stranger, &region, Expected::Upstream);
    refused_as(&dialler, "wrong_authority");
    // A dialler that believes everyone still does not get in.
    let mut fooled = TestMesh::new("acme", 2).node(Tier::Site, "dc1", "a");
    fooled.roots.extend(site_and_region_roots(&region));
    let (_, acceptor) = meet(&store(&fooled), &region, Expected::Upstream);
    refused_as(&acceptor, "wrong_authority");
    assert_eq!(region.refusals().get("wrong_authority"), Some(&1));
    assert!(
        meet(&site, &region, Expected::Upstream).1.is_ok(),
        "others are undisturbed"
    );
}

/// The roots that a store trusts, as PEM.
fn site_and_region_roots(store: &IdentityStore) -> Vec<Vec<u8>> {
    let roots = store.trust();
    let pem = |der: &Vec<u8>| crate::identity::pem::encode("CERTIFICATE", der).into_bytes();
    roots.roots().iter().map(pem).collect()
}

#[test]
fn certificates_out_of_their_time_are_refused_by_both_ends() {
    let mut mesh = TestMesh::new("acme", 1);
    let region = store(&mesh.node(Tier::Region, "emea", "r"));
    let mut of_days = |from: i64, to: i64| {
        let identity = NodeIdentity::new("acme", Tier::Site, "dc1", "a").unwrap();
        let at = |days: i64| WallMs(NOW.0 + days * DAY_MS);
        store(&mesh.issue(identity, (at(from), at(to))))
    };
    for (from, to, expected) in [(-9, -1, "expired"), (1, 9, "not_yet_valid")] {
        let site = of_days(from, to);
        refused_as(&meet(&site, &region, Expected::Upstream).1, expected);
        refused_as(&meet(&region, &site, Expected::Anyone).0, expected);
    }
}

#[test]
fn a_certificate_that_ends_while_the_node_runs_is_refused_from_then_on() {
    let (_, site, region) = site_and_region();
    let time = TestTime::at(NOW);
    let region = IdentityStore::new(&region, Arc::clone(&time) as Arc<_>).unwrap();
    let site = store(&site);
    let chain = meet(&site, &region, Expected::Upstream).1.unwrap();
    assert!(region.check(&chain, &Expected::Anyone).is_ok());
    time.set(WallMs(NOW.0 + 91 * DAY_MS));
    let error = region.check(&chain, &Expected::Anyone).unwrap_err();
    assert_eq!(error.name(), "expired");
    refused_as(&meet(&site, &region, Expected::Upstream).1, "expired");
}

#[test]
fn a_revoked_node_is_out_at_once_and_its_live_connections_show() {
    let (mesh, site, region) = site_and_region();
    let (site, region) = (store(&site), store(&region));
    let chain = meet(&site, &region, Expected::Upstream).1.unwrap();
    let changes = region.changes();
    let list = mesh.list(7, &[site.own().serial.clone()]);
    assert_eq!(
        region.accept_revocations(&list),
        Ok(Applied::New { number: 7 })
    );
    assert!(changes.has_changed().unwrap());
    let error = region.check(&chain, &Expected::Anyone).unwrap_err();
    assert_eq!(error.name(), "revoked");
    refused_as(&meet(&site, &region, Expected::Upstream).1, "revoked");
    refused_as(&meet(&region, &site, Expected::Anyone).0, "revoked");
    assert_eq!(region.accept_revocations(&list), Ok(Applied::Held));
    let older = region.accept_revocations(&mesh.list(6, &[]));
    assert_eq!(older, Err(RevocationError::Backwards { found: 6, held: 7 }));
    let foreign = TestMesh::new("acme", 3).list(9, &[]);
    assert_eq!(
        region.accept_revocations(&foreign),
        Err(RevocationError::Untrusted)
    );
}

#[test]
fn nodes_of_another_mesh_tier_or_name_are_refused_with_their_reason() {
    let (mut mesh, site, region) = site_and_region();
    let root = |mesh: &TestMesh| mesh.authority.root_pem().as_bytes().to_vec();
    let mut other = TestMesh::new("other", 5);
    let mut foreign = other.node(Tier::Region, "emea", "r");
    foreign.roots.push(root(&mesh));
    let mut site = site;
    site.roots.push(root(&other));
    let (site, region, foreign) = (store(&site), store(&region), store(&foreign));
    let second = store(&mesh.node(Tier::Site, "dc2", "b"));
    let same = store(&mesh.node(Tier::Site, "dc1", "c"));
    refused_as(&meet(&site, &foreign, Expected::Upstream).0, "wrong_mesh");
    refused_as(&meet(&site, &second, Expected::Upstream).0, "wrong_tier");
    refused_as(&meet(&site, &region, Expected::Peer).0, "wrong_tier");
    refused_as(&meet(&region, &site, Expected::Upstream).0, "wrong_tier");
    refused_as(&meet(&site, &second, Expected::SameGroup).0, "wrong_node");
    let wanted = Expected::Node(site.own().identity.clone());
    refused_as(&meet(&site, &region, wanted.clone()).0, "wrong_node");
    assert!(meet(&region, &site, wanted).0.is_ok());
    assert!(meet(&site, &same, Expected::SameGroup).0.is_ok());
    let peer = store(&mesh.node(Tier::Region, "emea", "r2"));
    assert!(meet(&region, &peer, Expected::Peer).0.is_ok());
    assert!(
        meet(&region, &peer, Expected::Upstream).0.is_ok(),
        "a tier may be repeated"
    );
}

#[test]
fn a_node_without_certificate_or_with_the_wrong_protocol_is_refused() {
    let (_, site, region) = site_and_region();
    let (site, region) = (store(&site), store(&region));
    let server = || region.server_config(Admission::Nodes).unwrap();
    let mut silent = site.client_config(Expected::Anyone).unwrap();
    silent.client_auth_cert_resolver = Arc::new(NoCertificate);
    let (_, acceptor) = handshake(silent, server());
    assert_eq!(acceptor.unwrap_err(), Error::NoCertificatesPresented);
    let mut other = site.client_config(Expected::Anyone).unwrap();
    other.alpn_protocols = vec![b"h3".to_vec()];
    assert_eq!(
        handshake(other, server()).1.unwrap_err(),
        Error::NoApplicationProtocol
    );
    let key = NodeKey::generate().unwrap();
    let roots = site_and_region_roots(&region);
    let joining = joining_config(&key, "acme", &roots, TestTime::at(NOW)).unwrap();
    // No root signed it, so it is of the wrong authority before anything else about it counts.
    let error = handshake(joining, server()).1.unwrap_err();
    assert!(refusal_of(&error).is_some(), "{error}");
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_joining_node_reaches_an_issuer_of_its_mesh_alone() {
    let (_, _, region) = site_and_region();
    let region = store(&region);
    let roots = site_and_region_roots(&region);
    let server = || region.server_config(Admission::NodesAndJoining).unwrap();
    let key = NodeKey::generate().unwrap();
    let config = |mesh: &str, roots: &[Vec<u8>]| {
        joining_config(&key, mesh, roots, TestTime::at(NOW)).unwrap()
    };
    let (dialler, acceptor) = handshake(config("acme", &roots), server());
    assert!(dialler.is_ok());
    let chain = acceptor.unwrap();
    assert!(region.is_joining(&chain));
    assert!(
        region.check(&chain, &Expected::Anyone).is_err(),
        "it is no node yet"
    );
    refused_as(
        &handshake(config("other", &roots), server()).0,
        "wrong_mesh",
    );
    let stranger = TestMesh::new("acme", 9)
        .authority
        .root_pem()
        .as_bytes()
        .to_vec();
    refused_as(
        &handshake(config("acme", &[stranger]), server()).0,
        "wrong_authority",
    );
}

#[test]
fn roots_are_exchanged_without_an_interruption() {
    let (mut old, site, region) = site_and_region();
    let mut new = TestMesh::new("acme", 8);
    let both = || {
        let root = |mesh: &TestMesh| mesh.authority.root_pem().as_bytes().to_vec();
        vec![root(&old), root(&new)]
    };
    let with = |mut material: IdentityMaterial, roots: Vec<Vec<u8>>| {
        material.roots = roots;
        material
    };
    let (site_store, region_store) = (store(&site), store(&region));
    let meets = || {
        let (dialler, acceptor) = meet(&site_store, &region_store, Expected::Upstream);
        dialler.is_ok() && acceptor.is_ok()
    };
    // Both roots everywhere, then new certificates one by one, then the old root leaves.
    region_store.replace(&with(region.clone(), both())).unwrap();
    assert!(meets());
    site_store.replace(&with(site, both())).unwrap();
    assert!(meets());
    let only_new = vec![new.authority.root_pem().as_bytes().to_vec()];
    let roots = both();
    let renewed = new.node(Tier::Site, "dc1", "a");
    site_store
        .replace(&with(renewed.clone(), roots.clone()))
        .unwrap();
    assert!(meets());
    let renewed_region = new.node(Tier::Region, "emea", "r");
    region_store.replace(&with(renewed_region, roots)).unwrap();
    assert!(meets());
    site_store.replace(&with(renewed, only_new)).unwrap();
    assert!(meets());
    let behind = store(&old.node(Tier::Region, "emea", "r"));
    refused_as(
        &meet(&site_store, &behind, Expected::Upstream).0,
        "wrong_authority",
    );
}

#[test]
fn a_reload_shows_in_the_next_handshake_of_the_same_configuration() {
    let (mut mesh, site, region) = site_and_region();
    let (site, region) = (store(&site), store(&region));
    let server = region.server_config(Admission::Nodes).unwrap();
    let client = site.client_config(Expected::Upstream).unwrap();
    let serial = |outcome: Outcome| {
        PeerIdentity::from_certificate(&outcome.unwrap()[0])
            .unwrap()
            .serial
    };
    let before = serial(handshake(client.clone(), server.clone()).0);
    region
        .replace(&mesh.node(Tier::Region, "emea", "r"))
        .unwrap();
    site.replace(&mesh.node(Tier::Site, "dc1", "a")).unwrap();
    let (dialler, acceptor) = handshake(client, server);
    assert_ne!(serial(dialler), before);
    assert_eq!(serial(acceptor), site.own().serial);
}

#[test]
fn a_reload_keeps_the_lists_in_force_and_a_failed_one_changes_nothing() {
    let (mut mesh, site, region) = site_and_region();
    let store = store(&region);
    let list = mesh.list(3, &[]);
    store.accept_revocations(&list).unwrap();
    store.replace(&region).unwrap();
    assert_eq!(store.trust().lists()[0].number(), 3);
    let own = store.own();
    type Is = fn(&IdentityError) -> bool;
    type Break = fn(&mut IdentityMaterial, &IdentityMaterial);
    let rows: [(Break, Is); 7] = [
        (
            |wrong, _| wrong.certificate.clear(),
            |e| matches!(e, IdentityError::NoCertificate { .. }),
        ),
        (
            |wrong, _| wrong.certificate = b"-----BEGIN CERTIFICATE-----\n!\n".to_vec(),
            |e| matches!(e, IdentityError::Pem { .. }),
        ),
        (
            |wrong, other| wrong.key = other.key.clone(),
            |e| matches!(e, IdentityError::Key { .. }),
        ),
        (
            |wrong, _| wrong.key = b"x".to_vec().into(),
            |e| matches!(e, IdentityError::Key { .. }),
        ),
        (
            |wrong, _| wrong.certificate = wrong.roots[0].clone(),
            |e| matches!(e, IdentityError::Own(_)),
        ),
        (
            |wrong, _| wrong.roots.clear(),
            |e| matches!(e, IdentityError::Trust(TrustError::Count { .. })),
        ),
        (
            |wrong, _| wrong.lists.push(vec![1]),
            |e| matches!(e, IdentityError::Revocation(_)),
        ),
    ];
    for (index, (damage, is_expected)) in rows.iter().enumerate() {
        let mut wrong = mesh.node(Tier::Region, "emea", "r");
        damage(&mut wrong, &site);
        let error = store.replace(&wrong).unwrap_err();
        assert!(is_expected(&error), "row {index}: {error:?}");
        assert_eq!(store.own(), own, "row {index}");
    }
}

#[test]
fn certificates_for_other_purposes_are_refused() {
    let (mesh, site, region) = site_and_region();
    let root = mesh.authority.root_der().to_vec();
    let (site, region) = (store(&site), store(&region));
    let expected = Expected::Anyone;
    // A root itself, nothing, and more than any chain.
    let root = CertificateDer::from(root);
    assert_eq!(
        region.check(&[root], &expected).unwrap_err().name(),
        "chain"
    );
    assert_eq!(region.check(&[], &expected).unwrap_err().name(), "chain");
    let chain = meet(&site, &region, Expected::Upstream).1.unwrap();
    let long = vec![chain[0].clone(); 5];
    assert_eq!(region.check(&long, &expected).unwrap_err().name(), "chain");
}

#[test]
fn neither_debug_nor_errors_show_a_key() {
    let (_, site, _) = site_and_region();
    let key = String::from_utf8(site.key.expose().clone()).unwrap();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let store = store(&site);
    let mut wrong = site.clone();
    wrong.certificate.clear();
    let error = store.replace(&wrong).unwrap_err();
    let shown = format!("{site:?} {store:?} {error:?} {error}");
    for start in (0..body.len() - 8).step_by(4) {
        assert!(!shown.contains(&body[start..start + 8]), "{shown}");
    }
    assert!(format!("{store:?}").contains("dc1"));
}

#[test]
fn the_root_outlives_no_certificate() {
    let mut mesh = TestMesh::new("acme", 1);
    let identity = NodeIdentity::new("acme", Tier::Site, "dc1", "a").unwrap();
    let ages = WallMs(NOW.0 + 36_500 * DAY_MS);
    let material = mesh.issue(identity, (backdated(NOW), ages));
    assert_eq!(
        store(&material).own().not_after_ms,
        mesh.authority.not_after_ms()
    );
}
