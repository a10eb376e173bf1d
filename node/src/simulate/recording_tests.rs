//! Tests of `recording`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ocelli_snmp::ber::Reader;

use super::*;

const LINES: &[u8] = b"# made by hand\n\
    1.3.6.1.2.1.1.1.0|4|a|b\n\
    1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.1\n\
    1.3.6.1.2.1.1.3.0|67|100\n\
    1.3.6.1.2.1.1.4.0|4|\n\
    1.3.6.1.2.1.1.5.0|4x|00fF\r\n\
    1.3.6.1.2.1.2.1.0|2|-3\n\
    1.3.6.1.2.1.4.1.0|64|192.0.2.1\n\
    1.3.6.1.2.1.4.2.0|64x|c0000202\n\
    1.3.6.1.2.1.4.3.0|65|4294967295\n\
    1.3.6.1.2.1.4.4.0|66|1\n\
    1.3.6.1.2.1.4.5.0|68x|9f780401020304\n\
    1.3.6.1.2.1.4.6.0|70|18446744073709551615\n\
    1.3.6.1.2.1.4.7.0|5|";

fn oid(text: &str) -> EncodedOid {
    EncodedOid::new(&text.parse().unwrap()).unwrap()
}

fn values(recording: &Recording) -> Vec<String> {
    let (mut at, mut values) = (recording.after(oid("0.0").as_oid_ref()), Vec::new());
    while let Some(place) = at {
        let mut buffer = vec![0; 70_000];
        let mut writer = BackWriter::new(&mut buffer);
        recording.write_value(&mut writer, place);
        let (tag, contents) = Reader::new(writer.finish().unwrap()).element().unwrap();
        values.push(format!("{:?}", Value::from_ber(tag, contents).unwrap()));
        at = recording.step(place);
    }
    values
}

#[test]
fn each_tag_gives_its_type() {
    let recording = Recording::parse(LINES).unwrap();
    let expected = [
        "OctetString([97, 124, 98])",
        "ObjectId(OidRef(1.3.6.1.4.1.9.1.1))",
        "TimeTicks(100)",
        "OctetString([])",
        "OctetString([0, 255])",
        "Integer(-3)",
        "IpAddress(192.0.2.1)",
        "IpAddress(192.0.2.2)",
        "Counter32(4294967295)",
        "Gauge32(1)",
        "OpaqueFloat(2.3879393e-38)",
        "Counter64(18446744073709551615)",
        "Null",
    ];
    assert_eq!(values(&recording), expected);
    assert_eq!((recording.len(), recording.is_empty()), (13, false));
    let described = recording.text(oid("1.3.6.1.2.1.1.1.0").as_oid_ref());
    assert_eq!(described.as_deref(), Some("a|b"));
}

#[test]
fn missing_names_are_told_apart() {
    let recording = Recording::parse(LINES).unwrap();
    let check = |name: &str, missing: Missing| {
        assert_eq!(
            recording.get(oid(name).as_oid_ref()),
            Err(missing),
            "{name}"
        );
    };
    check("1.3.6.1.2.1.1.1.1", Missing::Instance);
    check("1.3.6.1.2.1.99.1", Missing::Object);
    assert!(recording.get(oid("1.3.6.1.2.1.1.3.0").as_oid_ref()).is_ok());
    assert_eq!(recording.after(oid("1.3.6.1.2.1.4.7.0").as_oid_ref()), None);
}

#[test]
fn bad_lines_are_named() {
    let check = |text: &str, expected: &str| {
        let error = Recording::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains(expected),
            "{error}"
        );
    };
    let above = "1.3.6.1.2|2|1\n";
    check(&format!("{above}1.3.6.1.3|2"), "OID|TAG|VALUE");
    check(&format!("{above}1.3.x|2|1"), "\"x\"");
    check(&format!("{above}3.3|2|1"), "no BER form");
    check(&format!("{above}1.3.6.1.3|3|1"), "tag \"3\"");
    check(&format!("{above}1.3.6.1.3|2|one"), "\"one\"");
    check(&format!("{above}1.3.6.1.3|4x|0g"), "\"0g\"");
    check(&format!("{above}1.3.6.1.3|65|4294967296"), "tag 65");
}

#[test]
fn lines_out_of_order_and_lines_twice_are_taken() {
    let text = b"1.3.6.2|2|2\n1.3.6.1|2|1\n1.3.6.2|2|9\n";
    let recording = Recording::parse(text).unwrap();
    assert_eq!(values(&recording), ["Integer(1)", "Integer(2)"]);
}

fn recordings(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            recordings(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "snmprec")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_real_recording_is_read_whole() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let shared = std::env::var_os("OCELLI_SHARED_DATA").map_or(beside, PathBuf::from);
    if !shared.is_dir() {
        eprintln!("SKIPPED: no recordings at {}", shared.display());
        return;
    }
    let mut found = Vec::new();
    recordings(&shared, &mut found);
    assert!(
        !found.is_empty(),
        "no recordings under {}",
        shared.display()
    );
    for path in found {
        let text = std::fs::read(&path).unwrap();
        let recording =
            Recording::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let names = text
            .split(|octet| *octet == b'\n')
            .filter(|line| !line.is_empty());
        let names: BTreeSet<_> = names
            .map(|line| line.split(|octet| *octet == b'|').next())
            .collect();
        assert_eq!(values(&recording).len(), names.len(), "{}", path.display());
    }
}
