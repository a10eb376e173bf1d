//! Faults played on a mesh of real processes: lines that are cut, lossy or thin, nodes that are
//! killed, replaced or restored.
//!
//! Does: a site that polls simulated switches each second, a region, a global, a relay on each
//! line; after each fault all that the site ever showed is at the top once, equal and in order, and
//! its slots tile. Does not: simulate (`mesh_simulation`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes run on real time")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ocelli_federation::identity::Tier;
use ocelli_tests::harness::mesh::{Mesh, MeshNode, MeshNodeOptions};
use ocelli_tests::harness::process::tail;
use ocelli_tests::harness::relay::{Direction, Faults, Relay};
use ocelli_tests::harness::simulator::Simulator;
use ocelli_tests::harness::{is_full, say, wait_for};
use ocelli_tests::record_lines::{Contents, RecordLine, RecordLines, assert_holds_all, wall_ms};
use ocelli_tests::tiling::Ledger;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// One packet in five, in thousandths.
const HEAVY_LOSS: u32 = 200;
const AGENTS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(40);
/// A link that carries nothing, in one or both directions, is seen as down within 5 s at both ends;
/// one more is for a machine that runs other tests beside.
const DEAD_LINK_SEEN: Duration = Duration::from_secs(6);
const SITE: &str = "dc1";
const REGION: &str = "emea";
const GLOBAL: &str = "world";
const TIERS: [&str; 3] = [SITE, REGION, GLOBAL];

/// Site, region and global with a relay on each line, and all that the site has shown.
struct Bed {
    mesh: Mesh,
    /// Site to region.
    lower: Relay,
    /// Region to global.
    upper: Relay,
    shown: Contents,
    _simulator: Simulator,
    folder: TempDir,
}

impl Bed {
    fn new(base: &str) -> Self {
        let folder = tempdir().unwrap();
        let simulator = simulator(folder.path(), base);
        let mut mesh = Mesh::new(folder.path());
        let global = mesh.start(&options(Tier::Global, GLOBAL, vec![], "")).quic;
        let upper = relay_to(global);
        let up = vec![upper.address().port()];
        let region = mesh.start(&options(Tier::Region, REGION, up, "")).quic;
        let lower = relay_to(region);
        let up = vec![lower.address().port()];
        let config = polling(&simulator);
        mesh.start(&options(Tier::Site, SITE, up, &config));
        let mut bed = Self {
            mesh,
            lower,
            upper,
            shown: Contents::new(),
            _simulator: simulator,
            folder,
        };
        bed.settle();
        bed
    }

    fn node(&mut self, site: &str) -> &mut MeshNode {
        self.mesh.node(site)
    }

    /// Notes what the site shows by now: only what is durable is shown, so it stays.
    fn note_shown(&mut self) {
        let now = RecordLines::read(&self.node(SITE).client).contents();
        for (key, content) in now {
            let before = self.shown.insert(key.clone(), content.clone());
            assert!(
                before.is_none_or(|before| before == content),
                "{key:?} reads otherwise than before"
            );
        }
    }

    /// Waits until the site has measured for `seconds` more.
    fn measure_for(&mut self, seconds: u64) {
        let highest = |bed: &mut Self| highest_own(bed.node(SITE));
        let then = highest(self).unwrap_or_default();
        let more = seconds * AGENTS as u64;
        wait_for("the site to go on measuring", PATIENCE, || {
            highest(self).filter(|seq| *seq >= then + more)
        });
    }

    /// Waits until region and global hold what the site holds now.
    fn catch_up(&mut self) {
        let target = wait_for("the site's own head", PATIENCE, || {
            highest_own(self.node(SITE))
        });
        for tier in [REGION, GLOBAL] {
            let what = format!("{tier} to hold {SITE} up to {target}");
            wait_for(&what, PATIENCE, || {
                holds(self.node(tier), SITE, target).then_some(())
            });
        }
    }

    /// All is above: each record once, equal and in order; slots tile; nobody crashed.
    fn settle(&mut self) {
        self.note_shown();
        self.catch_up();
        let at_top = RecordLines::read(&self.node(GLOBAL).client);
        at_top.assert_in_order();
        let fill = at_top.lines.iter().find(|line| line.is_fill);
        assert_eq!(fill, None, "one path makes no fills");
        assert_holds_all(&self.shown, &at_top.contents());
        let ledger = Ledger::read(&self.node(GLOBAL).client, "interfaces");
        ledger.pairs.values().for_each(|pair| pair.assert_tiles());
        for tier in TIERS {
            let log = self.node(tier).running.stderr();
            assert!(!log.contains("panicked"), "{tier}: {}", tail(&log));
        }
    }

    /// Waits until a link of a node is down (or up) and says how long that took.
    fn link_is(&mut self, (site, direction): (&str, &str), is_up: bool) -> Duration {
        let started = Instant::now();
        let what = format!("link {direction} of {site} with is_up = {is_up}");
        let client = self.node(site).client.clone();
        wait_for(&what, PATIENCE, || {
            let links = client.json("/v1/links")?;
            let links = links["items"].as_array()?.clone();
            let link = links.iter().find(|link| link["direction"] == direction)?;
            (link["is_up"] == is_up).then_some(())
        });
        started.elapsed()
    }
}

impl Drop for Bed {
    /// A failure shows what each tier says of itself.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for tier in TIERS {
            let Some(node) = self.mesh.nodes.get(tier) else {
                continue;
            };
            for path in ["/v1/links", "/v1/nodes"] {
                let (_, text) = node.client.get(path).unwrap_or_default();
                say(&format!("{tier} {path}: {text}"));
            }
            say(&tail(&node.running.stderr()));
        }
    }
}

fn simulator(folder: &Path, base: &str) -> Simulator {
    Simulator::start(
        folder,
        (base, AGENTS),
        &["--interfaces", "4", "--site", SITE],
    )
}

fn relay_to(port: u16) -> Relay {
    Relay::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 7)
}

fn options(tier: Tier, site: &str, upstreams: Vec<u16>, config: &str) -> MeshNodeOptions {
    MeshNodeOptions {
        tier,
        site: site.into(),
        upstreams,
        config: config.into(),
    }
}

fn polling(simulator: &Simulator) -> String {
    let resources = &simulator.resources;
    format!(
        "[[discovery]]\nname = \"simulated\"\nkind = \"json\"\npath = {resources:?}\n\n\
         [[polling]]\nname = \"interfaces\"\nkind = \"snmp\"\nprofile = \"interfaces\"\n\
         every = \"1s\"\n\n\
         [[credentials.snmp]]\nversion = \"2c\"\ncommunity = {{ value = \"public\" }}\n"
    )
}

fn origins(node: &MeshNode) -> Option<Vec<Value>> {
    let nodes = node.client.json("/v1/nodes")?;
    nodes["items"].as_array().cloned()
}

fn highest_own(node: &MeshNode) -> Option<u64> {
    let origins = origins(node)?;
    let own = origins.iter().find(|origin| origin["is_own"] == true)?;
    own["highest_seq"].as_u64()
}

/// Whether a node holds all of the newest origin of a site, up to a seq at least.
fn holds(node: &MeshNode, site: &str, up_to: u64) -> bool {
    let origins = origins(node).unwrap_or_default();
    let mut of_site = origins.iter().filter(|origin| origin["site"] == site);
    of_site.any(|origin| origin["missing"] == 0 && origin["highest_seq"].as_u64() >= Some(up_to))
}

/// Records of a node from now on, each with when it was read, until the receiver is dropped.
fn tail_of(node: &MeshNode) -> mpsc::Receiver<(i64, RecordLine)> {
    let lines = node.client.stream("/v1/subscribe?format=records&from=now");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(line) = RecordLine::parse(&line)
                && sender.send((wall_ms(), line)).is_err()
            {
                return;
            }
        }
    });
    receiver
}

#[test]
fn after_a_cut_live_records_come_first_and_what_was_missed_comes_marked_beside() {
    let mut bed = Bed::new("127.8.1.1");
    let last_before = highest_own(bed.node(SITE)).unwrap();
    bed.lower.cut(true);
    let at_site = bed.link_is((SITE, "up"), false);
    let at_region = bed.link_is((REGION, "down"), false);
    bed.measure_for(15);
    let last_missed = highest_own(bed.node(SITE)).unwrap();
    let records = tail_of(bed.node(GLOBAL));
    bed.lower.cut(false);
    bed.link_is((SITE, "up"), true);
    let links = bed.node(SITE).client.json("/v1/links").unwrap();
    let up_ms = links["items"][0]["since_ms"].as_i64().unwrap();
    let origin = bed.shown.keys().next().unwrap().0.clone();
    bed.catch_up();
    let caught_up_ms = wall_ms();
    let (mut first_live, mut backfilled) = (None, 0);
    let received = || records.recv_timeout(PATIENCE).ok();
    for (at_ms, line) in std::iter::from_fn(received).filter(|(_, line)| line.key.0 == origin) {
        if line.is_backfill {
            backfilled += 1;
            continue;
        }
        first_live.get_or_insert(at_ms - up_ms);
        assert!(line.key.1 > last_missed, "{:?} is old, but live", line.key);
        if line.time_ms > Some(caught_up_ms) {
            break;
        }
    }
    let first_live = first_live.expect("a live record comes");
    say(&format!(
        "cut seen after {at_site:?} at the site, then {at_region:?} at the region; first live \
         record at the top {first_live} ms after the link stood; {backfilled} came as backfill"
    ));
    assert!(at_site + at_region <= DEAD_LINK_SEEN, "seen too late");
    assert!(first_live <= 5_000, "live waits for {first_live} ms");
    assert!(backfilled >= last_missed - last_before - 2 * AGENTS as u64);
    bed.settle();
}

#[test]
fn kills_of_every_tier_lose_nothing_that_was_shown_and_store_nothing_twice() {
    let mut bed = Bed::new("127.8.2.1");
    let rounds = if is_full() { 100 } else { 10 };
    for round in 0..rounds {
        for tier in TIERS {
            bed.measure_for(1);
            bed.note_shown();
            bed.node(tier).kill_and_start();
        }
        bed.settle();
        say(&format!("round {round}: {} records above", bed.shown.len()));
    }
}

/// Packets that both lines dropped so far.
fn dropped(bed: &Bed) -> u64 {
    let of = |relay: &Relay| relay.counts().dropped.load(Ordering::Relaxed);
    of(&bed.lower) + of(&bed.upper)
}

#[test]
fn a_lossy_line_that_reorders_repeats_corrupts_and_delays_changes_nothing_above() {
    let mut bed = Bed::new("127.8.3.1");
    let line = Faults::default();
    let delay = Duration::from_millis(300);
    let faults = [
        ("1 % loss", Faults { lost: 10, ..line }),
        (
            "20 % loss",
            Faults {
                lost: HEAVY_LOSS,
                ..line
            },
        ),
        (
            "reordering",
            Faults {
                reordered: 300,
                ..line
            },
        ),
        (
            "repetition",
            Faults {
                repeated: 300,
                ..line
            },
        ),
        (
            "corruption",
            Faults {
                corrupted: 100,
                ..line
            },
        ),
        ("delay", Faults { delay, ..line }),
    ];
    for (name, faults) in faults {
        // Loss that links just survive goes on for long: it wears on what a short one spares.
        let is_long = is_full() || faults.lost == HEAVY_LOSS;
        let before = dropped(&bed);
        bed.lower.set_both(faults);
        bed.upper.set_both(faults);
        for _ in 0..if is_long { 10 } else { 1 } {
            bed.measure_for(3);
        }
        let lost = dropped(&bed) - before;
        say(&format!("{name}: {lost} packets lost"));
        // One in a hundred may be none of a few seconds.
        assert!(faults.lost < HEAVY_LOSS || lost > 0, "nothing was lost");
        bed.lower.cut(false);
        bed.upper.cut(false);
        let healed = Instant::now();
        bed.settle();
        say(&format!(
            "{name}: settled {:?} after it ended",
            healed.elapsed()
        ));
    }
}

#[test]
fn a_line_that_falls_silent_in_one_or_both_directions_is_seen_as_down_at_both_ends() {
    let mut bed = Bed::new("127.8.4.1");
    let silent = Faults {
        cut: true,
        ..Faults::default()
    };
    let cases: [(&str, &[Direction]); 3] = [
        ("both ways", &[Direction::Up, Direction::Down]),
        ("upwards", &[Direction::Up]),
        ("downwards", &[Direction::Down]),
    ];
    for (name, directions) in cases {
        directions
            .iter()
            .for_each(|way| bed.lower.set(*way, silent));
        let at_site = bed.link_is((SITE, "up"), false);
        let at_region = at_site + bed.link_is((REGION, "down"), false);
        say(&format!(
            "silent {name}: seen by the region after ≤ {at_region:?}, site {at_site:?}"
        ));
        assert!(at_region <= DEAD_LINK_SEEN, "{name}: seen too late");
        bed.lower.cut(false);
        bed.link_is((SITE, "up"), true);
        bed.settle();
    }
}

#[test]
fn a_region_with_an_empty_disk_is_filled_from_below() {
    let mut bed = Bed::new("127.8.5.1");
    bed.measure_for(3);
    let region = bed.node(REGION);
    region.running.kill();
    std::fs::remove_dir_all(region.data_dir()).unwrap();
    region.start_again();
    bed.settle();
    let at_region = RecordLines::read(&bed.node(REGION).client);
    assert_holds_all(&bed.shown, &at_region.contents());
}

/// Puts the files of a data directory back as they were, those named in `keep` apart.
fn restore(from: &Path, to: &Path, keep: &[&str]) {
    for entry in std::fs::read_dir(to).unwrap().map(Result::unwrap) {
        if keep.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(path)
        } else {
            std::fs::remove_file(path)
        };
        removed.unwrap();
    }
    copy(from, to, keep);
}

fn copy(from: &Path, to: &Path, but: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().unwrap();
        if but.iter().any(|kept| name == *kept) {
            continue;
        }
        if kind.is_dir() {
            copy(&source, &to.join(name), &[]);
        } else if kind.is_file() {
            std::fs::copy(source, to.join(name)).unwrap();
        }
    }
}

/// Origins of the site as the global knows them.
fn origins_above(bed: &mut Bed) -> Vec<String> {
    let origins = origins(bed.node(GLOBAL)).unwrap_or_default();
    let of_site = origins.iter().filter(|origin| origin["site"] == SITE);
    of_site
        .filter_map(|origin| origin["origin"].as_str().map(str::to_owned))
        .collect()
}

fn own_origin(node: &MeshNode) -> Option<String> {
    let origins = origins(node)?;
    let own = origins.iter().find(|origin| origin["is_own"] == true)?;
    own["origin"].as_str().map(str::to_owned)
}

/// What a restored disk leaves: `keep` are the files that the restoration does not touch.
fn check_restored(base: &str, keep: &[&str]) {
    let mut bed = Bed::new(base);
    let data = bed.node(SITE).data_dir();
    let backup = bed.folder.path().join("backup");
    bed.measure_for(1);
    bed.node(SITE).running.kill();
    copy(&data, &backup, &[]);
    bed.node(SITE).start_again();
    bed.measure_for(3);
    bed.settle();
    let before = own_origin(bed.node(SITE)).unwrap();
    bed.node(SITE).running.kill();
    restore(&backup, &data, keep);
    bed.node(SITE).start_again();
    let after = wait_for("a new origin", PATIENCE, || {
        own_origin(bed.node(SITE)).filter(|origin| *origin != before)
    });
    bed.measure_for(2);
    bed.catch_up();
    let known = origins_above(&mut bed);
    assert!(
        known.contains(&before) && known.contains(&after),
        "{known:?}"
    );
    // What was shown before is above as it was; what the new life shows is there too.
    let now = RecordLines::read(&bed.node(SITE).client).contents();
    bed.shown
        .extend(now.into_iter().filter(|((origin, _), _)| *origin == after));
    let at_top = RecordLines::read(&bed.node(GLOBAL).client);
    assert_holds_all(&bed.shown, &at_top.contents());
    let ledger = Ledger::read(&bed.node(GLOBAL).client, "interfaces");
    for (name, pair) in &ledger.pairs {
        let causes: Vec<&str> = pair.gaps.iter().map(|gap| gap.cause.as_str()).collect();
        assert!(causes.contains(&"rollback"), "{name:?}: {causes:?}");
        pair.assert_nothing_missing();
    }
}

#[test]
fn a_restored_copy_of_a_data_directory_goes_on_under_a_new_origin() {
    check_restored("127.8.6.1", &[]);
}

#[test]
fn a_disk_that_went_back_in_place_takes_a_new_origin_once_the_region_says_so() {
    check_restored("127.8.7.1", &["origin"]);
}

#[test]
fn a_second_process_on_the_same_data_directory_is_refused() {
    let mut bed = Bed::new("127.8.8.1");
    let mut second = bed.node(SITE).start_twice();
    let status = second.wait(PATIENCE);
    assert!(!status.success(), "{status}");
    let log = second.stderr();
    assert!(log.contains("in use by another process"), "{}", tail(&log));
    bed.measure_for(1);
    bed.settle();
}
