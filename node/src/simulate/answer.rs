//! Answers of an agent: GET, GETNEXT, GETBULK by RFC 3416 §4.2, and by RFC 1157 for v1.
//!
//! Does: choose the variables of an answer and write them while they fit.
//! Does not: the message around them (`agent`).
//! In: a request whose varbinds are well formed. Out: the head of its response; the list stands
//! in the [`Reply`].

use ocelli_snmp::ber::tag;
use ocelli_snmp::message::Version;
use ocelli_snmp::oid::OidRef;
use ocelli_snmp::pdu::{ErrorStatus, PduHead, PduKind, PduView};
use ocelli_snmp::value::Value;

use super::agent::Active;
use super::reply::Reply;
use super::switch::{Missing, Moment, Place};
use super::view::{Disorder, View};

/// Answers a request.
pub(super) fn answer(
    view: &View,
    version: Version,
    pdu: &PduView<'_>,
    (moment, active): (&Moment, &Active),
    reply: &mut Reply,
) -> PduHead {
    let mut answering = Answering {
        view,
        moment,
        disorder: active.disorder,
        reply,
    };
    let ended = match (pdu.kind(), version) {
        (PduKind::Set, Version::V1) => Err(Refusal {
            status: ErrorStatus::ReadOnly,
            index: 1,
        }),
        (PduKind::Set, _) => Err(Refusal {
            status: ErrorStatus::NotWritable,
            index: 1,
        }),
        (PduKind::GetBulk, _) => {
            answering.get_bulk(pdu);
            Ok(())
        }
        (kind, version) => answering.each(kind, version, pdu),
    };
    let ended = ended.and_then(|()| match active.variables_max {
        Some(most) if reply.count() > most => Err(TOO_BIG),
        _ => Ok(()),
    });
    let head = PduHead::response(pdu.request_id());
    let Err(refusal) = ended else { return head };
    reply.restart();
    if refusal.status != ErrorStatus::TooBig || version == Version::V1 {
        reply.echo(pdu.raw_varbinds());
    }
    PduHead {
        second: refusal.status.number(),
        third: refusal.index,
        ..head
    }
}

/// Why the whole request fails, and because of which varbind (from 1; 0: of none).
struct Refusal {
    status: ErrorStatus,
    index: i32,
}

const TOO_BIG: Refusal = Refusal {
    status: ErrorStatus::TooBig,
    index: 0,
};

/// Where a variable is, or which exception stands for it.
type Found = Result<Place, Value<'static>>;

struct Answering<'a> {
    view: &'a View,
    moment: &'a Moment,
    disorder: Disorder,
    reply: &'a mut Reply,
}

/// A name of a GETBULK, as far as it has got.
struct Repeater<'a> {
    asked: OidRef<'a>,
    /// The variable answered last.
    last: Option<Place>,
    next: Option<Place>,
}

impl Answering<'_> {
    /// GET and GETNEXT: all names or none (RFC 3416 §4.2.1, §4.2.2).
    fn each(&mut self, kind: PduKind, version: Version, pdu: &PduView<'_>) -> Result<(), Refusal> {
        let names = pdu.varbinds().flatten().map(|bind| bind.name);
        for (name, index) in names.zip(1..) {
            let found = self.find(kind, version, name);
            let fits = match found {
                Ok(place) => self.push(place),
                Err(_) if version == Version::V1 => {
                    return Err(Refusal {
                        status: ErrorStatus::NoSuchName,
                        index,
                    });
                }
                Err(exception) => self.push_exception(name, exception),
            };
            if !fits {
                return Err(TOO_BIG);
            }
        }
        Ok(())
    }

    fn find(&self, kind: PduKind, version: Version, name: OidRef<'_>) -> Found {
        let is_hidden = |place: &Place| version == Version::V1 && self.view.is_counter64(*place);
        if kind == PduKind::Get {
            return match self.view.get(name) {
                Ok(place) if !is_hidden(&place) => Ok(place),
                Ok(_) | Err(Missing::Instance) => Err(Value::NoSuchInstance),
                Err(Missing::Object) => Err(Value::NoSuchObject),
            };
        }
        let mut next = self.view.after(name, self.disorder);
        // Ends with the objects, or at once: a walk that stands still stands on what is shown.
        while let Some(hidden) = next.filter(is_hidden) {
            next = self.view.step(hidden, Disorder::default());
        }
        next.ok_or(Value::EndOfMibView)
    }

    /// GETBULK: as much as fits (RFC 3416 §4.2.3).
    fn get_bulk(&mut self, pdu: &PduView<'_>) {
        let repeater = |asked| {
            let next = self.view.after(asked, self.disorder);
            Repeater {
                asked,
                last: None,
                next,
            }
        };
        let mut names: Vec<Repeater<'_>> = pdu
            .varbinds()
            .flatten()
            .map(|bind| repeater(bind.name))
            .collect();
        let once = pdu.non_repeaters().min(names.len());
        let (once, repeated) = names.split_at_mut(once);
        if !once.iter_mut().all(|name| self.advance(name)) {
            return;
        }
        // Ends at the latest when the reply is full: each round fills it further.
        for _ in 0..pdu.max_repetitions() {
            let have_all_ended = repeated.iter().all(|name| name.next.is_none());
            let fits = repeated.iter_mut().all(|name| self.advance(name));
            if have_all_ended || !fits {
                return;
            }
        }
    }

    /// Answers the next variable of a name. `false`: it does not fit.
    fn advance(&mut self, name: &mut Repeater<'_>) -> bool {
        let Some(place) = name.next else {
            let view = self.view;
            return match name.last {
                None => self.push_exception(name.asked, Value::EndOfMibView),
                Some(last) => self.reply.push(|writer| {
                    Value::EndOfMibView.write(writer);
                    view.write_name(writer, last);
                }),
            };
        };
        name.last = Some(place);
        name.next = self.view.step(place, self.disorder);
        self.push(place)
    }

    fn push(&mut self, place: Place) -> bool {
        let (view, moment) = (self.view, self.moment);
        self.reply.push(|writer| {
            view.write_value(writer, place, moment);
            view.write_name(writer, place);
        })
    }

    fn push_exception(&mut self, name: OidRef<'_>, exception: Value<'_>) -> bool {
        self.reply.push(|writer| {
            exception.write(writer);
            writer.element(tag::OBJECT_IDENTIFIER, name.as_ber());
        })
    }
}
