//! What a `Report` complains about (RFC 3414 §5, RFC 3412 §5, RFC 3413 §4.1.2).
//!
//! Does: map the counter that a report carries to its reason, and back for agents.
//! Does not: decide what to do about it (`v3::Peer`).
//! In: the name of the counter. Out: [`ReportReason`].

use crate::oid::OidRef;

/// 1.3.6.1.6.3, `snmpModules`.
const MODULES: [u8; 5] = [0x2b, 6, 1, 6, 3];

/// Why an agent answered with a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportReason {
    /// `usmStatsUnsupportedSecLevels`: the agent does not do this level, or not for this user.
    UnsupportedSecurityLevel,
    /// `usmStatsNotInTimeWindows`: our boots or time for this engine are wrong.
    NotInTimeWindow,
    /// `usmStatsUnknownUserNames`.
    UnknownUserName,
    /// `usmStatsUnknownEngineIDs`: also the answer to discovery.
    UnknownEngineId,
    /// `usmStatsWrongDigests`: another authentication password or protocol.
    WrongDigest,
    /// `usmStatsDecryptionErrors`: another privacy password or protocol.
    DecryptionError,
    /// `snmpUnknownSecurityModels`.
    UnknownSecurityModel,
    /// `snmpInvalidMsgs`.
    InvalidMessage,
    /// `snmpUnknownPDUHandlers`.
    UnknownPduHandler,
    /// `snmpUnavailableContexts`.
    UnavailableContext,
    /// `snmpUnknownContexts`.
    UnknownContext,
    /// A counter that no RFC names.
    Other,
}

/// The counters under [`MODULES`], without the instance, with reason and name.
const REPORTS: [(&[u8], ReportReason, &str); 11] = [
    (
        &[15, 1, 1, 1],
        ReportReason::UnsupportedSecurityLevel,
        "unsupportedSecLevels",
    ),
    (
        &[15, 1, 1, 2],
        ReportReason::NotInTimeWindow,
        "notInTimeWindows",
    ),
    (
        &[15, 1, 1, 3],
        ReportReason::UnknownUserName,
        "unknownUserNames",
    ),
    (
        &[15, 1, 1, 4],
        ReportReason::UnknownEngineId,
        "unknownEngineIDs",
    ),
    (&[15, 1, 1, 5], ReportReason::WrongDigest, "wrongDigests"),
    (
        &[15, 1, 1, 6],
        ReportReason::DecryptionError,
        "decryptionErrors",
    ),
    (
        &[11, 2, 1, 1],
        ReportReason::UnknownSecurityModel,
        "unknownSecurityModels",
    ),
    (&[11, 2, 1, 2], ReportReason::InvalidMessage, "invalidMsgs"),
    (
        &[11, 2, 1, 3],
        ReportReason::UnknownPduHandler,
        "unknownPDUHandlers",
    ),
    (
        &[12, 1, 4],
        ReportReason::UnavailableContext,
        "unavailableContexts",
    ),
    (&[12, 1, 5], ReportReason::UnknownContext, "unknownContexts"),
];

impl ReportReason {
    /// The reason whose counter has this name; the instance may be missing.
    #[must_use]
    pub fn from_oid(name: OidRef<'_>) -> Self {
        let Some(tail) = name.as_ber().strip_prefix(&MODULES) else {
            return Self::Other;
        };
        let is_of = |counter: &[u8]| matches!(tail.strip_prefix(counter), Some([] | [0]));
        let found = REPORTS.iter().find(|(counter, _, _)| is_of(counter));
        found.map_or(Self::Other, |(_, reason, _)| *reason)
    }

    /// The BER contents of the counter's instance; empty for [`ReportReason::Other`].
    #[must_use]
    pub(crate) fn counter_ber(self) -> Vec<u8> {
        let found = REPORTS.iter().find(|(_, reason, _)| *reason == self);
        found.map_or_else(Vec::new, |(counter, _, _)| {
            [&MODULES, *counter, &[0]].concat()
        })
    }

    /// The RFC's name without its prefix, such as `wrongDigests`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = REPORTS.iter().find(|(_, reason, _)| *reason == self);
        found.map_or("otherReport", |(_, _, name)| name)
    }
}
