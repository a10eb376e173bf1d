//! Tests of `message`.

use super::*;
use crate::oid::EncodedOid;
use crate::pdu::PduKind;
use crate::value::{Value, Varbind};

fn names(texts: &[&str]) -> Vec<EncodedOid> {
    texts
        .iter()
        .map(|text| EncodedOid::new(&text.parse().unwrap()).unwrap())
        .collect()
}

const BULK: RequestKind = RequestKind::GetBulk {
    non_repeaters: 1,
    max_repetitions: 300,
};

#[test]
fn a_get_has_the_bytes_that_other_managers_send() {
    let names = names(&["1.3.6.1.2.1.1.1.0"]);
    let id = RequestId::from_bits(0x0102_0304);
    let request = Request {
        kind: RequestKind::Get,
        id,
        names: &names,
    };
    let mut buffer = [0; 100];
    let message = encode_request(&mut buffer, Version::V2c, b"public", &request).unwrap();
    let golden = [
        &[0x30, 41, 0x02, 1, 1, 0x04, 6][..],
        b"public",
        &[0xa0, 28, 0x02, 4, 0x41, 2, 3, 4, 0x02, 1, 0, 0x02, 1, 0],
        &[
            0x30, 14, 0x30, 12, 0x06, 8, 0x2b, 6, 1, 2, 1, 1, 1, 0, 0x05, 0,
        ],
    ]
    .concat();
    assert_eq!(message, golden);
}

#[test]
fn a_request_reads_back_as_it_was_written() {
    let names = names(&["1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.31.1.1.1.6"]);
    let id = RequestId::from_bits(9);
    let request = Request {
        kind: BULK,
        id,
        names: &names,
    };
    let mut buffer = [0; 200];
    let message = encode_request(&mut buffer, Version::V2c, b"c", &request).unwrap();
    assert_eq!(version_of(message), Ok(Version::V2c));
    let read = CommunityMessage::decode(message).unwrap();
    assert_eq!((read.version, read.community), (Version::V2c, &b"c"[..]));
    let view = read.pdu.standard().unwrap();
    assert_eq!(
        (view.kind(), view.request_id()),
        (PduKind::GetBulk, id.get())
    );
    assert_eq!((view.non_repeaters(), view.max_repetitions()), (1, 300));
    for (bind, name) in view.varbinds().zip(&names) {
        assert_eq!(
            bind,
            Ok(Varbind {
                name: name.as_oid_ref(),
                value: Value::Null
            })
        );
    }
    assert_eq!(view.varbinds().count(), 2);
}

#[test]
fn a_template_with_a_new_id_equals_a_new_request() {
    let names = names(&["1.3.6.1.2.1.2.2.1.10", "1.3.6.1.4.1.999999.4294967295"]);
    let first = Request {
        kind: BULK,
        id: RequestId::from_bits(1),
        names: &names,
    };
    let mut template = Template::new(Version::V2c, b"public", &first).unwrap();
    for bits in [0, 77, 0x3fff_ffff] {
        let id = RequestId::from_bits(bits);
        let mut buffer = [0; 200];
        let fresh = encode_request(
            &mut buffer,
            Version::V2c,
            b"public",
            &Request { id, ..first },
        )
        .unwrap();
        assert_eq!(template.with_id(id), fresh);
    }
}

#[test]
fn a_template_takes_any_number_of_names() {
    let long = format!("1.3{}", ".4294967295".repeat(126));
    let names = names(&vec![long.as_str(); 60]);
    let request = Request {
        kind: RequestKind::GetNext,
        id: RequestId::from_bits(1),
        names: &names,
    };
    let mut template = Template::new(Version::V1, &[b'c'; 300], &request).unwrap();
    let message = CommunityMessage::decode(template.with_id(request.id)).unwrap();
    assert_eq!(message.pdu.standard().unwrap().varbinds().count(), 60);
}

#[test]
fn requests_that_cannot_be_written_say_why() {
    let names = names(&["1.3.6"]);
    let request = Request {
        kind: BULK,
        id: RequestId::from_bits(1),
        names: &names,
    };
    let check = |version: Version, room: usize, error: EncodeError| {
        let mut buffer = vec![0; room];
        assert_eq!(
            encode_request(&mut buffer, version, b"c", &request).unwrap_err(),
            error
        );
    };
    check(Version::V1, 100, EncodeError::BulkInV1);
    check(Version::V3, 100, EncodeError::CommunityInV3);
    check(
        Version::V2c,
        20,
        EncodeError::Full(BufferFull { capacity: 20 }),
    );
}

#[test]
fn datagrams_that_are_no_message_say_why() {
    let check = |datagram: &[u8], error: MessageError| {
        assert_eq!(
            CommunityMessage::decode(datagram).unwrap_err(),
            error,
            "{datagram:x?}"
        );
    };
    let sequence = BerError::UnexpectedTag {
        expected: 0x30,
        found: 0x16,
    };
    check(&[0x16, 0], MessageError::Ber(sequence));
    check(
        &[0x30, 3, 0x02, 1, 2],
        MessageError::UnknownVersion { number: 2 },
    );
    check(
        &[0x30, 3, 0x02, 1, 3],
        MessageError::OtherVersion { found: Version::V3 },
    );
    let pdu = PduError::UnknownKind { tag: 0xbf };
    check(
        &[0x30, 7, 0x02, 1, 1, 0x04, 0, 0xbf, 0],
        MessageError::Pdu(pdu),
    );
    check(&[0x30, 0x80], MessageError::Ber(BerError::IndefiniteLength));
    check(
        &[0x30, 0x85, 0, 0, 0, 0, 1],
        MessageError::Ber(BerError::LengthTooLong { octets: 5 }),
    );
    let cut = BerError::Truncated {
        needed: 256,
        left: 1,
    };
    check(&[0x30, 0x82, 1, 0, 2], MessageError::Ber(cut));
}

#[test]
fn padding_after_the_message_is_ignored() {
    let names = names(&["1.3.6"]);
    let request = Request {
        kind: RequestKind::Get,
        id: RequestId::from_bits(1),
        names: &names,
    };
    let mut buffer = [0; 100];
    let message = encode_request(&mut buffer, Version::V1, b"c", &request).unwrap();
    let padded = [&*message, &[0, 0, 0]].concat();
    assert!(CommunityMessage::decode(&padded).is_ok());
}

#[test]
fn no_cut_of_a_message_is_a_message() {
    let names = names(&["1.3.6.1.2.1.1.1.0"]);
    let request = Request {
        kind: RequestKind::Get,
        id: RequestId::from_bits(1),
        names: &names,
    };
    let mut buffer = [0; 100];
    let message = encode_request(&mut buffer, Version::V2c, b"public", &request).unwrap();
    for length in 0..message.len() {
        assert!(
            CommunityMessage::decode(&message[..length]).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_response_is_made_of_varbinds_written_from_the_last() {
    let name = EncodedOid::new(&"1.3.6.1".parse().unwrap()).unwrap();
    let mut buffer = [0; 4_000];
    let mut writer = BackWriter::new(&mut buffer);
    for value in (0..200).rev() {
        Varbind {
            name: name.as_oid_ref(),
            value: Value::Counter64(value),
        }
        .write(&mut writer);
    }
    write_response(
        &mut writer,
        0,
        Version::V2c,
        b"public",
        &PduHead::response(5),
    );
    let message = CommunityMessage::decode(writer.finish().unwrap()).unwrap();
    let view = message.pdu.standard().unwrap();
    assert_eq!(
        (view.request_id(), view.error_status().name()),
        (5, "noError")
    );
    let values: Vec<_> = view
        .varbinds()
        .map(|bind| bind.unwrap().value.as_u64())
        .collect();
    assert_eq!(values, (0..200).map(Some).collect::<Vec<_>>());
}
