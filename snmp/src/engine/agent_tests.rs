//! An agent for tests: answers GET, GETNEXT and GETBULK out of a sorted map.
//!
//! Does: what RFC 3416 §4.2 asks, with a limit of bytes, and a few faults of real agents.
//! Does not: I/O; tests put it behind a socket or call it directly.
//! In: a decoded request. Out: the varbinds of its response, encoded.

use std::collections::BTreeMap;
use std::ops::Bound;

use ocelli_model::oid::Oid;

use crate::ber::BackWriter;
use crate::message::{CommunityMessage, Version, write_response};
use crate::oid::EncodedOid;
use crate::pdu::{ErrorStatus, PduHead, PduKind, PduView};
use crate::value::{Value, Varbind};

/// What the agent holds, and how it errs.
#[derive(Debug, Clone)]
pub(crate) struct TestAgent {
    pub(crate) mib: BTreeMap<Oid, u64>,
    /// Bytes of a response at most; GETBULK is cut, others are "too big".
    pub(crate) reply_bytes_max: usize,
    /// GETBULK beyond `reply_bytes_max` is "too big" too, instead of cut.
    pub(crate) is_bulk_too_big: bool,
    /// The successor of this name is this one, whatever the map says.
    pub(crate) detour: Option<(Oid, Oid)>,
    /// Asked for this name (or its successor), the agent answers `genErr`.
    pub(crate) broken: Option<Oid>,
    pub(crate) version: Version,
}

impl TestAgent {
    pub(crate) fn new(mib: BTreeMap<Oid, u64>) -> Self {
        Self {
            mib,
            reply_bytes_max: 1_472,
            is_bulk_too_big: false,
            detour: None,
            broken: None,
            version: Version::V2c,
        }
    }

    /// A table of `columns` columns under 1.3.6.1.2.1.2.2.1 with rows 1 to `rows`.
    pub(crate) fn table(columns: u32, rows: u32) -> Self {
        let mut mib = BTreeMap::new();
        for column in 1..=columns {
            for row in 1..=rows {
                mib.insert(cell(column, row), u64::from(column) << 40 | u64::from(row));
            }
        }
        // What stands behind the table.
        mib.insert("1.3.6.1.2.1.3.1.0".parse().unwrap(), 7);
        Self::new(mib)
    }

    /// Answers a datagram of v1 or v2c; `None` for what is none.
    pub(crate) fn answer(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = CommunityMessage::decode(datagram).ok()?;
        let request = message.pdu.standard()?;
        let mut buffer = vec![0; 65_000];
        let mut writer = BackWriter::new(&mut buffer);
        let head = self.respond(request, &mut writer, self.reply_bytes_max - 60);
        write_response(&mut writer, 0, message.version, message.community, &head);
        Some(writer.finish().unwrap().to_vec())
    }

    /// Writes the varbinds of the response and returns its head.
    pub(crate) fn respond(
        &self,
        request: &PduView<'_>,
        writer: &mut BackWriter<'_>,
        room: usize,
    ) -> PduHead {
        let mut head = PduHead::response(request.request_id());
        let names: Vec<Oid> = request
            .varbinds()
            .map(|varbind| varbind.unwrap().name.to_oid())
            .collect();
        let is_bulk = request.kind() == PduKind::GetBulk;
        let rows = if is_bulk {
            request.max_repetitions()
        } else {
            1
        };
        let mut found = Vec::new();
        let mut cursors = names.clone();
        'rows: for _ in 0..rows {
            for (position, cursor) in cursors.iter_mut().enumerate() {
                let (name, value) = match request.kind() {
                    PduKind::Get => (cursor.clone(), self.mib.get(cursor).copied()),
                    _ => self.successor(cursor),
                };
                let at = i32::try_from(position + 1).unwrap();
                if self.broken.as_ref() == Some(&name) {
                    return refuse(head, (ErrorStatus::GenErr, at), request, writer);
                }
                if value.is_none() && self.version == Version::V1 {
                    return refuse(head, (ErrorStatus::NoSuchName, at), request, writer);
                }
                cursor.clone_from(&name);
                found.push((name, value));
                let bytes: usize = found.iter().map(|(name, _)| name.arcs().len() + 18).sum();
                if bytes > room {
                    if is_bulk && !self.is_bulk_too_big {
                        found.pop();
                        break 'rows;
                    }
                    head.second = ErrorStatus::TooBig.number();
                    return head;
                }
            }
        }
        for (name, value) in found.iter().rev() {
            let value = match (value, request.kind()) {
                (Some(value), _) => Value::Counter64(*value),
                (None, PduKind::Get) => Value::NoSuchInstance,
                (None, _) => Value::EndOfMibView,
            };
            let name = EncodedOid::new(name).unwrap();
            let name = name.as_oid_ref();
            Varbind { name, value }.write(writer);
        }
        head
    }

    fn successor(&self, name: &Oid) -> (Oid, Option<u64>) {
        if let Some((from, to)) = &self.detour
            && from == name
        {
            return (to.clone(), Some(0));
        }
        let after = (Bound::Excluded(name.clone()), Bound::Unbounded);
        match self.mib.range(after).next() {
            Some((next, value)) => (next.clone(), Some(*value)),
            None => (name.clone(), None),
        }
    }
}

/// An error response: the varbinds of the request, echoed.
fn refuse(
    mut head: PduHead,
    (status, at): (ErrorStatus, i32),
    request: &PduView<'_>,
    writer: &mut BackWriter<'_>,
) -> PduHead {
    head.second = status.number();
    head.third = at;
    writer.bytes(request.raw_varbinds());
    head
}

/// The OID of a column of [`TestAgent::table`].
pub(crate) fn column(number: u32) -> Oid {
    let entry: Oid = "1.3.6.1.2.1.2.2.1".parse().unwrap();
    entry.child(&[number]).unwrap()
}

/// The OID of a cell of [`TestAgent::table`].
pub(crate) fn cell(number: u32, row: u32) -> Oid {
    column(number).child(&[row]).unwrap()
}

/// Cells as a sink got them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Cells(pub(crate) Vec<(usize, Vec<u32>, Option<u64>)>);

impl super::sink::VarbindSink for Cells {
    fn varbind(
        &mut self,
        column: usize,
        index: crate::oid::Index<'_>,
        value: Value<'_>,
        _received: super::sink::Received,
    ) {
        self.0
            .push((column, index.arcs().collect(), value.as_u64()));
    }
}
