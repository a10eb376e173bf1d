//! Filters compiled for a table of interned values.
//!
//! Does: turn the expression into a flat list of steps that jump, so that evaluation neither
//! recurses nor allocates; compare numbers for `=` and `IN`, look LIKE up in a bit set that holds
//! its verdict on each distinct value. Does not: parse. In: [`Expression`], [`InternedTable`].
//! Out: [`Compiled`]; [`Compiled::matcher`] brings the bit sets up to date, then evaluates.
//! Hot path: 64 rows a step, two loads and compares a row for two conditions, no branch that
//! depends on a value; target ≥ 100 M rows/s a core.

use super::expression::{Condition, Expression, Test};
use super::intern::{ABSENT, InternedTable, Interner, LANES, TableError};
use super::pattern::Pattern;

/// Jump targets that end the evaluation; steps are numbered below them.
const ACCEPT: u32 = u32::MAX;
const REJECT: u32 = u32::MAX - 1;
/// Lists up to this length are compared one by one, longer ones by a bit set.
const SCANNED_LIST_MAX: usize = 4;

/// A filter ready for one table.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// Evaluation begins at `entry` and jumps only to earlier steps.
    steps: Vec<Step>,
    /// A step, or the verdict of a filter without conditions.
    entry: u32,
    likes: Vec<Like>,
    /// How many distinct values the bit sets of `likes` cover.
    values_seen: usize,
    sets: Vec<BitSet>,
}

#[derive(Debug, Clone)]
struct Step {
    column: usize,
    is_negated: bool,
    check: Check,
    when_true: u32,
    when_false: u32,
}

#[derive(Debug, Clone)]
enum Check {
    Equals(u32),
    /// Unused places repeat the first value.
    OneOf([u32; SCANNED_LIST_MAX]),
    /// Position of the bit set.
    InSet(usize),
}

/// A pattern and the bit set with its verdicts.
#[derive(Debug, Clone)]
struct Like {
    pattern: Pattern,
    set: usize,
}

/// One bit a distinct value; what lies beyond is not in it.
#[derive(Debug, Clone, Default)]
struct BitSet(Vec<u64>);

impl BitSet {
    fn insert(&mut self, number: usize) {
        let word = number / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    #[inline]
    fn contains(&self, number: u32) -> bool {
        let word = self.0.get(number as usize / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

pub(super) fn compile(
    expression: &Expression,
    table: &mut InternedTable,
) -> Result<Compiled, TableError> {
    let mut compiled = Compiled {
        steps: Vec::new(),
        entry: REJECT,
        likes: Vec::new(),
        values_seen: 0,
        sets: Vec::new(),
    };
    compiled.entry = compiled.add(expression, table, ACCEPT, REJECT)?;
    Ok(compiled)
}

impl Compiled {
    /// An evaluator that is up to date with `table`, which must be the one compiled for. It borrows
    /// both, so that neither can grow while it lives.
    pub fn matcher<'a>(&'a mut self, table: &'a InternedTable) -> Matcher<'a> {
        self.refresh(table.interner());
        Matcher {
            steps: &self.steps,
            entry: self.entry,
            sets: &self.sets,
            table,
        }
    }

    /// Asks the patterns about values that are new since the last time.
    fn refresh(&mut self, interner: &Interner) {
        let texts = interner.texts();
        for like in &self.likes {
            for (number, text) in texts.iter().enumerate().skip(self.values_seen) {
                if like.pattern.matches(text) {
                    self.sets[like.set].insert(number);
                }
            }
        }
        self.values_seen = texts.len();
    }

    /// Adds steps for `expression` that end at one of two targets; returns where they begin.
    /// Built back to front, so that each target exists before the step that jumps to it.
    fn add(
        &mut self,
        expression: &Expression,
        table: &mut InternedTable,
        when_true: u32,
        when_false: u32,
    ) -> Result<u32, TableError> {
        match expression {
            Expression::Condition(condition) => {
                self.add_condition(condition, table, when_true, when_false)
            }
            Expression::Not(part) => self.add(part, table, when_false, when_true),
            Expression::And(parts) => {
                let mut next = when_true;
                for part in parts.iter().rev() {
                    next = self.add(part, table, next, when_false)?;
                }
                Ok(next)
            }
            Expression::Or(parts) => {
                let mut next = when_false;
                for part in parts.iter().rev() {
                    next = self.add(part, table, when_true, next)?;
                }
                Ok(next)
            }
        }
    }

    fn add_condition(
        &mut self,
        condition: &Condition,
        table: &mut InternedTable,
        when_true: u32,
        when_false: u32,
    ) -> Result<u32, TableError> {
        let column = table.column_of(&condition.field)?;
        let check = match &condition.test {
            Test::Equals(value) => Check::Equals(table.interner_mut().intern(value)?),
            Test::OneOf(values) => {
                let mut numbers = Vec::with_capacity(values.len());
                for value in values {
                    numbers.push(table.interner_mut().intern(value)?);
                }
                self.list_check(&numbers)
            }
            Test::Like(pattern) => {
                let set = self.sets.len();
                self.sets.push(BitSet::default());
                self.likes.push(Like {
                    pattern: pattern.clone(),
                    set,
                });
                Check::InSet(set)
            }
        };
        let is_negated = condition.is_negated;
        self.steps.push(Step {
            column,
            is_negated,
            check,
            when_true,
            when_false,
        });
        Ok(u32::try_from(self.steps.len() - 1).unwrap_or(REJECT))
    }

    fn list_check(&mut self, numbers: &[u32]) -> Check {
        if let Some(first) = numbers
            .first()
            .filter(|_| numbers.len() <= SCANNED_LIST_MAX)
        {
            let mut scanned = [*first; SCANNED_LIST_MAX];
            scanned[..numbers.len()].copy_from_slice(numbers);
            return Check::OneOf(scanned);
        }
        let mut set = BitSet::default();
        numbers
            .iter()
            .for_each(|number| set.insert(*number as usize));
        self.sets.push(set);
        Check::InSet(self.sets.len() - 1)
    }
}

/// Evaluates a compiled filter over the rows of its table.
#[derive(Debug, Clone, Copy)]
pub struct Matcher<'a> {
    steps: &'a [Step],
    entry: u32,
    sets: &'a [BitSet],
    table: &'a InternedTable,
}

impl<'a> Matcher<'a> {
    /// Whether the row at `position` passes; `false` beyond the last. Allocates nothing.
    #[must_use]
    pub fn matches(&self, position: usize) -> bool {
        if position >= self.table.len() {
            return false;
        }
        let mut at = self.entry;
        while at < REJECT {
            let step = &self.steps[at as usize];
            let lanes = self.table.lanes(position / LANES, step.column);
            let lane = lanes.get(position % LANES).copied().unwrap_or(ABSENT);
            let holds = step.mask(&[lane], self.sets) == 1;
            at = if holds {
                step.when_true
            } else {
                step.when_false
            };
        }
        at == ACCEPT
    }

    /// The positions of the rows that pass, ascending. Allocates once.
    #[must_use]
    pub fn select(self) -> Selection<'a> {
        let reached = vec![0; self.steps.len()];
        Selection {
            matcher: self,
            reached,
            next_block: 0,
            mask: 0,
        }
    }
}

/// Runs the steps on 64 rows at once: instead of jumping with one row, each step hands the rows
/// that hold and those that do not on to its two targets, as masks. So there is no branch to
/// mispredict but the one that skips a step no row has reached.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    matcher: Matcher<'a>,
    /// For each step the rows that have reached it; all zero between blocks.
    reached: Vec<u64>,
    next_block: usize,
    /// The rows of the block before `next_block` that pass and have not been given out.
    mask: u64,
}

impl Selection<'_> {
    /// Which rows of `block`, of which `rows` exist, pass.
    fn mask_of(&mut self, block: usize, rows: u64) -> u64 {
        let Matcher {
            steps,
            entry,
            sets,
            table,
        } = self.matcher;
        let mut accepted = if entry == ACCEPT { rows } else { 0 };
        if let Some(reached) = self.reached.get_mut(entry as usize) {
            *reached = rows;
        }
        for (at, step) in steps.iter().enumerate().rev() {
            let here = std::mem::take(&mut self.reached[at]);
            if here == 0 {
                continue;
            }
            let holds = step.mask(table.lanes(block, step.column), sets);
            for (target, rows) in [
                (step.when_true, here & holds),
                (step.when_false, here & !holds),
            ] {
                match target {
                    ACCEPT => accepted |= rows,
                    REJECT => {}
                    earlier => self.reached[earlier as usize] |= rows,
                }
            }
        }
        accepted
    }
}

impl Iterator for Selection<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            let before = self.next_block * LANES;
            let left = self
                .matcher
                .table
                .len()
                .checked_sub(before)
                .filter(|left| *left > 0)?;
            let rows = if left >= LANES {
                u64::MAX
            } else {
                (1 << left) - 1
            };
            self.mask = self.mask_of(self.next_block, rows);
            self.next_block += 1;
        }
        let lane = self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some((self.next_block - 1) * LANES + lane)
    }
}

impl Step {
    /// One bit for each of at most 64 values: whether the condition holds of it.
    #[inline]
    fn mask(&self, values: &[u32], sets: &[BitSet]) -> u64 {
        match &self.check {
            Check::Equals(wanted) => self.mask_by(values, |value| value == *wanted),
            Check::OneOf(wanted) => self.mask_by(values, |value| {
                wanted
                    .iter()
                    .fold(false, |is_any, wanted| is_any | (*wanted == value))
            }),
            Check::InSet(set) => self.mask_by(values, |value| sets[*set].contains(value)),
        }
    }

    #[inline]
    fn mask_by(&self, values: &[u32], is_met: impl Fn(u32) -> bool) -> u64 {
        let mut mask = 0;
        for (lane, value) in values.iter().enumerate() {
            let holds = (*value != ABSENT) & (is_met(*value) != self.is_negated);
            mask |= u64::from(holds) << lane;
        }
        mask
    }
}
