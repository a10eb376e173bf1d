//! The last good copy, the choice at a start, and reading from disk.

use std::fs;
use std::path::Path;

use ocelli_config::{
    LAST_GOOD_FILE, LoadOptions, ReadError, StartChoice, choose, data_dir_of, load, read_last_good,
    read_path, write_last_good,
};

use crate::{EXAMPLE, OPTIONS, read_files, sources_of};

// === The last good copy ===

#[test]
fn the_last_good_copy_reads_back_with_its_relative_paths() {
    let directory = tempfile::tempdir().unwrap();
    assert!(read_last_good(directory.path()).unwrap().is_none());
    let sources = sources_of(&[EXAMPLE, "[http]\nhosts = [\"a\\tb\"]\n# \u{7f} \" \\ '''\n"]);
    write_last_good(directory.path(), &sources).unwrap();
    assert_eq!(read_last_good(directory.path()).unwrap().unwrap(), sources);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(directory.path().join(LAST_GOOD_FILE))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    fs::write(directory.path().join(LAST_GOOD_FILE), "garbage").unwrap();
    assert!(read_last_good(directory.path()).unwrap().is_none());
}

#[test]
fn a_start_falls_back_to_the_last_good_copy_unless_strict() {
    let bad = || read_files(&["[node"]);
    let good = || Some(sources_of(&[EXAMPLE]));
    let strict = LoadOptions {
        is_strict: true,
        ..OPTIONS
    };
    let kind = |choice: StartChoice| match choice {
        StartChoice::Present(_) => "present",
        StartChoice::LastGood(_, invalid) => {
            assert_eq!(invalid.problems[0].place.line, 1);
            "last good"
        }
        StartChoice::Refused(_) => "refused",
    };
    assert_eq!(kind(choose(read_files(&[""]), good(), OPTIONS)), "present");
    assert_eq!(kind(choose(bad(), good(), OPTIONS)), "last good");
    assert_eq!(kind(choose(bad(), good(), strict)), "refused");
    assert_eq!(kind(choose(bad(), None, OPTIONS)), "refused");
    assert_eq!(
        kind(choose(bad(), Some(sources_of(&["[nod]"])), OPTIONS)),
        "refused"
    );
}

#[test]
fn the_data_directory_is_found_in_a_configuration_that_cannot_run() {
    let sources = sources_of(&["[node]\ndata_dir = \"d\"\nsite = \n[bus", "[node]\n"]);
    assert_eq!(data_dir_of(&sources).unwrap(), Path::new("/etc/ocelli/d"));
    assert_eq!(data_dir_of(&sources_of(&["[node]\ndata_dir = 1"])), None);
}

// === Reading from disk ===

#[test]
fn a_directory_is_read_in_name_order_without_hidden_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    assert!(matches!(
        read_path(directory.path()),
        Err(ReadError::Empty { .. })
    ));
    write("20.toml", "[[device]]\nfilter = 'resource_id = \"2\"'\n");
    write("10.toml", "[[device]]\nfilter = 'resource_id = \"1\"'\n");
    write(".10.toml", "garbage");
    write("notes.txt", "garbage");
    let config = load(read_path(directory.path()).unwrap(), OPTIONS)
        .unwrap()
        .config;
    let filters: Vec<String> = config
        .devices
        .iter()
        .map(|item| item.filter.to_string())
        .collect();
    assert_eq!(filters, ["resource_id = \"1\"", "resource_id = \"2\""]);
}

#[test]
fn what_cannot_be_read_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    let error = |path: &Path| read_path(path).unwrap_err().to_string();
    assert!(
        error(&path).contains("name a readable one"),
        "{}",
        error(&path)
    );
    fs::write(&path, b"a = \"\xff\"").unwrap();
    assert!(
        error(&path).contains("not UTF-8 from byte 5 on"),
        "{}",
        error(&path)
    );
    fs::File::create(&path)
        .unwrap()
        .set_len(ocelli_config::FILE_BYTES_MAX + 1)
        .unwrap();
    assert!(
        error(&path).contains("split it into a directory"),
        "{}",
        error(&path)
    );
    for number in 0..=ocelli_config::FILES_MAX {
        fs::write(directory.path().join(format!("{number}.toml")), "").unwrap();
    }
    assert!(error(directory.path()).contains("is it the right one?"));
}
