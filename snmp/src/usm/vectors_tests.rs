//! Published vectors: RFC 3414 §A.3, RFC 7860 (by SHA-2 derivations that net-snmp and others
//! share), draft-reeder-snmpv3-usm-3desede-00 §B, draft-blumenthal-aes-usm-04 by its formula.

use super::*;

/// The engine id of RFC 3414 §A.3.
const ENGINE: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const PASSWORD: &[u8] = b"maplesyrup";

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn engine() -> EngineId {
    EngineId::new(&ENGINE).unwrap()
}

#[test]
fn keys_are_those_of_rfc_3414() {
    let check = |protocol: AuthProtocol, master: &str, local: &str| {
        let key = MasterKey::from_password(protocol, PASSWORD);
        assert_eq!(hex(key.octets()), master, "{protocol}");
        assert_eq!(hex(key.localize(&engine()).octets()), local, "{protocol}");
    };
    check(
        AuthProtocol::Md5,
        "9faf3283884e92834ebc9847d8edd963",
        "526f5eed9fcce26f8964c2930787d82b",
    );
    check(
        AuthProtocol::Sha1,
        "9fb5cc0381497b3793528939ff788d5d79145211",
        "6695febc9288e36282235fc7151f128497b38f3f",
    );
}

#[test]
fn keys_of_sha_2_follow_the_same_formula() {
    let check = |protocol: AuthProtocol, master: &str, local: &str| {
        let key = MasterKey::from_password(protocol, PASSWORD);
        assert_eq!(hex(key.octets()), master, "{protocol}");
        assert_eq!(hex(key.localize(&engine()).octets()), local, "{protocol}");
    };
    check(
        AuthProtocol::Sha224,
        "282a5867ee9aac639ad59df9572c7d3ac0fbc13a905b6df07dbbf00b",
        "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be682075674",
    );
    check(
        AuthProtocol::Sha256,
        "ab51014d1e077f6017df2b12bee5f5aa72993177e9bb569c4dff5a4ca0b4afac",
        "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a6445c2d6776f0f8b",
    );
    check(
        AuthProtocol::Sha384,
        "e06eccdf2c68a06ed034723c9c26e0db3b669e1e2efed49150b55377a2e98f38\
         3c86fb836857444654b287c93f51ff64",
        "3b298f16164a11184279d5432bf169e2d2a48307de02b3d3f7e2b4f36eb6f045\
         5a53689a3937eea07319a633d2ccba78",
    );
    check(
        AuthProtocol::Sha512,
        "7e4396de5aadc77be853819b98c9406265b3a9c37cc3176569847a4e4f6fba63\
         dd3a73d04924d31a63f95a601f9385af6be4ed1b37f87d040f7c6ed6f8d38a91",
        "22a5a36cedfcc085807a128d7bc6c2382167ad6c0dbc5fdff856740f3d84c099\
         ad1ea87a8db096714d9788bd544047c9021e4229ce27e4c0a69250adfcffbb0b",
    );
}

/// Hash, cipher, and the key that they give.
const EXTENDED: [(AuthProtocol, PrivacyProtocol, &str); 16] = [
    (
        AuthProtocol::Md5,
        PrivacyProtocol::Aes192,
        "526f5eed9fcce26f8964c2930787d82bfa24a92467426c2f",
    ),
    (
        AuthProtocol::Md5,
        PrivacyProtocol::Aes256,
        "526f5eed9fcce26f8964c2930787d82bfa24a92467426c2f4b09192be10dfaec",
    ),
    (
        AuthProtocol::Md5,
        PrivacyProtocol::Aes192Cisco,
        "526f5eed9fcce26f8964c2930787d82b79eff44a90650ee0",
    ),
    (
        AuthProtocol::Md5,
        PrivacyProtocol::Aes256Cisco,
        "526f5eed9fcce26f8964c2930787d82b79eff44a90650ee0a3a40abfac5acc12",
    ),
    (
        AuthProtocol::Sha1,
        PrivacyProtocol::Aes192,
        "6695febc9288e36282235fc7151f128497b38f3f505e07eb",
    ),
    (
        AuthProtocol::Sha1,
        PrivacyProtocol::Aes256,
        "6695febc9288e36282235fc7151f128497b38f3f505e07eb9af25568fa1f5dbe",
    ),
    (
        AuthProtocol::Sha1,
        PrivacyProtocol::Aes192Cisco,
        "6695febc9288e36282235fc7151f128497b38f3f9b8b6d78",
    ),
    (
        AuthProtocol::Sha1,
        PrivacyProtocol::Aes256Cisco,
        "6695febc9288e36282235fc7151f128497b38f3f9b8b6d78936ba6e7d19dfd9c",
    ),
    (
        AuthProtocol::Sha224,
        PrivacyProtocol::Aes192,
        "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be6",
    ),
    (
        AuthProtocol::Sha224,
        PrivacyProtocol::Aes256,
        "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be682075674e82d9bf0",
    ),
    (
        AuthProtocol::Sha224,
        PrivacyProtocol::Aes192Cisco,
        "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be6",
    ),
    (
        AuthProtocol::Sha224,
        PrivacyProtocol::Aes256Cisco,
        "0bd8827c6e29f8065e08e09237f177e410f69b90e1782be68207567422c34be4",
    ),
    (
        AuthProtocol::Sha256,
        PrivacyProtocol::Aes192,
        "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a",
    ),
    (
        AuthProtocol::Sha256,
        PrivacyProtocol::Aes256,
        "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a6445c2d6776f0f8b",
    ),
    (
        AuthProtocol::Sha256,
        PrivacyProtocol::Aes192Cisco,
        "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a",
    ),
    (
        AuthProtocol::Sha256,
        PrivacyProtocol::Aes256Cisco,
        "8982e0e549e866db361a6b625d84cccc11162d453ee8ce3a6445c2d6776f0f8b",
    ),
];

/// The Cisco rows of MD5 and SHA-1 are draft-reeder §B; the others were computed by an independent
/// implementation of the two formulas.
#[test]
fn short_keys_are_extended_as_each_draft_says() {
    for (hash, protocol, expected) in EXTENDED {
        let key = MasterKey::from_password(hash, PASSWORD).localize_privacy(protocol, &engine());
        assert_eq!(hex(key.octets()), expected, "{hash} {protocol}");
        assert_eq!(key.protocol(), protocol);
    }
}

#[test]
fn keys_of_des_and_aes_128_are_the_first_octets() {
    let local = "6695febc9288e36282235fc7151f1284";
    for protocol in [PrivacyProtocol::Des, PrivacyProtocol::Aes128] {
        let master = MasterKey::from_password(AuthProtocol::Sha1, PASSWORD);
        let key = master.localize_privacy(protocol, &engine());
        assert_eq!(hex(key.octets()), local);
    }
}
