//! Tests of `usm`: names, credentials, cache, engine time. Keys: `usm/vectors_tests.rs`.

use super::*;
use crate::oid::{EncodedOid, OidRef};
use ocelli_model::clock::Monotonic;

#[test]
fn protocols_are_found_by_the_names_that_users_write() {
    for protocol in AuthProtocol::ALL {
        assert_eq!(protocol.name().parse(), Ok(protocol));
        assert_eq!(
            protocol.name().to_lowercase().replace('-', "").parse(),
            Ok(protocol)
        );
    }
    for protocol in PrivacyProtocol::ALL {
        assert_eq!(protocol.name().parse(), Ok(protocol));
    }
    assert_eq!("sha".parse(), Ok(AuthProtocol::Sha1));
    assert_eq!("AES".parse(), Ok(PrivacyProtocol::Aes128));
    assert_eq!("AES256C".parse(), Ok(PrivacyProtocol::Aes256Cisco));
    let error = "SHA-3".parse::<AuthProtocol>().unwrap_err().to_string();
    assert!(
        error.contains("\"SHA-3\"") && error.contains("SHA-512"),
        "{error}"
    );
    let error = "3DES".parse::<PrivacyProtocol>().unwrap_err().to_string();
    assert!(
        error.contains("\"3DES\"") && error.contains("AES-256-C"),
        "{error}"
    );
}

#[test]
fn credentials_that_make_no_user_say_why() {
    let auth = Some((AuthProtocol::Md5, &b"12345678"[..]));
    let privacy = Some((PrivacyProtocol::Des, &b"12345678"[..]));
    let check = |credentials: Credentials<'_>, error: CredentialError| {
        let made = UsmUser::new(&credentials, &mut MasterKeyCache::default());
        assert_eq!(made.unwrap_err(), error);
    };
    let bad_name = |octets| CredentialError::BadUserName { octets };
    check(
        Credentials {
            user: b"",
            auth,
            privacy,
        },
        bad_name(0),
    );
    check(
        Credentials {
            user: &[b'u'; 33],
            auth,
            privacy,
        },
        bad_name(33),
    );
    let error = CredentialError::PrivacyWithoutAuth;
    check(
        Credentials {
            user: b"u",
            auth: None,
            privacy,
        },
        error,
    );
    let short = Some((AuthProtocol::Md5, &b"1234567"[..]));
    let error = CredentialError::ShortPassword {
        what: "auth",
        octets: 7,
    };
    check(
        Credentials {
            user: b"u",
            auth: short,
            privacy,
        },
        error,
    );
    let short = Some((PrivacyProtocol::Des, &b""[..]));
    let error = CredentialError::ShortPassword {
        what: "priv",
        octets: 0,
    };
    check(
        Credentials {
            user: b"u",
            auth,
            privacy: short,
        },
        error,
    );
}

#[test]
fn a_password_is_stretched_once_and_the_cache_stays_bounded() {
    let mut cache = MasterKeyCache::default();
    let first = cache.get(AuthProtocol::Md5, b"password one");
    assert!(std::sync::Arc::ptr_eq(
        &first,
        &cache.get(AuthProtocol::Md5, b"password one")
    ));
    let other = cache.get(AuthProtocol::Sha1, b"password one");
    assert_ne!(first.octets(), other.octets());
    assert_eq!(cache.len(), 2);
    for number in 0..MASTER_KEYS_MAX {
        cache.get(AuthProtocol::Md5, format!("password {number}").as_bytes());
    }
    assert_eq!(cache.len(), MASTER_KEYS_MAX);
    assert!(!std::sync::Arc::ptr_eq(
        &first,
        &cache.get(AuthProtocol::Md5, b"password one")
    ));
}

#[test]
fn an_engine_id_has_one_to_32_octets() {
    assert_eq!(EngineId::new(&[]), Err(EngineIdError { octets: 0 }));
    assert_eq!(EngineId::new(&[1; 33]), Err(EngineIdError { octets: 33 }));
    assert_eq!(EngineId::new(&[1; 300]), Err(EngineIdError { octets: 300 }));
    assert_eq!(
        EngineId::new(&[0x80, 0, 0x0a]).unwrap().to_string(),
        "80000a"
    );
}

#[test]
fn the_window_is_150_seconds_behind_and_open_ahead() {
    let at = |seconds: u64| Monotonic(seconds * 1_000_000_000);
    let known = EngineTime {
        boots: 5,
        time: 1_000,
        at: at(10),
    };
    let check = |boots: u32, time: u32, now: u64, fresh: bool| {
        assert_eq!(
            known.accepts(boots, time, at(now)),
            fresh,
            "{boots} {time} at {now}"
        );
    };
    check(5, 1_000, 10, true);
    check(5, 850, 10, true);
    check(5, 849, 10, false);
    check(5, 1_000, 160, true);
    check(5, 1_000, 161, false);
    check(5, 90_000, 10, true);
    check(4, 1_000, 10, false);
    check(6, 0, 10, true);
    check(i32::MAX.cast_unsigned(), 0, 10, false);
    let mut advanced = known;
    advanced.advance(5, 999, at(11));
    assert_eq!(
        advanced, known,
        "a later message with an earlier time moves nothing"
    );
    advanced.advance(6, 1, at(11));
    assert_eq!(
        advanced,
        EngineTime {
            boots: 6,
            time: 1,
            at: at(11)
        }
    );
    assert_eq!(
        advanced.time_at(at(u64::from(u32::MAX))),
        i32::MAX.cast_unsigned()
    );
}

#[test]
fn reports_are_known_by_their_counters() {
    let check = |oid: &str, reason: ReportReason, name: &str| {
        let oid = EncodedOid::new(&oid.parse().unwrap()).unwrap();
        let found = ReportReason::from_oid(oid.as_oid_ref());
        assert_eq!((found, found.name()), (reason, name));
    };
    check(
        "1.3.6.1.6.3.15.1.1.1.0",
        ReportReason::UnsupportedSecurityLevel,
        "unsupportedSecLevels",
    );
    check(
        "1.3.6.1.6.3.15.1.1.2.0",
        ReportReason::NotInTimeWindow,
        "notInTimeWindows",
    );
    check(
        "1.3.6.1.6.3.15.1.1.3.0",
        ReportReason::UnknownUserName,
        "unknownUserNames",
    );
    check(
        "1.3.6.1.6.3.15.1.1.4.0",
        ReportReason::UnknownEngineId,
        "unknownEngineIDs",
    );
    check(
        "1.3.6.1.6.3.15.1.1.5.0",
        ReportReason::WrongDigest,
        "wrongDigests",
    );
    check(
        "1.3.6.1.6.3.15.1.1.6",
        ReportReason::DecryptionError,
        "decryptionErrors",
    );
    check(
        "1.3.6.1.6.3.11.2.1.3.0",
        ReportReason::UnknownPduHandler,
        "unknownPDUHandlers",
    );
    check(
        "1.3.6.1.6.3.12.1.5.0",
        ReportReason::UnknownContext,
        "unknownContexts",
    );
    check(
        "1.3.6.1.6.3.12.1.4.0",
        ReportReason::UnavailableContext,
        "unavailableContexts",
    );
    check("1.3.6.1.6.3.15.1.1.5.1", ReportReason::Other, "otherReport");
    check("1.3.6.1.2.1.1.3.0", ReportReason::Other, "otherReport");
    let counter = ReportReason::WrongDigest.counter_ber();
    assert_eq!(
        OidRef::from_ber(&counter).unwrap().to_string(),
        "1.3.6.1.6.3.15.1.1.5.0"
    );
    assert!(ReportReason::Other.counter_ber().is_empty());
}
