//! What a command prints: data on stdout in the form asked for, words on stderr.
//!
//! Does: write text, tables, JSON, YAML and CSV from one list of JSON objects; end quietly when the
//! reader has gone; leave colours out where nobody wants them. Does not: fetch anything.
//! In: [`Listing`] or text. Out: bytes on the two [`Streams`].
//! Invariant: field names of JSON, YAML and CSV are those of the objects, whatever tables show.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use ocelli_model::clock::WallMs;
use ocelli_model::rfc3339::rfc3339_of;
use ocelli_model::unix_seconds::UnixSeconds;
use serde_json::Value;

use super::exit::{Exit, Failure};

/// Characters of one cell of a table; `wide` has no such limit.
const CELL_CHARS_MAX: usize = 60;
/// Fields that are times, in milliseconds and in seconds.
const TIMES_MS: [&str; 3] = ["time_ms", "slot_ms", "last_slot_ms"];
const TIMES_S: [&str; 1] = ["last_run_s"];

/// Forms of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// More columns, none cut.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// A header and a line per item.
    Csv,
}

/// `-o`, for commands that print data.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct OutputOptions {
    /// Form of the data.
    #[arg(
        short = 'o',
        long = "output",
        value_enum,
        default_value = "table",
        value_name = "FORM"
    )]
    pub format: Format,
}

/// A column of a table and of CSV.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// The field of the object, parts of a path joined by dots; after `|` what else it may be
    /// called.
    pub field: &'static str,
    /// Shown by `-o wide` and CSV only.
    pub is_wide: bool,
}

/// Items with what a table shows of them.
#[derive(Debug)]
pub struct Listing<'a> {
    /// Columns in their order.
    pub columns: &'a [Column],
    /// JSON objects.
    pub items: &'a [Value],
    /// The document for JSON and YAML; `None`: the items as an array.
    pub document: Option<&'a Value>,
}

/// A column that every table shows.
#[must_use]
pub const fn column(title: &'static str, field: &'static str) -> Column {
    Column {
        title,
        field,
        is_wide: false,
    }
}

/// A column of `-o wide` and CSV.
#[must_use]
pub const fn wide(title: &'static str, field: &'static str) -> Column {
    Column {
        title,
        field,
        is_wide: true,
    }
}

/// Where a command writes.
pub struct Streams {
    data: Box<dyn Write>,
    words: Box<dyn Write>,
    is_styled: bool,
}

impl Streams {
    /// The process's own. Styled only where stdout is a terminal and `NO_COLOR` is unset.
    #[must_use]
    pub fn of_process() -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let stdout = std::io::stdout();
        Self {
            is_styled: stdout.is_terminal() && !is_refused,
            data: Box::new(std::io::BufWriter::new(stdout.lock())),
            words: Box::new(std::io::stderr()),
        }
    }

    /// Others, for tests.
    #[must_use]
    pub fn new(data: Box<dyn Write>, words: Box<dyn Write>) -> Self {
        Self {
            data,
            words,
            is_styled: false,
        }
    }

    /// Whether colours are welcome.
    #[must_use]
    pub const fn is_styled(&self) -> bool {
        self.is_styled
    }

    /// Writes data.
    ///
    /// # Errors
    /// The reader has gone (silent, exit 0, as `head` expects), or stdout takes nothing more.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.print_bytes(text.as_bytes())
    }

    /// Writes data that need not be whole characters.
    ///
    /// # Errors
    /// As [`Streams::print`].
    pub fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.data
            .write_all(bytes)
            .map_err(|error| stdout_failure(&error))
    }

    /// The stream of data itself, for what writes by itself.
    pub fn data(&mut self) -> &mut dyn Write {
        &mut *self.data
    }

    /// Passes on what is buffered: after each line of a stream, and at the end.
    ///
    /// # Errors
    /// As [`Streams::print`].
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.data.flush().map_err(|error| stdout_failure(&error))
    }

    /// Writes words, one line or more. A closed stderr is nobody's concern.
    pub fn say(&mut self, text: impl std::fmt::Display) {
        self.say_raw(&format!("{text}\n"));
    }

    /// Writes words as they are.
    pub fn say_raw(&mut self, text: &str) {
        let _nobody_listens = self.words.write_all(text.as_bytes());
    }

    /// Says why a command ended; the exit code.
    pub fn fail(&mut self, failure: &Failure) -> Exit {
        let _shown_as_far_as_it_went = self.data.flush();
        if !failure.text.is_empty() {
            self.say(format!("ocelli: {failure}"));
        }
        failure.exit
    }

    /// Writes a listing in `format`.
    ///
    /// # Errors
    /// As [`Streams::print`].
    pub fn list(&mut self, format: Format, listing: &Listing<'_>) -> Result<(), Failure> {
        let document = || {
            let items = || Value::Array(listing.items.to_vec());
            listing.document.cloned().unwrap_or_else(items)
        };
        let text = match format {
            Format::Table => self.table(listing, false),
            Format::Wide => self.table(listing, true),
            Format::Json => format!("{:#}\n", document()),
            Format::Yaml => yaml(&document()),
            Format::Csv => csv(listing),
        };
        self.print(&text)
    }

    fn table(&self, listing: &Listing<'_>, is_wide: bool) -> String {
        let columns: Vec<&Column> = listing
            .columns
            .iter()
            .filter(|column| is_wide || !column.is_wide)
            .collect();
        let cell = |item: &Value, column: &Column| {
            let text = time_text(item, column.field);
            let text = text.unwrap_or_else(|| cell_text(item, column.field));
            if text.is_empty() {
                String::from("-")
            } else {
                shortened(&text, is_wide)
            }
        };
        let mut rows = vec![
            columns
                .iter()
                .map(|column| column.title.to_owned())
                .collect(),
        ];
        let items = listing.items.iter();
        rows.extend(items.map(|item| columns.iter().map(|column| cell(item, column)).collect()));
        aligned(&rows, self.is_styled)
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Streams")
            .field("is_styled", &self.is_styled)
            .finish()
    }
}

fn stdout_failure(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure::silent(Exit::Done);
    }
    Failure::new(Exit::Failed, format!("cannot write to stdout: {error}"))
}

/// Rows of cells as text, columns as wide as their longest cell, the first row as a heading.
#[must_use]
pub fn aligned(rows: &[Vec<String>], is_styled: bool) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width_of).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        let is_heading = number == 0 && is_styled;
        text.push_str(&if is_heading {
            format!("\u{1b}[1m{line}\u{1b}[0m")
        } else {
            line.into()
        });
        text.push('\n');
    }
    text
}

/// The value at the first path of `field` that has one, as one line; empty if none has.
#[must_use]
pub fn cell_text(item: &Value, field: &str) -> String {
    let at = |path: &str| path.split('.').try_fold(item, |value, key| value.get(key));
    let found = field
        .split('|')
        .filter_map(at)
        .find(|value| !value.is_null());
    let text = match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    // What devices call themselves must not move the cursor.
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The time in UTC that a table shows in the place of a number; machines get the number.
fn time_text(item: &Value, field: &str) -> Option<String> {
    let value = item.get(field)?;
    let time = match field {
        _ if TIMES_MS.contains(&field) => WallMs(value.as_i64()?),
        _ if TIMES_S.contains(&field) => UnixSeconds::new(value.as_f64()?)?.to_wall(),
        _ => return None,
    };
    Some(rfc3339_of(time))
}

fn shortened(text: &str, is_wide: bool) -> String {
    if is_wide || text.chars().count() <= CELL_CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(CELL_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

/// Makes the dimensions of an item `name=value` texts, for tables and CSV.
pub fn dimension_text(item: &mut Value) {
    if let Some(dimensions) = item.get("dimensions").and_then(Value::as_object) {
        let pairs = dimensions.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}={value}"),
        });
        let text: Vec<String> = pairs.collect();
        item["dimensions"] = Value::String(text.join(" "));
    }
}

/// RFC 4180: quotes where a cell has a comma, a quote or a line break.
fn csv(listing: &Listing<'_>) -> String {
    let quote = |cell: String| {
        let is_plain = !cell.contains([',', '"', '\n', '\r']);
        if is_plain {
            cell
        } else {
            format!("\"{}\"", cell.replace('"', "\"\""))
        }
    };
    let line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.into_iter().map(quote).collect();
        format!("{}\r\n", cells.join(","))
    };
    let fields = listing.columns.iter().map(|column| {
        let names = column.field.split('|').next();
        names.unwrap_or_default().to_owned()
    });
    let mut text = line(fields.collect());
    for item in listing.items {
        let cells = listing
            .columns
            .iter()
            .map(|column| cell_text(item, column.field));
        text.push_str(&line(cells.collect()));
    }
    text
}

/// YAML 1.2 in block style; texts in JSON's quotes, which YAML reads the same.
fn yaml(document: &Value) -> String {
    let mut text = String::new();
    write_yaml(&mut text, document, 0);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn write_yaml(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (position, (key, value)) in fields.iter().enumerate() {
                // The first key of a list's item stands behind its dash.
                let lead = if position == 0 && text.ends_with("- ") {
                    ""
                } else {
                    &indent
                };
                text.push_str(&format!("{lead}{}:", Value::String(key.clone())));
                write_yaml_child(text, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{indent}- "));
                match item {
                    Value::Object(fields) if !fields.is_empty() => {
                        write_yaml(text, item, depth + 1);
                    }
                    _ => text.push_str(&format!("{item}\n")),
                }
            }
        }
        scalar => text.push_str(&format!("{scalar}\n")),
    }
}

fn write_yaml_child(text: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        write_yaml(text, value, depth + 1);
    } else {
        text.push_str(&format!(" {value}\n"));
    }
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
