//! JSON discovery on Panoptes' files and on files that are none.
//!
//! Does: run the plugin as the actor does. Does not: check each rule of a row (the model does).
//! In: shared and temporary files. Out: sets, refusals, errors.

use super::*;
use crate::run::BlockingPool;
use crate::testing::{StoppedClock, shared_data};
use ocelli_model::clock::Monotonic;

fn discover(path: PathBuf) -> Result<ResourceFile, DiscoveryError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (plugin, blocking) = (
        JsonDiscovery::new("cmdb".into(), path),
        BlockingPool::default(),
    );
    let run = Run {
        clock: &StoppedClock,
        deadline: Monotonic(u64::MAX),
        blocking: &blocking,
    };
    runtime.block_on(plugin.discover(run))
}

#[test]
fn panoptes_files_give_their_resources_and_bad_rows_are_refused_alone() {
    let check = |file: &str, resources: usize, refusals: usize| {
        let Some(path) = shared_data(&format!("panoptes/discovery/{file}")) else {
            return;
        };
        let found = discover(path).unwrap();
        assert_eq!(
            (found.resources.len(), found.refusals.len()),
            (resources, refusals),
            "{file}"
        );
    };
    check("one_bad_resource.json", 2, 1);
    check("one_bad_resource_in_middle.json", 3, 1);
}

#[test]
fn a_file_that_is_no_list_of_resources_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("resources.json");
    let missing = discover(path.clone()).unwrap_err();
    assert!(
        matches!(missing, DiscoveryError::Unreadable { .. }),
        "{missing}"
    );
    std::fs::write(&path, "[{\"resource_site\": \"dc1\"").unwrap();
    let cut = discover(path.clone()).unwrap_err().to_string();
    assert!(cut.contains("resources.json: line 1"), "{cut}");
    std::fs::File::create(&path)
        .unwrap()
        .set_len(RESOURCE_FILE_BYTES_MAX as u64 + 1)
        .unwrap();
    assert!(
        discover(path)
            .unwrap_err()
            .to_string()
            .contains("is the limit")
    );
}
