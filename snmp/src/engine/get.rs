//! Where a get stands and what it asks next: pure, one reply at a time.
//!
//! Does: pack many names over several requests by the size of request and reply, hand each value to
//! the sink once, set aside a name that the agent chokes on and go on with the others.
//! Does not: send, wait, retry. In: [`Get::reply`], [`Get::status`], [`Get::silence`]. Out: names.
//! Invariant: each reply answers or sets aside a name, or halves the request.

use std::rc::Rc;

use ocelli_model::oid::Oid;

use super::error::NameFailure;
use super::limits::{GET_OIDS_MAX, SEND_BYTES_MAX};
use super::repetitions::Repetitions;
use super::sink::{Received, VarbindSink};
use crate::oid::{EncodedOid, Name, OidEncodeError, OidRef};
use crate::pdu::{ErrorStatus, PduView};
use crate::value::Value;

/// Bytes of a request that are no names, v3 authPriv included.
const REQUEST_HEADER_BYTES: usize = 160;
/// Bytes of a name in a request that are no OID: sequence, tag, length, NULL.
const NAME_HEADER_BYTES: usize = 8;

/// Why names make no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetPlanError {
    /// More than [`GET_OIDS_MAX`].
    #[error("get asks for {oids} names; {GET_OIDS_MAX} is the limit, ask in parts")]
    TooManyOids {
        /// How many.
        oids: usize,
    },
    /// A name that BER cannot write.
    #[error(transparent)]
    BadOid(#[from] OidEncodeError),
}

/// Names to be read, encoded once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GetPlan(Rc<[EncodedOid]>);

impl GetPlan {
    /// A plan of these names; sinks count them in this order. None is fine and asks nothing.
    ///
    /// # Errors
    /// All variants of [`GetPlanError`].
    pub fn new<'a>(names: impl IntoIterator<Item = &'a Oid>) -> Result<Self, GetPlanError> {
        let names = names
            .into_iter()
            .map(EncodedOid::new)
            .collect::<Result<Rc<[_]>, _>>()?;
        match names.len() {
            0..=GET_OIDS_MAX => Ok(Self(names)),
            oids => Err(GetPlanError::TooManyOids { oids }),
        }
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> &[EncodedOid] {
        &self.0
    }
}

/// A name not answered yet.
#[derive(Debug)]
pub(crate) struct Wanted {
    position: usize,
    name: EncodedOid,
}

impl Name for Wanted {
    #[inline]
    fn oid(&self) -> OidRef<'_> {
        self.name.as_oid_ref()
    }
}

/// Why a reply to a get is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GetReplyError {
    #[error("it carries {got} where {asked} was asked for")]
    OtherName { asked: String, got: String },
    #[error("it carries {got} of {asked} varbinds")]
    TooFew { asked: usize, got: usize },
}

/// A get in progress.
#[derive(Debug)]
pub(crate) struct Get {
    wanted: Vec<Wanted>,
    /// Those before are answered.
    done: usize,
    /// Names in one request at most; falls when the agent cannot stand more.
    names_max: usize,
    failures: Vec<NameFailure>,
}

impl Get {
    /// Of these names, in this order.
    pub(crate) fn new(plan: &GetPlan) -> Self {
        let wanted = plan.names().iter().enumerate();
        let wanted = wanted.map(|(position, name)| Wanted {
            position,
            name: name.clone(),
        });
        Self {
            wanted: wanted.collect(),
            done: 0,
            names_max: usize::MAX,
            failures: Vec::new(),
        }
    }

    /// How many names to ask for next; `None` when all are answered.
    pub(crate) fn next(&self, repetitions: &Repetitions) -> Option<u16> {
        let rest = self.wanted.get(self.done..).unwrap_or(&[]);
        if rest.is_empty() {
            return None;
        }
        let mut room = SEND_BYTES_MAX - REQUEST_HEADER_BYTES;
        let fitting = rest
            .iter()
            .take_while(|wanted| {
                let bytes = wanted.oid().as_ber().len() + NAME_HEADER_BYTES;
                let fits = bytes <= room;
                room = room.saturating_sub(bytes);
                fits
            })
            .count();
        let names = fitting
            .min(repetitions.varbinds_per_reply())
            .min(self.names_max)
            .max(1);
        Some(u16::try_from(names).unwrap_or(u16::MAX))
    }

    /// The names of that request.
    pub(crate) fn names(&self, asked: u16) -> &[Wanted] {
        let end = (self.done + usize::from(asked)).min(self.wanted.len());
        self.wanted.get(self.done..end).unwrap_or(&[])
    }

    /// A response without error: delivers its values. Returns the varbinds read.
    ///
    /// # Errors
    /// [`GetReplyError`] if names differ from those asked for; values before are delivered.
    pub(crate) fn reply(
        &mut self,
        asked: u16,
        reply: &PduView<'_>,
        sink: &mut dyn VarbindSink,
        received: Received,
    ) -> Result<usize, GetReplyError> {
        let asked = usize::from(asked).min(self.wanted.len() - self.done);
        for (count, varbind) in reply.varbinds().take(asked).enumerate() {
            let wanted = &self.wanted[self.done];
            match varbind {
                Ok(varbind) if varbind.name == wanted.name.as_oid_ref() => {
                    let index = varbind.name.index_under(varbind.name);
                    if let Some(index) = index {
                        sink.varbind(wanted.position, index, varbind.value, received);
                    }
                }
                Ok(varbind) => {
                    return Err(GetReplyError::OtherName {
                        asked: wanted.name.as_oid_ref().to_string(),
                        got: varbind.name.to_string(),
                    });
                }
                Err(_) => self.failures.push(NameFailure {
                    position: wanted.position,
                    status: ErrorStatus::BadValue,
                }),
            }
            self.done += 1;
            if count + 1 == asked {
                return Ok(asked);
            }
        }
        // Fewer than asked for: some agents cut instead of saying "too big". None is an error.
        let got = reply.varbinds().take(asked).count();
        if got == 0 {
            return Err(GetReplyError::TooFew { asked, got });
        }
        Ok(got)
    }

    /// A response with an error status.
    pub(crate) fn status(
        &mut self,
        asked: u16,
        reply: &PduView<'_>,
        sink: &mut dyn VarbindSink,
        received: Received,
    ) {
        let status = reply.error_status();
        let named = usize::try_from(reply.error_index()).unwrap_or(0);
        let asked = usize::from(asked);
        let is_named = (1..=asked).contains(&named) && status != ErrorStatus::TooBig;
        if !is_named && asked > 1 {
            self.names_max = asked / 2;
            return;
        }
        let at = self.done + named.clamp(1, asked) - 1;
        let failed = self.wanted.remove(at);
        if status == ErrorStatus::NoSuchName {
            // What v2c says with an exception (RFC 3584 §4.2.2.1).
            let name = failed.oid();
            if let Some(index) = name.index_under(name) {
                sink.varbind(failed.position, index, Value::NoSuchInstance, received);
            }
        } else {
            self.failures.push(NameFailure {
                position: failed.position,
                status,
            });
        }
    }

    /// No answer to the `silences`-th try in a row: fewer names from the second.
    pub(crate) fn silence(&mut self, asked: u16, silences: u8) {
        if silences > 1 {
            self.names_max = (usize::from(asked) / 2).max(1);
        }
    }

    /// The request cannot be written: half the names; false if it was only one.
    pub(crate) fn narrow(&mut self, asked: u16) -> bool {
        self.names_max = (usize::from(asked) / 2).max(1);
        asked > 1
    }

    /// Names that failed.
    pub(crate) fn into_failures(self) -> Vec<NameFailure> {
        self.failures
    }
}
