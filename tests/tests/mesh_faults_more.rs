//! More faults played on a mesh of real processes: thin lines, flapping regions, full disks, clocks
//! that step, copies that are started beside the original, sites that send too much.
//!
//! Does: play one fault a test over `mesh_bed`; each ends with the same proof: all that the site
//! showed is at every upper node once, equal and in order, and slots tile.
//! Does not: cut, kill and replace (`mesh_faults`), simulate (`mesh_simulation`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::Receiver;

use ocelli_federation::frame::{FEATURES, Features, PROTOCOL, VersionRange};
use ocelli_tests::harness::mesh::{Mesh, copy_folder};
use ocelli_tests::harness::own_site::{OwnSite, Release};
use ocelli_tests::harness::relay::Faults;
use ocelli_tests::harness::{is_full, say, wait_for};
use ocelli_tests::mesh_bed::{
    Bed, GLOBAL, OTHER, PATIENCE, Plan, REGION, SITE, highest_own, links, origins, own_origin,
    tail_of,
};
use ocelli_tests::record_lines::{Contents, RecordLine, RecordLines, assert_holds_all};
use serde_json::Value;

const THIS_RELEASE: Release = Release {
    versions: PROTOCOL,
    features: FEATURES,
};
const MIB: usize = 1 << 20;

/// When the site's link came up, by the site's clock.
fn up_ms(bed: &mut Bed) -> i64 {
    bed.wait_link((SITE, "up"), true);
    let links = links(bed.node(SITE)).unwrap();
    let up = links.iter().find(|link| link["is_up"] == true).unwrap();
    up["since_ms"].as_i64().unwrap()
}

#[test]
fn a_thin_line_that_is_cut_again_and_again_brings_live_first_and_converges() {
    let mut bed = Bed::new("127.9.1.1", &Plan::default());
    let thin = Faults {
        bits_per_second: Some(128_000),
        ..Faults::default()
    };
    let cut = Faults { cut: true, ..thin };
    bed.line(REGION).set_both(cut);
    bed.wait_link((SITE, "up"), false);
    bed.measure_for(15);
    let records = tail_of(bed.node(GLOBAL), "now");
    let mut ups = Vec::new();
    for _ in 0..if is_full() { 10 } else { 2 } {
        bed.line(REGION).set_both(thin);
        ups.push(up_ms(&mut bed));
        bed.measure_for(6);
        bed.line(REGION).set_both(cut);
        bed.wait_link((SITE, "up"), false);
    }
    bed.line(REGION).set_both(thin);
    ups.push(up_ms(&mut bed));
    bed.settle();
    let origin = own_origin(bed.node(SITE)).unwrap();
    let came: Vec<_> = records
        .try_iter()
        .filter(|one| one.1.key.0 == origin)
        .collect();
    for up in ups {
        let first = came
            .iter()
            .find(|(at, line)| *at >= up && !line.is_backfill);
        let after = first.map(|(at, _)| at - up);
        say(&format!(
            "thin line: first live record {after:?} ms after the link stood"
        ));
        assert!(
            after.is_some_and(|ms| ms <= 6_000),
            "live waits: {after:?} ms"
        );
    }
    let backfilled = came.iter().filter(|(_, line)| line.is_backfill).count();
    assert!(backfilled > 0, "what was missed comes as backfill");
}

/// Adds lines to what a subscriber has; what comes again must be the same.
fn take(lines: Vec<RecordLine>, into: &mut Contents) {
    for line in lines {
        let before = into.insert(line.key.clone(), line.content.clone());
        assert!(
            before.is_none_or(|before| before == line.content),
            "{:?}",
            line.key
        );
    }
}

fn received(records: &Receiver<(i64, RecordLine)>) -> RecordLines {
    let lines = records.try_iter().map(|(_, line)| line).collect();
    RecordLines {
        lines,
        cursor: None,
    }
}

/// Records of an origin above a seq.
fn above(contents: &Contents, origin: &str, seq: u64) -> Contents {
    let is_it = |key: &(String, u64)| key.0 == origin && key.1 > seq;
    let those = contents.iter().filter(|(key, _)| is_it(key));
    those
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect()
}

#[test]
fn a_site_that_flaps_between_two_regions_is_whole_for_subscribers_of_either() {
    let plan = Plan {
        is_pair: true,
        ..Plan::default()
    };
    let mut bed = Bed::new("127.9.2.1", &plan);
    let origin = own_origin(bed.node(SITE)).unwrap();
    let before = highest_own(bed.node(SITE)).unwrap();
    bed.catch_up();
    let standing = [REGION, OTHER].map(|name| tail_of(bed.node(name), "now"));
    let (mut moving, mut cursor, mut at) = (Contents::new(), "oldest".to_owned(), REGION);
    for _ in 0..if is_full() { 10 } else { 2 } {
        let from = wait_for("a region", PATIENCE, || bed.region());
        let to = if from == REGION { OTHER } else { REGION };
        bed.line(from).cut(true);
        wait_for("the other region", PATIENCE, || {
            (bed.region() == Some(to)).then_some(())
        });
        bed.measure_for(3);
        let read = RecordLines::read_from(&bed.node(at).client, &cursor);
        cursor = read.cursor.unwrap_or(cursor);
        take(read.lines, &mut moving);
        at = if at == REGION { OTHER } else { REGION };
        bed.line(from).cut(false);
    }
    bed.settle();
    let last = highest_own(bed.node(SITE)).unwrap();
    bed.catch_up();
    let read = RecordLines::read_from(&bed.node(at).client, &cursor);
    take(read.lines, &mut moving);
    assert_holds_all(&bed.shown, &moving);
    let shown = above(&bed.shown, &origin, before);
    assert!(shown.keys().all(|key| key.1 <= last));
    for records in standing {
        let lines = received(&records);
        lines.assert_in_order();
        assert_holds_all(&shown, &lines.contents());
    }
}

fn item_of(items: &[Value], origin: &str) -> Value {
    let item = items.iter().find(|item| item["origin"] == origin);
    item.cloned().unwrap_or_default()
}

#[test]
fn a_site_far_above_its_share_loses_its_own_oldest_and_nobody_elses() {
    // The least that a bus may be told to hold.
    let region = "[bus]\nbytes_max = \"128MiB\"\nsegment_bytes = \"1MiB\"\n";
    let plan = Plan {
        region,
        ..Plan::default()
    };
    let mut bed = Bed::new("127.9.3.1", &plan);
    let port = bed.node(REGION).quic;
    let greedy = OwnSite::start(&bed.mesh, "greedy", THIS_RELEASE, port);
    greedy.append(160 * MIB);
    greedy.wait_above(3 * PATIENCE);
    let origin = greedy.origin();
    let its = wait_for(
        "the region to give up the greedy site's oldest",
        PATIENCE,
        || {
            let items = origins(&bed.mesh.nodes[REGION])?;
            let its = item_of(&items, &origin);
            (its["bytes"].as_u64()? < 128 * MIB as u64).then_some(its)
        },
    );
    assert_eq!(
        its["highest_seq"],
        greedy.highest(),
        "the newest stay: {its}"
    );
    assert_eq!(greedy.end(), PROTOCOL.max);
    bed.settle();
}

/// A small file system, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// The bus leaves 64 MiB to other files: of 100, 36 are for segments.
    const MIB: usize = 100;

    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={}m,mode=0700", Self::MIB);
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &size, "ocelli-test"])
            .arg(at);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy: the node may still hold files of it when a test fails.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn wait_disk(bed: &Bed, name: &str, is_full: bool) {
    let client = &bed.mesh.nodes[name].client;
    wait_for(
        &format!("disk of {name} full = {is_full}"),
        PATIENCE,
        || {
            let status = client.json("/v1/status")?;
            ((status["bus"]["disk"] == "full") == is_full).then_some(())
        },
    );
}

#[test]
fn a_full_disk_at_the_region_makes_sites_wait_and_loses_nothing() {
    let disk = RefCell::new(None);
    let mount = |mesh: &mut Mesh| {
        let mounted = SmallDisk::mount(&mesh.folder_of(REGION).join("data"));
        disk.replace(mounted);
    };
    let plan = Plan {
        region: "[bus]\nsegment_bytes = \"1MiB\"\n",
        before: Some(&mount),
        ..Plan::default()
    };
    let mut bed = Bed::new("127.9.4.1", &plan);
    if disk.borrow().is_none() {
        return say("SKIPPED: no right to mount a file system; run it as root");
    }
    let ballast = bed.node(REGION).data_dir().join("ballast");
    std::fs::write(&ballast, vec![1; 50 * MIB]).unwrap();
    let port = bed.node(REGION).quic;
    let other = OwnSite::start(&bed.mesh, "other", THIS_RELEASE, port);
    other.append(8 * MIB);
    wait_disk(&bed, REGION, true);
    bed.measure_for(5);
    bed.note_shown();
    std::fs::remove_file(&ballast).unwrap();
    wait_disk(&bed, REGION, false);
    other.wait_above(PATIENCE);
    assert_eq!(other.end(), PROTOCOL.max);
    bed.settle();
}

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn a_clock_that_steps_an_hour_either_way_at_a_site_costs_no_record_and_no_slot() {
    if !Path::new(FAKETIME).exists() {
        return say("SKIPPED: libfaketime is absent; tests/run installs it");
    }
    let offset = RefCell::new(PathBuf::new());
    let fake = |mesh: &mut Mesh| {
        let path = mesh.folder_of("offset");
        std::fs::write(&path, "+0").unwrap();
        let variables = [
            ("LD_PRELOAD", FAKETIME.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", path.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        mesh.set_environment(SITE, variables.to_vec());
        offset.replace(path);
    };
    let plan = Plan {
        before: Some(&fake),
        ..Plan::default()
    };
    let mut bed = Bed::new("127.9.5.1", &plan);
    let steps = ["+3600", "+0", "-3600", "+0"];
    for step in steps {
        std::fs::write(&*offset.borrow(), step).unwrap();
        bed.measure_for(4);
    }
    let site = bed.node(SITE).client.clone();
    let told = wait_for("the steps as events", PATIENCE, || {
        let events = site.json("/v1/events?kind=clock_stepped")?;
        let events = events["items"].as_array()?.clone();
        (events.len() >= steps.len()).then_some(events)
    });
    say(&format!("clock: {} steps told", told.len()));
    bed.settle();
}

#[test]
fn an_old_copy_of_the_regions_disk_is_filled_again_from_below() {
    let mut bed = Bed::new("127.9.6.1", &Plan::default());
    let (data, backup) = (bed.node(REGION).data_dir(), bed.folder().join("backup"));
    bed.node(REGION).running.kill();
    copy_folder(&data, &backup);
    bed.node(REGION).start_again();
    bed.measure_for(3);
    bed.settle();
    bed.node(REGION).running.kill();
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&backup, &data);
    bed.node(REGION).start_again();
    bed.measure_for(2);
    bed.settle();
}

#[test]
fn a_clone_beside_the_original_is_refused_and_nothing_of_it_is_above() {
    let mut bed = Bed::new("127.9.7.1", &Plan::default());
    bed.node(SITE).running.kill();
    let files = bed.node(SITE).clone_files();
    bed.node(SITE).start_again();
    bed.wait_link((SITE, "up"), true);
    let mut clone = bed.node(SITE).start_clone(files);
    assert_eq!(own_origin(&clone), own_origin(bed.node(SITE)));
    for node in [&clone, &bed.mesh.nodes[SITE]] {
        wait_for("the refusal of both", PATIENCE, || {
            let links = links(node)?;
            let error = links.first()?["error"].as_str()?;
            error.contains("duplicate_origin").then_some(())
        });
    }
    let log = bed.node(REGION).running.stderr();
    assert!(
        log.contains("which another live node states too"),
        "the region says why"
    );
    clone.running.kill();
    // Both are refused for a minute.
    wait_for("the original to be taken again", 2 * PATIENCE, || {
        bed.region()
    });
    bed.measure_for(1);
    bed.settle();
    let clones = RecordLines::read_held(&bed.node(GLOBAL).client).contents();
    let origin = own_origin(bed.node(SITE)).unwrap();
    let strangers = above(&clones, &origin, highest_own(bed.node(SITE)).unwrap());
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn a_site_of_the_next_release_and_its_records_of_unknown_kind_are_carried_to_the_top() {
    let mut bed = Bed::new("127.9.8.1", &Plan::default());
    let release = Release {
        versions: VersionRange {
            min: PROTOCOL.max,
            max: PROTOCOL.max + 1,
        },
        features: Features(u64::MAX),
    };
    let next = OwnSite::start(&bed.mesh, "next", release, bed.mesh.nodes[REGION].quic);
    next.append(2 * MIB);
    next.wait_above(PATIENCE);
    let (origin, highest) = (next.origin(), next.highest());
    for tier in [REGION, GLOBAL] {
        let node = &bed.mesh.nodes[tier];
        wait_for(
            &format!("{tier} to hold the next release's records"),
            PATIENCE,
            || {
                let item = item_of(&origins(node)?, &origin);
                (item["missing"] == 0 && item["highest_seq"] == highest).then_some(())
            },
        );
    }
    assert_eq!(next.end(), PROTOCOL.max, "the version that both speak");
    bed.settle();
}
