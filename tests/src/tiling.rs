//! The slots of each pair as a reader sees them, and the proof that they tile.
//!
//! Does: read `/v1/subscribe?format=records` from the beginning, keep batches and gaps by pair.
//! Does not: trust the node's own accounting. In: a client. Out: [`Ledger`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::harness::http::Client;
use crate::record_lines::held_by;

/// All records from the beginning; of the values one metric, which tells the verdicts and keeps
/// the lines short.
const RECORDS: &str = "/v1/subscribe?from=1970-01-01T00:00:00Z&format=records&include=gaps&metric=";

/// What a batch says of itself.
#[derive(Debug, Clone)]
pub struct BatchLine {
    /// Its slot.
    pub slot_ms: i64,
    /// Its sequence number.
    pub seq: u64,
    /// Distinct verdicts of its counters.
    pub verdicts: BTreeSet<String>,
    /// Why it is partial, if it is.
    pub partial: Option<String>,
    /// Interval of its slot.
    pub interval_ms: i64,
}

/// What a gap says of itself.
#[derive(Debug, Clone)]
pub struct GapLine {
    /// First slot.
    pub first_ms: i64,
    /// Last slot.
    pub last_ms: i64,
    /// How many.
    pub slots: u64,
    /// Why.
    pub cause: String,
}

/// One (resource, plugin).
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// By slot.
    pub batches: Vec<BatchLine>,
    /// By first slot.
    pub gaps: Vec<GapLine>,
    /// Interval of its slots.
    pub interval_ms: i64,
}

impl Pair {
    /// Slots covered by gaps.
    #[must_use]
    pub fn gap_slots(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.slots).sum()
    }

    /// # Panics
    /// Unless each slot between the first and the last is exactly one batch or one gap.
    pub fn assert_tiles(&self) {
        let mut slots: BTreeMap<i64, usize> = BTreeMap::new();
        for batch in &self.batches {
            *slots.entry(batch.slot_ms).or_default() += 1;
        }
        for gap in &self.gaps {
            let mut slot = gap.first_ms;
            while slot <= gap.last_ms {
                *slots.entry(slot).or_default() += 1;
                slot += self.interval_ms;
            }
        }
        let twice: Vec<_> = slots.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "covered more than once: {twice:?}");
        let starts: Vec<i64> = slots.keys().copied().collect();
        self.assert_steps(&starts);
    }

    /// The same where a gap may tell of slots whose batches are known elsewhere, as after a disk
    /// that went back in time.
    ///
    /// # Panics
    /// If a slot between the first and the last is neither a batch nor in a gap.
    pub fn assert_nothing_missing(&self) {
        let mut slots: BTreeSet<i64> = self.batches.iter().map(|batch| batch.slot_ms).collect();
        for gap in &self.gaps {
            let mut slot = gap.first_ms;
            while slot <= gap.last_ms {
                slots.insert(slot);
                slot += self.interval_ms;
            }
        }
        let starts: Vec<i64> = slots.into_iter().collect();
        self.assert_steps(&starts);
    }

    fn assert_steps(&self, starts: &[i64]) {
        for pair in starts.windows(2) {
            let step = pair[1] - pair[0];
            assert_eq!(
                step, self.interval_ms,
                "nothing covers what lies after slot {}",
                pair[0]
            );
        }
    }
}

/// All pairs of one plugin.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// By (resource, plugin).
    pub pairs: BTreeMap<(String, String), Pair>,
    /// Every (origin, seq) seen, and how often.
    pub seqs: BTreeMap<(String, u64), u32>,
}

impl Ledger {
    /// Reads what the bus holds of interface plugins, as [`Ledger::read_by`].
    #[must_use]
    pub fn read(client: &Client, plugin: &str) -> Self {
        Self::read_by(client, plugin, "bits_in")
    }

    /// Reads what the bus holds of `plugin`, which must give `metric`, up to now or to the first
    /// pause of the stream.
    #[must_use]
    pub fn read_by(client: &Client, plugin: &str, metric: &str) -> Self {
        let mut ledger = Self::default();
        let until_ms = wall_ms();
        for line in client.lines_up_to_pause(&format!("{RECORDS}{metric}")) {
            // The last line may be cut where the stream was left.
            let Ok(record) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            if record["plugin"] == plugin {
                ledger.take(&record);
            }
            if record["time_ms"]
                .as_i64()
                .is_some_and(|time_ms| time_ms > until_ms)
            {
                break;
            }
        }
        ledger.sort();
        ledger
    }

    /// All of interface plugins that a node of a mesh holds as the read begins, whatever its
    /// sites' clocks say.
    #[must_use]
    pub fn read_held(client: &Client) -> Self {
        let mut ledger = Self::default();
        let held = held_by(client).unwrap_or_default();
        for line in client.lines_up_to_pause(&format!("{RECORDS}bits_in")) {
            let Ok(record) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let highest = record["origin"].as_str().and_then(|name| held.get(name));
            if highest < record["seq"].as_u64().as_ref() {
                break;
            }
            if record["plugin"] == "interfaces" {
                ledger.take(&record);
            }
        }
        ledger.sort();
        ledger
    }

    fn sort(&mut self) {
        for pair in self.pairs.values_mut() {
            pair.batches.sort_by_key(|batch| batch.slot_ms);
            pair.gaps.sort_by_key(|gap| gap.first_ms);
        }
    }

    fn take(&mut self, record: &Value) {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let seq = record["seq"].as_u64().unwrap_or_default();
        let pair = self
            .pairs
            .entry((text("resource"), text("plugin")))
            .or_default();
        if let Some(interval_ms) = record["interval_ms"].as_i64() {
            pair.interval_ms = interval_ms;
        }
        let slot_ms = record["slot_ms"].as_i64().unwrap_or_default();
        match record["type"].as_str() {
            Some("batch") => {
                let verdicts = verdicts(record);
                pair.batches.push(BatchLine {
                    slot_ms,
                    seq,
                    verdicts,
                    partial: record["partial_cause"].as_str().map(str::to_owned),
                    interval_ms: record["interval_ms"].as_i64().unwrap_or_default(),
                });
            }
            Some("gap") => {
                let last_ms = record["last_slot_ms"].as_i64().unwrap_or(slot_ms);
                let slots = record["slots"].as_u64().unwrap_or(1);
                pair.gaps.push(GapLine {
                    first_ms: slot_ms,
                    last_ms,
                    slots,
                    cause: text("cause"),
                });
            }
            _ => return,
        }
        *self.seqs.entry((text("origin"), seq)).or_default() += 1;
    }
}

/// Every value of a key `verdict` or `verdicts`, at whatever depth.
fn verdicts(record: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(false, record)];
    while let Some((is_verdict, value)) = open.pop() {
        match value {
            Value::Object(fields) => open.extend(
                fields
                    .iter()
                    .map(|(name, value)| (is_verdict || name.starts_with("verdict"), value)),
            ),
            Value::Array(items) => open.extend(items.iter().map(|item| (is_verdict, item))),
            Value::String(text) if is_verdict => {
                found.insert(text.clone());
            }
            _ => {}
        }
    }
    found
}

/// A stream has no end of its own: what was measured after the read began is beyond it.
#[expect(
    clippy::disallowed_methods,
    reason = "compared with times that the node measured"
)]
fn wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
