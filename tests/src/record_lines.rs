//! Records as a tier tells them: content by (origin, seq), order within each delivery lane.
//!
//! Does: read `/v1/subscribe?format=records` from the oldest on, keep each line without the marks
//! of its delivery. Does not: look into batches (`tiling`).
//! In: a client, what must at least be read. Out: [`RecordLines`].

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::http::Client;

/// Who wrote a record, and which of theirs it is.
pub type Key = (String, u64);

/// Lines by key, each without `backfill` and `fill`: these say how it came, not what it is.
pub type Contents = BTreeMap<Key, String>;

/// One line of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordLine {
    /// Whose and which.
    pub key: Key,
    /// Whether it came beside the live ones.
    pub is_backfill: bool,
    /// Whether it came in the order of neither lane.
    pub is_fill: bool,
    /// When it was measured, where it says so.
    pub time_ms: Option<i64>,
    /// What it says, without how it came.
    pub content: String,
}

impl RecordLine {
    /// A line of a stream; `None` for cursors, lags and a line that was cut off.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let record: Value = serde_json::from_str(line).ok()?;
        let origin = record["origin"].as_str()?.to_owned();
        Some(Self {
            key: (origin, record["seq"].as_u64()?),
            is_backfill: record["backfill"].as_bool()?,
            time_ms: record["time_ms"].as_i64(),
            is_fill: record["fill"] == true,
            content: line
                .replacen("\"backfill\":true", "\"backfill\":false", 1)
                .replacen(",\"fill\":true", "", 1),
        })
    }
}

/// What a tier told, in its order.
#[derive(Debug, Clone, Default)]
pub struct RecordLines {
    /// As they came.
    pub lines: Vec<RecordLine>,
    /// The last cursor.
    pub cursor: Option<String>,
}

impl RecordLines {
    /// Reads from the oldest record on, up to a pause of the stream or a record that was measured
    /// after the read began: what is held by now comes before it.
    #[must_use]
    pub fn read(client: &Client) -> Self {
        Self::read_from(client, "oldest")
    }

    /// The same from a time or cursor.
    #[must_use]
    pub fn read_from(client: &Client, from: &str) -> Self {
        let until_ms = wall_ms();
        let path = format!("/v1/subscribe?format=records&from={from}");
        let mut read = Self::default();
        for text in client.lines_up_to_pause(&path) {
            if let Some(line) = RecordLine::parse(&text) {
                let is_later = line.time_ms.is_some_and(|time_ms| time_ms > until_ms);
                read.lines.push(line);
                if is_later {
                    break;
                }
            } else if let Some(cursor) = cursor_of(&text) {
                read.cursor = Some(cursor);
            }
        }
        read
    }

    /// The same by seqs instead of times, for records of a site whose clock was moved: all that
    /// the node holds as the read begins.
    #[must_use]
    pub fn read_held(client: &Client) -> Self {
        let mut read = Self::default();
        let Some(held) = held_by(client) else {
            return read;
        };
        for text in client.lines_up_to_pause("/v1/subscribe?format=records&from=oldest") {
            let Some(line) = RecordLine::parse(&text) else {
                continue;
            };
            // Seqs of an origin go up in the log but for backfill, which is below what is held.
            if held
                .get(&line.key.0)
                .is_none_or(|highest| line.key.1 > *highest)
            {
                break;
            }
            read.lines.push(line);
        }
        read
    }

    /// Contents by key.
    ///
    /// # Panics
    /// If a record is told twice.
    #[must_use]
    pub fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for line in &self.lines {
            let twice = contents.insert(line.key.clone(), line.content.clone());
            assert!(twice.is_none(), "{:?} is told twice", line.key);
        }
        contents
    }

    /// # Panics
    /// Unless each delivery lane of an origin ascends; fills, made by several paths, are in none.
    pub fn assert_in_order(&self) {
        let mut highest: BTreeMap<(&str, bool), u64> = BTreeMap::new();
        for line in self.lines.iter().filter(|line| !line.is_fill) {
            let (origin, seq) = &line.key;
            let before = highest.insert((origin, line.is_backfill), *seq);
            assert!(
                before.is_none_or(|before| before < *seq),
                "{origin}: {seq} comes after {before:?} in the lane with backfill = {}",
                line.is_backfill
            );
        }
    }
}

/// # Panics
/// Unless each record of `shown` is in `above`, with the same content.
pub fn assert_holds_all(shown: &Contents, above: &Contents) {
    let lost: Vec<&Key> = shown
        .keys()
        .filter(|key| !above.contains_key(*key))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} records are not above: {:?}",
        lost.len(),
        shown.len(),
        &lost[..lost.len().min(5)]
    );
    for (key, content) in shown {
        assert_eq!(content, &above[key], "{key:?} reads otherwise above");
    }
}

/// Highest seq of each origin that a node holds.
#[must_use]
pub fn held_by(client: &Client) -> Option<BTreeMap<String, u64>> {
    let nodes = client.json("/v1/nodes")?;
    let items = nodes["items"].as_array()?.iter();
    let held = items.filter_map(|origin| {
        let name = origin["origin"].as_str()?.to_owned();
        Some((name, origin["highest_seq"].as_u64()?))
    });
    Some(held.collect())
}

fn cursor_of(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    value["cursor"].as_str().map(str::to_owned)
}

/// Milliseconds since 1970 by this machine's clock, which all nodes of a test share.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with times that nodes measured"
)]
#[must_use]
pub fn wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
