//! Tests of an authority on disk: init, issue, tokens, renewal, revocation, crashes.

use std::os::unix::fs::PermissionsExt;

use ocelli_model::tier::Tier;
use tempfile::TempDir;

use super::*;
use crate::identity::test_mesh::{Counter, NOW};
use crate::identity::{
    CERTIFICATE_DAYS, DAY_MS, NodeIdentity, NodeKey, ROOT_DAYS, backdated, list_of, scope_of,
};

fn init(seed: u64) -> (TempDir, AuthorityDirectory, Counter) {
    let place = tempfile::tempdir().unwrap();
    let mut rng = Counter(seed);
    let path = place.path().join("ca");
    let directory = AuthorityDirectory::init(&path, "acme", ROOT_DAYS, (NOW, &mut rng)).unwrap();
    (place, directory, rng)
}

fn order(node: Option<&str>) -> TokenOrder {
    TokenOrder {
        tier: Tier::Site,
        name: String::from("dc1"),
        node: node.map(str::to_owned),
        speaks_for: Vec::new(),
        uses: 1,
        expires: WallMs(NOW.0 + DAY_MS),
        days: CERTIFICATE_DAYS,
    }
}

fn identity(name: &str, node: &str) -> NodeIdentity {
    NodeIdentity::new("acme", Tier::Site, name, node).unwrap()
}

fn csr(name: &str, node: &str) -> Vec<u8> {
    NodeKey::generate()
        .unwrap()
        .request(&identity(name, node))
        .unwrap()
}

fn refused(result: Result<Issued, DirectoryError>) -> SignRefused {
    match result {
        Err(DirectoryError::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn issue(directory: &AuthorityDirectory, rng: &mut Counter, node: &str) -> Issued {
    let identity = identity("dc1", node);
    let request = CertificateRequest::parse(&csr("dc1", node)).unwrap();
    let grant = Grant {
        scope: scope_of(&identity, &[]).unwrap(),
        identity,
        serial: random_serial(rng),
        not_before: backdated(NOW),
        not_after: WallMs(NOW.0 + 90 * DAY_MS),
    };
    directory.issue(&request, &grant, NOW).unwrap()
}

#[test]
fn secrets_are_for_the_service_alone_and_a_root_is_never_overwritten() {
    let (place, directory, mut rng) = init(1);
    let path = place.path().join("ca");
    for (name, expected) in [
        ("root-key.pem", 0o600),
        ("index.jsonl", 0o600),
        ("root.pem", 0o644),
        ("crl.pem", 0o644),
    ] {
        let mode = std::fs::metadata(path.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, expected, "{name}");
    }
    let again = AuthorityDirectory::init(&path, "acme", 1, (NOW, &mut rng));
    assert!(matches!(again, Err(DirectoryError::Exists(_))));
    assert!(!format!("{directory:?}").contains("BEGIN"));
    let loose = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(path.join("root-key.pem"), loose).unwrap();
    let error = AuthorityDirectory::open(&path).unwrap_err();
    assert!(
        matches!(error, DirectoryError::File(FileError::Unsafe { .. })),
        "{error}"
    );
}

#[test]
fn an_authority_is_opened_again_with_its_books() {
    let (place, directory, mut rng) = init(1);
    let issued = issue(&directory, &mut rng, "a");
    let path = place.path().join("ca");
    let again = AuthorityDirectory::open(&path).unwrap();
    let ledger = again.ledger().unwrap();
    let entry = ledger.issued().next().unwrap();
    assert_eq!(entry.serial, issued.peer.serial);
    assert_eq!(entry.identity, identity("dc1", "a"));
    assert_eq!(again.authority().mesh(), "acme");
    assert!(again.authority().is_issuer_of(&issued.peer));
    let (_other_place, other, _) = init(2);
    assert!(!other.authority().is_issuer_of(&issued.peer));
    let key = std::fs::read(other.path.join("root-key.pem")).unwrap();
    std::fs::write(path.join("root-key.pem"), key).unwrap();
    let error = AuthorityDirectory::open(&path).unwrap_err();
    assert!(
        matches!(error, DirectoryError::Authority(AuthorityError::OtherKey)),
        "{error}"
    );
}

#[test]
fn a_token_is_good_for_one_certificate_of_what_it_names() {
    let (_place, directory, mut rng) = init(1);
    let token = directory.token(order(None), (NOW, &mut rng)).unwrap();
    let proof = Proof::Token(token.expose());
    let sign = |name: &str, node: &str, proof: Proof<'_>, now: WallMs, rng: &mut Counter| {
        directory.sign(&csr(name, node), proof, (now, rng))
    };
    let wrong = refused(sign("dc2", "a", proof, NOW, &mut rng));
    assert!(
        matches!(wrong, SignRefused::OtherIdentity { .. }),
        "{wrong}"
    );
    let late = WallMs(NOW.0 + DAY_MS);
    let expired = refused(sign("dc1", "a", proof, late, &mut rng));
    assert!(
        matches!(expired, SignRefused::ExpiredToken { .. }),
        "{expired}"
    );
    let unknown = Proof::Token("ocelli-join-0");
    assert_eq!(
        refused(sign("dc1", "a", unknown, NOW, &mut rng)),
        SignRefused::UnknownToken
    );
    let long = "x".repeat(1_000);
    let unknown = refused(sign("dc1", "a", Proof::Token(&long), NOW, &mut rng));
    assert_eq!(unknown, SignRefused::UnknownToken);
    let issued = sign("dc1", "a", proof, NOW, &mut rng).unwrap();
    assert_eq!(issued.peer.identity, identity("dc1", "a"));
    assert!(issued.peer.scope.allows("dc1") && !issued.peer.scope.allows("dc2"));
    let used = refused(sign("dc1", "b", proof, NOW, &mut rng));
    assert!(matches!(used, SignRefused::UsedToken { .. }), "{used}");
    let index = std::fs::read_to_string(directory.path.join("index.jsonl")).unwrap();
    assert!(!index.contains(token.expose()) && !index.contains(&token.expose()[12..]));
}

#[test]
fn an_open_token_does_not_take_a_living_nodes_name_and_one_for_the_node_does() {
    let (_place, directory, mut rng) = init(1);
    issue(&directory, &mut rng, "a");
    let open = directory.token(order(None), (NOW, &mut rng)).unwrap();
    let taken = directory.sign(
        &csr("dc1", "a"),
        Proof::Token(open.expose()),
        (NOW, &mut rng),
    );
    assert!(matches!(refused(taken), SignRefused::Taken { .. }));
    let named = directory.token(order(Some("a")), (NOW, &mut rng)).unwrap();
    let named = Proof::Token(named.expose());
    let other = refused(directory.sign(&csr("dc1", "b"), named, (NOW, &mut rng)));
    assert!(
        matches!(other, SignRefused::OtherIdentity { .. }),
        "{other}"
    );
    assert!(
        directory
            .sign(&csr("dc1", "a"), named, (NOW, &mut rng))
            .is_ok()
    );
}

#[test]
fn a_valid_certificate_is_renewed_for_the_same_names_and_life() {
    let (_place, directory, mut rng) = init(1);
    let old = issue(&directory, &mut rng, "a").peer;
    let later = WallMs(NOW.0 + 60 * DAY_MS);
    let sign = |peer: &PeerIdentity, name: &str, now: WallMs, rng: &mut Counter| {
        directory.sign(&csr(name, "a"), Proof::Certificate(peer), (now, rng))
    };
    let new = sign(&old, "dc1", later, &mut rng).unwrap().peer;
    assert_eq!((&new.identity, &new.scope), (&old.identity, &old.scope));
    assert_ne!(new.serial, old.serial);
    assert_eq!(
        new.not_after_ms - new.not_before_ms,
        old.not_after_ms - old.not_before_ms
    );
    assert_eq!(new.not_before_ms, backdated(later).0);
    let other = refused(sign(&old, "dc2", later, &mut rng));
    assert!(
        matches!(other, SignRefused::OtherIdentity { .. }),
        "{other}"
    );
    let late = WallMs(old.not_after_ms);
    let expired = refused(sign(&old, "dc1", late, &mut rng));
    assert!(matches!(expired, SignRefused::Expired { .. }), "{expired}");
    let foreign = PeerIdentity {
        issuer: [7; 32],
        ..old.clone()
    };
    let foreign = refused(sign(&foreign, "dc1", later, &mut rng));
    assert!(
        matches!(foreign, SignRefused::OtherAuthority { .. }),
        "{foreign}"
    );
    directory.revoke(&old.serial.to_string(), later).unwrap();
    let revoked = refused(sign(&old, "dc1", later, &mut rng));
    assert!(matches!(revoked, SignRefused::Revoked { .. }), "{revoked}");
}

#[test]
fn a_node_is_revoked_with_all_its_certificates_and_leaves_the_list_when_they_end() {
    let (place, directory, mut rng) = init(1);
    let serials = [(); 2].map(|()| issue(&directory, &mut rng, "a").peer.serial);
    issue(&directory, &mut rng, "b");
    let listed = || {
        let file = std::fs::read(place.path().join("ca/crl.pem")).unwrap();
        let list = RevocationList::from_der(&list_of(file)).unwrap();
        (list.number(), list.serials().clone())
    };
    assert_eq!(listed(), (1, Default::default()));
    let error = directory.revoke("nobody", NOW).unwrap_err();
    assert!(
        matches!(error, DirectoryError::NothingNamed { .. }),
        "{error}"
    );
    assert_eq!(directory.revoke("a", NOW).unwrap().len(), 2);
    assert_eq!(listed(), (2, serials.into_iter().collect()));
    let again = directory.revoke("a", NOW).unwrap_err();
    assert!(
        matches!(again, DirectoryError::NothingNamed { .. }),
        "{again}"
    );
    let much_later = WallMs(NOW.0 + 92 * DAY_MS);
    assert!(directory.ledger().unwrap().listed(much_later).is_empty());
    let list = RevocationList::from_der(&directory.revocations(NOW).unwrap()).unwrap();
    assert_eq!((list.number(), list.serials().len()), (2, 2));
}

#[test]
fn a_name_that_means_two_nodes_revokes_neither() {
    let (_place, directory, mut rng) = init(1);
    for name in ["dc1", "dc2"] {
        let order = TokenOrder {
            name: name.to_owned(),
            ..order(Some("a"))
        };
        let token = directory.token(order, (NOW, &mut rng)).unwrap();
        let proof = Proof::Token(token.expose());
        directory
            .sign(&csr(name, "a"), proof, (NOW, &mut rng))
            .unwrap();
    }
    let error = directory.revoke("a", NOW).unwrap_err();
    assert!(matches!(error, DirectoryError::Ambiguous { .. }), "{error}");
    assert!(directory.revoke("ocelli://acme/site/dc2/a", NOW).is_ok());
    assert_eq!(
        directory.revoke("a", NOW).unwrap()[0].identity,
        identity("dc1", "a")
    );
}

#[test]
fn a_line_torn_by_a_crash_is_cut_off_and_a_damaged_one_is_named() {
    let (place, directory, mut rng) = init(1);
    issue(&directory, &mut rng, "a");
    let index = place.path().join("ca/index.jsonl");
    let mut text = std::fs::read(&index).unwrap();
    text.extend(b"{\"entry\":\"iss");
    std::fs::write(&index, &text).unwrap();
    issue(&directory, &mut rng, "b");
    assert_eq!(directory.ledger().unwrap().issued().count(), 2);
    std::fs::write(&index, b"{}\n").unwrap();
    let error = directory.ledger().unwrap_err();
    assert!(
        matches!(error, DirectoryError::Index { line: 1, .. }),
        "{error}"
    );
}

#[test]
fn orders_that_no_certificate_can_carry_are_refused_at_once() {
    let (_place, directory, mut rng) = init(1);
    let wrong_name = TokenOrder {
        name: String::from(" "),
        ..order(None)
    };
    let wrong_site = TokenOrder {
        speaks_for: vec![String::new()],
        ..order(None)
    };
    for wrong in [wrong_name, wrong_site] {
        let error = directory.token(wrong, (NOW, &mut rng)).unwrap_err();
        assert!(matches!(error, DirectoryError::Refused(_)), "{error}");
    }
    let anonymous = TokenOrder {
        node: None,
        ..order(None)
    };
    let token = directory.token(anonymous, (NOW, &mut rng)).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let nameless = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let proof = Proof::Token(token.expose());
    let error = refused(directory.sign(nameless.der(), proof, (NOW, &mut rng)));
    assert!(matches!(error, SignRefused::NoNode { .. }), "{error}");
    let every = TokenOrder {
        speaks_for: vec![String::from("*")],
        ..order(Some("z"))
    };
    let token = directory.token(every, (NOW, &mut rng)).unwrap();
    let result = directory.sign(
        &csr("dc1", "z"),
        Proof::Token(token.expose()),
        (NOW, &mut rng),
    );
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            DirectoryError::Authority(AuthorityError::Unreadable(_))
        ),
        "{error}"
    );
    assert_eq!(directory.ledger().unwrap().issued().count(), 0);
}
