//! Events: what is worth knowing and is no data, each with fixed values and a text made of them.
//!
//! Does: the closed list of events with kind, severity, fields and text, so that a log line and the
//! event on the bus are one value. Does not: decide when one happens, write or limit them.
//! In: what happened, as values. Out: [`Event`], and [`EventFacts`] for the bus and the API.
//! Invariant: each text names all of its fields; kinds and field names never change their meaning.
//! A new event is one entry of the table below.

use serde::{Deserialize, Serialize};

mod limiter;

pub use limiter::{EVENT_BURST, EVENT_SUBJECTS_MAX, EVENT_WINDOW, EventLimiter};

/// How much an event matters. Numbers are those on disk.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    #[default]
    Info = 0,
    /// Worse, but healing by itself.
    Warning = 1,
    /// A person must act.
    Error = 2,
}

impl Severity {
    /// All, by number.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

    /// The name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }
}

/// An event as it is stored and shown: also one of a later version, which no [`Event`] names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFacts {
    /// Stable name, `clock_stepped`.
    pub kind: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// The values that explain it, by name.
    pub fields: Vec<(String, String)>,
}

/// `Name "kind" severity [of(subject)] { fields } "text";` The subject is the field that tells
/// events of one kind apart; events of a resource are told apart by it too.
macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $variant:ident $kind:literal $severity:ident $(of($subject:ident))?
        { $($field:ident: $type:ty),* } $text:literal;
    )+) => {
        /// Everything that this version tells as an event.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[expect(missing_docs, reason = "fields are named by the text of their event")]
        pub enum Event { $($(#[$doc])* $variant { $($field: $type),* },)+ }

        impl Event {
            /// Every kind with its severity, in the order of the table.
            pub const KINDS: &'static [(&'static str, Severity)] =
                &[$(($kind, Severity::$severity),)+];

            /// The stable name.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $kind,)+ }
            }

            /// How much it matters.
            #[must_use]
            pub fn severity(&self) -> Severity {
                match self { $(Self::$variant { .. } => Severity::$severity,)+ }
            }

            /// What of its kind it is about, empty where there is but one: the key of its limit,
            /// beside resource and plugin.
            #[must_use]
            pub fn subject(&self) -> String {
                match self {
                    $(Self::$variant { $($subject,)? .. } =>
                        String::new() $(+ &$subject.to_string())?,)+
                }
            }

            /// One sentence, made of all values.
            #[must_use]
            pub fn text(&self) -> String {
                match self { $(Self::$variant { $($field),* } => format!($text),)+ }
            }

            /// The values by name.
            #[must_use]
            pub fn fields(&self) -> Vec<(&'static str, String)> {
                match self {
                    $(Self::$variant { $($field),* } =>
                        vec![$((stringify!($field), $field.to_string())),*],)+
                }
            }
        }
    };
}

events! {
    /// A node began to work.
    NodeStarted "node_started" Info
        { version: String, origin: String }
        "node started, version {version}, origin {origin}";
    /// The wall clock moved against monotonic time.
    ClockStepped "clock_stepped" Warning
        { by_ms: i64 }
        "wall clock stepped by {by_ms} ms; slots go on, previous counter times move along";
    /// A discovery lost so much that its set waits for approval.
    DiscoveryHeld "discovery_held" Warning of(discovery)
        { discovery: String, added: u64, removed: u64, current: u64, reason: String }
        "discovery {discovery} is held ({reason}): it would remove {removed} of {current} \
         resources and add {added}; approve it or mend its source";
    /// A held set was accepted.
    DiscoveryApproved "discovery_approved" Info of(discovery)
        { discovery: String }
        "the held set of discovery {discovery} is approved";
    /// A discovery began to fail, or fails for another reason.
    DiscoveryFailed "discovery_failed" Warning of(discovery)
        { discovery: String, reason: String }
        "discovery {discovery} failed ({reason}); the last good set stays";
    /// Bytes that recovery could not use.
    TailMovedAside "tail_moved_aside" Warning of(path)
        { segment: u64, offset: u64, bytes: u64, path: String, reason: String }
        "{bytes} bytes of segment {segment} from {offset} on were moved to {path}: {reason}";
    /// The data directory is a copy, or went back in time.
    OriginChanged "origin_changed" Warning
        { origin: String, before: String, cause: String }
        "origin {before} ends here ({cause}); what is measured from now on has origin {origin}";
    /// A person took the new data directory of a node below.
    NodeAdopted "node_adopted" Info of(node)
        { node: String, generation: u64, before: u64 }
        "generation {generation} of {node} is adopted, after {before}: its records are taken";
    /// A person said that a site or node below is gone for good.
    NodeForgotten "node_forgotten" Info of(name)
        { name: String, origins: u64 }
        "{name} is forgotten with {origins} origins; what is held of it stays until retention";
    /// A device's engine boots went backwards.
    EngineBootsRegressed "engine_boots_regressed" Warning
        { before: u32, after: u32 }
        "engine boots went from {before} back to {after}; the device is accepted again after an \
         authenticated reply under the new value";
    /// Rows of a table have one name.
    AmbiguousIdentity "ambiguous_identity" Warning of(name)
        { name: String, rows: u64 }
        "{rows} rows are named {name:?}; they are told apart by their next key or their index";
    /// Another credential is used for a device from now on.
    CredentialSwitched "credential_switched" Info
        { before: String, now: String }
        "credential {now:?} is used instead of {before:?} from the next slot on";
    /// A configured plugin, discovery or credential cannot run.
    PluginParked "plugin_parked" Error of(name)
        { name: String, reason: String }
        "{name} is parked: {reason}";
    /// What was parked runs.
    PluginRecovered "plugin_recovered" Info of(name)
        { name: String }
        "{name} is no longer parked";
    /// An actor crashed and lives again.
    ActorRestarted "actor_restarted" Warning of(name)
        { actor: String, name: String, crashes: u64, error: String }
        "{actor} actor {name} restarted after panic {crashes} of its life: {error}";
    /// An actor crashed too often.
    ActorParked "actor_parked" Error of(name)
        { actor: String, name: String, error: String }
        "{actor} actor {name} is parked after too many panics: {error}";
    /// A parked actor lives again.
    ActorRecovered "actor_recovered" Info of(name)
        { actor: String, name: String }
        "{actor} actor {name} lives again";
    /// Nothing can be written; told once space has returned, with the time when it happened.
    DiskFull "disk_full" Error
        { free_bytes: u64 }
        "the disk is full with {free_bytes} bytes free; slots become gaps until space returns";
    /// Writes fail for another reason.
    DiskFailing "disk_failing" Error
        { free_bytes: u64 }
        "the disk refuses writes with {free_bytes} bytes free; each block is tried again";
    /// A link to or from another node stands.
    LinkUp "link_up" Info of(link)
        { link: String, neighbour: String }
        "link {link} stands; at its other end is {neighbour}";
    /// A link to or from another node ended.
    LinkDown "link_down" Warning of(link)
        { link: String, neighbour: String, cause: String, stood_s: u64 }
        "link {link} to {neighbour} is down after {stood_s} s: {cause}";
    /// A node was not let in: here, or this node by another.
    LinkRefused "link_refused" Warning of(link)
        { link: String, reason: String }
        "link {link} is refused: {reason}";
    /// Two live nodes state one origin.
    DuplicateOrigin "duplicate_origin" Error of(duplicate)
        { duplicate: String, peer: String }
        "{peer} states origin {duplicate}, which another live node states too; both are refused: \
         one of both data directories is a copy, give it a new origin or remove it";
    /// Blocks of a neighbour were not taken.
    IngestRefused "ingest_refused" Error of(peer)
        { peer: String, reason: String, of_origin: String, blocks: u64, detail: String }
        "{blocks} blocks of origin {of_origin} from {peer} were refused ({reason}): {detail}";
    /// A neighbour sends more of an origin than its share.
    OriginThrottled "origin_throttled" Warning of(of_origin)
        { of_origin: String, peer: String, bytes_per_second: u64 }
        "origin {of_origin} from {peer} has reached its share of {bytes_per_second} bytes/s; what \
         it measures goes first, the rest waits on its disk: raise samples_per_second of its \
         [[origin]], or poll less there";
    /// A neighbour did not take what this node sent.
    RecordsRefused "records_refused" Error of(link)
        {
            link: String, reason: String, of_origin: String, records: u64, detail: String,
            hint: String
        }
        "the neighbour of {link} refused {records} records of origin {of_origin} ({reason}): \
         {detail}; {hint}";
    /// The disk will soon have no room for what a reader has yet to take.
    CapacityLow "capacity_low" Warning of(reader)
        { reader: String, hours: u64 }
        "in {hours} h retention begins to take data that {reader} has not got; bring it back, or \
         give the bus more room (bus.bytes_max)";
    /// There is room again for what a reader has yet to take.
    CapacityReturned "capacity_returned" Info of(reader)
        { reader: String }
        "the disk has room again for what {reader} has yet to take";
    /// A reader has stood still for so long that it will soon hold no segments any more.
    CursorIdle "cursor_idle" Warning of(reader)
        { reader: String, idle_s: u64, left_s: u64 }
        "{reader} has taken nothing for {idle_s} s; in {left_s} s it holds no segments any more \
         (bus.cursor_idle_max): bring it back, or end it by `ocelli cursors forget`";
    /// A reader has stood still for too long.
    CursorReleased "cursor_released" Warning of(reader)
        { reader: String, idle_s: u64 }
        "{reader} has taken nothing for {idle_s} s, beyond bus.cursor_idle_max, and holds no \
         segments any more: retention may take what it has not got";
    /// The certificate of the node ends soon.
    CertificateEnds "certificate_ends" Warning
        { days: u64, not_after: String }
        "the certificate of this node ends in {days} days, at {not_after}; issue another and \
         reload";
    /// The certificate of the node has ended.
    CertificateEnded "certificate_ended" Error
        { not_after: String }
        "the certificate of this node ended at {not_after}; neighbours refuse it, issue another \
         and reload";
    /// The certificate of the node is not valid yet.
    CertificateNotYet "certificate_not_yet" Error
        { seconds: u64 }
        "the certificate of this node is valid in {seconds} s only; is the clock right?";
    /// Writing works again.
    DiskReturned "disk_returned" Info
        { free_bytes: u64 }
        "the disk takes data again, {free_bytes} bytes are free";
}

impl From<&Event> for EventFacts {
    fn from(event: &Event) -> Self {
        let fields = event.fields().into_iter();
        Self {
            kind: event.kind().to_owned(),
            severity: event.severity(),
            text: event.text(),
            fields: fields
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_are_told_once_each_in_snake_case() {
        let names: BTreeSet<&str> = Event::KINDS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(names.len(), Event::KINDS.len());
        for name in names {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.bytes().all(is_plain), "{name}");
        }
    }

    #[test]
    fn an_events_text_shows_every_value_and_its_subject_is_the_field_named() {
        let held = Event::DiscoveryHeld {
            discovery: "cmdb".to_owned(),
            added: 1,
            removed: 40,
            current: 100,
            reason: "shrinks by 40 %".to_owned(),
        };
        let facts = EventFacts::from(&held);
        assert_eq!(
            (facts.kind.as_str(), facts.severity),
            ("discovery_held", Severity::Warning)
        );
        for (name, value) in &facts.fields {
            assert!(facts.text.contains(value), "{name} in {:?}", facts.text);
        }
        assert_eq!(held.subject(), "cmdb");
        assert_eq!(Event::ClockStepped { by_ms: 900 }.subject(), "");
    }

    #[test]
    fn every_severity_comes_back_from_its_name_and_ranks_by_how_bad_it_is() {
        for (number, severity) in Severity::ALL.into_iter().enumerate() {
            assert_eq!(Severity::from_name(severity.as_str()), Some(severity));
            assert_eq!(severity as usize, number);
        }
        assert_eq!(Severity::from_name("fatal"), None);
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
    }
}
