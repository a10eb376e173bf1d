//! Tests of the desk: a report becomes one entry with its values, a flood is cut and counted.
//! A real bus in a temporary directory, a clock that moves only when told.

use ocelli_bus::payload::Payload;
use ocelli_bus::{Bus, BusOptions, Delivery, ReadFrom, ReaderOptions};
use ocelli_model::event::EVENT_BURST;
use ocelli_model::resource::ResourceFields;

use super::*;
use crate::testing::{StepClock, StepRng};

fn resource() -> Arc<Resource> {
    let identity = ["dc1", "network", "switch", "generic", "sw1"];
    let fields = ResourceFields {
        identity: identity.map(str::to_owned),
        endpoint: "192.0.2.1".to_owned(),
        metadata: std::collections::BTreeMap::new(),
        created: ocelli_model::unix_seconds::UnixSeconds::default(),
        plugin: "test".to_owned(),
    };
    Arc::new(Resource::new(fields).unwrap())
}

/// Kind, resource, plugin, fields of each event that the bus holds.
type Told = (
    String,
    Option<String>,
    Option<String>,
    Vec<(String, String)>,
);

async fn told(bus: &Bus) -> Vec<Told> {
    let options = ReaderOptions::from(ReadFrom::Oldest);
    let mut reader = bus.reader(options).unwrap();
    let mut told = Vec::new();
    while let Some(delivery) = reader.next_held().await.unwrap() {
        let Delivery::Entries(entries) = delivery else {
            continue;
        };
        for entry in &entries {
            let record = bus.definitions().record(entry).unwrap();
            if let Payload::Event(facts) = &record.payload {
                let resource = record.resource.as_ref().map(|it| it.id().to_string());
                let plugin = record.plugin.as_deref().map(str::to_owned);
                told.push((facts.kind.clone(), resource, plugin, facts.fields.clone()));
            }
        }
    }
    told
}

/// Waits on the bus alone: the desk flushes at a drain without waiting for its clock.
async fn run_desk(reports: impl FnOnce(&Reporter, &StepClock)) -> Vec<Told> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(StepClock::default());
    let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
    let rng = Box::new(StepRng::default());
    let options = BusOptions {
        spare_space_bytes: 0,
        commit_delay: Duration::ZERO,
        segment_bytes: 256 * 1024,
        ..BusOptions::default()
    };
    let (bus, _) = Bus::open(folder.path(), options, shared(), rng).unwrap();
    let names = NodeNames {
        node: "n1".into(),
        site: "dc1".into(),
    };
    let about = (names, RuntimeCounters::new(1));
    let reporter = Reporter::start(bus.handle(), shared(), about);
    reports(&reporter, &clock);
    reporter.drain().await;
    bus.handle().flush().await.unwrap();
    told(&bus).await
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[actix_rt::test]
async fn a_report_becomes_an_entry_of_its_resource_or_of_the_node() {
    let told = run_desk(|reporter, _| {
        reporter.report(Event::ClockStepped { by_ms: -900 });
        let plugin: Arc<str> = "interfaces".into();
        let (before, after) = (7, 3);
        let event = Event::EngineBootsRegressed { before, after };
        reporter.report_of(&resource(), Some(&plugin), event);
    })
    .await;
    let id = "dc1/network/switch/generic/sw1".to_owned();
    let expected: [Told; 2] = [
        (
            "clock_stepped".to_owned(),
            None,
            None,
            vec![
                field("by_ms", "-900"),
                field("node", "n1"),
                field("site", "dc1"),
            ],
        ),
        (
            "engine_boots_regressed".to_owned(),
            Some(id),
            Some("interfaces".to_owned()),
            vec![field("before", "7"), field("after", "3")],
        ),
    ];
    assert_eq!(told, expected);
}

#[actix_rt::test]
async fn a_flood_of_one_kind_and_subject_is_cut_and_says_how_much_was_held_back() {
    let told = run_desk(|reporter, clock| {
        for _ in 0..50 {
            reporter.report(Event::DiskFull { free_bytes: 1 });
        }
        reporter.report(Event::DiskReturned { free_bytes: 2 });
        clock.pass(ocelli_model::event::EVENT_WINDOW);
        reporter.report(Event::DiskFull { free_bytes: 3 });
    })
    .await;
    let full = told.iter().filter(|told| told.0 == "disk_full");
    assert_eq!(full.count(), EVENT_BURST as usize + 1);
    let held_back = 50 - EVENT_BURST;
    let last = &told.last().unwrap().3;
    let expected = field(HELD_BACK_FIELD, &held_back.to_string());
    assert!(last.contains(&expected), "{last:?}");
    assert!(told.iter().any(|told| told.0 == "disk_returned"));
}
