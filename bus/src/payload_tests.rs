//! Proof of small payloads: round trips, limits, later versions.

use ocelli_model::clock::WallMs;
use ocelli_model::event::{EventFacts, Severity};
use ocelli_model::slot::Epoch;
use proptest::prelude::*;

use super::*;

fn head(kind: EntryKind) -> EntryHead {
    let epoch = Epoch {
        generation: 1,
        index: 2,
    };
    let slot = SlotMs(60_000);
    EntryHead {
        slot,
        interval_ms: 60_000,
        epoch,
        ..EntryHead::bare(kind, WallMs(61_000))
    }
}

#[test]
fn sessions_keep_facts_and_state_and_tell_absent_from_zero() {
    let check = |session: Session| {
        let mut body = Vec::new();
        put_session(&mut body, &session).unwrap();
        let read = read(&head(EntryKind::Session), &body).unwrap();
        assert_eq!(read, Payload::Session(session));
    };
    check(Session::default());
    let facts = SessionFacts {
        engine_boots: Some(0),
        ..SessionFacts::default()
    };
    check(Session {
        facts,
        rtt_us: Some(812),
        state: vec![1, 2, 3],
    });
    let facts = SessionFacts {
        sys_uptime_ticks: Some(u32::MAX),
        engine_boots: Some(7),
        engine_time_s: Some(9),
    };
    check(Session {
        facts,
        rtt_us: None,
        state: Vec::new(),
    });
    let large = Session {
        state: vec![0; SESSION_STATE_BYTES_MAX + 1],
        ..Session::default()
    };
    let error = put_session(&mut Vec::new(), &large).unwrap_err();
    assert!(error.to_string().contains("rate state"), "{error}");
}

#[test]
fn an_event_is_cut_to_its_limits_at_characters() {
    let event = EventFacts {
        kind: "x".repeat(500),
        severity: Severity::Error,
        text: "ä".repeat(EVENT_TEXT_BYTES_MAX),
        fields: vec![("name".into(), "value".into()); EVENT_FIELDS_MAX + 9],
    };
    let mut body = Vec::new();
    put_event(&mut body, &event);
    let Payload::Event(read) = read(&head(EntryKind::Event), &body).unwrap() else {
        panic!("an event");
    };
    assert_eq!(read.kind.len(), EVENT_NAME_BYTES_MAX);
    assert_eq!(read.text.len(), EVENT_TEXT_BYTES_MAX);
    assert_eq!(
        (read.fields.len(), read.severity),
        (EVENT_FIELDS_MAX, Severity::Error)
    );
}

#[test]
fn an_entry_of_a_later_version_or_kind_is_carried() {
    let check = |kind: EntryKind, body: &[u8]| {
        assert_eq!(
            read(&head(kind), body).unwrap(),
            Payload::Unknown(body.into()),
            "{kind:?}"
        );
    };
    check(EntryKind::Gap, &[2, 9, 9, 9]);
    check(EntryKind::Session, &[200]);
    check(EntryKind::Unknown(77), b"anything");
    let plan = read(&head(EntryKind::Plan), b"plan").unwrap();
    assert_eq!(plan, Payload::Plan(b"plan".as_slice().into()));
}

#[test]
fn a_gap_of_a_later_cause_says_its_number() {
    let Payload::Gap(gap) = read(&head(EntryKind::Gap), &[1, 200, 0, 0]).unwrap() else {
        panic!("a gap");
    };
    assert_eq!(gap.cause.to_string(), "plugin_error/cause 200: ");
    assert_eq!((gap.first, gap.last), (SlotMs(60_000), SlotMs(60_000)));
}

proptest! {
    #[test]
    fn any_bytes_are_a_payload_or_an_error(
        kind in 0u8..20,
        body in proptest::collection::vec(any::<u8>(), 0..60),
        is_first in any::<bool>(),
    ) {
        let mut body = body;
        if is_first && !body.is_empty() {
            body[0] = VERSION;
        }
        let kind = EntryKind::from_number(kind);
        if let Err(error) = read(&head(kind), &body) {
            let text = error.to_string();
            prop_assert!(text.contains("entry"), "{}", text);
        }
    }

    #[test]
    fn gaps_of_any_range_and_detail_come_back(
        first in any::<i32>(), span in 0u32.., detail in "\\PC{0,300}", kind in 1u8..=20
    ) {
        let cause = GapCause::because(GapKind::from_number(kind).unwrap(), &detail);
        let first = SlotMs(i64::from(first));
        let gap = Gap {
            first,
            last: SlotMs(first.0 + i64::from(span)),
            interval_ms: 60_000,
            epoch: Epoch { generation: 1, index: 2 },
            cause,
        };
        let mut body = Vec::new();
        put_gap(&mut body, &gap);
        let head = EntryHead { slot: first, ..head(EntryKind::Gap) };
        prop_assert_eq!(read(&head, &body).unwrap(), Payload::Gap(gap));
    }
}
