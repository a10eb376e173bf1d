//! Names of one group: columns, scalars, index fields, `let` lines, enrichment.
//!
//! Does: say what a name means where it stands, compile expressions with their places.
//! Does not: know counters (`counters`). In: the group as written. Out: inputs and programs;
//! faults go to the reader. Invariant: a `let` sees only what stands above it.

use std::collections::BTreeMap;

use crate::profile::diagnostic::Code;
use crate::profile::expression::Expression;
use crate::profile::native::{Located, NativeGroup, NativeMetric};
use crate::profile::plan::EnrichedPlan;
use crate::profile::program::{Input, LETS_MAX, Program, Scope, compile};
use crate::profile::reader::Reader;
use crate::schema::MetricDef;

/// Most facts of enrichment that a group reads of a row: they stand on the stack while it is read.
pub(crate) const ENRICHED_MAX: usize = 16;
/// Names that begin so mean enrichment: `enrich.NAMESPACE.KEY`.
const ENRICHED_PREFIX: &str = "enrich.";

pub(super) struct GroupScope<'g> {
    names: BTreeMap<String, Input>,
    pub(super) enriched: Vec<EnrichedPlan>,
    interval_s: f64,
    pub(super) group: &'g NativeGroup,
}

impl<'g> GroupScope<'g> {
    /// The scope with columns, scalars and index fields; `let` lines come with
    /// [`Self::compile_lets`].
    pub(super) fn new(reader: &mut Reader, group: &'g NativeGroup, interval_ms: u32) -> Self {
        let mut scope = Self {
            names: BTreeMap::new(),
            enriched: Vec::new(),
            interval_s: f64::from(interval_ms) / 1_000.0,
            group,
        };
        for (at, column) in group.columns.iter().enumerate() {
            scope.define(reader, &column.name, Input::Column(position(at)));
        }
        for (at, (name, _)) in group.scalars.iter().enumerate() {
            scope.define(reader, name, Input::Scalar(position(at)));
        }
        for (at, field) in group.index.iter().enumerate() {
            let name = format!("index.{}", field.value);
            scope.names.insert(name, Input::Index(position(at)));
        }
        scope
    }

    fn define(&mut self, reader: &mut Reader, name: &Located<String>, input: Input) {
        if self.names.insert(name.value.clone(), input).is_some() {
            let message = format!("the name {:?} has another meaning already", name.value);
            reader.fault(Code::Name, name.place, &name.path, message);
        }
    }

    pub(super) fn compile_lets(
        &mut self,
        reader: &mut Reader,
        group: &NativeGroup,
    ) -> Vec<Program> {
        let mut programs = Vec::with_capacity(group.lets.len());
        for (at, (name, expression)) in group.lets.iter().enumerate() {
            if at == LETS_MAX {
                let message = format!("more than {LETS_MAX} `let` lines in one group");
                reader.fault(Code::Limit, name.place, &name.path, message);
                break;
            }
            // One with a fault keeps its place: later ones are read by theirs.
            let program = self.compile(reader, expression);
            programs.push(program.unwrap_or_else(Program::missing));
            self.define(reader, name, Input::Let(position(at)));
        }
        programs
    }

    pub(super) fn compile(
        &mut self,
        reader: &mut Reader,
        expression: &Located<Expression>,
    ) -> Option<Program> {
        self.compile_part(reader, &expression.value, expression)
    }

    /// Compiles `part` of an expression that stands at the place of `whole`.
    pub(super) fn compile_part<T>(
        &mut self,
        reader: &mut Reader,
        part: &Expression,
        whole: &Located<T>,
    ) -> Option<Program> {
        let interval_s = self.interval_s;
        match compile(part, self, interval_s) {
            Ok(program) => Some(program),
            Err(error) => {
                let mut place = whole.place;
                place.column += error.offset;
                reader.fault(error.code, place, &whole.path, error.message);
                None
            }
        }
    }

    pub(super) fn compile_optional(
        &mut self,
        reader: &mut Reader,
        expression: Option<&Located<Expression>>,
    ) -> Option<Program> {
        self.compile(reader, expression?)
    }

    pub(super) fn compile_metrics(
        &mut self,
        reader: &mut Reader,
        metrics: &[NativeMetric],
    ) -> Vec<Program> {
        let compiled = metrics
            .iter()
            .filter_map(|metric| self.compile(reader, &metric.expression));
        compiled.collect()
    }

    /// What `name` means if it is no enrichment.
    pub(super) fn input(&self, name: &str) -> Option<Input> {
        self.names.get(name).copied()
    }

    fn enrichment(&mut self, name: &str) -> Option<Input> {
        let (namespace, key) = name.strip_prefix(ENRICHED_PREFIX)?.split_once('.')?;
        let wanted = EnrichedPlan {
            namespace: namespace.to_owned(),
            key: key.to_owned(),
        };
        let known = self.enriched.iter().position(|plan| *plan == wanted);
        let at = known.unwrap_or(self.enriched.len());
        if at >= ENRICHED_MAX {
            return None;
        }
        if known.is_none() {
            self.enriched.push(wanted);
        }
        Some(Input::Enriched(position(at)))
    }
}

impl Scope for GroupScope<'_> {
    fn resolve(&mut self, name: &str) -> Option<Input> {
        self.input(name).or_else(|| self.enrichment(name))
    }

    fn names(&self) -> Vec<&str> {
        self.names.keys().map(String::as_str).collect()
    }
}

/// Positions are below the number of values of a file (100,000), and a schema of more than 65,535
/// is refused: what is cut here never runs.
pub(super) fn position(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

pub(super) fn metric_defs(metrics: &[NativeMetric]) -> Vec<MetricDef> {
    let defs = metrics.iter().map(|metric| MetricDef {
        name: metric.name.value.clone(),
        unit: metric.unit.clone(),
    });
    defs.collect()
}
