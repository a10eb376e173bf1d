//! What a run plays: the mesh's shape, what sites measure, which faults come when, the heal.
//!
//! Does: choose from the run's chance. Does not: carry anything out but through the world.
//! In: the world. Out: changes of it. Each fault ends by itself within ten minutes; the heal ends
//! all at once and then leaves the mesh [`HEAL_MS`] to come to rest.

use ocelli_bus::record::{OriginId, Seq, StreamId};
use ocelli_bus::{DeliveryLane, SeqRange};
use ocelli_model::tier::Tier;

use super::disk::{Block, Disk, Mutant, Written};
use super::line::Quality;
use super::node::{Node, Uplink};
use super::world::{Event, World};

/// How long the mesh may take to come to rest.
pub(super) const HEAL_MS: u64 = 15 * 60_000;
/// Measuring goes on for this long into the heal, so that live data meet the backlog.
const LAST_MADE_MS: u64 = 60_000;
/// How long a group's preferred member must be reachable before a site goes back to it.
const MOVE_BACK_MS: u64 = 60_000;

/// 2–4 sites, two regions that are peers, one or two globals that are peers.
pub(super) fn build(world: &mut World) {
    let sites = 2 + world.random.index(3);
    let globals = 1 + world.random.index(2);
    let region = |index: usize| sites + index;
    let global = |index: usize| sites + 2 + index;
    for site in 0..sites {
        let group = vec![region(site % 2), region((site + 1) % 2)];
        add(world, Tier::Site, vec![Uplink::new(group)]);
    }
    for index in 0..2 {
        let mut uplinks = vec![Uplink::new(vec![region(1 - index)])];
        uplinks.extend((0..globals).map(|top| Uplink::new(vec![global(top)])));
        add(world, Tier::Region, uplinks);
    }
    for index in 0..globals {
        let peers = (0..globals).filter(|peer| *peer != index);
        let uplinks = peers.map(|peer| Uplink::new(vec![global(peer)])).collect();
        add(world, Tier::Global, uplinks);
    }
}

fn add(world: &mut World, tier: Tier, uplinks: Vec<Uplink>) {
    let origin = OriginId(world.next_origin);
    world.next_origin += 1;
    // Clocks agree on nothing: each node counts from an instant of its own.
    let skew_ms = world.random.between(0, 10_000_000);
    world.nodes.push(Node::new(tier, origin, uplinks, skew_ms));
}

/// A node appends what it measured; regions and globals write an event now and then.
pub(super) fn make(world: &mut World, node: usize) {
    let since_heal = world.healing_since.map(|since| world.now - since);
    if since_heal.is_some_and(|since| since > LAST_MADE_MS) {
        return;
    }
    let origin = world.nodes[node].origin;
    let definitions = StreamId::definitions(origin);
    let is_first = world.nodes[node].disk.highest(definitions) == Seq(0);
    if is_first || world.random.chance(10) {
        let count = world.random.between(1, 3);
        append(world, node, definitions, count);
    }
    let is_burst = world.random.chance(5);
    for _ in 0..if is_burst { 30 } else { 1 } {
        let count = world.random.between(1, 20);
        append(world, node, StreamId::data(origin), count);
    }
    let is_site = world.nodes[node].tier == Tier::Site;
    let (low, high) = if is_site {
        (5_000, 60_000)
    } else {
        (60_000, 300_000)
    };
    let delay = world.random.between(low, high);
    let life = world.nodes[node].life;
    world.after(delay, Event::Make(node, life));
}

fn append(world: &mut World, node: usize, stream: StreamId, count: u64) {
    let disk = &world.nodes[node].disk;
    let first = disk.highest(stream).next();
    let needs_def = match stream == StreamId::definitions(stream.origin) {
        true => Seq(0),
        false => disk.highest(StreamId::definitions(stream.origin)),
    };
    world.next_content += 1;
    let block = Block {
        stream,
        range: SeqRange {
            first,
            last: first.plus(count - 1),
        },
        needs_def,
        bytes: world.random.between(200, 20_000),
        content: world.next_content,
    };
    world.write(
        node,
        Written {
            block,
            is_backfill: false,
            lane: DeliveryLane::Live,
            from: None,
        },
    );
}

/// One fault, and when the next one comes.
pub(super) fn fault(world: &mut World) {
    if world.healing_since.is_some() {
        return;
    }
    let node = world.random.index(world.nodes.len());
    match world.random.index(20) {
        0..=6 => crash(world, node),
        7..=10 => cut(world, true),
        11..=13 => cut(world, false),
        14..=15 => spoil(world),
        16 => trim(world, node),
        17 => copy(world, node),
        18 => restore(world, node),
        _ => lose_disk(world, node),
    }
    let delay = world.random.between(5_000, 400_000);
    world.after(delay, Event::Fault);
}

fn crash(world: &mut World, node: usize) {
    world.nodes[node].crash();
    forget_lines(world, node);
    let delay = match world.random.chance(30) {
        true => world.random.between(20, 500),
        false => world.random.between(500, 600_000),
    };
    world.after(delay, Event::Start(node));
}

/// A dead process answers nothing: its ends of all lines are gone.
pub(super) fn forget_lines(world: &mut World, node: usize) {
    for line in world.lines.values_mut() {
        line.is_open[0] &= line.dialler != node;
        line.is_open[1] &= line.acceptor != node;
    }
    world.lines.retain(|_, line| line.is_open != [false; 2]);
}

fn cut(world: &mut World, both_ways: bool) {
    let (from, to) = (
        world.random.index(world.nodes.len()),
        world.random.index(world.nodes.len()),
    );
    let delay = world.random.between(1_000, 600_000);
    for (from, to) in [(from, to), (to, from)]
        .into_iter()
        .take(if both_ways { 2 } else { 1 })
    {
        let until = world.now + delay;
        world.cuts.insert((from, to), until);
        world.after(delay, Event::Mend(from, to));
    }
}

fn spoil(world: &mut World) {
    let (from, to) = (
        world.random.index(world.nodes.len()),
        world.random.index(world.nodes.len()),
    );
    let bytes_per_ms = if world.random.chance(40) { 16 } else { 10_000 };
    let quality = Quality {
        delay_ms: world.random.between(1, 300),
        loss_percent: world.random.between(0, 20),
        bytes_per_ms,
    };
    world.qualities.insert((from, to), quality);
}

/// Retention at its hard cap: the oldest tenth goes, whoever has not taken it.
fn trim(world: &mut World, node: usize) {
    let blocks = world.nodes[node].disk.blocks().count() / 10;
    world.nodes[node].disk.trim(blocks);
}

fn copy(world: &mut World, node: usize) {
    let at = &mut world.nodes[node];
    let mut disk = at.disk.clone();
    disk.crash();
    at.old_copy = Some((disk, at.origin));
}

/// The directory is replaced by a copy taken before.
fn restore(world: &mut World, node: usize) {
    if let Some((disk, origin)) = world.nodes[node].old_copy.take() {
        replace(world, node, disk, origin);
        // A member of its group that had not seen what was lost cannot know of it: two histories
        // may meet above before one of the members tells.
        if world.mutant != Some(Mutant::RollbackIgnored) {
            world.checks.forgiven.insert(origin);
        }
    }
}

fn lose_disk(world: &mut World, node: usize) {
    // One global keeps its disk: a mesh whose top forgets is not what is tested here.
    let origin = OriginId(world.next_origin);
    world.next_origin += 1;
    replace(world, node, Disk::default(), origin);
}

fn replace(world: &mut World, node: usize, disk: Disk, origin: OriginId) {
    world.nodes[node].crash();
    forget_lines(world, node);
    world.checks.disk_gone(node);
    let at = &mut world.nodes[node];
    (at.disk, at.origin) = (disk, origin);
    for uplink in &mut at.uplinks {
        // Cursors stand in the same directory.
        uplink.saved.clear();
    }
    let delay = world.random.between(1_000, 60_000);
    world.after(delay, Event::Start(node));
}

/// A site goes back to the member that it prefers.
pub(super) fn move_back(world: &mut World, node: usize, index: usize) {
    let uplink = &world.nodes[node].uplinks[index];
    let place = uplink.target % uplink.targets.len();
    let is_due = uplink.is_welcome && place != 0 && world.now - uplink.since > MOVE_BACK_MS;
    let preferred = uplink.targets[0];
    let is_healthy = world.nodes[preferred].is_up
        && !world.cuts.contains_key(&(node, preferred))
        && !world.cuts.contains_key(&(preferred, node));
    if let Some(line) = uplink.line.filter(|_| is_due && is_healthy) {
        world.close(line, 0);
        world.nodes[node].uplinks[index].target = 0;
    }
}

/// Ends all faults.
pub(super) fn heal(world: &mut World) {
    world.healing_since = Some(world.now);
    world.cuts.clear();
    world.qualities.clear();
    for node in 0..world.nodes.len() {
        world.start(node);
    }
    plan_replay(world);
}

/// After a member of a group lost its disk an operator has it refilled: over new lines.
fn plan_replay(world: &mut World) {
    for node in 0..world.nodes.len() {
        for index in 0..world.nodes[node].uplinks.len() {
            if let Some(line) = world.nodes[node].uplinks[index].line {
                world.close(line, 0);
            }
        }
    }
}
