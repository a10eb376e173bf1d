//! Bodies of entries other than batches and definitions, decoded and encoded.
//!
//! Does: gaps, pending ranges, sessions, enrichments, events, skips: small, versioned, bounded.
//! Does not: heads (slot, resource and plugin stand there), batches (`body`).
//! In and out: values and bytes. Layout: `bus/FORMAT.md` §5. The first byte of each is a version;
//! an entry of a later one is carried as [`Payload::Unknown`].

use std::sync::Arc;

use ocelli_model::batch::Batch;
use ocelli_model::codec::{self, Kind};
use ocelli_model::enrichment::EnrichmentRecord;
use ocelli_model::event::{EventFacts, Severity};
use ocelli_model::gap::{DETAIL_BYTES_MAX, Gap, GapCause, GapKind};
use ocelli_model::rows::SessionFacts;
use ocelli_model::slot::SlotMs;

use crate::block::EntryHead;
use crate::definition::Definition;
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::record::EntryKind;
use crate::wire::{Cursor, WireError, put_text, put_varint};

/// Version of all payloads of this file.
const VERSION: u8 = 1;
/// Version of a skip that says of which block it is.
const VERSION_OF_SOURCE: u8 = 2;
/// Most fields of an event.
pub const EVENT_FIELDS_MAX: usize = 64;
/// Longest kind of an event, and longest name of a field, bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 128;
/// Longest text of an event or a field, bytes; what is longer is cut at a character.
pub const EVENT_TEXT_BYTES_MAX: usize = 4_096;
/// Largest saved rate state of a session, bytes.
pub const SESSION_STATE_BYTES_MAX: usize = 256 * 1024;

/// What an entry holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// A slot's data, shared between readers.
    Batch(Arc<Batch>),
    /// Slots without data; its epoch and first slot stand in the head too.
    Gap(Gap),
    /// Slots whose owner died and may still hold the data.
    Pending(Pending),
    /// The old owner is done; the slot is the first that it does not poll.
    Released,
    /// Session facts and rate state.
    Session(Session),
    /// Facts that changed.
    Enrich(Arc<EnrichmentRecord>),
    /// Something worth knowing.
    Event(EventFacts),
    /// Seqs withheld.
    Skip(Skip),
    /// Lane 1: what an id means.
    Definition(Arc<Definition>),
    /// Lane 1: a plan entry, as `model` encodes it.
    Plan(Arc<[u8]>),
    /// Of a later version: carried and counted.
    Unknown(Arc<[u8]>),
}

/// A slot range whose owner died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// First slot.
    pub first: SlotMs,
    /// Last slot, `first` or later.
    pub last: SlotMs,
}

/// Seqs that a forwarding policy withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skip {
    /// How many seqs, this entry's own the first of them.
    pub count: u64,
    /// Checksum of the block's header as its origin wrote it; in the first skip of a block.
    pub source: Option<u32>,
}

/// What a restart, or another owner, needs to go on as if nothing had happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Engine boots and time, sysUpTime, as of the head's time.
    pub facts: SessionFacts,
    /// Smoothed round trip, microseconds.
    pub rtt_us: Option<u32>,
    /// Previous counters, as the rate engine saves them; opaque here.
    pub state: Vec<u8>,
}

/// Why a payload is not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The bytes do not say what they should.
    #[error("{kind} entry: {source}", kind = kind.as_str())]
    Wire {
        /// Which entry.
        kind: EntryKind,
        /// The place.
        source: WireError,
    },
    /// An envelope that does not open.
    #[error("{kind} entry: {source}", kind = kind.as_str())]
    Decode {
        /// Which entry.
        kind: EntryKind,
        /// What is wrong.
        source: codec::DecodeError,
    },
    /// Too large to be written.
    #[error("enrichment: {0}")]
    Encode(#[from] codec::EncodeError),
    /// Rate state beyond its limit.
    #[error("rate state of {bytes} bytes; {SESSION_STATE_BYTES_MAX} is the limit, poll fewer rows")]
    State {
        /// Bytes of the state.
        bytes: usize,
    },
}

// === Writing ===

/// Appends a gap's body; slot, interval and epoch go into the head.
pub(crate) fn put_gap(into: &mut Vec<u8>, gap: &Gap) {
    into.extend([VERSION, gap.cause.kind as u8]);
    put_text(into, gap.cause.detail());
    put_span(into, gap.first, gap.last);
}

/// Appends a pending range's body.
pub(crate) fn put_pending(into: &mut Vec<u8>, pending: &Pending) {
    into.push(VERSION);
    put_span(into, pending.first, pending.last);
}

/// Appends a skip's body.
pub(crate) fn put_skip(into: &mut Vec<u8>, skip: Skip) {
    match skip.source {
        None => {
            into.push(VERSION);
            put_varint(into, skip.count);
        }
        Some(source) => {
            into.push(VERSION_OF_SOURCE);
            put_varint(into, skip.count);
            into.extend_from_slice(&source.to_le_bytes());
        }
    }
}

/// The source that a skip's body names, if it names one.
pub(crate) fn read_skip_source(body: &[u8]) -> Option<u32> {
    read_skip(body).ok()?.source
}

/// A body of no bytes is one seq: a reader knows all of it from the head.
fn read_skip(body: &[u8]) -> Result<Skip, WireError> {
    if body.is_empty() {
        let (count, source) = (1, None);
        return Ok(Skip { count, source });
    }
    let mut cursor = Cursor::new(body);
    let has_source = cursor.u8("a version")? == VERSION_OF_SOURCE;
    let count = cursor.varint("a count")?;
    let source = match has_source {
        true => Some(u32::from_le_bytes(cursor.array("a block's checksum")?)),
        false => None,
    };
    cursor.finish("the end of the entry")?;
    Ok(Skip { count, source })
}

/// Appends a session's body.
pub(crate) fn put_session(into: &mut Vec<u8>, session: &Session) -> Result<(), PayloadError> {
    let bytes = session.state.len();
    if bytes > SESSION_STATE_BYTES_MAX {
        return Err(PayloadError::State { bytes });
    }
    let facts = &session.facts;
    let numbers = [
        facts.sys_uptime_ticks,
        facts.engine_boots,
        facts.engine_time_s,
        session.rtt_us,
    ];
    let present = numbers.iter().enumerate();
    let mask = present.fold(0, |mask, (bit, number)| {
        mask | u8::from(number.is_some()) << bit
    });
    into.extend([VERSION, mask]);
    for number in numbers.into_iter().flatten() {
        put_varint(into, u64::from(number));
    }
    into.extend_from_slice(&session.state);
    Ok(())
}

/// Appends an enrichment's body.
pub(crate) fn put_enrich(
    into: &mut Vec<u8>,
    record: &EnrichmentRecord,
) -> Result<(), PayloadError> {
    into.push(VERSION);
    codec::encode::<PAYLOAD_BYTES_MAX>(Kind::ENRICHMENT, u16::from(VERSION), record, into)?;
    Ok(())
}

/// Appends an event's body; texts beyond their limits are cut, fields beyond theirs left out.
pub(crate) fn put_event(into: &mut Vec<u8>, event: &EventFacts) {
    into.extend([VERSION, event.severity as u8]);
    put_text(into, cut(&event.kind, EVENT_NAME_BYTES_MAX));
    put_text(into, cut(&event.text, EVENT_TEXT_BYTES_MAX));
    let fields = event.fields.len().min(EVENT_FIELDS_MAX);
    put_varint(into, fields as u64);
    for (name, value) in event.fields.iter().take(fields) {
        put_text(into, cut(name, EVENT_NAME_BYTES_MAX));
        put_text(into, cut(value, EVENT_TEXT_BYTES_MAX));
    }
}

fn put_span(into: &mut Vec<u8>, first: SlotMs, last: SlotMs) {
    put_varint(into, last.0.saturating_sub(first.0).max(0).cast_unsigned());
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

// === Reading ===

fn wire_of(head: &EntryHead) -> impl Fn(WireError) -> PayloadError {
    let kind = head.kind;
    move |source| PayloadError::Wire { kind, source }
}

/// Decodes the body of any entry but a batch or a definition.
pub(crate) fn read(head: &EntryHead, body: &[u8]) -> Result<Payload, PayloadError> {
    let unknown = || Ok(Payload::Unknown(body.into()));
    match head.kind {
        EntryKind::Plan => return Ok(Payload::Plan(body.into())),
        EntryKind::Unknown(_)
        | EntryKind::Batch
        | EntryKind::Definition
        | EntryKind::Derivation => return unknown(),
        EntryKind::Released if body.is_empty() => return Ok(Payload::Released),
        EntryKind::Skip if matches!(body, [] | [VERSION | VERSION_OF_SOURCE, ..]) => {
            return read_skip(body).map(Payload::Skip).map_err(wire_of(head));
        }
        _ => {}
    }
    let wire = wire_of(head);
    let mut cursor = Cursor::new(body);
    if cursor.u8("a version").map_err(&wire)? != VERSION {
        return unknown();
    }
    if head.kind == EntryKind::Enrich {
        return read_enrich(&body[1..]);
    }
    read_small(head, &mut cursor).map_err(wire)
}

fn read_enrich(envelope: &[u8]) -> Result<Payload, PayloadError> {
    // Twice the limit of writing: decoding counts claimed memory, not bytes.
    let decoded = codec::decode::<EnrichmentRecord, { 2 * PAYLOAD_BYTES_MAX }>(
        Kind::ENRICHMENT,
        u16::from(VERSION),
        envelope,
    );
    let wrong = |source| PayloadError::Decode {
        kind: EntryKind::Enrich,
        source,
    };
    let (record, _) = decoded.map_err(wrong)?;
    Ok(Payload::Enrich(Arc::new(record)))
}

fn read_small(head: &EntryHead, cursor: &mut Cursor<'_>) -> Result<Payload, WireError> {
    let payload = match head.kind {
        EntryKind::Gap => Payload::Gap(read_gap(head, cursor)?),
        EntryKind::Pending => {
            let last = read_span(head.slot, cursor)?;
            Payload::Pending(Pending {
                first: head.slot,
                last,
            })
        }
        EntryKind::Session => return read_session(cursor).map(Payload::Session),
        EntryKind::Event => Payload::Event(read_event(cursor)?),
        _ => Payload::Released,
    };
    cursor.finish("the end of the entry")?;
    Ok(payload)
}

fn read_gap(head: &EntryHead, cursor: &mut Cursor<'_>) -> Result<Gap, WireError> {
    let number = cursor.u8("a cause")?;
    let detail = cursor.text(DETAIL_BYTES_MAX, "the cause's detail")?;
    // A cause of a later version keeps its number in the detail.
    let cause = match GapKind::from_number(number) {
        Some(kind) => GapCause::because(kind, detail),
        None => GapCause::because(GapKind::PluginError, &format!("cause {number}: {detail}")),
    };
    let last = read_span(head.slot, cursor)?;
    Ok(Gap {
        first: head.slot,
        last,
        interval_ms: head.interval_ms,
        epoch: head.epoch,
        cause,
    })
}

fn read_span(first: SlotMs, cursor: &mut Cursor<'_>) -> Result<SlotMs, WireError> {
    let error = cursor.error("a range within the time of slots");
    let span = i64::try_from(cursor.varint("a range")?).map_err(|_| error.clone())?;
    first.0.checked_add(span).map(SlotMs).ok_or(error)
}

fn read_session(cursor: &mut Cursor<'_>) -> Result<Session, WireError> {
    let mask = cursor.u8("a mask of facts")?;
    let mut numbers = [None; 4];
    for (bit, number) in numbers.iter_mut().enumerate() {
        if mask >> bit & 1 == 1 {
            *number = Some(cursor.varint_u32("a fact")?);
        }
    }
    let [sys_uptime_ticks, engine_boots, engine_time_s, rtt_us] = numbers;
    let state = cursor.take(cursor.remaining(), "rate state")?.to_vec();
    let facts = SessionFacts {
        sys_uptime_ticks,
        engine_boots,
        engine_time_s,
    };
    Ok(Session {
        facts,
        rtt_us,
        state,
    })
}

fn read_event(cursor: &mut Cursor<'_>) -> Result<EventFacts, WireError> {
    let number = cursor.u8("a severity")?;
    // A severity of a later version is at least as bad as the worst known one.
    let severity = Severity::ALL
        .get(usize::from(number))
        .copied()
        .unwrap_or(Severity::Error);
    let kind = cursor
        .text(EVENT_NAME_BYTES_MAX, "an event's kind")?
        .to_owned();
    let text = cursor
        .text(EVENT_TEXT_BYTES_MAX, "an event's text")?
        .to_owned();
    let count = cursor.varint_usize(EVENT_FIELDS_MAX, "a number of fields")?;
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let name = cursor
            .text(EVENT_NAME_BYTES_MAX, "a field's name")?
            .to_owned();
        fields.push((
            name,
            cursor
                .text(EVENT_TEXT_BYTES_MAX, "a field's value")?
                .to_owned(),
        ));
    }
    Ok(EventFacts {
        kind,
        severity,
        text,
        fields,
    })
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
