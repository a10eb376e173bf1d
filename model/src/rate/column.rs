//! Previous values of one source column of a group.
//!
//! Does: keep a value a row in the width in which it was read, and apart from them the few rows
//! that were never read or whose value is older than the row. Does not: know keys or judge.
//! In: cells, row by row. Out: value and time of a row. Memory stays over a reset.

use serde::{Deserialize, Serialize};

use crate::rows::CounterWidth;

/// Values of one source column in the width in which they were read: half of all counters are
/// 32 bits wide, and a big site keeps ten millions of them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Values {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Clone for Values {
    fn clone(&self) -> Self {
        match self {
            Values::Narrow(values) => Values::Narrow(values.clone()),
            Values::Wide(values) => Values::Wide(values.clone()),
        }
    }

    fn clone_from(&mut self, source: &Self) {
        match (self, source) {
            (Values::Narrow(own), Values::Narrow(values)) => own.clone_from(values),
            (Values::Wide(own), Values::Wide(values)) => own.clone_from(values),
            (own, source) => *own = source.clone(),
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Values::Narrow(Vec::new())
    }
}

impl Values {
    fn get(&self, row: usize) -> Option<u64> {
        match self {
            Values::Narrow(values) => values.get(row).map(|value| u64::from(*value)),
            Values::Wide(values) => values.get(row).copied(),
        }
    }

    fn reset(&mut self, width: CounterWidth) {
        match (&mut *self, width) {
            (Values::Narrow(values), CounterWidth::Bits32) => values.clear(),
            (Values::Wide(values), CounterWidth::Bits64) => values.clear(),
            (_, CounterWidth::Bits32) => *self = Values::Narrow(Vec::new()),
            (_, CounterWidth::Bits64) => *self = Values::Wide(Vec::new()),
        }
    }

    /// Appends; a value too wide for a narrow column widens it.
    fn push(&mut self, value: u64) {
        if let Values::Narrow(values) = self {
            if let Ok(narrow) = u32::try_from(value) {
                return values.push(narrow);
            }
            *self = Values::Wide(values.iter().map(|value| u64::from(*value)).collect());
        }
        if let Values::Wide(values) = self {
            values.push(value);
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Values::Narrow(values) => values.capacity() * size_of::<u32>(),
            Values::Wide(values) => values.capacity() * size_of::<u64>(),
        }
    }
}

/// One source column of the previous reads. Columns that were never read hold nothing.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct PreviousColumn {
    values: Values,
    /// Boxed, since nearly all of millions of columns have none.
    exceptions: Option<Box<Exceptions>>,
    /// Set once a value was read.
    pub(super) is_used: bool,
}

/// Rows of a column that are not like the others.
#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
struct Exceptions {
    /// Rows without any previous value, ascending.
    never_read: Vec<u32>,
    /// (row, time ms) of values older than their row, ascending.
    older: Vec<(u32, i64)>,
}

impl Exceptions {
    fn is_empty(&self) -> bool {
        self.never_read.is_empty() && self.older.is_empty()
    }

    fn clear(&mut self) {
        self.never_read.clear();
        self.older.clear();
    }
}

impl Clone for PreviousColumn {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.clone_from(self);
        clone
    }

    /// Keeps the memory of `self`.
    fn clone_from(&mut self, source: &Self) {
        self.values.clone_from(&source.values);
        self.is_used = source.is_used;
        match source.exceptions.as_ref().filter(|of| !of.is_empty()) {
            None => self.exceptions = None,
            Some(of) => {
                let own = self.exceptions.get_or_insert_default();
                own.never_read.clone_from(&of.never_read);
                own.older.clone_from(&of.older);
            }
        }
    }
}

impl PreviousColumn {
    /// Empties it for values of this width; its memory stays.
    pub(super) fn reset(&mut self, width: CounterWidth) {
        self.values.reset(width);
        if let Some(exceptions) = &mut self.exceptions {
            exceptions.clear();
        }
    }

    pub(super) fn get(&self, row: usize, row_time_ms: i64) -> Option<(u64, i64)> {
        if !self.is_used {
            return None;
        }
        let value = self.values.get(row)?;
        let Some(exceptions) = &self.exceptions else {
            return Some((value, row_time_ms));
        };
        let key = u32::try_from(row).ok()?;
        if exceptions.never_read.binary_search(&key).is_ok() {
            return None;
        }
        let older = &exceptions.older;
        let position = older.binary_search_by_key(&key, |(row, _)| *row);
        Some((
            value,
            position.map_or(row_time_ms, |position| older[position].1),
        ))
    }

    pub(super) fn push(&mut self, cell: Option<(u64, i64)>, row_time_ms: i64, row: u32) {
        match cell {
            None => {
                let exceptions = self.exceptions.get_or_insert_default();
                exceptions.never_read.push(row);
                self.values.push(0);
            }
            Some((value, time_ms)) => {
                self.is_used = true;
                if time_ms != row_time_ms {
                    let exceptions = self.exceptions.get_or_insert_default();
                    exceptions.older.push((row, time_ms));
                }
                self.values.push(value);
            }
        }
    }

    /// Moves the times that stand here by so many milliseconds.
    pub(super) fn shift_time(&mut self, by_ms: i64) {
        let exceptions = self.exceptions.iter_mut();
        for (_, time_ms) in exceptions.flat_map(|exceptions| &mut exceptions.older) {
            *time_ms = time_ms.saturating_add(by_ms);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let exceptions = self.exceptions.as_ref().map_or(0, |exceptions| {
            size_of::<Exceptions>()
                + exceptions.never_read.capacity() * size_of::<u32>()
                + exceptions.older.capacity() * size_of::<(u32, i64)>()
        });
        self.values.heap_bytes() + exceptions
    }
}
