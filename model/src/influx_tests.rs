//! Proof of `influx`: exact lines once, then that whatever is written reads back by the rules of
//! the protocol as what the batch holds.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::batch::{CounterColumn, RowSet, Verdict};
use crate::columns::{DimensionTable, GaugeColumn};
use crate::resource::tests::defaults;
use crate::schema::{DimensionDef, MetricDef, Schema};
use crate::slot::{Epoch, SlotMs};

fn resource(site: &str, endpoint: &str) -> Resource {
    let value = json!({
        "resource_site": site, "resource_class": "network", "resource_subclass": "switch",
        "resource_type": "cisco", "resource_id": "sw1", "resource_endpoint": endpoint,
        "resource_metadata": {}, "resource_creation_timestamp": 7, "resource_plugin": "p",
    });
    Resource::from_json(&value, &defaults()).unwrap()
}

/// What one row holds.
#[derive(Debug, Clone)]
struct Row {
    group: String,
    dimension: (String, String),
    /// Value, and a difference if the verdict has a rate.
    counter: Option<(u64, Option<u64>)>,
    gauge: Option<f64>,
}

fn batch(row: &Row) -> Batch {
    let metric = |name: &str| MetricDef {
        name: name.into(),
        unit: String::new(),
    };
    let dimension = DimensionDef {
        name: row.dimension.0.as_str().into(),
        is_key: true,
    };
    let schema = Schema::new(vec![GroupSchema {
        name: row.group.as_str().into(),
        interval_ms: 60_000,
        dimensions: vec![dimension],
        counters: vec![metric("bits_in")],
        gauges: vec![metric("load")],
    }]);
    let mut table = DimensionTable::new(1);
    table.push(&row.dimension.1);
    let (mut counter, mut gauge) = (CounterColumn::default(), GaugeColumn::default());
    match row.counter {
        Some((value, Some(delta))) => counter.push(value, delta, Verdict::Rate),
        Some((value, None)) => counter.push(value, 0, Verdict::First),
        None => counter.push_absent(),
    }
    match row.gauge {
        Some(value) => gauge.push_float(value),
        None => gauge.push_absent(),
    }
    Batch {
        slot: SlotMs(1_000_000),
        interval_ms: 60_000,
        epoch: Epoch::default(),
        time: WallMs(1_001_250),
        partial: None,
        schema: Arc::new(schema.unwrap()),
        rows: Arc::new(RowSet {
            groups: vec![table],
        }),
        groups: vec![GroupValues {
            time: vec![WallMs(1_535_497_112_345)],
            dt_ms: vec![1_000],
            counters: vec![counter],
            gauges: vec![gauge],
        }],
    }
}

fn line(row: &Row, of: &Resource) -> String {
    let mut bytes = Vec::new();
    InfluxRenderer::default().render(&batch(row), of, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

// === A parser as servers have it: a backslash takes the next character as it is ===

#[derive(Debug, PartialEq)]
struct Point {
    measurement: String,
    tags: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
    time: i128,
}

/// Cuts at the first `at` that no backslash precedes.
fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    let mut is_taken = false;
    for (place, character) in text.char_indices() {
        if is_taken {
            is_taken = false;
        } else if character == '\\' {
            is_taken = true;
        } else if character == at {
            return (&text[..place], Some(&text[place + 1..]));
        }
    }
    (text, None)
}

/// A backslash before anything but what is escaped is a backslash.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some(',' | '=' | ' ')) => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let (mut pairs, mut rest) = (BTreeMap::new(), Some(text));
    while let Some(text) = rest {
        let (pair, behind) = cut(text, ',');
        let (name, value) = cut(pair, '=');
        pairs.insert(plain(name), plain(value.expect("a pair has a value")));
        rest = behind;
    }
    pairs
}

fn parse(line: &str) -> Point {
    let line = line.strip_suffix('\n').expect("a line ends");
    assert!(!line.contains('\n'), "one line: {line:?}");
    let (head, rest) = cut(line, ' ');
    let (fields, time) = cut(rest.expect("fields"), ' ');
    let (measurement, tags) = cut(head, ',');
    Point {
        measurement: plain(measurement),
        tags: pairs(tags.expect("tags")),
        fields: pairs(fields),
        time: time.expect("a time").parse().unwrap(),
    }
}

// === Tests ===

#[test]
fn a_row_is_a_line_with_sorted_tags_fields_and_nanoseconds() {
    let row = Row {
        group: "cpu".to_owned(),
        dimension: ("cpu_name".to_owned(), "a,b=c d".to_owned()),
        counter: Some((7, Some(1_500))),
        gauge: Some(0.25),
    };
    let expected = "cpu,cpu_name=a\\,b\\=c\\ d,resource_class=network,\
        resource_endpoint=sw1.example.com,resource_site=dc\\ 1,resource_subclass=switch,\
        resource_type=cisco bits_in__counter=7i,bits_in__gauge=1500,load__gauge=0.25 \
        1535497112345000000\n";
    assert_eq!(line(&row, &resource("dc 1", "sw1.example.com")), expected);
}

#[test]
fn a_tag_of_the_plugin_is_a_tag_of_the_line() {
    let mut batch = batch(&Row {
        group: "cpu".to_owned(),
        dimension: ("cpu_name".to_owned(), "all".to_owned()),
        counter: None,
        gauge: Some(0.25),
    });
    let tags = [("team".to_owned(), "back bone".to_owned())];
    let tagged = Schema::clone(&batch.schema).with_tags(tags.into());
    batch.schema = Arc::new(tagged.unwrap());
    let mut bytes = Vec::new();
    InfluxRenderer::default().render(&batch, &resource("dc1", "sw1"), &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(",team=back\\ bone "), "{text}");
}

#[test]
fn what_no_server_takes_is_left_out_or_mended() {
    let of = resource("dc1", "sw1");
    let row = |group: &str, value: &str, counter, gauge| Row {
        group: group.to_owned(),
        dimension: ("resource_site".to_owned(), value.to_owned()),
        counter,
        gauge,
    };
    let check = |row: Row, expected: &str| {
        let line = line(&row, &of);
        assert!(line.contains(expected), "{expected:?} in {line:?}");
    };
    check(
        row("my-group.x y", "spoof", Some((1, None)), None),
        "my_group_x_y,",
    );
    check(row("_own", "spoof", Some((1, None)), None), "own,");
    check(row("__", "spoof", Some((1, None)), None), "group,");
    check(
        row("a", "spoof", Some((1, None)), None),
        "resource_site=dc1,",
    );
    check(
        row("a", "x", Some((u64::MAX, None)), None),
        "=18446744073709551615u ",
    );
    for nothing in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(line(&row("a", "x", None, Some(nothing)), &of), "");
        let both = line(&row("a", "x", Some((5, None)), Some(nothing)), &of);
        assert_eq!(parse(&both).fields.len(), 1, "the other field stays");
    }
    let named = |value: &str| Row {
        dimension: ("name".to_owned(), value.to_owned()),
        ..row("a", "", Some((1, None)), None)
    };
    check(named("C:\\"), ",name=C:/,");
    check(named("a\\,b"), ",name=a/\\,b,");
    check(named("a\nb"), ",name=a\\ b,");
    assert!(!line(&named(""), &of).contains("name="), "no empty tag");
}

/// What a tag reads back as: the traps are mended, the rest is itself.
fn mended(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let is_escaped =
        |character: &char| matches!(character, ',' | '=' | ' ' | '\\') || character.is_control();
    let shown = characters.iter().enumerate().map(|(at, character)| {
        let next = characters.get(at + 1);
        match character {
            '\\' if next.is_none_or(is_escaped) => '/',
            character if character.is_control() => ' ',
            character => *character,
        }
    });
    shown.collect()
}

proptest! {
    #[test]
    fn every_line_reads_back_as_the_row_it_was_made_of(
        group in "[a-z][a-z0-9_]{0,8}",
        name in "[a-z][a-z_]{0,6}",
        value in "[a-z ,=\\\\\n\"é]{0,8}",
        counter in proptest::option::of((any::<u64>(), proptest::option::of(0u64..1 << 43))),
        gauge in proptest::option::of(any::<f64>()),
    ) {
        let dimension = (name.clone(), value.clone());
        let row = Row { group: group.clone(), dimension, counter, gauge };
        let of = resource("dc 1", "sw=1,x");
        let line = line(&row, &of);
        let gauge = gauge.filter(|value| value.is_finite());
        if counter.is_none() && gauge.is_none() {
            prop_assert_eq!(line, "");
            return Ok(());
        }
        let point = parse(&line);
        prop_assert_eq!(point.measurement, group);
        prop_assert_eq!(point.time, 1_535_497_112_345_000_000);
        prop_assert_eq!(&point.tags["resource_site"], "dc 1");
        prop_assert_eq!(&point.tags["resource_endpoint"], "sw=1,x");
        let tag = point.tags.get(&name);
        prop_assert_eq!(tag.cloned().unwrap_or_default(), mended(&value));
        let field = |name: &str| point.fields.get(name);
        let number = |name: &str| field(name).map(|text| text.trim_end_matches(['i', 'u']));
        let counted = number("bits_in__counter").map(|text| text.parse::<u64>().unwrap());
        prop_assert_eq!(counted, counter.map(|(value, _)| value));
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let rate = counter.and_then(|(_, delta)| delta).map(|delta| delta as f64);
        prop_assert_eq!(number("bits_in__gauge").map(|text| text.parse::<f64>().unwrap()), rate);
        prop_assert_eq!(number("load__gauge").map(|text| text.parse::<f64>().unwrap()), gauge);
    }
}
