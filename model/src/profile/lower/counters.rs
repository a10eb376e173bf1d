//! Counters of a group as source columns, choices and sums.
//!
//! Does: give each (column, guards) one source and each list of alternatives one choice, shared by
//! all counters that use it, so that a sum and its parts rest on the same source.
//! Does not: judge differences (`rate`). In: the group as written. Out: [`Counters`].

use super::scope::{GroupScope, position};
use crate::profile::diagnostic::Code;
use crate::profile::expression::Expression;
use crate::profile::linear::{self, Alternative, Meaning, Term};
use crate::profile::native::{NativeGroup, NativeMetric};
use crate::profile::plan::SourcePlan;
use crate::profile::program::Input;
use crate::profile::reader::Reader;
use crate::rate::{CounterPlan, SOURCES_MAX, SourceChoice};

pub(super) struct Counters {
    pub(super) sources: Vec<SourcePlan>,
    pub(super) choices: Vec<SourceChoice>,
    pub(super) plans: Vec<CounterPlan>,
}

/// `None` if a counter has a fault.
pub(super) fn counters(
    reader: &mut Reader,
    scope: &mut GroupScope<'_>,
    group: &NativeGroup,
) -> Option<Counters> {
    let mut seen: Vec<(&str, Vec<Term>)> = Vec::with_capacity(group.counters.len());
    let mut builder = Builder {
        written: Vec::new(),
        counters: Counters {
            sources: Vec::new(),
            choices: Vec::new(),
            plans: Vec::new(),
        },
    };
    let mut is_sound = true;
    for metric in &group.counters {
        let terms = terms_of(reader, scope, metric, &seen);
        let plan = terms
            .as_ref()
            .and_then(|terms| builder.counter(reader, scope, metric, terms));
        is_sound &= plan.is_some();
        builder.counters.plans.extend(plan);
        seen.push((&metric.name.value, terms.unwrap_or_default()));
    }
    is_sound.then_some(builder.counters)
}

fn terms_of(
    reader: &mut Reader,
    scope: &GroupScope<'_>,
    metric: &NativeMetric,
    seen: &[(&str, Vec<Term>)],
) -> Option<Vec<Term>> {
    let meaning = |name: &str| match scope.input(name) {
        Some(Input::Column(column)) => Meaning::Column(column),
        Some(Input::Let(at)) => match scope.group.lets.get(usize::from(at)) {
            Some((_, part)) => Meaning::Part(&part.value),
            None => Meaning::Other,
        },
        Some(_) => Meaning::Other,
        None => match seen.iter().find(|(known, _)| *known == name) {
            Some((_, terms)) => Meaning::Counter(terms),
            None => Meaning::Other,
        },
    };
    let expression = &metric.expression;
    let fault = |reader: &mut Reader, offset: usize, message: String| {
        let mut place = expression.place;
        place.column += offset;
        reader.fault(Code::NotLinear, place, &expression.path, message);
        None
    };
    match linear::terms(&expression.value, &meaning) {
        Ok(terms) if terms.is_empty() => {
            fault(reader, 0, "this counter is always missing".to_owned())
        }
        Ok(terms) => Some(terms),
        Err(error) => fault(reader, error.offset, error.message),
    }
}

struct Builder {
    /// Parallel to `counters.sources`: what each was made of.
    written: Vec<Alternative>,
    counters: Counters,
}

impl Builder {
    fn counter(
        &mut self,
        reader: &mut Reader,
        scope: &mut GroupScope<'_>,
        metric: &NativeMetric,
        terms: &[Term],
    ) -> Option<CounterPlan> {
        let mut plan = CounterPlan { terms: Vec::new() };
        for term in terms {
            let mut sources = Vec::with_capacity(term.alternatives.len());
            for alternative in &term.alternatives {
                sources.push(self.source(reader, scope, (metric, alternative))?);
            }
            let columns = &scope.group.columns;
            let units = term.alternatives.iter();
            let bits_per_unit = units
                .filter_map(|alternative| columns.get(usize::from(alternative.column)))
                .map(|column| column.bits_per_unit)
                .max();
            let choice = SourceChoice {
                sources,
                bits_per_unit: bits_per_unit.unwrap_or(0),
            };
            let choices = &mut self.counters.choices;
            let known = choices.iter().position(|known| *known == choice);
            let at = known.unwrap_or(choices.len());
            if known.is_none() {
                choices.push(choice);
            }
            plan.terms.push((term.coefficient, position(at)));
        }
        Some(plan)
    }

    fn source(
        &mut self,
        reader: &mut Reader,
        scope: &mut GroupScope<'_>,
        (metric, alternative): (&NativeMetric, &Alternative),
    ) -> Option<u16> {
        let known = self.written.iter().position(|known| known == alternative);
        if let Some(at) = known {
            return Some(position(at));
        }
        if self.written.len() >= SOURCES_MAX {
            let message = format!("more than {SOURCES_MAX} sources in one group");
            reader.fault(Code::Limit, metric.name.place, &metric.name.path, message);
            return None;
        }
        let compile = |guard: &Expression| scope.compile_part(reader, guard, &metric.expression);
        let guards: Option<Vec<_>> = alternative.guards.iter().map(compile).collect();
        self.written.push(alternative.clone());
        self.counters.sources.push(SourcePlan {
            column: alternative.column,
            guards: guards?,
        });
        Some(position(self.written.len() - 1))
    }
}
