//! async-snmp as the other end: what we write it reads, what it writes we read, byte by byte the
//! same meaning, for each type, kind and pair of protocols.
//!
//! Does: exchange encoded messages, no sockets. Does not: test async-snmp.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is the report"
)]

use std::sync::Arc;

use async_snmp::ber::Decoder;
use async_snmp::compatibility::DecodeConfig;
use async_snmp::message::{
    CommunityMessage as TheirMessage, MsgFlags, MsgGlobalData, ScopedPdu as TheirScopedPdu,
    SecurityLevel as TheirLevel, V3Message, V3MessageData,
};
use async_snmp::pdu::{Pdu as TheirPdu, PduBody, PduType, StandardPduType};
use async_snmp::v3::auth::{authenticate_message, verify_message};
use async_snmp::v3::{
    AuthProtocol as TheirAuth, DesSaltState, MasterKey as TheirMaster, PrivKey,
    PrivProtocol as TheirPrivacy, SaltCounter, UsmSecurityParams,
};
use async_snmp::{MessageSize, Value as TheirValue, VarBind};
use bytes::Bytes;
use ocelli_model::clock::Monotonic;
use ocelli_snmp::ber::BackWriter;
use ocelli_snmp::message::{CommunityMessage, Version, encode_request, write_response};
use ocelli_snmp::oid::EncodedOid;
use ocelli_snmp::pdu::{PduHead, PduKind, Request, RequestId, RequestKind};
use ocelli_snmp::usm::{
    AuthProtocol, Credentials, EngineId, MasterKeyCache, PrivacyProtocol, UsmUser,
};
use ocelli_snmp::v3::{Authority, AuthorityReceived, Layout, Outgoing, Peer, ReceiveError};
use ocelli_snmp::value::{Value, Varbind};

const ENGINE: [u8; 9] = [0x80, 0, 0x1f, 0x88, 4, b's', b'w', b'-', b'1'];
const AUTH: &[u8] = b"auth password";
const PRIVACY: &[u8] = b"privacy password";
const NAME: &str = "1.3.6.1.2.1.31.1.1.1.6.10101";

fn oid(text: &str) -> EncodedOid {
    EncodedOid::new(&text.parse().unwrap()).unwrap()
}

fn their_oid(text: &str) -> async_snmp::Oid {
    async_snmp::Oid::parse(text).unwrap()
}

/// The same value in their words and in ours.
fn values(ours: &EncodedOid) -> Vec<(TheirValue, Value<'_>)> {
    let octets = |octets: &'static [u8]| Bytes::from_static(octets);
    vec![
        (TheirValue::Null, Value::Null),
        (TheirValue::Integer(-129), Value::Integer(-129)),
        (TheirValue::Integer(i32::MIN), Value::Integer(i32::MIN)),
        (
            TheirValue::OctetString(octets(b"Gi1/0/1")),
            Value::OctetString(b"Gi1/0/1"),
        ),
        (
            TheirValue::OctetString(octets(&[7; 300])),
            Value::OctetString(&[7; 300]),
        ),
        (
            TheirValue::ObjectIdentifier(their_oid(NAME)),
            Value::ObjectId(ours.as_oid_ref()),
        ),
        (
            TheirValue::IpAddress([192, 0, 2, 1]),
            Value::IpAddress([192, 0, 2, 1].into()),
        ),
        (TheirValue::Counter32(u32::MAX), Value::Counter32(u32::MAX)),
        (TheirValue::Gauge32(128), Value::Gauge32(128)),
        (TheirValue::TimeTicks(0), Value::TimeTicks(0)),
        (TheirValue::Opaque(octets(&[1, 2])), Value::Opaque(&[1, 2])),
        (TheirValue::Counter64(u64::MAX), Value::Counter64(u64::MAX)),
        (TheirValue::NoSuchObject, Value::NoSuchObject),
        (TheirValue::NoSuchInstance, Value::NoSuchInstance),
        (TheirValue::EndOfMibView, Value::EndOfMibView),
    ]
}

fn their_response(request_id: i32, values: &[(TheirValue, Value<'_>)]) -> TheirPdu {
    let body = PduBody::Standard {
        pdu_type: StandardPduType::Response,
        error_status: 0,
        error_index: 0,
    };
    let varbinds = values
        .iter()
        .map(|(theirs, _)| VarBind::new(their_oid(NAME), theirs.clone()));
    TheirPdu::from_raw_parts(request_id, body, varbinds.collect())
}

fn write_ours(writer: &mut BackWriter<'_>, name: &EncodedOid, values: &[(TheirValue, Value<'_>)]) {
    for (_, ours) in values.iter().rev() {
        Varbind {
            name: name.as_oid_ref(),
            value: *ours,
        }
        .write(writer);
    }
}

#[test]
fn each_value_written_by_either_is_read_by_the_other_and_has_the_same_bytes() {
    let name = oid(NAME);
    let values = values(&name);
    let theirs = TheirMessage::v2c(&b"public"[..], their_response(77, &values)).unwrap();
    let theirs = theirs.encode().unwrap();
    let read = CommunityMessage::decode(&theirs).unwrap();
    let view = read.pdu.standard().unwrap();
    assert_eq!(
        (read.community, view.kind(), view.request_id()),
        (&b"public"[..], PduKind::Response, 77)
    );
    for (bind, (_, ours)) in view.varbinds().zip(&values) {
        assert_eq!(
            bind,
            Ok(Varbind {
                name: name.as_oid_ref(),
                value: *ours
            })
        );
    }
    let mut buffer = [0; 4_000];
    let mut writer = BackWriter::new(&mut buffer);
    write_ours(&mut writer, &name, &values);
    write_response(
        &mut writer,
        0,
        Version::V2c,
        b"public",
        &PduHead::response(77),
    );
    assert_eq!(writer.finish().unwrap(), &theirs[..]);
}

#[test]
fn each_request_of_ours_is_the_request_that_they_read() {
    let names = [oid(NAME), oid("1.3.6.1.2.1.1.3.0")];
    let id = RequestId::from_bits(12_345);
    let check = |version: Version, kind: RequestKind, expected: PduType| {
        let mut buffer = [0; 500];
        let request = Request {
            kind,
            id,
            names: &names,
        };
        let message = encode_request(&mut buffer, version, b"c", &request).unwrap();
        let outcome = TheirMessage::decode(Bytes::copy_from_slice(message), DecodeConfig::STRICT);
        let read = outcome.unwrap().value;
        let pdu = read.pdu().standard().unwrap();
        assert_eq!(pdu.pdu_type(), expected);
        let read_names: Vec<String> = pdu
            .varbinds()
            .iter()
            .map(|bind| bind.oid.to_string())
            .collect();
        assert_eq!(read_names, [NAME, "1.3.6.1.2.1.1.3.0"]);
        if let RequestKind::GetBulk {
            non_repeaters,
            max_repetitions,
        } = kind
        {
            let fields = (u32::from(non_repeaters), u32::from(max_repetitions));
            assert_eq!(pdu.get_bulk_fields(), Some(fields));
        }
    };
    check(Version::V1, RequestKind::Get, PduType::GetRequest);
    check(Version::V1, RequestKind::GetNext, PduType::GetNextRequest);
    check(Version::V2c, RequestKind::Get, PduType::GetRequest);
    check(Version::V2c, RequestKind::GetNext, PduType::GetNextRequest);
    let bulk = RequestKind::GetBulk {
        non_repeaters: 1,
        max_repetitions: 50,
    };
    check(Version::V2c, bulk, PduType::GetBulkRequest);
}

// === v3 ===

const AUTHS: [(AuthProtocol, TheirAuth); 6] = [
    (AuthProtocol::Md5, TheirAuth::Md5),
    (AuthProtocol::Sha1, TheirAuth::Sha1),
    (AuthProtocol::Sha224, TheirAuth::Sha224),
    (AuthProtocol::Sha256, TheirAuth::Sha256),
    (AuthProtocol::Sha384, TheirAuth::Sha384),
    (AuthProtocol::Sha512, TheirAuth::Sha512),
];

const PRIVACIES: [(PrivacyProtocol, TheirPrivacy); 6] = [
    (PrivacyProtocol::Des, TheirPrivacy::Des),
    (PrivacyProtocol::Aes128, TheirPrivacy::Aes128),
    (PrivacyProtocol::Aes192, TheirPrivacy::Aes192Blumenthal),
    (PrivacyProtocol::Aes256, TheirPrivacy::Aes256Blumenthal),
    (PrivacyProtocol::Aes192Cisco, TheirPrivacy::Aes192Reeder),
    (PrivacyProtocol::Aes256Cisco, TheirPrivacy::Aes256Reeder),
];

type Pair = (
    (AuthProtocol, TheirAuth),
    Option<(PrivacyProtocol, TheirPrivacy)>,
);

fn pairs() -> Vec<Pair> {
    let privacies = PRIVACIES.map(Some).into_iter().chain([None]);
    privacies
        .flat_map(|privacy| AUTHS.map(|auth| (auth, privacy)))
        .collect()
}

fn user((auth, privacy): Pair) -> UsmUser {
    let credentials = Credentials {
        user: b"monitor",
        auth: Some((auth.0, AUTH)),
        privacy: privacy.map(|(ours, _)| (ours, PRIVACY)),
    };
    UsmUser::new(&credentials, &mut MasterKeyCache::default()).unwrap()
}

fn their_privacy_key((auth, privacy): Pair) -> Option<PrivKey> {
    let (_, protocol) = privacy?;
    let master = TheirMaster::from_password(auth.1, PRIVACY).unwrap();
    Some(PrivKey::from_master_key(&master, protocol, &ENGINE).unwrap())
}

/// Verifies, decrypts and decodes by async-snmp.
fn their_open(message: &[u8], pair: Pair) -> TheirPdu {
    let master = TheirMaster::from_password(pair.0.1, AUTH).unwrap();
    let key = master.localize(&ENGINE).unwrap();
    let (at, length) = UsmSecurityParams::find_auth_params_offset(message).unwrap();
    assert!(
        verify_message(&key, message, at, length).unwrap(),
        "{pair:?}"
    );
    let bytes = Bytes::copy_from_slice(message);
    let decoded = V3Message::decode(bytes, DecodeConfig::STRICT)
        .unwrap()
        .value;
    let usm = UsmSecurityParams::decode(decoded.security_params().clone(), DecodeConfig::STRICT);
    let usm = usm.unwrap().value;
    assert_eq!(
        (&usm.username()[..], &usm.engine_id()[..]),
        (&b"monitor"[..], &ENGINE[..])
    );
    match decoded.data() {
        V3MessageData::Plaintext(scoped) => scoped.pdu.clone(),
        V3MessageData::Encrypted(octets) => {
            let key = their_privacy_key(pair).unwrap();
            let (boots, time) = (usm.engine_boots(), usm.engine_time());
            let plain = key.decrypt(octets, boots, time, usm.priv_params()).unwrap();
            TheirScopedPdu::decode(&mut Decoder::new(plain))
                .unwrap()
                .pdu
        }
    }
}

/// Encodes, encrypts and signs by async-snmp.
fn their_seal(pdu: TheirPdu, pair: Pair) -> Vec<u8> {
    let scoped = TheirScopedPdu::new(&ENGINE[..], &b""[..], pdu);
    let usm = UsmSecurityParams::new(&ENGINE[..], 3, 500, &b"monitor"[..]).unwrap();
    let usm = usm.with_auth_placeholder(pair.0.1.mac_len()).unwrap();
    let level = if pair.1.is_some() {
        TheirLevel::AuthPriv
    } else {
        TheirLevel::AuthNoPriv
    };
    let size = MessageSize::new(65_507).unwrap();
    let global = MsgGlobalData::new(7, size, MsgFlags::new(level, false)).unwrap();
    let message = match their_privacy_key(pair) {
        None => V3Message::new(global, usm.encode().unwrap(), scoped),
        Some(key) => {
            let plain = scoped.encode_to_bytes().unwrap();
            let (octets, salt) = if key.protocol() == TheirPrivacy::Des {
                let state = DesSaltState::install(|_| Ok::<(), std::io::Error>(())).unwrap();
                key.encrypt_des_family(&plain, &state).unwrap()
            } else {
                key.encrypt_aes(&plain, 3, 500, &SaltCounter::new().unwrap())
                    .unwrap()
            };
            let usm = usm.with_priv_params(salt).unwrap().encode().unwrap();
            V3Message::new_with_opaque_encrypted_scoped_pdu(global, usm, octets)
        }
    };
    let mut message = message.unwrap().encode().unwrap().to_vec();
    let master = TheirMaster::from_password(pair.0.1, AUTH).unwrap();
    let key = master.localize(&ENGINE).unwrap();
    let (at, length) = UsmSecurityParams::find_auth_params_offset(&message).unwrap();
    authenticate_message(&key, &mut message, at, length).unwrap();
    message
}

#[test]
fn messages_that_they_protect_open_to_the_same_values() {
    let name = oid(NAME);
    let values = values(&name);
    let engine = EngineId::new(&ENGINE).unwrap();
    for pair in pairs() {
        let mut message = their_seal(their_response(7, &values), pair);
        let layout = Layout::decode(&message).unwrap();
        let scoped = layout
            .open(&mut message, &user(pair).localize(&engine))
            .unwrap();
        assert_eq!(scoped.context_engine_id, ENGINE);
        let read: Vec<Value<'_>> = scoped
            .pdu
            .varbinds()
            .map(|bind| bind.unwrap().value)
            .collect();
        let ours: Vec<Value<'_>> = values.iter().map(|(_, ours)| *ours).collect();
        assert_eq!(read, ours, "{pair:?}");
    }
}

/// Our manager and our agent, talking; `look` sees each protected message in both directions.
fn converse(pair: Pair, mut look: impl FnMut(&[u8])) {
    let (user, now) = (user(pair), Monotonic(500_000_000_000));
    let users: Arc<[UsmUser]> = [user.clone()].into();
    let mut agent = Authority::new(EngineId::new(&ENGINE).unwrap(), 3, Monotonic(0), users, 9);
    let mut peer = Peer::new(Arc::new(user), b"", 1);
    let name = oid(NAME);
    let values = values(&name);
    for bits in 0..2 {
        let id = RequestId::from_bits(bits);
        let (mut sent, mut answered) = ([0; 2_000], [0; 2_000]);
        let names = [name.as_oid_ref()];
        let request = Request {
            kind: RequestKind::Get,
            id,
            names: &names,
        };
        let sent = match peer.encode(&mut sent, &request, now).unwrap() {
            Outgoing::Discovery(sent) => sent,
            Outgoing::Request(sent) => {
                look(sent);
                sent
            }
        };
        let answer = match agent.receive(sent, now).unwrap() {
            AuthorityReceived::Report(report) => {
                agent.seal_report(&mut answered, &report, now).unwrap()
            }
            AuthorityReceived::Request { reply, pdu } => {
                let mut writer = BackWriter::new(&mut answered);
                write_ours(&mut writer, &name, &values);
                PduHead::response(pdu.request_id()).write(&mut writer, 0);
                let answer = agent.seal_response(writer, &reply, now).unwrap();
                look(answer);
                answer
            }
        };
        let received: Result<_, ReceiveError> = peer.receive(answer, id, now);
        assert!(received.is_ok(), "{received:?}");
    }
}

#[test]
fn messages_that_we_protect_open_at_their_end() {
    let name = oid(NAME);
    let values = values(&name);
    for pair in pairs() {
        let mut seen = Vec::new();
        converse(pair, |message| seen.push(their_open(message, pair)));
        let [request, response] = &seen[..] else {
            panic!("{pair:?}: {} messages", seen.len());
        };
        assert_eq!(request.pdu_type(), PduType::GetRequest);
        let theirs = their_response(RequestId::from_bits(1).get(), &values);
        assert_eq!(*response, theirs, "{pair:?}");
    }
}
