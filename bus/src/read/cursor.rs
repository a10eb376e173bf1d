//! Cursors as text: what a subscriber has taken, in its own hands.
//!
//! Does: print and read streams with their ranges of seqs and the hash of what was selected.
//! Does not: keep cursors (`cursor_store` keeps those of required readers).
//! In: ranges. Out: `1~HASH~ORIGIN:1-500_502-600~…`, without a character that a URL must escape.
//! Full: beyond [`CURSOR_BYTES_MAX`] the oldest ranges are forgotten; what they covered may come
//! again, and the cursor says so by `~repeats`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::record::{OriginId, Seq, StreamId};
use crate::segment::index::SeqRange;
use crate::seq_ranges::SeqRanges;

/// Longest cursor that is handed out, bytes.
pub const CURSOR_BYTES_MAX: usize = 64 * 1024;
/// Longest cursor that is read, bytes: a POST body.
pub const CURSOR_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Version of the text.
const VERSION: &str = "1";
/// Last part of a cursor whose oldest ranges were forgotten.
const REPEATS: &str = "repeats";

/// What a subscriber has taken of each data stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Hash of the selection that it was made under.
    pub selection: u64,
    /// By data stream.
    pub taken: BTreeMap<StreamId, SeqRanges>,
    /// Older entries than `taken` says may come again.
    pub may_repeat: bool,
}

/// Not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cursor: {reason} at character {at}; pass a cursor as it was handed out, or from=now")]
pub struct CursorTextError {
    /// What is wrong.
    pub reason: &'static str,
    /// Where, in bytes from the start.
    pub at: usize,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut streams: Vec<(StreamId, Vec<SeqRange>)> = self
            .taken
            .iter()
            .map(|(stream, ranges)| (*stream, ranges.iter().collect()))
            .collect();
        let mut text = self.text_of(&streams, self.may_repeat);
        // Each round forgets ranges, so this ends.
        while text.len() > CURSOR_BYTES_MAX && forget_oldest(&mut streams) {
            text = self.text_of(&streams, true);
        }
        formatter.write_str(&text)
    }
}

/// Forgets the older half of each stream's ranges; `false` if there is but one of each.
fn forget_oldest(streams: &mut [(StreamId, Vec<SeqRange>)]) -> bool {
    let mut has_changed = false;
    for (_, ranges) in streams.iter_mut().filter(|(_, ranges)| ranges.len() > 1) {
        ranges.drain(..ranges.len() / 2);
        has_changed = true;
    }
    has_changed
}

impl Cursor {
    fn text_of(&self, streams: &[(StreamId, Vec<SeqRange>)], may_repeat: bool) -> String {
        let mut text = format!("{VERSION}~{:016x}", self.selection);
        for (stream, ranges) in streams {
            text.push_str(&format!("~{}:", stream.origin));
            for (index, range) in ranges.iter().enumerate() {
                let between = if index == 0 { "" } else { "_" };
                text.push_str(&format!("{between}{}-{}", range.first, range.last));
            }
        }
        if may_repeat {
            text.push('~');
            text.push_str(REPEATS);
        }
        text
    }
}

impl FromStr for Cursor {
    type Err = CursorTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason, at| CursorTextError { reason, at };
        if text.len() > CURSOR_TEXT_BYTES_MAX {
            return Err(wrong("longer than 1 MiB", CURSOR_TEXT_BYTES_MAX));
        }
        let mut parts = text.split('~');
        if parts.next() != Some(VERSION) {
            return Err(wrong("another version than 1", 0));
        }
        let hash = parts.next().filter(|hash| hash.len() == 16);
        let selection = hash.and_then(|hash| u64::from_str_radix(hash, 16).ok());
        let selection = selection.ok_or(wrong("no hash of 16 digits", 2))?;
        let mut cursor = Self {
            selection,
            ..Self::default()
        };
        let mut at = 19;
        for part in parts {
            if part == REPEATS {
                cursor.may_repeat = true;
            } else {
                let (stream, ranges) = read_stream(part).ok_or(wrong("no ORIGIN:RANGES", at))?;
                cursor.taken.insert(stream, ranges);
            }
            at += part.len() + 1;
        }
        Ok(cursor)
    }
}

fn read_stream(part: &str) -> Option<(StreamId, SeqRanges)> {
    let (origin, text) = part.split_once(':')?;
    let origin: OriginId = origin.parse().ok()?;
    let mut ranges = SeqRanges::default();
    for range in text.split('_') {
        let (first, last) = range.split_once('-')?;
        let (first, last) = (Seq(first.parse().ok()?), Seq(last.parse().ok()?));
        if first.0 == 0 || last < first {
            return None;
        }
        ranges.insert(SeqRange { first, last });
    }
    Some((StreamId::data(origin), ranges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursor(streams: &[(u128, Vec<(u64, u64)>)]) -> Cursor {
        let mut cursor = Cursor {
            selection: 7,
            ..Cursor::default()
        };
        for (origin, ranges) in streams {
            let taken = cursor
                .taken
                .entry(StreamId::data(OriginId(*origin)))
                .or_default();
            for (first, last) in ranges {
                taken.insert(SeqRange {
                    first: Seq(*first),
                    last: Seq(*last),
                });
            }
        }
        cursor
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_itself(
            streams in proptest::collection::vec(
                (any::<u128>(), proptest::collection::vec((1u64..9_000, 0u64..50), 1..20)), 0..5)
        ) {
            let streams: Vec<(u128, Vec<(u64, u64)>)> = streams
                .into_iter()
                .map(|(origin, ranges)| {
                    let range = |(first, more): (u64, u64)| (first, first + more);
                    (origin, ranges.into_iter().map(range).collect())
                })
                .collect();
            let cursor = cursor(&streams);
            let text = cursor.to_string();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"~:-_".contains(&byte);
            prop_assert!(text.bytes().all(is_plain));
            prop_assert_eq!(text.parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text in "\\PC{0,60}", is_close in any::<bool>()) {
            let text = if is_close { format!("1~0000000000000007~{text}") } else { text };
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused_with_the_place() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Cursor>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", "another version");
        check("2~0000000000000007", "another version");
        check("1~xyz", "16 digits");
        let origin = OriginId(1);
        check(&format!("1~0000000000000007~{origin}:5-4"), "character 19");
        check(&format!("1~0000000000000007~{origin}:0-4"), "ORIGIN:RANGES");
        check(&format!("1~0000000000000007~{origin}"), "ORIGIN:RANGES");
    }

    #[test]
    fn a_cursor_too_long_forgets_the_oldest_ranges_and_says_so() {
        let ranges: Vec<_> = (0..1_000)
            .map(|index| (index * 1_000_003 + 1, index * 1_000_003 + 2))
            .collect();
        let streams: Vec<_> = (0..8).map(|origin| (origin, ranges.clone())).collect();
        let text = cursor(&streams).to_string();
        assert!(text.len() <= CURSOR_BYTES_MAX, "{}", text.len());
        let read: Cursor = text.parse().unwrap();
        assert!(read.may_repeat && read.taken.len() == 8);
        let newest = read.taken.values().next().unwrap().highest();
        assert_eq!(newest, Seq(999 * 1_000_003 + 2), "the newest is kept");
    }
}
