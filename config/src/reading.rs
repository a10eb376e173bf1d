//! What is found while a configuration is read: errors, warnings, and where each value stood.
//!
//! Does: collect every finding instead of stopping at the first; count errors so that an item
//! knows whether it is whole. Does not: print (`problem`) or decide what a finding leads to
//! (`load`).
//! In: findings with their span. Out: [`Reading`], emptied item by item.
//! Invariant: a reader that returns `None` has recorded at least one error.

use std::path::PathBuf;

use crate::problem::Problem;
use crate::source::{Sources, Span};

/// More findings than anyone reads; beyond it they are counted only.
const PROBLEMS_MAX: usize = 1_000;

/// The findings so far.
pub(crate) struct Reading<'a> {
    sources: &'a Sources,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    error_count: usize,
}

impl<'a> Reading<'a> {
    pub(crate) const fn new(sources: &'a Sources) -> Self {
        Self {
            sources,
            errors: Vec::new(),
            warnings: Vec::new(),
            error_count: 0,
        }
    }

    /// Records an error. `reason` must not hold a value that may be secret.
    pub(crate) fn wrong(
        &mut self,
        span: Span,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.error_count += 1;
        if self.errors.len() < PROBLEMS_MAX {
            self.errors
                .push(Problem::new(self.sources, span, reason, remedy));
        }
    }

    /// Records a warning: the value is taken all the same.
    pub(crate) fn warn(
        &mut self,
        span: Span,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.warnings.len() < PROBLEMS_MAX {
            self.warnings
                .push(Problem::new(self.sources, span, reason, remedy));
        }
    }

    /// How many errors there were: compare before and after to know whether a part is whole.
    pub(crate) const fn error_count(&self) -> usize {
        self.error_count
    }

    /// The errors since the last call.
    pub(crate) fn take_errors(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.errors)
    }

    /// Gives errors taken before back, in front of those since.
    pub(crate) fn put_back(&mut self, mut earlier: Vec<Problem>) {
        earlier.append(&mut self.errors);
        self.errors = earlier;
    }

    /// The warnings since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.warnings)
    }

    /// `path` as the source that it stands in means it.
    pub(crate) fn resolve_path(&self, span: Span, path: &str) -> PathBuf {
        let base = self
            .sources
            .get(span.source)
            .map(|source| source.base.clone());
        base.unwrap_or_default().join(path)
    }

    pub(crate) const fn sources(&self) -> &'a Sources {
        self.sources
    }
}
