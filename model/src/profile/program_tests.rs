//! Programs: the value of each operator, and that no mix of words panics.
//!
//! Does: check the documented behaviour. Does not: read files or ask devices.
//! In: expressions over three columns and a let. Out: cells.

use super::*;
use crate::profile::expression::parse;
use proptest::prelude::*;

/// `a`, `b`, `c` are columns 0 to 2, `l` is the first `let`.
struct Names;

impl Scope for Names {
    fn resolve(&mut self, name: &str) -> Option<Input> {
        match name {
            "a" => Some(Input::Column(0)),
            "b" => Some(Input::Column(1)),
            "c" => Some(Input::Column(2)),
            "l" => Some(Input::Let(0)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&str> {
        vec!["alpha", "b"]
    }
}

struct Cells<'a>([Cell<'a>; 3]);

impl<'a> Inputs<'a> for Cells<'a> {
    fn input(&self, input: Input) -> Cell<'a> {
        match input {
            Input::Column(column) => self.0[usize::from(column)],
            _ => Cell::Missing,
        }
    }
}

fn program(text: &str) -> Program {
    compile(&parse(text).unwrap(), &mut Names, 60.0).unwrap()
}

#[test]
fn expressions_have_the_documented_value() {
    // a = 6, b = missing, c = "x", l = 10
    let check = |text: &str, expected: Cell<'_>| {
        let cells = Cells([Cell::Number(6.0), Cell::Missing, Cell::Text(b"x")]);
        let program = program(text);
        assert_eq!(
            program.run(&cells, &[Cell::Number(10.0)]),
            expected,
            "{text}"
        );
    };
    let number = Cell::Number;
    check("a * 2 + l / 4", number(14.5));
    check("-a - 1", number(-7.0));
    check("a + b", Cell::Missing);
    check("a / 0", Cell::Missing);
    check("a + c", Cell::Missing);
    check("1e308 * 10", Cell::Missing);
    check("b ?? a", number(6.0));
    check("a ?? b", number(6.0));
    check("b ?? c", Cell::Text(b"x"));
    check("b ?? b", Cell::Missing);
    check("'' ?? a", number(6.0));
    check("present(a)", number(1.0));
    check("present(b)", number(0.0));
    check("missing(b)", number(1.0));
    check("missing", Cell::Missing);
    check("c == 'x'", number(1.0));
    check("c != 'x'", number(0.0));
    check("c < 'y'", Cell::Missing);
    check("c == 6", Cell::Missing);
    check("a >= 6 and a <= 6", number(1.0));
    check("a > 6 or a < 6", number(0.0));
    check("a == 6 and a != 7", number(1.0));
    check("b and 0", number(0.0));
    check("0 and b", number(0.0));
    check("b and 1", Cell::Missing);
    check("1 or b", number(1.0));
    check("b or 1", number(1.0));
    check("b or 0", Cell::Missing);
    check("not a", number(0.0));
    check("not 0", number(1.0));
    check("not b", Cell::Missing);
    check("a > 5 ? 1 : 2", number(1.0));
    check("a > 7 ? 1 : 2", number(2.0));
    check("b > 7 ? 1 : 2", Cell::Missing);
    check("(b ? 1 : 2) ?? 3", number(3.0));
    check("a ? b ?? 4 : 5", number(4.0));
    check("0 ? 1 : 0 ? 2 : 3", number(3.0));
    check("interval_s * 2", number(120.0));
    check("c", Cell::Text(b"x"));
}

#[test]
fn what_cannot_be_compiled_is_refused_with_its_place() {
    let check = |text: &str, code: Code, offset: usize, part: &str| {
        let error = compile(&parse(text).unwrap(), &mut Names, 60.0).unwrap_err();
        assert_eq!(
            (error.code, error.offset),
            (code, offset),
            "{text}: {error:?}"
        );
        assert!(error.message.contains(part), "{text}: {error:?}");
    };
    check("a + alphb", Code::UnknownName, 4, "did you mean alpha?");
    let deep = |depth: usize| {
        // Only a right-leaning tree needs a deep stack.
        let open: String = (0..depth).map(|_| "a + (").collect();
        format!("{open}a{}", ")".repeat(depth))
    };
    assert!(compile(&parse(&deep(20)).unwrap(), &mut Names, 1.0).is_ok());
    let levels = "a or a and a == a ?? a + a * ";
    let text = format!("{}a{}", format!("{levels}(").repeat(8), ")".repeat(8));
    check(&text, Code::Limit, 0, "values at once");
}

#[test]
fn a_program_names_its_inputs_once() {
    assert_eq!(
        program("a + l * a").inputs(),
        [Input::Column(0), Input::Let(0)]
    );
    assert_eq!(program("b").handed_through(), Some(Input::Column(1)));
    assert_eq!(program("b ?? a").handed_through(), None);
}

fn cell() -> impl Strategy<Value = Cell<'static>> {
    prop_oneof![
        Just(Cell::Missing),
        (-3i32..4).prop_map(|number| Cell::Number(f64::from(number))),
        Just(Cell::Text(b"x")),
        Just(Cell::Text(b"")),
    ]
}

proptest! {
    #[test]
    fn any_sound_expression_gives_a_finite_number_a_text_or_nothing(
        words in prop::collection::vec(
            prop::sample::select(&["a", "b", "c", "l", "(", ")", "-", "not", "?", ":", "??", "0",
                "2", "and", "or", "*", "/", "present(", "<", "==", "missing"][..]), 0..25),
        a in cell(), b in cell(), c in cell(), l in cell(),
    ) {
        let Ok(expression) = parse(&words.join(" ")) else { return Ok(()) };
        let program = compile(&expression, &mut Names, 60.0).unwrap();
        let cells = Cells([a, b, c]);
        let first = program.run(&cells, &[l]);
        if let Cell::Number(number) = first {
            prop_assert!(number.is_finite());
        }
        prop_assert_eq!(first, program.run(&cells, &[l]));
    }

    #[test]
    fn the_first_present_of_two_is_one_of_them(a in cell(), b in cell()) {
        let program = program("a ?? b");
        let chosen = program.run(&Cells([a, b, Cell::Missing]), &[]);
        prop_assert_eq!(chosen, if a.is_missing() { b } else { a });
    }
}
