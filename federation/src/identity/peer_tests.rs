//! Tests of reading certificates: what is taken, what is refused, and random bytes.

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};

use super::*;

fn certificate(uris: &[String]) -> Vec<u8> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "test");
    for uri in uris {
        let uri = SanType::URI(uri.as_str().try_into().unwrap());
        params.subject_alt_names.push(uri);
    }
    let certificate = params.self_signed(&key).unwrap();
    certificate.der().to_vec()
}

fn read(uris: &[&str]) -> Result<PeerIdentity, PeerIdentityError> {
    let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
    PeerIdentity::from_certificate(&certificate(&uris))
}

#[test]
fn identity_scope_serial_and_validity_are_read() {
    let peer = read(&[
        "https://example.org",
        "ocelli-site:dc%202",
        "ocelli://acme/site/dc1/a",
        "ocelli-site:dc1",
    ])
    .unwrap();
    assert_eq!(peer.identity.to_string(), "ocelli://acme/site/dc1/a");
    assert_eq!(peer.scope, SiteScope::of_sites(["dc1", "dc 2"]).unwrap());
    assert!(!peer.serial.as_bytes().is_empty());
    assert_eq!(peer.not_before_ms, 157_766_400_000);
    assert!(peer.not_after_ms > peer.not_before_ms);
    assert_eq!(peer.fingerprint_hex().len(), 64);
}

#[test]
fn a_certificate_without_a_scope_speaks_for_its_own_name() {
    for tier in Tier::ALL {
        let peer = read(&[&format!("ocelli://m/{tier}/x/n")]).unwrap();
        assert_eq!(peer.scope, SiteScope::of_site("x"));
    }
}

#[test]
fn only_tiers_that_forward_speak_for_every_site() {
    for (tier, expected) in [("site", false), ("region", true), ("global", true)] {
        let result = read(&[&format!("ocelli://m/{tier}/x/n"), "ocelli-site:*"]);
        assert_eq!(result.is_ok(), expected, "{tier}");
        if !expected {
            let error = result.unwrap_err();
            assert!(matches!(
                error,
                PeerIdentityError::SiteSpeaksForEvery { .. }
            ));
        }
    }
}

#[test]
fn each_wrong_set_of_names_is_refused_with_its_own_reason() {
    const NODE: &str = "ocelli://m/site/s/n";
    type Is = fn(&PeerIdentityError) -> bool;
    let rows: &[(&[&str], Is)] = &[
        (&[], |e| matches!(e, PeerIdentityError::NoIdentity)),
        (&["ocelli-site:s"], |e| {
            matches!(e, PeerIdentityError::NoIdentity)
        }),
        (&[NODE, NODE], |e| {
            matches!(e, PeerIdentityError::TwoIdentities { .. })
        }),
        (&["ocelli://m/site/s"], |e| {
            matches!(e, PeerIdentityError::Name(_))
        }),
        (&[NODE, "ocelli-site:%"], |e| {
            matches!(e, PeerIdentityError::Scope(_))
        }),
        (&[NODE, "ocelli-only:x"], |e| {
            matches!(e, PeerIdentityError::UnknownName { .. })
        }),
        (&["ocelli-mesh:acme"], |e| {
            let text = e.to_string();
            text.contains("root of mesh \"acme\"") && text.contains("identity.roots")
        }),
        (&["OCELLI://m/site/s/n"], |e| {
            matches!(e, PeerIdentityError::UnknownName { .. })
        }),
    ];
    for (uris, is_expected) in rows {
        let error = read(uris).unwrap_err();
        assert!(is_expected(&error), "{uris:?}: {error}");
    }
}

#[test]
fn as_many_sites_as_allowed_fit_a_certificate_and_one_more_does_not() {
    let mut uris = vec![String::from("ocelli://m/region/r/n")];
    uris.extend((0..SITES_PER_CERTIFICATE_MAX).map(|n| format!("ocelli-site:site-{n}")));
    let peer = PeerIdentity::from_certificate(&certificate(&uris)).unwrap();
    assert!(peer.scope.allows("site-1023") && !peer.scope.allows("site-1024"));
    uris.push(String::from("ocelli-site:one-more"));
    let error = PeerIdentity::from_certificate(&certificate(&uris)).unwrap_err();
    assert_eq!(error, PeerIdentityError::Scope(SiteScopeError::TooMany));
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    let sound = certificate(&[String::from("ocelli://m/site/s/n")]);
    let mut longer = sound.clone();
    longer.push(0);
    let large = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
    let error = |der: &[u8]| PeerIdentity::from_certificate(der).unwrap_err();
    assert_eq!(error(&[]), PeerIdentityError::Malformed);
    assert_eq!(error(&longer), PeerIdentityError::Malformed);
    assert_eq!(
        error(&sound[..sound.len() - 1]),
        PeerIdentityError::Malformed
    );
    assert!(matches!(error(&large), PeerIdentityError::TooLarge { .. }));
}

#[test]
fn a_serial_is_read_back_from_its_digits() {
    for (text, expected) in [
        ("01", Some("01")),
        ("00ff", Some("ff")),
        ("ABcd", Some("abcd")),
        ("00", None),
        ("", None),
        ("1", None),
        ("zz", None),
        ("+1", None),
    ] {
        let serial = text.parse::<Serial>().ok().map(|serial| serial.to_string());
        assert_eq!(serial.as_deref(), expected, "{text}");
    }
    let long = "11".repeat(SERIAL_BYTES_MAX);
    assert_eq!(long.parse::<Serial>().unwrap().to_string(), long);
    assert!(format!("{long}11").parse::<Serial>().is_err());
    let json: Serial = serde_json::from_str("\"0a0b\"").unwrap();
    assert_eq!(serde_json::to_string(&json).unwrap(), "\"0a0b\"");
}

proptest! {
    #[test]
    fn mutated_certificates_never_make_the_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut der = certificate(&[
            String::from("ocelli://m/site/s/n"),
            String::from("ocelli-site:s"),
        ]);
        for (index, byte) in changes {
            let index = index.index(der.len());
            der[index] = byte;
        }
        let cut = cut.index(2 * der.len());
        der.truncate(cut);
        if let Ok(peer) = PeerIdentity::from_certificate(&der) {
            prop_assert_eq!(peer.fingerprint, fingerprint_of(&der));
        }
    }

    #[test]
    fn random_bytes_never_make_the_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        prop_assert!(PeerIdentity::from_certificate(&bytes).is_err());
    }
}
