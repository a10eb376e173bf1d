//! Typed reading of an untyped tree, collecting faults.
//!
//! Does: look up known keys, refuse unknown ones with the nearest known, read texts, names,
//! identifiers, durations and expressions. Does not: know any format's keys.
//! In: nodes of `yaml` with their key path. Out: values with places; faults pile up in the reader.

use super::diagnostic::{Code, Diagnostic, Finding, Place};
use super::expression::{self, Expression};
use super::native::Located;
use super::yaml::{Key, Node, Value};
use crate::oid::Oid;
use crate::schema::is_key_name;
use crate::suggest::{did_you_mean, nearest};
use crate::units::parse_duration;

/// Most faults reported of one file; the rest would repeat them.
const FINDINGS_MAX: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) findings: Vec<Finding>,
}

/// A mapping whose keys are known ones.
pub(crate) struct Fields<'n> {
    pairs: &'n [(Key, Node)],
    pub(crate) place: Place,
    pub(crate) path: String,
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<(&'n Node, String)> {
        let (_, node) = self.pairs.iter().find(|(known, _)| known.text == key)?;
        Some((node, join(&self.path, key)))
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

fn sort_of(node: &Node) -> &'static str {
    match node.value {
        Value::Scalar { .. } => "one value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

impl Reader {
    pub(crate) fn fault(
        &mut self,
        code: Code,
        place: Place,
        path: &str,
        message: impl Into<String>,
    ) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding::new(code, place, path, message));
        }
    }

    pub(crate) fn into_diagnostics(mut self, file: &str) -> Vec<Diagnostic> {
        self.findings.sort_by_key(|finding| finding.place);
        let findings = self.findings.into_iter();
        findings.map(|finding| finding.in_file(file)).collect()
    }

    fn wrong_sort(&mut self, node: &Node, path: &str, wanted: &str) {
        let message = format!("is {}; {wanted} belongs here", sort_of(node));
        self.fault(Code::Sort, node.place, path, message);
    }

    /// A mapping that has none but these keys.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let pairs = self.pairs(node, path)?;
        for (key, _) in pairs {
            if !known.contains(&key.text.as_str()) {
                let tail = match nearest(&key.text, known.iter().copied()) {
                    None => format!("; known keys: {}", known.join(", ")),
                    near => did_you_mean(near),
                };
                let message = format!("unknown key {:?}{tail}", key.text);
                self.fault(Code::UnknownKey, key.place, path, message);
            }
        }
        Some(Fields {
            pairs,
            place: node.place,
            path: path.to_owned(),
        })
    }

    pub(crate) fn pairs<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [(Key, Node)]> {
        if let Value::Map(pairs) = &node.value {
            return Some(pairs);
        }
        self.wrong_sort(node, path, "a mapping");
        None
    }

    pub(crate) fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
    ) -> Option<(&'n Node, String)> {
        let found = fields.get(key);
        if found.is_none() {
            let message = format!("the key {key:?} is missing here");
            self.fault(Code::Missing, fields.place, &fields.path, message);
        }
        found
    }

    /// Reads each item of a list; those with a fault are left out.
    pub(crate) fn list<T>(
        &mut self,
        node: &Node,
        path: &str,
        mut read: impl FnMut(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::List(items) = &node.value else {
            self.wrong_sort(node, path, "a list");
            return None;
        };
        let items = items.iter().enumerate();
        let read = items.filter_map(|(at, item)| read(self, item, &format!("{path}[{at}]")));
        Some(read.collect())
    }

    pub(crate) fn text(&mut self, node: &Node, path: &str) -> Option<Located<String>> {
        if let Value::Scalar { text, .. } = &node.value {
            return Some(located(text.clone(), node.place, path));
        }
        self.wrong_sort(node, path, "one value");
        None
    }

    /// A name: by the pattern of names, and a text to YAML.
    pub(crate) fn name(&mut self, node: &Node, path: &str) -> Option<Located<String>> {
        let Value::Scalar { text, is_plain } = &node.value else {
            self.wrong_sort(node, path, "a name");
            return None;
        };
        let key = Key {
            place: node.place,
            text: text.clone(),
            is_plain: *is_plain,
        };
        self.key_name(&key, path)
    }

    pub(crate) fn key_name(&mut self, key: &Key, path: &str) -> Option<Located<String>> {
        let text = &key.text;
        if key.is_text() && is_key_name(text) {
            return Some(located(text.clone(), key.place, path));
        }
        let message = match is_key_name(text) {
            true => format!("{text} is no text to YAML; put it in quotes or choose another name"),
            false => format!("{text:?} is no name; use a letter or _, then letters, digits, _"),
        };
        self.fault(Code::Name, key.place, path, message);
        None
    }

    pub(crate) fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        let text = self.text(node, path)?;
        match text.value.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("{other:?} is neither true nor false");
                self.fault(Code::Sort, node.place, path, message);
                None
            }
        }
    }

    pub(crate) fn oid(&mut self, node: &Node, path: &str) -> Option<Oid> {
        let text = self.text(node, path)?;
        match text.value.parse() {
            Ok(oid) => Some(oid),
            Err(error) => {
                self.fault(Code::Oid, node.place, path, format!("{error}"));
                None
            }
        }
    }

    pub(crate) fn interval_ms(&mut self, node: &Node, path: &str) -> Option<u32> {
        let text = self.text(node, path)?;
        let duration = match parse_duration(&text.value) {
            Ok(duration) => duration,
            Err(error) => {
                self.fault(Code::Sort, node.place, path, format!("{error}"));
                return None;
            }
        };
        let interval_ms = u32::try_from(duration.as_millis()).ok();
        if interval_ms.is_none_or(|interval_ms| interval_ms == 0) {
            let message = format!("{:?} is no interval; use 1s to 7d", text.value);
            self.fault(Code::Limit, node.place, path, message);
        }
        interval_ms
    }

    pub(crate) fn expression(&mut self, node: &Node, path: &str) -> Option<Located<Expression>> {
        let text = self.text(node, path)?;
        match expression::parse(&text.value) {
            Ok(expression) => Some(located(expression, node.place, path)),
            Err(error) => {
                let quoted = matches!(
                    node.value,
                    Value::Scalar {
                        is_plain: false,
                        ..
                    }
                );
                let before = text.value.get(..error.offset).unwrap_or("").chars().count();
                let mut place = node.place;
                place.column += before + usize::from(quoted);
                self.fault(Code::Expression, place, path, error.message);
                None
            }
        }
    }
}

pub(crate) fn located<T>(value: T, place: Place, path: &str) -> Located<T> {
    Located {
        value,
        place,
        path: path.to_owned(),
    }
}
