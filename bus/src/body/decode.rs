//! Decodes batch bodies of unknown honesty.
//!
//! Does: whole batches into reusable memory, or one section, or one column of it.
//! Does not: resolve schema and rows (`resolver`), believe lengths: limits come before allocation.
//! In: a body, the frame that head table and definitions give. Out: [`Batch`], or [`BodyError`]
//! with the place. Columns that are not wanted are stepped over without being decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocelli_model::batch::{Batch, CounterColumn, GroupValues, RowSet};
use ocelli_model::clock::WallMs;
use ocelli_model::columns::GaugeColumn;
use ocelli_model::gap::{DETAIL_BYTES_MAX, GapCause, GapKind};
use ocelli_model::rows::Partial;
use ocelli_model::schema::{GroupSchema, Schema};
use ocelli_model::slot::{Epoch, SlotMs};

use super::walk::{SectionStart, Walk};
use super::{BodyError, REACHED_BYTES_MAX};
use crate::limits::BATCH_CELLS_MAX;
use crate::wire::{Cursor, WireError};

/// What a body's reader knows from head table and definitions.
#[derive(Debug, Clone)]
pub struct BatchFrame {
    /// The slot.
    pub slot: SlotMs,
    /// Interval of the slots, ms.
    pub interval_ms: u32,
    /// The plan entry.
    pub epoch: Epoch,
    /// When the collection ended; row times are relative to it.
    pub time: WallMs,
    /// Whether the body begins with the reason why it is not whole.
    pub is_partial: bool,
    /// What the columns mean.
    pub schema: Arc<Schema>,
    /// What the rows mean.
    pub rows: Arc<RowSet>,
}

/// A batch without rows, to be decoded into.
#[must_use]
pub fn empty_batch() -> Batch {
    Batch {
        slot: SlotMs::default(),
        interval_ms: 0,
        epoch: Epoch::default(),
        time: WallMs::default(),
        partial: None,
        schema: Arc::new(Schema {
            groups: Vec::new(),
            rate_formula: 0,
            tags: BTreeMap::new(),
        }),
        rows: Arc::default(),
        groups: Vec::new(),
    }
}

/// A body cut into its sections, nothing decoded.
#[derive(Debug, Clone)]
pub struct BodyView<'a> {
    frame: &'a BatchFrame,
    partial: Option<Partial>,
    sections: Vec<Section<'a>>,
}

#[derive(Debug, Clone)]
struct Section<'a> {
    rows: usize,
    /// Behind the number of rows.
    body: &'a [u8],
}

impl<'a> BodyView<'a> {
    /// Cuts a body. The whole of it must be used up.
    ///
    /// # Errors
    /// [`BodyError`].
    pub fn parse(body: &'a [u8], frame: &'a BatchFrame) -> Result<Self, BodyError> {
        let mut cursor = Cursor::new(body);
        let partial = if frame.is_partial {
            Some(read_partial(&mut cursor)?)
        } else {
            None
        };
        let mut sections = Vec::with_capacity(frame.schema.groups.len());
        let mut cells = 0usize;
        for (group, schema) in frame.schema.groups.iter().enumerate() {
            let len = cursor.varint_usize(body.len(), "a section's length")?;
            let section = cursor.take(len, "a section")?;
            let mut inner = Cursor::new(section);
            let found = inner.varint_usize(BATCH_CELLS_MAX, "a number of rows")?;
            check_rows(frame, group, found)?;
            let columns = schema.counters.len() + schema.gauges.len();
            cells = cells.saturating_add(found.saturating_mul(columns.max(1)));
            sections.push(Section {
                rows: found,
                body: &section[inner.offset()..],
            });
        }
        cursor.finish("the end of the body")?;
        if cells > BATCH_CELLS_MAX {
            return Err(BodyError::TooLarge { cells });
        }
        Ok(Self {
            frame,
            partial,
            sections,
        })
    }

    /// Why the batch is not whole.
    #[must_use]
    pub fn partial(&self) -> Option<&Partial> {
        self.partial.as_ref()
    }

    /// The section of a group; `None` beyond the schema.
    #[must_use]
    pub fn section(&self, group: usize) -> Option<SectionView<'_>> {
        let section = self.sections.get(group)?;
        let schema = self.frame.schema.groups.get(group)?;
        Some(SectionView {
            section,
            schema,
            batch_time: self.frame.time.0,
        })
    }

    /// Decodes all groups into `into`, whose memory is used again.
    ///
    /// # Errors
    /// [`BodyError::Wire`], offsets from the start of the section; `into` is then unspecified.
    pub fn decode_into(&self, into: &mut Batch) -> Result<(), BodyError> {
        let frame = self.frame;
        (into.slot, into.interval_ms) = (frame.slot, frame.interval_ms);
        (into.epoch, into.time) = (frame.epoch, frame.time);
        into.partial.clone_from(&self.partial);
        into.schema = Arc::clone(&frame.schema);
        into.rows = Arc::clone(&frame.rows);
        into.groups
            .resize_with(self.sections.len(), GroupValues::default);
        for (group, values) in into.groups.iter_mut().enumerate() {
            if let Some(section) = self.section(group) {
                section.decode_into(values)?;
            }
        }
        Ok(())
    }
}

fn check_rows(frame: &BatchFrame, group: usize, found: usize) -> Result<(), BodyError> {
    let table = frame.rows.groups.get(group);
    let expected = table.map_or(0, |table| table.rows());
    let is_single = table.is_some_and(|table| table.columns() == 0) && found <= 1;
    if is_single || found == expected {
        Ok(())
    } else {
        Err(BodyError::Rows {
            group,
            found,
            expected,
        })
    }
}

/// One group of a body.
#[derive(Debug, Clone)]
pub struct SectionView<'a> {
    section: &'a Section<'a>,
    schema: &'a GroupSchema,
    batch_time: i64,
}

impl SectionView<'_> {
    /// Rows of the group.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.section.rows
    }

    fn start(&self) -> SectionStart<'_> {
        SectionStart {
            body: self.section.body,
            rows: self.section.rows,
            batch_time: self.batch_time,
            has_counters: !self.schema.counters.is_empty(),
        }
    }

    /// Decodes the whole group.
    ///
    /// # Errors
    /// [`BodyError::Wire`].
    pub fn decode_into(&self, into: &mut GroupValues) -> Result<(), BodyError> {
        into.counters
            .resize_with(self.schema.counters.len(), CounterColumn::default);
        into.gauges
            .resize_with(self.schema.gauges.len(), GaugeColumn::default);
        into.counters.iter_mut().for_each(CounterColumn::clear);
        into.time.clear();
        into.dt_ms.clear();
        if self.section.rows == 0 {
            into.gauges.iter_mut().for_each(GaugeColumn::clear);
            return Ok(Cursor::new(self.section.body).finish("the end of an empty section")?);
        }
        let mut walk = Walk::begin(&self.start(), Some(into))?;
        for column in &mut into.counters {
            walk.read_counter(column)?;
        }
        for column in &mut into.gauges {
            walk.read_gauge(column)?;
        }
        walk.read_own_dt(&mut into.counters)?;
        Ok(walk.cursor.finish("the end of the section")?)
    }

    /// Decodes one counter column (without the exceptions of `own_dt`); the ones before it are
    /// stepped over.
    ///
    /// # Errors
    /// [`BodyError::Wire`]; a column that the schema lacks is left empty.
    pub fn read_counter(&self, index: usize, into: &mut CounterColumn) -> Result<(), BodyError> {
        into.clear();
        if self.section.rows == 0 || index >= self.schema.counters.len() {
            return Ok(());
        }
        let mut walk = Walk::begin(&self.start(), None)?;
        for _ in 0..index {
            walk.skip_counter()?;
        }
        Ok(walk.read_counter(into)?)
    }

    /// Decodes one gauge column; the ones before it are stepped over.
    ///
    /// # Errors
    /// [`BodyError::Wire`]; a column that the schema lacks is left empty.
    pub fn read_gauge(&self, index: usize, into: &mut GaugeColumn) -> Result<(), BodyError> {
        into.clear();
        if self.section.rows == 0 || index >= self.schema.gauges.len() {
            return Ok(());
        }
        let mut walk = Walk::begin(&self.start(), None)?;
        for _ in 0..self.schema.counters.len() {
            walk.skip_counter()?;
        }
        for _ in 0..index {
            walk.skip_gauge()?;
        }
        Ok(walk.read_gauge(into)?)
    }
}

/// A cause of a later version keeps its number in the detail.
fn read_partial(cursor: &mut Cursor<'_>) -> Result<Partial, WireError> {
    let number = cursor.u8("a cause")?;
    let detail = cursor.text(DETAIL_BYTES_MAX, "the cause's detail")?;
    let reached = cursor
        .text(REACHED_BYTES_MAX, "how far the run came")?
        .to_owned();
    let cause = match GapKind::from_number(number) {
        Some(kind) => GapCause::because(kind, detail),
        None => GapCause::because(GapKind::PluginError, &format!("cause {number}: {detail}")),
    };
    Ok(Partial { cause, reached })
}
