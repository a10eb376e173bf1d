//! Tests of the renderer: each form of the same items, and readers that go.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::json;

use super::*;

#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn rendered(format: Format, items: &[Value]) -> String {
    let columns = &[
        column("ID", "id"),
        column("SITE", "at.site"),
        wide("NOTE", "note"),
    ];
    let kept = Kept::default();
    let mut streams = Streams::new(Box::new(kept.clone()), Box::new(Kept::default()));
    streams
        .list(
            format,
            &Listing {
                columns,
                items,
                document: None,
            },
        )
        .unwrap();
    String::from_utf8(kept.0.borrow().clone()).unwrap()
}

#[test]
fn each_form_shows_the_same_items() {
    let items = [
        json!({ "id": "switch-1", "at": { "site": "dc1" }, "note": "a,\"b\"" }),
        json!({ "id": "é", "at": {}, "note": null, "list": [1, { "x": [] }] }),
    ];
    let check = |format, expected: &str| assert_eq!(rendered(format, &items), expected);
    check(
        Format::Table,
        "ID        SITE\nswitch-1  dc1\né         -\n",
    );
    check(
        Format::Wide,
        "ID        SITE  NOTE\nswitch-1  dc1   a,\"b\"\né         -     -\n",
    );
    check(
        Format::Csv,
        "id,at.site,note\r\nswitch-1,dc1,\"a,\"\"b\"\"\"\r\né,,\r\n",
    );
    assert_eq!(
        serde_json::from_str::<Value>(&rendered(Format::Json, &items)).unwrap(),
        json!(items)
    );
    check(
        Format::Yaml,
        "- \"id\": \"switch-1\"\n  \"at\":\n    \"site\": \"dc1\"\n  \"note\": \"a,\\\"b\\\"\"\n\
         - \"id\": \"é\"\n  \"at\": {}\n  \"note\": null\n  \"list\":\n    - 1\n    - \"x\": []\n",
    );
}

#[test]
fn a_table_cuts_long_cells_and_drops_control_characters() {
    let items = [json!({ "id": format!("\u{1b}[2J{}", "x".repeat(200)), "at": { "site": "s" } })];
    let table = rendered(Format::Table, &items);
    assert!(!table.contains('\u{1b}') && table.contains('…'), "{table}");
    assert!(!rendered(Format::Wide, &items).contains('…'));
}

#[test]
fn no_items_are_an_empty_list_in_every_form() {
    assert_eq!(rendered(Format::Json, &[]), "[]\n");
    assert_eq!(rendered(Format::Yaml, &[]), "[]\n");
    assert_eq!(rendered(Format::Table, &[]), "ID  SITE\n");
}

/// A stdout whose reader has gone, or which is full.
struct Broken(std::io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_ends_the_command_quietly() {
    let ended = |kind| {
        let words = Kept::default();
        let mut streams = Streams::new(Box::new(Broken(kind)), Box::new(words.clone()));
        let failure = streams.print("x").unwrap_err();
        let exit = streams.fail(&failure);
        (exit, String::from_utf8(words.0.borrow().clone()).unwrap())
    };
    assert_eq!(
        ended(std::io::ErrorKind::BrokenPipe),
        (Exit::Done, String::new())
    );
    let (exit, words) = ended(std::io::ErrorKind::StorageFull);
    assert!(
        exit == Exit::Failed && words.contains("cannot write to stdout"),
        "{words}"
    );
}

#[test]
fn tables_show_times_and_machines_get_numbers() {
    let columns = &[
        column("FIRST", "slot_ms"),
        column("RUN", "last_run_s"),
        column("EVERY", "interval_ms"),
    ];
    let items = [
        json!({
            "slot_ms": 1_769_842_800_250_i64,
            "last_run_s": 1_769_842_801.5,
            "interval_ms": 5_000,
        }),
        json!({ "slot_ms": null, "last_run_s": null, "interval_ms": 5_000 }),
    ];
    let check = |format, expected: &str| {
        let kept = Kept::default();
        let mut streams = Streams::new(Box::new(kept.clone()), Box::new(Kept::default()));
        let listing = Listing {
            columns,
            items: &items,
            document: None,
        };
        streams.list(format, &listing).unwrap();
        assert_eq!(
            String::from_utf8(kept.0.borrow().clone()).unwrap(),
            expected
        );
    };
    check(
        Format::Table,
        "FIRST                 RUN                   EVERY\n\
         2026-01-31T07:00:00Z  2026-01-31T07:00:01Z  5000\n\
         -                     -                     5000\n",
    );
    check(
        Format::Csv,
        "slot_ms,last_run_s,interval_ms\r\n1769842800250,1769842801.5,5000\r\n,,5000\r\n",
    );
}
