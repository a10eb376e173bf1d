//! What rows are called, and how rows of one name are told apart.
//!
//! Does: name each row by the first key of a chain that it has (ifName, ifDescr, physical address),
//! add the next key in brackets where several rows share a name, at last the index.
//! Does not: know what the keys mean. In: rows of a table, the chain. Out: a name for each row.
//! Invariant: rows without any key are dropped, and so are rows whose keys were not read to the
//! end; no two rows have one name, so that no two rows ever share a counter's state. The index
//! alone never names a row.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use super::plan::{Format, GroupPlan};
use super::program::{Cell, Input};
use super::render::render;
use super::table::RawTable;
use super::unread::Unread;

/// Most shared names that one evaluation reports.
const AMBIGUOUS_MAX: usize = 16;

/// Names of the selected rows, by position.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: String,
    /// Start and end in `texts`.
    ranges: Vec<(u32, u32)>,
    /// (hash of the name, position), sorted to find rows of one name.
    order: Vec<(u64, u32)>,
    ambiguous: Vec<(String, usize)>,
}

impl Names {
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.ranges.clear();
        self.order.clear();
        self.ambiguous.clear();
    }

    pub(super) fn of(&self, position: usize) -> &str {
        let Some((start, end)) = self.ranges.get(position) else {
            return "";
        };
        self.texts.get(*start as usize..*end as usize).unwrap_or("")
    }

    pub(super) fn ambiguous(&self) -> &[(String, usize)] {
        &self.ambiguous
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let ranges = self.ranges.capacity() * size_of::<(u32, u32)>();
        self.texts.capacity() + ranges + self.order.capacity() * size_of::<(u64, u32)>()
    }

    /// Names `selected` rows; drops from it those that have no name.
    pub(super) fn name_rows(
        &mut self,
        group: &GroupPlan,
        table: &RawTable,
        (chain, selected): (&[Input], &mut Vec<u32>),
    ) {
        selected.retain(|row| {
            let start = self.texts.len();
            for key in chain {
                write_key(group, (table, *row as usize), *key, &mut self.texts);
                if self.texts.len() > start {
                    break;
                }
            }
            self.keep_from(start)
        });
        if table.has_cuts() {
            self.drop_unread(group, table, selected);
        }
        self.note_ambiguous();
        let later_keys = chain.iter().skip(1);
        for key in later_keys {
            self.tell_apart(selected, |row, into| {
                write_key(group, (table, row), *key, into)
            });
        }
        self.tell_apart(selected, |row, into| {
            for (position, arc) in table.index(row).unwrap_or(&[]).iter().enumerate() {
                let mark = if position == 0 { '#' } else { '.' };
                write!(into, "{mark}{arc}").unwrap_or_default();
            }
        });
    }

    /// Drops the rows of which not all is read that they are known by, and those that share a name
    /// with one: what they would be told apart by may not be read either.
    fn drop_unread(&mut self, group: &GroupPlan, table: &RawTable, selected: &mut Vec<u32>) {
        let unread = Unread::of(group, table);
        self.sort();
        let mut is_dropped = vec![false; self.ranges.len()];
        let mut first = 0;
        while first < self.order.len() {
            let end = self.run_end(first);
            let positions: Vec<usize> = (first..end).map(|at| self.position(at)).collect();
            let is_unread = |at: &usize| selected.get(*at).is_some_and(|row| unread.touches(*row));
            if positions.iter().any(is_unread) {
                positions.iter().for_each(|at| is_dropped[*at] = true);
            }
            first = end;
        }
        let is_kept = |position: usize| !is_dropped.get(position).copied().unwrap_or(false);
        retain_positions(selected, is_kept);
        retain_positions(&mut self.ranges, is_kept);
    }

    /// Keeps what was written from `start` on as the next row's name; false if there is nothing.
    fn keep_from(&mut self, start: usize) -> bool {
        let range = (to_u32(start), to_u32(self.texts.len()));
        let is_named = range.0 < range.1;
        if is_named {
            self.ranges.push(range);
        }
        is_named
    }

    /// Adds `[key]` to the names of rows that share one, if all of them have the key and it is
    /// not the same for all.
    fn tell_apart(&mut self, selected: &[u32], write: impl Fn(usize, &mut String)) {
        let mut first = 0;
        self.sort();
        while first < self.order.len() {
            let end = self.run_end(first);
            if end - first > 1 {
                self.extend_run((first, end), selected, &write);
            }
            first = end;
        }
    }

    fn extend_run(
        &mut self,
        (first, end): (usize, usize),
        selected: &[u32],
        write: &impl Fn(usize, &mut String),
    ) {
        let start = self.texts.len();
        let mut key_ends = Vec::with_capacity(end - first);
        for at in first..end {
            let before = self.texts.len();
            let row = selected
                .get(self.position(at))
                .map_or(0, |row| *row as usize);
            write(row, &mut self.texts);
            if self.texts.len() == before {
                return self.texts.truncate(start);
            }
            key_ends.push(self.texts.len());
        }
        let starts = std::iter::once(start).chain(key_ends.iter().copied());
        let keys: Vec<String> = starts
            .zip(&key_ends)
            .map(|(start, end)| self.texts[start..*end].to_owned())
            .collect();
        self.texts.truncate(start);
        if keys.iter().all(|key| *key == keys[0]) {
            return;
        }
        for (at, key) in (first..end).zip(&keys) {
            let position = self.position(at);
            let name = format!("{} [{key}]", self.of(position));
            let start = to_u32(self.texts.len());
            self.texts.push_str(&name);
            self.ranges[position] = (start, to_u32(self.texts.len()));
        }
    }

    fn note_ambiguous(&mut self) {
        self.sort();
        let mut first = 0;
        while first < self.order.len() && self.ambiguous.len() < AMBIGUOUS_MAX {
            let end = self.run_end(first);
            if end - first > 1 {
                let name = self.of(self.position(first)).to_owned();
                self.ambiguous.push((name, end - first));
            }
            first = end;
        }
    }

    fn sort(&mut self) {
        self.order.clear();
        for position in 0..self.ranges.len() {
            let hash = xxh3_64(self.of(position).as_bytes());
            self.order.push((hash, to_u32(position)));
        }
        self.order.sort_unstable();
    }

    /// End of the rows that have the hash, and so the name, of the row at `first`.
    fn run_end(&self, first: usize) -> usize {
        let hash = self.order[first].0;
        let same = self.order[first..]
            .iter()
            .take_while(|(other, _)| *other == hash);
        first + same.count()
    }

    fn position(&self, at: usize) -> usize {
        self.order
            .get(at)
            .map_or(0, |(_, position)| *position as usize)
    }
}

fn write_key(group: &GroupPlan, (table, row): (&RawTable, usize), key: Input, into: &mut String) {
    let Input::Column(column) = key else {
        return;
    };
    let column = usize::from(column);
    let format = group
        .columns
        .get(column)
        .map_or(Format::Text, |column| column.format);
    let cell = table.cell(column, row);
    // Agents give a name of blanks, or an address of zeros, for "none".
    let is_nothing = match cell {
        Cell::Text(octets) => octets.iter().all(|octet| matches!(octet, 0 | b' ')),
        Cell::Number(_) => false,
        Cell::Missing => true,
    };
    if !is_nothing {
        render(cell, format, false, into);
    }
}

fn retain_positions<T>(items: &mut Vec<T>, is_kept: impl Fn(usize) -> bool) {
    let mut position = 0;
    items.retain(|_| {
        position += 1;
        is_kept(position - 1)
    });
}

/// Names of 2^20 rows of 1 KiB each stay below 2^32.
fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
