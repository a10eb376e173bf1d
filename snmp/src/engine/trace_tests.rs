//! Traces of real operations on loopback, and dumps that must not show secrets.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ocelli_model::clock::Monotonic;

use super::*;
use crate::engine::agent_tests::{Cells, TestAgent, cell, column};
use crate::engine::bed_tests::{V3Agent, device, healthy, run, user};
use crate::engine::{CommunityVersion, Credential, GetPlan, WalkPlan};

#[derive(Default)]
struct Log(RefCell<Vec<TraceEvent>>);

impl Tracer for Log {
    fn traced(&self, _: Monotonic, event: TraceEvent) {
        self.0.borrow_mut().push(event);
    }
}

impl Log {
    fn kinds(&self) -> Vec<&'static str> {
        self.0.borrow().iter().map(TraceEvent::kind).collect()
    }

    fn text(&self) -> String {
        let events = self.0.borrow();
        let shown = events.iter().map(|event| {
            let packet = event.packet().map(ToString::to_string);
            format!("{event}\n{}", packet.unwrap_or_default())
        });
        shown.collect()
    }
}

#[test]
fn a_traced_walk_tells_each_request_and_reply_and_an_untraced_handle_tells_nothing() {
    run(|bed| async move {
        let address = healthy(TestAgent::table(2, 30)).await;
        let session = bed.session_with(address, |settings| {
            let credential = Credential::community(CommunityVersion::V2c, b"sesame-open");
            settings.credential = Arc::new(credential);
            settings.max_repetitions = 40;
        });
        let log = Rc::new(Log::default());
        let traced = session.traced(Rc::clone(&log) as _);
        let plan = WalkPlan::new(&[column(1), column(2)]).unwrap();
        let (outcome, _) = session
            .walk(&plan, bed.deadline(5_000), Cells::default())
            .await;
        assert!(outcome.is_complete() && log.kinds().is_empty());
        let (outcome, _) = traced
            .walk(&plan, bed.deadline(5_000), Cells::default())
            .await;
        assert!(outcome.is_complete(), "{outcome:?}");
        let kinds = log.kinds();
        let count = |kind| kinds.iter().filter(|one| **one == kind).count();
        let packets = usize::try_from(outcome.packets).unwrap();
        assert_eq!(
            (count("sent"), count("received"), count("reply")),
            (packets, packets, packets)
        );
        assert_eq!(kinds.last(), Some(&"ended"));
        let text = log.text();
        assert!(text.contains("GETBULK to 127.0.0.1:"), "{text}");
        assert!(text.contains("** ** **"), "{text}");
        assert!(
            !text.contains("0000: **"),
            "only the community is hidden: {text}"
        );
        assert!(!text.contains("sesame"), "{text}");
        let octets: String = text.split_whitespace().collect();
        assert!(!octets.contains("73657361"), "{text}");
    });
}

#[test]
fn a_silent_device_shows_each_try_and_why_it_ended() {
    run(|bed| async move {
        let address = device(|_| Vec::new()).await;
        let session = bed.session_with(address, |settings| settings.tries = 2);
        let log = Rc::new(Log::default());
        let plan = GetPlan::new(&[cell(1, 1)]).unwrap();
        let traced = session.traced(Rc::clone(&log) as _);
        let (result, _) = traced
            .get(&plan, bed.deadline(60_000), Cells::default())
            .await;
        assert!(result.is_err());
        assert_eq!(log.kinds(), ["sent", "silence", "sent", "silence", "ended"]);
        assert!(
            log.text().contains("no reply to try 2 within"),
            "{}",
            log.text()
        );
    });
}

#[test]
fn a_trace_of_v3_tells_reports_and_hides_its_parameters() {
    run(|bed| async move {
        let (_agent, address) = V3Agent::serve(&bed, TestAgent::table(1, 2)).await;
        let session = bed.session_with(address, |settings| {
            let user = user(b"monitor", b"authauth1", b"privpriv1");
            settings.credential = Arc::new(Credential::user(user));
        });
        let log = Rc::new(Log::default());
        let plan = GetPlan::new(&[cell(1, 1)]).unwrap();
        let traced = session.traced(Rc::clone(&log) as _);
        let (result, _) = traced
            .get(&plan, bed.deadline(5_000), Cells::default())
            .await;
        assert!(result.is_ok(), "{result:?}");
        let kinds = log.kinds();
        assert!(
            kinds.contains(&"report") && kinds.contains(&"reply"),
            "{kinds:?}"
        );
        let hidden = |event: &TraceEvent| {
            event
                .packet()
                .map_or(0, |packet| packet.to_string().matches("** ").count())
        };
        let most = log.0.borrow().iter().map(hidden).max();
        // 12 octets of digest and 8 of salt.
        assert_eq!(most, Some(20));
    });
}

#[test]
fn what_is_no_message_is_hidden_as_a_whole() {
    for garbage in [
        &b""[..],
        b"public",
        &[0x30, 0x80, 0x02],
        &[0x30, 0x03, 0x02, 0x01, 0x01],
    ] {
        let packet = MaskedPacket::of(garbage);
        let dump = packet.to_string();
        assert_eq!(dump.matches("** ").count(), garbage.len(), "{dump}");
        assert_eq!(packet.is_empty(), garbage.is_empty());
    }
}
