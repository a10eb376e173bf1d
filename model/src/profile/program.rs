//! Expressions as flat programs, evaluated once a row.
//!
//! Does: resolve names to inputs, compile a tree to operations, run them on a stack of fixed size.
//! Does not: allocate or fail when run: what has no value is missing.
//! In: an [`Expression`] and a [`Scope`]; later, [`Inputs`] of a row. Out: a [`Cell`].
//! Meaning: a missing operand makes the result missing, but for `and`, `or` (Kleene's logic), `??`,
//! `present()`, `missing()`. A text is no number, and a number no text: arithmetic and comparisons
//! of the two are missing. Division by zero and results that are not finite are missing.

use super::diagnostic::Code;
use super::expression::{Binary, Expression, Unary};

/// Most values waiting on the stack; checked when compiling.
pub(crate) const STACK_MAX: usize = 32;
/// Most operations of a program.
const OPERATIONS_MAX: usize = 1_024;
/// Most `let` lines of a group: their values stand on the machine's stack while a row is read.
pub const LETS_MAX: usize = 32;

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Not there.
    Missing,
    /// A finite number; whole numbers are exact below 2^53.
    Number(f64),
    /// Octets as read.
    Text(&'a [u8]),
}

impl Cell<'_> {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Missing | Self::Text(_) => None,
        }
    }

    /// Whether it is a number other than zero.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.number().is_some_and(|number| number != 0.0)
    }

    /// Missing, and texts without octets: agents answer those for "none".
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing | Self::Text([]))
    }
}

/// Where a value of a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// A column of the table, by position.
    Column(u16),
    /// A scalar of the group, by position.
    Scalar(u16),
    /// An arc of the row's index, from 0.
    Index(u16),
    /// A fact of the resource's enrichment about this row, by position.
    Enriched(u16),
    /// The value of an earlier `let`, by position.
    Let(u16),
}

/// The values of one row.
pub trait Inputs<'a> {
    /// The value of `input`; never asked for [`Input::Let`].
    fn input(&self, input: Input) -> Cell<'a>;
}

/// What names mean where an expression stands.
pub(crate) trait Scope {
    fn resolve(&mut self, name: &str) -> Option<Input>;
    /// Names that a misspelt one may have meant.
    fn names(&self) -> Vec<&str>;
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operation {
    Number(f64),
    Text(Box<[u8]>),
    Missing,
    Input(Input),
    Unary(Unary),
    Binary(Binary),
    Jump(u16),
    /// Keeps a value that is there and jumps; takes away one that is not.
    JumpIfPresent(u16),
    /// Takes the condition: true goes on, false jumps to the first, missing is the result and
    /// jumps to the second.
    Branch(u16, u16),
}

/// Why a tree is no program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompileError {
    pub(crate) code: Code,
    pub(crate) offset: usize,
    pub(crate) message: String,
}

impl Program {
    /// What is never there.
    pub(super) fn missing() -> Self {
        Self {
            operations: vec![Operation::Missing],
        }
    }

    /// The value of the program for a row whose `let` values so far are `lets`.
    #[must_use]
    pub fn run<'a>(&'a self, inputs: &impl Inputs<'a>, lets: &[Cell<'a>]) -> Cell<'a> {
        let load = |input: Input| match input {
            Input::Let(position) => lets
                .get(usize::from(position))
                .copied()
                .unwrap_or(Cell::Missing),
            other => inputs.input(other),
        };
        if let [Operation::Input(input)] = self.operations[..] {
            return load(input);
        }
        let mut stack = Stack::default();
        let mut next = 0;
        while let Some(operation) = self.operations.get(next) {
            next += 1;
            match operation {
                Operation::Number(number) => stack.push(Cell::Number(*number)),
                Operation::Text(text) => stack.push(Cell::Text(text)),
                Operation::Missing => stack.push(Cell::Missing),
                Operation::Input(input) => stack.push(load(*input)),
                Operation::Unary(unary) => {
                    let inner = stack.pop();
                    stack.push(apply_unary(*unary, inner));
                }
                Operation::Binary(binary) => {
                    let right = stack.pop();
                    let left = stack.pop();
                    stack.push(apply_binary(*binary, left, right));
                }
                Operation::Jump(target) => next = usize::from(*target),
                Operation::JumpIfPresent(target) => {
                    let value = stack.pop();
                    if !value.is_missing() {
                        stack.push(value);
                        next = usize::from(*target);
                    }
                }
                Operation::Branch(if_false, end) => match stack.pop().number() {
                    Some(number) if number != 0.0 => {}
                    Some(_) => next = usize::from(*if_false),
                    None => {
                        stack.push(Cell::Missing);
                        next = usize::from(*end);
                    }
                },
            }
        }
        stack.pop()
    }

    /// The input that it gives as it is, if it does nothing else.
    #[must_use]
    pub fn handed_through(&self) -> Option<Input> {
        match self.operations[..] {
            [Operation::Input(input)] => Some(input),
            _ => None,
        }
    }

    /// What it reads, each once.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        let mut inputs: Vec<Input> = self
            .operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::Input(input) => Some(*input),
                _ => None,
            })
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }
}

/// Fixed, since the depth is checked when compiling.
struct Stack<'a> {
    cells: [Cell<'a>; STACK_MAX],
    depth: usize,
}

impl Default for Stack<'_> {
    fn default() -> Self {
        Self {
            cells: [Cell::Missing; STACK_MAX],
            depth: 0,
        }
    }
}

impl<'a> Stack<'a> {
    fn push(&mut self, cell: Cell<'a>) {
        debug_assert!(self.depth < STACK_MAX, "the compiler bounds the depth");
        if let Some(place) = self.cells.get_mut(self.depth) {
            *place = cell;
            self.depth += 1;
        }
    }

    fn pop(&mut self) -> Cell<'a> {
        self.depth = self.depth.saturating_sub(1);
        self.cells[self.depth]
    }
}

fn truth(is_true: bool) -> Cell<'static> {
    Cell::Number(f64::from(u8::from(is_true)))
}

fn finite(number: f64) -> Cell<'static> {
    match number.is_finite() {
        true => Cell::Number(number),
        false => Cell::Missing,
    }
}

fn apply_unary<'a>(unary: Unary, inner: Cell<'a>) -> Cell<'a> {
    match unary {
        Unary::IsPresent => truth(!inner.is_missing()),
        Unary::IsMissing => truth(inner.is_missing()),
        Unary::Minus => inner
            .number()
            .map_or(Cell::Missing, |number| finite(-number)),
        Unary::Not => inner
            .number()
            .map_or(Cell::Missing, |number| truth(number == 0.0)),
    }
}

fn apply_binary<'a>(binary: Binary, left: Cell<'a>, right: Cell<'a>) -> Cell<'a> {
    match (binary, left, right) {
        (Binary::FirstPresent, ..) => {
            if left.is_missing() {
                right
            } else {
                left
            }
        }
        (Binary::And | Binary::Or, ..) => {
            // The value that decides alone, whatever the other is.
            let decides = binary == Binary::Or;
            let known = |cell: Cell<'_>| cell.number().map(|number| number != 0.0);
            match (known(left), known(right)) {
                (Some(one), _) | (_, Some(one)) if one == decides => truth(decides),
                (Some(_), Some(_)) => truth(!decides),
                _ => Cell::Missing,
            }
        }
        (_, Cell::Number(left), Cell::Number(right)) => number_result(binary, left, right),
        (Binary::Equal, Cell::Text(left), Cell::Text(right)) => truth(left == right),
        (Binary::NotEqual, Cell::Text(left), Cell::Text(right)) => truth(left != right),
        _ => Cell::Missing,
    }
}

fn number_result(binary: Binary, left: f64, right: f64) -> Cell<'static> {
    match binary {
        Binary::Add => finite(left + right),
        Binary::Subtract => finite(left - right),
        Binary::Multiply => finite(left * right),
        Binary::Divide => finite(left / right),
        Binary::Equal => truth(left == right),
        Binary::NotEqual => truth(left != right),
        Binary::Less => truth(left < right),
        Binary::LessOrEqual => truth(left <= right),
        Binary::Greater => truth(left > right),
        Binary::GreaterOrEqual => truth(left >= right),
        Binary::And | Binary::Or | Binary::FirstPresent => Cell::Missing,
    }
}

// === Compiling ===

/// Compiles `expression` with the names of `scope`; `interval_s` is that of the group.
pub(crate) fn compile(
    expression: &Expression,
    scope: &mut impl Scope,
    interval_s: f64,
) -> Result<Program, CompileError> {
    let mut compiler = Compiler {
        operations: Vec::new(),
        depth: 0,
        scope,
        interval_s,
    };
    compiler.emit(expression)?;
    let operations = compiler.operations;
    Ok(Program { operations })
}

struct Compiler<'scope, S> {
    operations: Vec<Operation>,
    depth: usize,
    scope: &'scope mut S,
    interval_s: f64,
}

impl<S: Scope> Compiler<'_, S> {
    fn emit(&mut self, expression: &Expression) -> Result<(), CompileError> {
        match expression {
            Expression::Number(number) => self.value(Operation::Number(*number)),
            Expression::Text(text) => self.value(Operation::Text(text.as_bytes().into())),
            Expression::Missing => self.value(Operation::Missing),
            Expression::IntervalS => self.value(Operation::Number(self.interval_s)),
            Expression::Name { name, offset } => self.name(name, *offset),
            Expression::Unary(unary, inner) => {
                self.emit(inner)?;
                self.push(Operation::Unary(*unary))
            }
            Expression::Binary(Binary::FirstPresent, left, right) => {
                self.emit(left)?;
                let jump = self.operations.len();
                self.push(Operation::JumpIfPresent(0))?;
                self.depth -= 1;
                self.emit(right)?;
                self.operations[jump] = Operation::JumpIfPresent(self.here());
                Ok(())
            }
            Expression::Binary(binary, left, right) => {
                self.emit(left)?;
                self.emit(right)?;
                self.depth -= 1;
                self.push(Operation::Binary(*binary))
            }
            Expression::Choose(parts) => self.choose(parts),
        }
    }

    fn choose(&mut self, parts: &[Expression; 3]) -> Result<(), CompileError> {
        let [condition, if_true, if_false] = parts;
        self.emit(condition)?;
        let branch = self.operations.len();
        self.push(Operation::Branch(0, 0))?;
        self.depth -= 1;
        self.emit(if_true)?;
        let jump = self.operations.len();
        self.push(Operation::Jump(0))?;
        self.depth -= 1;
        let otherwise = self.here();
        self.emit(if_false)?;
        self.operations[branch] = Operation::Branch(otherwise, self.here());
        self.operations[jump] = Operation::Jump(self.here());
        Ok(())
    }

    fn name(&mut self, name: &str, offset: usize) -> Result<(), CompileError> {
        match self.scope.resolve(name) {
            Some(input) => self.value(Operation::Input(input)),
            None => {
                let known = self.scope.names();
                let tail = crate::suggest::did_you_mean(crate::suggest::nearest(name, known));
                Err(CompileError {
                    code: Code::UnknownName,
                    offset,
                    message: format!("{name:?} is no column, index field or earlier `let`{tail}"),
                })
            }
        }
    }

    fn value(&mut self, operation: Operation) -> Result<(), CompileError> {
        self.depth += 1;
        if self.depth > STACK_MAX {
            return Err(too_long(format!(
                "needs more than {STACK_MAX} values at once"
            )));
        }
        self.push(operation)
    }

    fn push(&mut self, operation: Operation) -> Result<(), CompileError> {
        if self.operations.len() >= OPERATIONS_MAX {
            return Err(too_long(format!("needs more than {OPERATIONS_MAX} steps")));
        }
        self.operations.push(operation);
        Ok(())
    }

    /// Position of the next operation; [`OPERATIONS_MAX`] keeps it within 16 bits.
    fn here(&self) -> u16 {
        u16::try_from(self.operations.len()).unwrap_or(u16::MAX)
    }
}

fn too_long(what: String) -> CompileError {
    CompileError {
        code: Code::Limit,
        offset: 0,
        message: format!("the expression {what}; name a part with `let`"),
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
