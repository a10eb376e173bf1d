//! The formats of lines, and what each has unless a subscriber says otherwise.
//!
//! Does: read and write their names, say which kinds of lines come. Does not: render
//! (`line_writer`). In: names as in `/v1/subscribe` (design §15). Out: [`LineFormat`], [`Include`].

use serde::{Deserialize, Serialize};

use super::subscription::Include;

/// Names of the kinds of lines beside data.
const KINDS: [&str; 3] = ["gaps", "events", "cursors"];

/// One format of lines.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// Panoptes 0.2, one metrics group a line.
    Ndjson,
    /// One JSON object a record.
    #[default]
    Records,
    /// The same as server-sent events, whose id is the cursor.
    Sse,
    /// InfluxDB line protocol; what is no data is a comment.
    Influx,
}

/// A kind of lines that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("include has {kind:?}; choose of gaps, events, cursors")]
pub struct UnknownKind {
    /// As given.
    pub kind: String,
}

impl LineFormat {
    /// All, by their names; the first is HTTP's default.
    pub const ALL: [(&'static str, Self); 4] = [
        ("ndjson", Self::Ndjson),
        ("records", Self::Records),
        ("sse", Self::Sse),
        ("influx", Self::Influx),
    ];

    /// What comes beside batches, and whether cursors do. Without `kinds` the formats of data alone
    /// have none of them, the others all.
    ///
    /// # Errors
    /// [`UnknownKind`].
    pub fn included<S: AsRef<str>>(self, kinds: &[S]) -> Result<(Include, bool), UnknownKind> {
        let kinds = kinds.iter().map(AsRef::as_ref);
        if let Some(unknown) = kinds.clone().find(|kind| !KINDS.contains(kind)) {
            let kind = unknown.to_owned();
            return Err(UnknownKind { kind });
        }
        let has_all = kinds.len() == 0 && matches!(self, Self::Records | Self::Sse);
        let has = |kind: &str| has_all || kinds.clone().any(|given| given == kind);
        let include = Include {
            gaps: has("gaps"),
            events: has("events"),
        };
        Ok((include, has("cursors")))
    }

    /// What says that a stream lives although nothing comes, in formats that have words for it.
    #[must_use]
    pub fn alive(self) -> &'static [u8] {
        match self {
            Self::Sse => b": alive\n\n",
            Self::Ndjson | Self::Records | Self::Influx => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_data_alone_have_nothing_else_unless_asked() {
        let check = |format: LineFormat, kinds: &[&str], expected: (bool, bool, bool)| {
            let (include, cursors) = format.included(kinds).unwrap();
            let found = (include.gaps, include.events, cursors);
            assert_eq!(found, expected, "{format:?} {kinds:?}");
        };
        check(LineFormat::Ndjson, &[], (false, false, false));
        check(LineFormat::Influx, &[], (false, false, false));
        check(LineFormat::Records, &[], (true, true, true));
        check(LineFormat::Sse, &[], (true, true, true));
        check(
            LineFormat::Influx,
            &["gaps", "cursors"],
            (true, false, true),
        );
        check(LineFormat::Records, &["events"], (false, true, false));
        let refused = LineFormat::Sse.included(&["gaps", "words"]).unwrap_err();
        assert!(
            refused.to_string().contains("\"words\"; choose"),
            "{refused}"
        );
    }
}
