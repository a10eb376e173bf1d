//! Text expositions: OpenMetrics 1.0 and the older Prometheus text format 0.0.4.
//!
//! Does: keep families together, escape, print values and times as each format wants them, refuse
//! what would be too much. Does not: know what is exposed (`device_metrics`, `own_metrics`).
//! In: samples in any order. Out: one text; OpenMetrics ends in `# EOF`.
//! Limit: [`SERIES_MAX`] series; the request is refused with the number.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use ahash::RandomState;
use ocelli_model::clock::WallMs;
use ocelli_model::schema::MetricKind;

/// Most series in one answer; a scrape of more would time out before it ends.
pub const SERIES_MAX: usize = 100_000;

/// Which text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
    /// `text/plain; version=0.0.4`.
    Text004,
    /// The same, with counters by their bare names, as snmp_exporter writes them.
    BareText004,
}

impl Format {
    /// What a client gets that sends this `Accept` header.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text004,
        }
    }

    /// The `Content-Type` of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text004 | Self::BareText004 => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// More series than [`SERIES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {SERIES_MAX} series; narrow them with filter= or group=")]
pub struct TooManySeries;

/// An exposition while it is collected.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    families: BTreeMap<String, Family>,
    /// Hashes of name and labels: what was said is not said again.
    seen: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Family {
    kind: FamilyKind,
    help: &'static str,
    lines: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FamilyKind {
    Metric(MetricKind),
    Histogram,
}

/// A histogram without labels.
#[derive(Debug, Clone, Copy)]
pub struct Histogram<'a> {
    /// Family name, with its unit.
    pub family: &'a str,
    /// What the family is, for people.
    pub help: &'static str,
    /// (upper bound, values up to it), both ascending; the last bound is infinite.
    pub buckets: &'a [(f64, u64)],
    /// Sum of all values.
    pub sum: f64,
}

/// One sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Family name, without `_total`.
    pub family: &'a str,
    /// What the family is, for people; empty if that is not known.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// Rendered labels: `{a="b"}` or nothing, by [`Labels`].
    pub labels: &'a str,
    /// The value.
    pub value: Number,
    /// When it was measured; `None` is the moment of the scrape.
    pub time: Option<WallMs>,
}

/// A value that is printed as exactly as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A counter's value.
    Unsigned(u64),
    /// Anything else.
    Float(f64),
}

impl Exposition {
    /// An empty one.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            families: BTreeMap::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    /// Takes a sample. A name that is a counter and a gauge keeps what came first; the other is
    /// given a name of its own (`_value`), as is a gauge that would end in `_total`. A series that
    /// was taken before is not taken again.
    ///
    /// # Errors
    /// [`TooManySeries`] at the limit.
    pub fn push(&mut self, sample: Sample<'_>) -> Result<(), TooManySeries> {
        let mut name = valid_name(sample.family);
        let is_other_kind = |name: &String, families: &BTreeMap<String, Family>| {
            families
                .get(name)
                .is_some_and(|family| family.kind != FamilyKind::Metric(sample.kind))
        };
        let ends_like_counter = sample.kind == MetricKind::Gauge && name.ends_with("_total");
        if ends_like_counter || is_other_kind(&name, &self.families) {
            name.push_str("_value");
        }
        if !self.is_new((&name, sample.labels))? {
            return Ok(());
        }
        let suffix = match (sample.kind, self.format) {
            (MetricKind::Gauge, _) | (_, Format::BareText004) => "",
            (MetricKind::Counter, _) => "_total",
        };
        let family = self.families.entry(name.clone()).or_insert_with(|| Family {
            kind: FamilyKind::Metric(sample.kind),
            help: sample.help,
            lines: String::new(),
        });
        write_sample(&mut family.lines, self.format, (&name, suffix), &sample);
        Ok(())
    }

    /// Takes a histogram.
    ///
    /// # Errors
    /// [`TooManySeries`] at the limit.
    pub fn push_histogram(&mut self, histogram: &Histogram<'_>) -> Result<(), TooManySeries> {
        let name = valid_name(histogram.family);
        if !self.is_new((&name, ""))? {
            return Ok(());
        }
        let mut lines = String::new();
        for (bound, values) in histogram.buckets {
            let bound = match bound.is_finite() {
                true => bound.to_string(),
                false => "+Inf".to_owned(),
            };
            let _infallible = writeln!(lines, "{name}_bucket{{le=\"{bound}\"}} {values}");
        }
        let values = histogram.buckets.last().map_or(0, |(_, values)| *values);
        let _infallible = writeln!(lines, "{name}_sum {}", histogram.sum);
        let _infallible = writeln!(lines, "{name}_count {values}");
        let family = Family {
            kind: FamilyKind::Histogram,
            help: histogram.help,
            lines,
        };
        self.families.insert(name, family);
        Ok(())
    }

    /// Whether a series was not taken before; it counts as taken then.
    fn is_new(&mut self, series: (&str, &str)) -> Result<bool, TooManySeries> {
        let hash = self.hasher.hash_one(series);
        if self.seen.contains(&hash) {
            return Ok(false);
        }
        if self.seen.len() == SERIES_MAX {
            return Err(TooManySeries);
        }
        Ok(self.seen.insert(hash))
    }

    /// The whole text.
    #[must_use]
    pub fn render(self) -> String {
        let size = self
            .families
            .values()
            .map(|family| family.lines.len() + 128)
            .sum();
        let mut text = String::with_capacity(size);
        for (name, family) in &self.families {
            let is_counter = family.kind == FamilyKind::Metric(MetricKind::Counter);
            let is_old_counter = self.format == Format::Text004 && is_counter;
            let suffix = if is_old_counter { "_total" } else { "" };
            let kind = match family.kind {
                FamilyKind::Metric(kind) => kind.as_str(),
                FamilyKind::Histogram => "histogram",
            };
            let _infallible = writeln!(text, "# TYPE {name}{suffix} {kind}");
            if !family.help.is_empty() {
                let _infallible = writeln!(text, "# HELP {name}{suffix} {}", family.help);
            }
            text.push_str(&family.lines);
        }
        if self.format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

fn write_sample(
    into: &mut String,
    format: Format,
    (name, suffix): (&str, &str),
    sample: &Sample<'_>,
) {
    let _infallible = write!(into, "{name}{suffix}{} ", sample.labels);
    let _infallible = match sample.value {
        Number::Unsigned(value) => write!(into, "{value}"),
        Number::Float(value) => write!(into, "{value}"),
    };
    if let Some(WallMs(time_ms)) = sample.time {
        let _infallible = match format {
            Format::OpenMetrics => {
                let (seconds, millis) = (time_ms.div_euclid(1_000), time_ms.rem_euclid(1_000));
                write!(into, " {seconds}.{millis:03}")
            }
            Format::Text004 | Format::BareText004 => write!(into, " {time_ms}"),
        };
    }
    into.push('\n');
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`: anything else becomes `_`.
fn valid_name(name: &str) -> String {
    let is_valid = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut valid: String = name
        .chars()
        .map(|character| if is_valid(character) { character } else { '_' })
        .collect();
    if valid.is_empty() || valid.starts_with(|first: char| first.is_ascii_digit()) {
        valid.insert(0, '_');
    }
    valid
}

/// Labels of a sample as they are printed; reused from sample to sample.
#[derive(Debug, Default)]
pub struct Labels {
    text: String,
}

impl Labels {
    /// Forgets all labels.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    /// Appends a label. Names must differ; an empty value is left out, which means the same.
    pub fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let separator = if self.text.is_empty() { '{' } else { ',' };
        let _infallible = write!(self.text, "{separator}{}=\"", valid_name(name));
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    /// How far the text goes now; with [`Labels::cut`] what follows is taken back.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.text.len()
    }

    /// Takes back all labels after a mark.
    pub fn cut(&mut self, mark: usize) {
        self.text.truncate(mark);
    }

    /// `{a="b"}`, or nothing without labels, in `into`.
    pub fn write_to(&self, into: &mut String) {
        into.clear();
        into.push_str(&self.text);
        if !self.text.is_empty() {
            into.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(family: &str, kind: MetricKind, value: Number) -> Sample<'_> {
        Sample {
            family,
            help: "",
            kind,
            labels: "",
            value,
            time: Some(WallMs(1_700_000_000_123)),
        }
    }

    fn rendered(format: Format, samples: &[Sample<'_>]) -> String {
        let mut exposition = Exposition::new(format);
        samples
            .iter()
            .for_each(|sample| exposition.push(*sample).unwrap());
        exposition.render()
    }

    #[test]
    fn a_counter_ends_in_total_and_times_are_seconds_or_milliseconds() {
        let counter = [sample("rx_bytes", MetricKind::Counter, Number::Unsigned(7))];
        let open = rendered(Format::OpenMetrics, &counter);
        assert_eq!(
            open,
            "# TYPE rx_bytes counter\nrx_bytes_total 7 1700000000.123\n# EOF\n"
        );
        let old = rendered(Format::Text004, &counter);
        assert_eq!(
            old,
            "# TYPE rx_bytes_total counter\nrx_bytes_total 7 1700000000123\n"
        );
    }

    #[test]
    fn families_are_contiguous_and_no_two_kinds_share_a_name() {
        let one = Number::Float(1.5);
        let text = rendered(
            Format::OpenMetrics,
            &[
                sample("b", MetricKind::Gauge, one),
                sample("a", MetricKind::Counter, Number::Unsigned(1)),
                sample("b", MetricKind::Gauge, one),
                sample("a", MetricKind::Gauge, one),
                sample("memory_total", MetricKind::Gauge, one),
                sample("1-x y", MetricKind::Gauge, one),
            ],
        );
        let types: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        assert_eq!(
            types,
            [
                "# TYPE _1_x_y gauge",
                "# TYPE a counter",
                "# TYPE a_value gauge",
                "# TYPE b gauge",
                "# TYPE memory_total_value gauge",
            ]
        );
    }

    #[test]
    fn a_series_is_said_once_by_its_first_value() {
        let of = |value| sample("a", MetricKind::Gauge, Number::Float(value));
        let text = rendered(Format::Text004, &[of(1.0), of(2.0)]);
        assert_eq!(text, "# TYPE a gauge\na 1 1700000000123\n");
    }

    #[test]
    fn a_histogram_ends_in_infinity_and_counts_all() {
        let mut exposition = Exposition::new(Format::Text004);
        let histogram = Histogram {
            family: "fsync_seconds",
            help: "Time.",
            buckets: &[(0.001, 2), (f64::INFINITY, 5)],
            sum: 0.25,
        };
        exposition.push_histogram(&histogram).unwrap();
        let expected = "# TYPE fsync_seconds histogram\n# HELP fsync_seconds Time.\n\
            fsync_seconds_bucket{le=\"0.001\"} 2\nfsync_seconds_bucket{le=\"+Inf\"} 5\n\
            fsync_seconds_sum 0.25\nfsync_seconds_count 5\n";
        assert_eq!(exposition.render(), expected);
    }

    #[test]
    fn labels_are_escaped_and_cut_back_to_a_mark() {
        let mut labels = Labels::default();
        labels.push("site", "d\"c\\1\n");
        let mark = labels.mark();
        labels.push("if-name", "eth0");
        labels.push("alias", "");
        let mut text = String::new();
        labels.write_to(&mut text);
        assert_eq!(text, "{site=\"d\\\"c\\\\1\\n\",if_name=\"eth0\"}");
        labels.cut(mark);
        labels.write_to(&mut text);
        assert_eq!(text, "{site=\"d\\\"c\\\\1\\n\"}");
        labels.clear();
        labels.write_to(&mut text);
        assert_eq!(text, "");
    }

    #[test]
    fn the_series_limit_is_an_error_and_not_a_cut_text() {
        let mut exposition = Exposition::new(Format::Text004);
        let one = sample("a", MetricKind::Gauge, Number::Float(1.0));
        let labels: Vec<String> = (0..=SERIES_MAX).map(|n| format!("{{n=\"{n}\"}}")).collect();
        let mut push = |labels| exposition.push(Sample { labels, ..one });
        labels[..SERIES_MAX]
            .iter()
            .for_each(|labels| push(labels).unwrap());
        push(&labels[0]).unwrap();
        assert_eq!(push(&labels[SERIES_MAX]), Err(TooManySeries));
    }

    #[test]
    fn openmetrics_is_written_only_for_those_who_accept_it() {
        let check = |accept, expected| assert_eq!(Format::accepted(accept), expected);
        check(
            Some("application/openmetrics-text;version=1.0.0,*/*;q=0.1"),
            Format::OpenMetrics,
        );
        check(Some("text/plain"), Format::Text004);
        check(None, Format::Text004);
    }
}
