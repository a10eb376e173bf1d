//! Proof of `file`: good rows are taken, bad ones refused by place, hostile files bounded.

use proptest::prelude::*;

use super::*;
use crate::resource::tests::{defaults, shared};

fn read(text: &str) -> Result<ResourceFile, ResourceFileError> {
    parse_resource_file(text.as_bytes(), &defaults())
}

fn row(id: &str) -> String {
    format!(
        r#"{{"resource_site":"dc1","resource_class":"network","resource_subclass":"switch",
"resource_type":"cisco","resource_id":{id},"resource_endpoint":"sw1","resource_metadata":{{}}}}"#
    )
}

#[test]
fn a_bad_row_is_refused_by_place_and_name_and_the_rest_loads() {
    let bad = row("\"sw2\"").replace(r#""sw1""#, r#""""#);
    let text = format!(
        "[{},\n  {bad},\n {}, 7, {}]",
        row("\"sw1\""),
        row("\"sw3\""),
        row("[1]")
    );
    let file = read(&text).unwrap();
    let ids: Vec<_> = file
        .resources
        .iter()
        .map(|resource| resource.id().id())
        .collect();
    assert_eq!(ids, ["sw1", "sw3"]);
    let refusals: Vec<_> = file.refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        refusals,
        [
            "line 3 column 3: resource \"sw2\" (row 1) is refused: \
             resource_endpoint is empty; give it a value",
            "line 6 column 96: resource in row 3 is refused: a resource is a number; \
             write an object with resource_site, resource_class and so on",
            "line 6 column 99: resource in row 4 is refused: resource_id is a list; \
             write it as text in double quotes",
        ]
    );
    let identity = file.refusals[0].identity.as_ref().map(ResourceId::as_str);
    assert_eq!(identity, Some("dc1/network/switch/cisco/sw2"));
}

#[test]
fn a_second_row_of_one_identity_is_refused() {
    let file = read(&format!("[{0},{0},{0}]", row("\"sw1\""))).unwrap();
    assert_eq!(file.resources.len(), 1);
    for refusal in &file.refusals {
        assert_eq!(refusal.reason, ResourceError::Duplicate { first_index: 0 });
    }
    assert_eq!(file.refusals.len(), 2);
}

#[test]
fn a_file_of_no_use_is_an_error_with_its_place() {
    let check = |text: &str, expected: &str| {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    };
    check("", "line 1 column 0: EOF while parsing");
    check("[\n {\"resource_site\": set()}]", "line 2 column 20");
    check(&format!("[{}", row("\"sw1\"")), "EOF while parsing a list");
    check("{}", "expected a list of resources");
    check("[] x", "trailing characters");
    check("[1]", "none of the 1 rows is a resource");
    check("[1e999]", "not readable JSON");
    check(
        &format!("[{}{}]", "[".repeat(200), "]".repeat(200)),
        "recursion limit",
    );
    let error = parse_resource_file(b"[\n\xff]", &defaults()).unwrap_err();
    assert_eq!(error, ResourceFileError::Encoding { line: 2, column: 1 });
    let many = format!("[{}0]", "0,".repeat(RESOURCE_ROWS_MAX));
    assert_eq!(read(&many), Err(ResourceFileError::TooManyRows));
    let large = vec![b' '; RESOURCE_FILE_BYTES_MAX + 1];
    let error = parse_resource_file(&large, &defaults()).unwrap_err();
    assert!(
        matches!(error, ResourceFileError::TooLarge { .. }),
        "{error}"
    );
}

#[test]
fn an_empty_array_and_a_byte_order_mark_are_fine() {
    let empty = ResourceFile {
        undated: Some(defaults().now),
        ..ResourceFile::default()
    };
    assert_eq!(read("[]"), Ok(empty));
    let file = read(&format!("\u{feff}[{}]", row("\"sw1\""))).unwrap();
    assert_eq!(file.resources.len(), 1);
}

#[test]
fn the_discovery_files_of_panoptes_load_as_its_tests_say() {
    let check = |name: &str, expected: Result<usize, &str>| {
        let Some(bytes) = shared(&format!("panoptes/discovery/{name}")) else {
            return;
        };
        match (parse_resource_file(&bytes, &defaults()), expected) {
            (Ok(file), Ok(count)) => assert_eq!(file.resources.len(), count, "{name}"),
            (Err(error), Err(text)) => {
                assert!(error.to_string().contains(text), "{name}: {error}");
            }
            (found, expected) => panic!("{name}: {found:?} instead of {expected:?}"),
        }
    };
    check("test.json", Ok(1));
    check("example_localhost.json", Ok(1));
    check("one_bad_resource.json", Ok(2));
    check("one_bad_resource_in_middle.json", Ok(3));
    check("bad.json", Err("line 8 column"));
    check("bad_resource.json", Err("resource_id is a list"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        std::hint::black_box(parse_resource_file(&bytes, &defaults()).is_ok());
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_whole(cut in 1usize..200) {
        let text = format!("[{}]", row("\"sw1\""));
        prop_assume!(cut < text.len());
        prop_assert!(read(&text[..text.len() - cut]).is_err());
    }
}
