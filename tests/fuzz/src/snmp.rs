//! Ways into the SNMP engine: messages of each version, object identifiers.
//!
//! Does: decode, walk through everything that came out, check what must hold then.
//! Does not: choose the bytes; libFuzzer and `tests/robustness.rs` do.
//! In: bytes. Out: nothing, or a panic that is a defect.

use std::sync::Arc;

use ocelli_model::clock::Monotonic;
use ocelli_snmp::ber::{BackWriter, Reader};
use ocelli_snmp::message::{CommunityMessage, version_of};
use ocelli_snmp::oid::{EncodedOid, OidRef};
use ocelli_snmp::pdu::{Pdu, RequestId};
use ocelli_snmp::usm::{Credentials, EngineId, MasterKeyCache, UsmUser};
use ocelli_snmp::v3::{Authority, AuthorityReceived, Layout, Outgoing, Peer, Received, id_of};
use ocelli_snmp::value::{Value, Varbinds};

/// The engine that corpus messages are of.
const ENGINE: [u8; 9] = [0x80, 0, 0x1f, 0x88, 4, b's', b'w', b'-', b'1'];
/// The id that corpus messages answer.
const ID_BITS: u32 = 7;

/// A message of v1 or v2c.
pub fn community(bytes: &[u8]) {
    let decoded = CommunityMessage::decode(bytes);
    if let Ok(message) = decoded {
        assert_eq!(version_of(bytes), Ok(message.version));
        match message.pdu {
            Pdu::Standard(view) => {
                assert!(view.error_status().name().len() > 3);
                varbinds(view.varbinds());
            }
            Pdu::TrapV1(trap) => varbinds(trap.varbinds()),
        }
    }
}

/// The contents of an object identifier.
pub fn object_identifier(bytes: &[u8]) {
    let Ok(oid) = OidRef::from_ber(bytes) else {
        return;
    };
    let mut arcs = [0; 128];
    let written = oid.write_arcs(&mut arcs).map(<[u32]>::len);
    assert_eq!(written, Some(oid.arcs().count()));
    assert!(oid.is(&oid.to_oid()));
    if !bytes.is_empty() {
        let again =
            EncodedOid::new(&oid.to_oid()).map(|again| again.as_oid_ref().as_ber().to_vec());
        assert_eq!(again.as_deref(), Ok(bytes));
    }
    let (head, _) = bytes.split_at(bytes.len() / 2);
    if let Ok(prefix) = OidRef::from_ber(head) {
        assert!(
            oid.index_under(prefix)
                .is_some_and(|index| index.as_ber().len() <= bytes.len())
        );
        assert!(prefix <= oid);
    }
}

/// A message to a manager that waits for it, at noAuthNoPriv so that its inside is reached.
pub fn v3_manager(bytes: &[u8]) {
    let now = Monotonic(500_000_000_000);
    let id = RequestId::from_bits(ID_BITS);
    let mut peer = Peer::new(Arc::new(open_user()), b"", 1);
    let mut datagram = bytes.to_vec();
    let layout = Layout::decode(bytes);
    assert!(layout.is_err() || id_of(bytes).is_ok());
    // The first teaches it an engine if it is a report, the second is then its answer.
    for _ in 0..2 {
        match peer.receive(&mut datagram, id, now) {
            Ok(Received::Response { scoped, .. }) => varbinds(scoped.pdu.varbinds()),
            Ok(Received::Report(report)) => assert!(!report.is_authenticated),
            Err(_) => assert_eq!(datagram, bytes),
        }
    }
    let names: [OidRef<'_>; 0] = [];
    let kind = ocelli_snmp::pdu::RequestKind::Get;
    let request = ocelli_snmp::pdu::Request {
        kind,
        id,
        names: &names,
    };
    let mut buffer = [0; 400];
    let encoded = peer.encode(&mut buffer, &request, now);
    assert!(matches!(
        encoded,
        Ok(Outgoing::Discovery(_) | Outgoing::Request(_))
    ));
}

/// A message to an agent.
pub fn v3_agent(bytes: &[u8]) {
    let now = Monotonic(500_000_000_000);
    let Ok(engine_id) = EngineId::new(&ENGINE) else {
        return;
    };
    let mut agent = Authority::new(engine_id, 3, Monotonic(0), [open_user()].into(), 1);
    let mut datagram = bytes.to_vec();
    let mut buffer = [0; 400];
    match agent.receive(&mut datagram, now) {
        Ok(AuthorityReceived::Request { pdu, .. }) => varbinds(pdu.varbinds()),
        Ok(AuthorityReceived::Report(report)) => {
            assert!(agent.seal_report(&mut buffer, &report, now).is_ok());
        }
        Err(_) => {}
    }
}

/// Each varbind that is accepted survives being written and read again.
fn varbinds(list: Varbinds<'_>) {
    let mut count = 0;
    for bind in list.flatten() {
        count += 1;
        assert!(bind.name.to_string().len() < 1_500);
        if matches!(bind.value, Value::OpaqueFloat(_) | Value::OpaqueDouble(_)) {
            continue; // Not equal to itself where it is no number.
        }
        let mut buffer = vec![0; 70_000];
        let mut writer = BackWriter::new(&mut buffer);
        bind.write(&mut writer);
        if let Ok(bytes) = writer.finish() {
            let mut again = Varbinds::new(bytes);
            assert_eq!(again.next(), Some(Ok(bind)));
            assert!(again.next().is_none() && Reader::new(bytes).element().is_ok());
        }
    }
    assert!(count <= 70_000);
}

fn open_user() -> UsmUser {
    let credentials = Credentials {
        user: b"open",
        auth: None,
        privacy: None,
    };
    UsmUser::new(&credentials, &mut MasterKeyCache::default()).expect("a name and no password")
}
