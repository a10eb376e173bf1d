//! Tests of the lone catalog's log: what was proposed is there after a restart, a torn end is cut,
//! what cannot be read is refused by name.

use ocelli_model::resource::{Resource, ResourceFields};

use super::*;
use crate::testing::StepClock;

fn upsert(ids: std::ops::Range<u32>) -> Command {
    let resource = |id: u32| {
        let identity = ["dc1", "network", "device", "generic"].map(str::to_owned);
        let [site, class, subclass, kind] = identity;
        let fields = ResourceFields {
            identity: [site, class, subclass, kind, format!("sw{id}")],
            endpoint: format!("10.0.{}.{}", id / 250, id % 250 + 1),
            plugin: "cmdb".to_owned(),
            ..ResourceFields::default()
        };
        Arc::new(Resource::new(fields).unwrap())
    };
    Command::Upsert {
        source: "cmdb".to_owned(),
        resources: ids.map(resource).collect(),
    }
}

fn open(directory: &Path) -> LoneCatalog {
    LoneCatalog::open(directory, &StepClock::default()).unwrap()
}

#[actix::test]
async fn what_was_proposed_is_there_after_a_restart_under_the_same_generation() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path());
    let generation = catalog.state().epoch().generation;
    assert_eq!(generation, 1_700_000_000, "Unix seconds of the first start");
    for batch in 0..5 {
        let applied = catalog
            .propose(upsert(batch * 20..batch * 20 + 20))
            .await
            .unwrap();
        assert_eq!(
            applied.epoch.index,
            u64::from(batch) + 2,
            "the number of the command"
        );
    }
    let before = catalog.state();
    drop(catalog);
    let again = open(directory.path());
    assert_eq!(*again.state(), *before);
    assert_eq!(again.state().resource_count(), 100);
}

#[actix::test]
async fn a_torn_end_is_moved_aside_wherever_it_tears() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path());
    let sound = std::fs::metadata(directory.path().join(LOG_FILE))
        .unwrap()
        .len();
    catalog.propose(upsert(0..3)).await.unwrap();
    drop(catalog);
    let whole = std::fs::read(directory.path().join(LOG_FILE)).unwrap();
    for cut in [sound + 1, sound + 17, whole.len() as u64 - 1] {
        std::fs::write(directory.path().join(LOG_FILE), &whole[..index(cut)]).unwrap();
        let catalog = open(directory.path());
        assert_eq!(catalog.state().resource_count(), 0, "cut at {cut}");
        let torn = std::fs::read(directory.path().join(TORN_FILE)).unwrap();
        assert_eq!(torn, &whole[index(sound)..index(cut)]);
        catalog.propose(upsert(0..2)).await.unwrap();
        drop(catalog);
        assert_eq!(
            open(directory.path()).state().resource_count(),
            2,
            "cut at {cut}"
        );
    }
}

#[actix::test]
async fn a_log_that_has_grown_becomes_a_snapshot_with_the_same_state() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path());
    catalog.propose(upsert(0..50)).await.unwrap();
    catalog
        .inner
        .compact(&mut catalog.inner.log.lock())
        .unwrap();
    catalog.propose(upsert(50..60)).await.unwrap();
    let before = catalog.state();
    drop(catalog);
    assert_eq!(*open(directory.path()).state(), *before);
}

#[test]
fn a_file_that_is_no_catalog_and_a_command_that_is_too_large_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    codec::encode::<64>(Kind::CURSORS, 1, &7_u8, &mut bytes).unwrap();
    std::fs::write(directory.path().join(LOG_FILE), &bytes).unwrap();
    let refused = LoneCatalog::open(directory.path(), &StepClock::default())
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("an entry of kind 7"),
        "{refused}"
    );

    let nowhere = directory.path().join("absent");
    let refused = LoneCatalog::open(&nowhere, &StepClock::default())
        .err()
        .unwrap();
    assert!(matches!(refused, OpenCatalogError::Io { .. }), "{refused}");

    let other = tempfile::tempdir().unwrap();
    let catalog = open(other.path());
    let too_large = catalog.inner.append(upsert(0..2_000)).unwrap_err();
    assert!(
        matches!(too_large, ProposeError::TooLarge { .. }),
        "{too_large}"
    );
    assert_eq!(catalog.state().resource_count(), 0);
    assert_eq!(catalog.state().epoch().generation, 1_700_000_000);
    drop(catalog);
    open(other.path()).state().check().unwrap();
}
