//! Tests of `switch`.

use ocelli_snmp::ber::Reader;

use super::*;

fn oid(text: &str) -> EncodedOid {
    EncodedOid::new(&text.parse().unwrap()).unwrap()
}

fn moment() -> Moment {
    Moment {
        seed: 1,
        agent: 7,
        up: Duration::from_secs(1_000),
        counting: Duration::from_secs(1_000),
        wraps_at: None,
        discontinuity_ticks: 0,
        moves: 0,
        boots: 3,
    }
}

/// The value of a name as text.
fn show(switch: &Switch, name: &str, at: &Moment) -> String {
    let place = switch.get(oid(name).as_oid_ref()).unwrap();
    let mut buffer = [0; 200];
    let mut writer = BackWriter::new(&mut buffer);
    switch.write_value(&mut writer, place, at);
    let (tag, contents) = Reader::new(writer.finish().unwrap()).element().unwrap();
    format!("{:?}", Value::from_ber(tag, contents).unwrap())
}

#[test]
fn objects_are_in_the_order_of_names() {
    let switch = Switch::new(48).unwrap();
    let prefixes = switch
        .objects
        .iter()
        .map(|object| object.prefix.as_oid_ref());
    assert!(prefixes.is_sorted_by(|one, other| one < other));
}

#[test]
fn values_have_the_types_of_the_mib() {
    let switch = Switch::new(48).unwrap();
    let check = |name: &str, expected: &str| {
        let shown = show(&switch, name, &moment());
        assert!(shown.contains(expected), "{name}: {shown}");
    };
    check("1.3.6.1.2.1.1.1.0", "OctetString");
    check("1.3.6.1.2.1.1.2.0", "1.3.6.1.4.1.32473.1.1");
    check("1.3.6.1.2.1.1.3.0", "TimeTicks(100000)");
    check("1.3.6.1.2.1.2.1.0", "Integer(48)");
    check("1.3.6.1.2.1.2.2.1.1.48", "Integer(48)");
    check("1.3.6.1.2.1.2.2.1.5.1", "Gauge32(1000000000)");
    check("1.3.6.1.2.1.2.2.1.5.48", "Gauge32(4294967295)");
    check("1.3.6.1.2.1.31.1.1.1.15.48", "Gauge32(10000)");
    check("1.3.6.1.2.1.2.2.1.6.3", "OctetString([2, 0, 0, 7, 0, 3])");
    check("1.3.6.1.2.1.2.2.1.8.1", "Integer(1)");
    check("1.3.6.1.2.1.2.2.1.8.5", "Integer(2)");
    check("1.3.6.1.2.1.2.2.1.10.1", "Counter32");
    check("1.3.6.1.2.1.31.1.1.1.6.1", "Counter64");
    check("1.3.6.1.6.3.10.2.1.2.0", "Integer(3)");
    check("1.3.6.1.6.3.10.2.1.3.0", "Integer(1000)");
}

#[test]
fn the_next_name_is_the_least_greater_one() {
    let switch = Switch::new(3).unwrap();
    let check = |name: &str, expected: Option<&str>| {
        let place = switch.after(oid(name).as_oid_ref(), false);
        let found = place.map(|place| {
            let mut buffer = [0; 100];
            let mut writer = BackWriter::new(&mut buffer);
            switch.write_name(&mut writer, place);
            let (_, contents) = Reader::new(writer.finish().unwrap()).element().unwrap();
            OidRef::from_ber(contents).unwrap().to_string()
        });
        assert_eq!(found.as_deref(), expected, "{name}");
    };
    check("0.0", Some("1.3.6.1.2.1.1.1.0"));
    check("1.3.6.1.2.1.1.1", Some("1.3.6.1.2.1.1.1.0"));
    check("1.3.6.1.2.1.1.1.0", Some("1.3.6.1.2.1.1.2.0"));
    check("1.3.6.1.2.1.1.1.0.5", Some("1.3.6.1.2.1.1.2.0"));
    check("1.3.6.1.2.1.2", Some("1.3.6.1.2.1.2.1.0"));
    check("1.3.6.1.2.1.2.2.1.1", Some("1.3.6.1.2.1.2.2.1.1.1"));
    check("1.3.6.1.2.1.2.2.1.1.0", Some("1.3.6.1.2.1.2.2.1.1.1"));
    check("1.3.6.1.2.1.2.2.1.1.2", Some("1.3.6.1.2.1.2.2.1.1.3"));
    check("1.3.6.1.2.1.2.2.1.1.2.9", Some("1.3.6.1.2.1.2.2.1.1.3"));
    check("1.3.6.1.2.1.2.2.1.1.3", Some("1.3.6.1.2.1.2.2.1.2.1"));
    check(
        "1.3.6.1.2.1.2.2.1.1.4294967295",
        Some("1.3.6.1.2.1.2.2.1.2.1"),
    );
    check("1.3.6.1.2.1.2.2.1.12", Some("1.3.6.1.2.1.2.2.1.13.1"));
    check("1.3.6.1.6.3.10.2.1.3.0", None);
    check("2.1", None);
}

#[test]
fn rows_keep_their_names_when_indexes_move() {
    let switch = Switch::new(4).unwrap();
    let moved = Moment {
        moves: 1,
        ..moment()
    };
    let name = |row: u32, at: &Moment| show(&switch, &format!("1.3.6.1.2.1.31.1.1.1.1.{row}"), at);
    let high = |row: u32, at: &Moment| show(&switch, &format!("1.3.6.1.2.1.31.1.1.1.6.{row}"), at);
    for row in 1..=4 {
        let next = row % 4 + 1;
        assert_eq!(name(row, &moment()), name(next, &moved));
        assert_eq!(high(row, &moment()), high(next, &moved));
    }
}

#[test]
fn the_lower_half_of_a_counter_is_zero_when_it_wraps() {
    let switch = Switch::new(4).unwrap();
    let at = |seconds: u64| Moment {
        counting: Duration::from_secs(seconds),
        wraps_at: Some(Duration::from_secs(500)),
        ..moment()
    };
    let (low, high) = ("1.3.6.1.2.1.2.2.1.10.1", "1.3.6.1.2.1.31.1.1.1.6.1");
    assert_eq!(show(&switch, low, &at(500)), "Counter32(0)");
    let number = |name: &str, at: &Moment| -> u64 {
        let shown = show(&switch, name, at);
        shown.split(['(', ')']).nth(1).unwrap().parse().unwrap()
    };
    assert!(number(low, &at(499)) > 4_000_000_000);
    assert!(number(high, &at(499)) < number(high, &at(500)));
}
