//! Tests of `pdu`.

use super::*;
use crate::ber::BackWriter;
use crate::value::Value;

#[test]
fn every_kind_is_found_by_its_tag() {
    for tag in 0_u8..=255 {
        match PduKind::from_tag(tag) {
            Some(kind) => assert_eq!(kind.tag(), tag),
            None => assert!(!(0xa0..=0xa8).contains(&tag), "{tag:#x}"),
        }
    }
    assert!(PduKind::GetBulk.is_confirmed());
    assert!(!PduKind::Report.is_confirmed());
}

#[test]
fn error_statuses_have_the_names_of_rfc_3416() {
    let check = |number: i32, name: &str| {
        let status = ErrorStatus::from_number(number);
        assert_eq!((status.name(), status.number()), (name, number));
    };
    check(0, "noError");
    check(1, "tooBig");
    check(2, "noSuchName");
    check(5, "genErr");
    check(16, "authorizationError");
    check(18, "inconsistentName");
    check(19, "unknown");
    check(-1, "unknown");
}

#[test]
fn an_id_has_four_octets_whatever_the_bits() {
    for bits in [0, 1, u32::MAX, 0x8000_0000, 0x3fff_ffff] {
        let mut buffer = [0; 16];
        let mut writer = BackWriter::new(&mut buffer);
        writer.integer(RequestId::from_bits(bits).get());
        assert_eq!(writer.written(), 6, "{bits:#x}");
    }
}

#[test]
fn a_v1_trap_gives_its_fields() {
    let trap = [
        0xa4, 31, 0x06, 3, 0x2b, 6, 1, // enterprise
        0x40, 4, 192, 0, 2, 7, // agent address
        0x02, 1, 6, 0x02, 1, 42, // generic, specific
        0x43, 2, 1, 0, // time stamp
        0x30, 8, 0x30, 6, 0x06, 1, 0x2b, 0x02, 1, 9,
    ];
    let Ok(Pdu::TrapV1(view)) = Pdu::read(&mut Reader::new(&trap)) else {
        panic!("no trap");
    };
    assert_eq!(view.enterprise.to_string(), "1.3.6.1");
    assert_eq!(view.agent_address, Ipv4Addr::new(192, 0, 2, 7));
    assert_eq!((view.generic, view.specific, view.time_stamp), (6, 42, 256));
    let values: Vec<_> = view.varbinds().map(|bind| bind.unwrap().value).collect();
    assert_eq!(values, [Value::Integer(9)]);
}

#[test]
fn negative_bulk_fields_count_as_zero() {
    let bulk = [0xa5, 11, 0x02, 1, 7, 0x02, 1, 0xff, 0x02, 1, 0xfe, 0x30, 0];
    let pdu = Pdu::read(&mut Reader::new(&bulk)).unwrap();
    let view = pdu.standard().unwrap();
    assert_eq!(
        (
            view.non_repeaters(),
            view.max_repetitions(),
            view.request_id()
        ),
        (0, 0, 7)
    );
}

#[test]
fn what_is_no_pdu_is_refused() {
    let check = |bytes: &[u8], error: PduError| {
        assert_eq!(
            Pdu::read(&mut Reader::new(bytes)).unwrap_err(),
            error,
            "{bytes:x?}"
        );
    };
    check(&[0xa9, 0], PduError::UnknownKind { tag: 0xa9 });
    check(
        &[0xa2, 0],
        PduError::Ber(BerError::Truncated { needed: 2, left: 0 }),
    );
    let trailing = [0xa2, 12, 0x02, 1, 7, 0x02, 1, 0, 0x02, 1, 0, 0x30, 0, 5];
    check(
        &trailing,
        PduError::Ber(BerError::TrailingBytes { left: 1 }),
    );
}
