//! Proof of `catalog`: Panoptes' resource manager with its defects mended, the shrink guard, the
//! plan of a lone node, and two properties: invariants hold, replay gives the same.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::codec::{self, Kind};
use crate::resource::tests::{defaults, shared};
use crate::resource::{Refusal, ResourceError};

// === A site in a few words ===

fn at(seconds: f64) -> UnixSeconds {
    UnixSeconds::new(seconds).unwrap()
}

/// A resource `SITE/ID`, with an endpoint, seen first at `created`.
fn resource(name: &str, endpoint: &str, created: f64) -> Resource {
    let (site, id) = name.split_once('/').unwrap();
    let value = json!({
        "resource_site": site, "resource_class": "network", "resource_subclass": "switch",
        "resource_type": "cisco", "resource_id": id, "resource_endpoint": endpoint,
        "resource_metadata": {"_resource_ttl": "100"}, "resource_plugin": "p",
        "resource_creation_timestamp": created,
    });
    Resource::from_json(&value, &defaults()).unwrap()
}

fn run(source: &str, seconds: f64, resources: Vec<Resource>) -> DiscoveryRun {
    let (source, at) = (source.to_owned(), at(seconds));
    DiscoveryRun {
        source,
        at,
        undated: None,
        resources,
        refusals: Vec::new(),
    }
}

/// `count` resources of site `s`, the first one being `s/r<first>`.
fn many(first: usize, count: usize) -> Vec<Resource> {
    let one = |number: usize| resource(&format!("s/r{number:04}"), &format!("e{number}"), 1.0);
    (first..first + count).map(one).collect()
}

/// Applies what a run decides; the effects in words, or `held: reason`.
fn commit(state: &mut State, run: &DiscoveryRun) -> Vec<String> {
    let commands = match decide_discovery(state, run) {
        DiscoveryDecision::Commit { commands, .. } => commands,
        DiscoveryDecision::Hold { command, .. } => command.into_iter().collect(),
    };
    commands
        .into_iter()
        .flat_map(|command| apply(state, command))
        .collect()
}

fn apply(state: &mut State, command: Command) -> Vec<String> {
    let before = state.epoch();
    let applied = state.apply(command);
    assert_eq!(applied.epoch.index, before.index + 1);
    state.check().unwrap();
    let words = |effect: &Effect| match effect {
        Effect::ResourceUp { resource, source } => {
            format!("{source} up {} {}", resource.id().id(), resource.endpoint())
        }
        Effect::ResourceGone { id } => format!("gone {}", id.id()),
        Effect::Planned(entry) => {
            format!("{}-{} {}", entry.first_shard, entry.last_shard, entry.owner)
        }
        Effect::Configured(revision) => format!("configured {}", revision.content_hash),
        Effect::DiscoveryHeld { held, .. } => format!("held: {}", held.reason),
        Effect::DiscoveryApproved { source, .. } => format!("approved {source}"),
        Effect::DiscoveryFailed { source, reason } => format!("{source} failed: {reason}"),
    };
    let refused = applied
        .refused
        .iter()
        .map(|refused| format!("refused: {refused}"));
    applied.effects.iter().map(words).chain(refused).collect()
}

fn configure(discoveries: &[&str]) -> Command {
    Command::Configure {
        revision: Revision {
            content_hash: 7,
            from: SlotMs(0),
        },
        discoveries: discoveries.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// A state in which `a` and `b` are configured.
fn site() -> State {
    let mut state = State::default();
    assert_eq!(apply(&mut state, configure(&["a", "b"])), ["configured 7"]);
    state
}

// === Panoptes' resource manager ===

#[test]
fn a_run_adds_replaces_and_removes_what_its_own_discovery_found() {
    let mut state = site();
    let set = |names: &[(&str, &str)]| -> Vec<Resource> {
        names
            .iter()
            .map(|(name, endpoint)| resource(name, endpoint, 1.0))
            .collect()
    };
    let effects = commit(
        &mut state,
        &run("a", 10.0, set(&[("s/x", "e1"), ("s/y", "e2")])),
    );
    assert_eq!(effects, ["a up x e1", "a up y e2"]);
    assert_eq!(
        commit(&mut state, &run("b", 11.0, set(&[("s/z", "e3")]))),
        ["b up z e3"]
    );
    let effects = commit(
        &mut state,
        &run("a", 12.0, set(&[("s/x", "new"), ("s/w", "e4")])),
    );
    assert_eq!(effects, ["a up w e4", "a up x new", "gone y"]);
    assert_eq!(
        commit(
            &mut state,
            &run("a", 13.0, set(&[("s/x", "new"), ("s/w", "e4")]))
        )
        .len(),
        0
    );
    assert_eq!(state.resource_count(), 3);
    assert_eq!(state.sources()["a"].finished, Some(at(13.0)));
}

#[test]
fn what_is_stored_and_newer_is_neither_replaced_nor_removed() {
    let mut state = site();
    commit(
        &mut state,
        &run("a", 500.0, vec![resource("s/x", "e", 90.0)]),
    );
    let older = run("a", 600.0, vec![resource("s/x", "other", 50.0)]);
    assert_eq!(commit(&mut state, &older).len(), 0);
    let newer = run("a", 600.0, vec![resource("s/x", "e", 95.0)]);
    assert_eq!(
        commit(&mut state, &newer),
        ["a up x e"],
        "a newer creation time is a change"
    );
    // A set from before the resource was made cannot know of it.
    let early = run("a", 80.0, vec![resource("s/y", "e", 1.0)]);
    assert_eq!(commit(&mut state, &early), ["a up y e"]);
    assert_eq!(state.resource_count(), 2);
}

#[test]
fn rows_without_a_time_of_their_own_are_not_written_at_each_run() {
    let mut state = site();
    let dated = |endpoint: &str, seconds: f64| {
        let resources = vec![resource("s/x", endpoint, seconds)];
        DiscoveryRun {
            undated: Some(at(seconds)),
            ..run("a", seconds, resources)
        }
    };
    assert_eq!(commit(&mut state, &dated("e", 100.0)).len(), 1);
    let DiscoveryDecision::Commit {
        commands,
        difference,
    } = decide_discovery(&state, &dated("e", 200.0))
    else {
        panic!("held");
    };
    assert_eq!(
        (commands.len(), difference.unchanged),
        (1, 1),
        "only the freshness is written"
    );
    assert_eq!(commit(&mut state, &dated("moved", 300.0)), ["a up x moved"]);
    // The clock ran back: what the file says still counts.
    assert_eq!(commit(&mut state, &dated("again", 250.0)), ["a up x again"]);
}

#[test]
fn the_messages_of_panoptes_tests_give_what_it_expects() {
    let read = |name: &str| {
        let bytes = shared(&format!("panoptes/resources/resource_{name}.json"))?;
        let set = crate::panoptes::parse_resource_set(&bytes, &defaults()).unwrap();
        Some(DiscoveryRun {
            at: set.created,
            ..run("key", 0.0, set.resources)
        })
    };
    let (Some(one), Some(updated), Some(two)) = (read("one"), read("one_updated"), read("two"))
    else {
        return;
    };
    let check = |runs: &[&DiscoveryRun], expected: &str, created: f64| {
        let mut state = State::default();
        for run in runs {
            commit(&mut state, run);
        }
        let found: Vec<_> = state.resources().map(|(resource, _)| resource).collect();
        assert_eq!(found.len(), 1, "{expected}");
        assert_eq!(
            (found[0].id().id(), found[0].created()),
            (expected, at(created))
        );
    };
    check(&[&one], "test_id_1", 1_526_331_404.49);
    check(&[&one, &updated], "test_id_1", 1_526_331_464.49);
    check(&[&updated, &one], "test_id_1", 1_526_331_464.49);
    check(&[&one, &two], "test_id_2", 1_526_331_404.49);
}

#[test]
fn the_earlier_discovery_wins_on_equal_ids_and_the_next_one_inherits() {
    let mut state = site();
    let found = |endpoint: &str| vec![resource("s/x", endpoint, 1.0)];
    assert_eq!(
        commit(&mut state, &run("b", 1.0, found("of-b"))),
        ["b up x of-b"]
    );
    assert_eq!(
        commit(&mut state, &run("a", 2.0, found("of-a"))),
        ["a up x of-a"]
    );
    assert_eq!(
        commit(&mut state, &run("b", 3.0, found("b2"))).len(),
        0,
        "a stands before b"
    );
    let effects = apply(&mut state, configure(&["b", "a"]));
    assert_eq!(effects, ["configured 7", "b up x b2"]);
    let id = state.with_id("x").next().unwrap().clone();
    let gone = Command::Remove {
        source: "b".into(),
        ids: vec![id.clone()],
    };
    assert_eq!(apply(&mut state, gone), ["a up x of-a"]);
    let gone = Command::Remove {
        source: "a".into(),
        ids: vec![id],
    };
    assert_eq!(apply(&mut state, gone), ["gone x"]);
}

// === The shrink guard ===

#[test]
fn a_set_that_shrinks_too_much_is_held_whole() {
    let check = |before: usize, after: usize, expected: Option<&str>| {
        let mut state = site();
        commit(&mut state, &run("a", 1.0, many(0, before)));
        let effects = commit(&mut state, &run("a", 2.0, many(0, after)));
        let held = effects
            .first()
            .and_then(|effect| effect.strip_prefix("held: "));
        assert_eq!(held, expected, "{before} to {after}");
        let left = if expected.is_some() { before } else { after };
        assert_eq!(state.resource_count(), left, "{before} to {after}");
    };
    check(100, 80, None);
    check(100, 79, Some("21 of 100 resources of site \"s\" would go"));
    check(6, 1, None);
    check(6, 0, Some("the set is empty, 6 resources were known"));
    check(7, 1, Some("6 of 7 resources of site \"s\" would go"));
    check(1, 0, Some("the set is empty, 1 resources were known"));
    check(0, 0, None);
}

#[test]
fn one_site_that_vanishes_holds_the_set_of_all() {
    let mut state = site();
    let mut set = many(0, 100);
    set.extend((0..6).map(|number| resource(&format!("t/r{number}"), "e", 1.0)));
    commit(&mut state, &run("a", 1.0, set));
    let effects = commit(&mut state, &run("a", 2.0, many(0, 101)));
    assert_eq!(effects, ["held: 6 of 6 resources of site \"t\" would go"]);
    assert_eq!(state.resource_count(), 106, "not even the new one is taken");
}

#[test]
fn an_approved_set_is_taken_and_another_one_is_not() {
    let mut state = site();
    commit(&mut state, &run("a", 1.0, many(0, 20)));
    commit(&mut state, &run("a", 2.0, many(0, 10)));
    let held = state.sources()["a"].held.clone().unwrap();
    assert_eq!(
        (held.counts.removed, held.counts.current, held.at),
        (10, 20, at(2.0))
    );
    assert_eq!(
        commit(&mut state, &run("a", 3.0, many(0, 10))).len(),
        0,
        "held once, said once"
    );
    let approve = |hash: u128| Command::Approve {
        source: "a".into(),
        hash,
    };
    let refused =
        "refused: discovery \"a\" holds no set with that hash; look at its difference again";
    assert_eq!(apply(&mut state, approve(1)), [refused]);
    assert_eq!(apply(&mut state, approve(held.hash)), ["approved a"]);
    let other = commit(&mut state, &run("a", 4.0, many(0, 9)));
    assert_eq!(other, ["held: 11 of 20 resources of site \"s\" would go"]);
    assert_eq!(commit(&mut state, &run("a", 5.0, many(0, 10))).len(), 10);
    assert_eq!(state.resource_count(), 10);
    let source = &state.sources()["a"];
    assert_eq!(
        (&source.held, source.approved),
        (&None, None),
        "an approval counts once"
    );
}

#[test]
fn refused_rows_never_count_as_removed() {
    let refusal = |id: Option<&str>, identity: Option<&str>| Refusal {
        index: 0,
        line: 1,
        column: 1,
        id: id.map(str::to_owned),
        identity: identity.map(|text| text.parse().unwrap()),
        reason: ResourceError::Missing {
            field: "resource_endpoint",
        },
    };
    let check = |refusals: Vec<Refusal>, kept: &[&str], removed: &[&str]| {
        let mut state = site();
        commit(&mut state, &run("a", 1.0, many(0, 4)));
        let next = DiscoveryRun {
            refusals,
            ..run("a", 2.0, many(0, 2))
        };
        let DiscoveryDecision::Commit { difference, .. } = decide_discovery(&state, &next) else {
            panic!("held");
        };
        let ids = |list: &[ResourceId]| -> Vec<String> {
            list.iter().map(|id| id.id().to_owned()).collect()
        };
        assert_eq!(
            (ids(&difference.kept), ids(&difference.removed)),
            (
                kept.iter().map(|id| (*id).to_owned()).collect(),
                removed.iter().map(|id| (*id).to_owned()).collect(),
            )
        );
    };
    check(vec![], &[], &["r0002", "r0003"]);
    check(vec![refusal(Some("r0002"), None)], &["r0002"], &["r0003"]);
    let identity = Some("s/network/switch/cisco/r0003");
    check(
        vec![refusal(Some("r0003"), identity)],
        &["r0003"],
        &["r0002"],
    );
    check(vec![refusal(None, None)], &["r0002", "r0003"], &[]);
}

#[test]
fn a_refused_row_lives_for_its_ttl_and_comes_back_fresh() {
    let refused = |seconds: f64| DiscoveryRun {
        refusals: vec![Refusal {
            index: 0,
            line: 1,
            column: 1,
            id: Some("r0001".into()),
            identity: None,
            reason: ResourceError::Missing {
                field: "resource_endpoint",
            },
        }],
        ..run("a", seconds, many(0, 1))
    };
    let mut state = site();
    commit(&mut state, &run("a", 1_000.0, many(0, 2)));
    commit(&mut state, &refused(1_050.0));
    commit(&mut state, &refused(1_080.0));
    assert_eq!(
        decide_expiry(&state, at(1_099.0)),
        None,
        "seen last at 1,000, lives 100 s"
    );
    let mut seen_again = state.clone();
    commit(&mut seen_again, &run("a", 1_090.0, many(0, 2)));
    assert_eq!(decide_expiry(&seen_again, at(5_000.0)), None);
    let expire = decide_expiry(&state, at(1_100.0)).unwrap();
    assert_eq!(apply(&mut state, expire), ["gone r0001"]);
    assert_eq!(state.resource_count(), 1);
}

#[test]
fn a_discovery_that_fails_changes_nothing_and_says_so_once() {
    let mut state = site();
    commit(&mut state, &run("a", 1_000.0, many(0, 2)));
    let fail = decide_failure(&state, "a", at(1_010.0), "line 3: cut short").unwrap();
    assert_eq!(apply(&mut state, fail), ["a failed: line 3: cut short"]);
    assert_eq!(
        decide_failure(&state, "a", at(1_020.0), "line 3: cut short"),
        None
    );
    let other = decide_failure(&state, "a", at(1_030.0), "no such file").unwrap();
    apply(&mut state, other);
    let failure = state.sources()["a"].failure.clone().unwrap();
    assert_eq!(
        (failure.since, failure.reason.as_str()),
        (at(1_010.0), "no such file")
    );
    assert_eq!(
        decide_expiry(&state, at(9_999_999.0)),
        None,
        "the last good set outlives its TTL"
    );
    commit(&mut state, &run("a", 1_040.0, many(0, 2)));
    assert_eq!(state.sources()["a"].failure, None);
}

#[test]
fn what_a_discovery_outside_the_configuration_found_ends_with_its_ttl() {
    let mut state = site();
    commit(&mut state, &run("a", 1_000.0, many(0, 1)));
    apply(&mut state, configure(&["b"]));
    assert_eq!(decide_expiry(&state, at(1_099.0)), None);
    let expire = decide_expiry(&state, at(1_100.0)).unwrap();
    assert_eq!(apply(&mut state, expire), ["gone r0000"]);
    assert!(state.sources().is_empty());
}

// === Names, devices, plan ===

#[test]
fn different_ids_on_one_device_are_flagged_as_duplicates_of_the_first() {
    let mut state = site();
    commit(
        &mut state,
        &run("b", 1.0, vec![resource("s/a", "SW1:161", 1.0)]),
    );
    let set = vec![resource("s/m", "sw1", 1.0), resource("s/n", "sw2", 1.0)];
    commit(&mut state, &run("a", 2.0, set));
    let double = |name: &str| {
        let id = state.with_id(name).next().unwrap();
        state.duplicate_of(id).map(ResourceId::id)
    };
    assert_eq!(
        ["a", "m", "n"].map(double),
        [Some("m"), None, None],
        "discovery a stands first"
    );
}

#[test]
fn a_lone_node_opens_a_generation_and_owns_every_shard() {
    let mut state = State::default();
    let generation = next_generation(1_700_000_000, None);
    assert_eq!(apply(&mut state, Command::Open { generation }).len(), 0);
    let assign = |first_shard, last_shard, owner: &str| Command::Assign {
        first_shard,
        last_shard,
        owner: owner.into(),
        standby: None,
        from: SlotMs(5),
    };
    assert_eq!(
        apply(&mut state, assign(0, SHARDS - 1, "n1")),
        ["0-1023 n1"]
    );
    let entry = state.plan_of(&resource("s/x", "e", 1.0)).unwrap();
    assert_eq!(
        (entry.owner.as_str(), entry.epoch.to_string()),
        ("n1", "1700000000.2".into())
    );
    assert_eq!(parse_epoch("1700000000.2"), Ok(entry.epoch));
    apply(&mut state, assign(100, 200, "n2"));
    let plan: Vec<_> = state
        .plan()
        .iter()
        .map(|entry| (entry.first_shard, &*entry.owner))
        .collect();
    assert_eq!(plan, [(0, "n1"), (100, "n2"), (201, "n1")]);
    apply(&mut state, assign(0, 150, "n3"));
    let plan: Vec<_> = state
        .plan()
        .iter()
        .map(|entry| (entry.first_shard, &*entry.owner))
        .collect();
    assert_eq!(plan, [(0, "n3"), (151, "n2"), (201, "n1")]);
    for (first, last) in [(2, 1), (0, SHARDS)] {
        let effects = apply(&mut state, assign(first, last, "n"));
        assert!(
            effects[0].contains("are no range below 1024"),
            "{effects:?}"
        );
    }
    let effects = apply(&mut state, Command::Open { generation });
    assert!(
        effects[0].contains("is not above 1700000000"),
        "{effects:?}"
    );
    assert_eq!(next_generation(5, Some(1_700_000_000)), 1_700_000_001);
}

#[test]
fn a_lone_node_takes_the_plan_once_and_again_under_another_name() {
    let mut state = State::default();
    let command = decide_lone_plan(&state, "n1", SlotMs(9)).unwrap();
    assert_eq!(apply(&mut state, command), ["0-1023 n1"]);
    assert_eq!(decide_lone_plan(&state, "n1", SlotMs(10)), None);
    let command = decide_lone_plan(&state, "n2", SlotMs(11)).unwrap();
    assert_eq!(apply(&mut state, command), ["0-1023 n2"]);
    assert_eq!(state.plan().len(), 1);
}

#[test]
fn a_node_that_starts_acts_on_all_that_stands() {
    let mut state = site();
    let command = decide_lone_plan(&state, "n1", SlotMs(9)).unwrap();
    apply(&mut state, command);
    commit(&mut state, &run("a", 1.0, many(0, 2)));
    let effects = state.standing_effects();
    let ups = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::ResourceUp { .. }))
        .count();
    assert!(
        matches!(effects[..2], [Effect::Configured(_), Effect::Planned(_)]),
        "{effects:?}"
    );
    assert_eq!((effects.len(), ups), (4, 2));
}

#[test]
fn a_text_that_is_no_epoch_is_refused() {
    for text in [
        "",
        "1",
        "1.",
        ".1",
        "1.2.3",
        "-1.2",
        "+1.2",
        "1. 2",
        "99999999999999999999.1",
    ] {
        let error = parse_epoch(text).unwrap_err();
        assert!(error.to_string().contains("GENERATION.INDEX"), "{text}");
    }
}

#[test]
fn commands_about_an_unknown_discovery_are_refused() {
    let mut state = site();
    let source = || String::from("nobody");
    for command in [
        Command::Remove {
            source: source(),
            ids: vec![],
        },
        Command::Keep {
            source: source(),
            ids: vec![],
            since: at(1.0),
        },
        Command::Approve {
            source: source(),
            hash: 1,
        },
    ] {
        let effects = apply(&mut state, command);
        assert!(
            effects[0].contains("\"nobody\" is not known"),
            "{effects:?}"
        );
    }
}

#[test]
fn a_large_set_is_cut_into_commands_that_fit() {
    let state = site();
    let set: Vec<Resource> = many(0, 2_000);
    let DiscoveryDecision::Commit { commands, .. } = decide_discovery(&state, &run("a", 1.0, set))
    else {
        panic!("held");
    };
    assert!(commands.len() > 5, "{}", commands.len());
    for command in &commands {
        let mut bytes = Vec::new();
        codec::encode::<COMMAND_BYTES_MAX>(Kind::CATALOG_COMMAND, 1, command, &mut bytes).unwrap();
        let read =
            codec::decode::<Command, { 4 * COMMAND_BYTES_MAX }>(Kind::CATALOG_COMMAND, 1, &bytes);
        assert_eq!(&read.unwrap().0, command);
    }
}

#[test]
fn a_stored_state_that_breaks_an_invariant_is_refused() {
    let mut state = site();
    commit(&mut state, &run("a", 1.0, many(0, 3)));
    state.plan = vec![PlanEntry {
        first_shard: 7,
        last_shard: 3,
        epoch: Epoch::default(),
        owner: "n".into(),
        standby: None,
        from: SlotMs(0),
    }];
    let mut bytes = Vec::new();
    codec::encode::<{ 1 << 20 }>(Kind::CATALOG_STATE, 1, &state, &mut bytes).unwrap();
    let error = codec::decode::<State, { 1 << 20 }>(Kind::CATALOG_STATE, 1, &bytes).unwrap_err();
    assert!(error.to_string().contains("plan entry 7..=3"), "{error}");
}

// === Properties ===

fn any_command() -> impl Strategy<Value = Command> {
    let source = || {
        prop_oneof![
            Just("a".to_owned()),
            Just("b".to_owned()),
            Just("c".to_owned())
        ]
    };
    let name = || (0u8..2, 0u8..4).prop_map(|(site, id)| format!("s{site}/r{id}"));
    let found = (name(), 0u8..3, 0u16..300).prop_map(|(name, host, time)| {
        Arc::new(resource(&name, &format!("e{host}"), f64::from(time) + 1.0))
    });
    let ids = || {
        proptest::collection::vec(
            name().prop_map(|name| resource(&name, "e", 1.0).id().clone()),
            0..4,
        )
    };
    let time = || (1u16..600).prop_map(|seconds| at(f64::from(seconds)));
    let order = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_shuffle();
    let held = Held {
        at: at(1.0),
        hash: 1,
        counts: HeldCounts::default(),
        reason: "r".into(),
    };
    prop_oneof![
        (0u64..5).prop_map(|generation| Command::Open { generation }),
        (0u16..1_100, 0u16..1_100, 0u8..3).prop_map(|(first_shard, last_shard, owner)| {
            let (owner, from) = (format!("n{owner}"), SlotMs(0));
            Command::Assign {
                first_shard,
                last_shard,
                owner,
                standby: None,
                from,
            }
        }),
        order.prop_map(|order| configure(&order)),
        (source(), proptest::collection::vec(found, 0..5))
            .prop_map(|(source, resources)| Command::Upsert { source, resources }),
        (source(), ids()).prop_map(|(source, ids)| Command::Remove { source, ids }),
        (source(), ids(), time()).prop_map(|(source, ids, since)| Command::Keep {
            source,
            ids,
            since
        }),
        (source(), time()).prop_map(|(source, at)| Command::Finish { source, at }),
        (source(), time()).prop_map(|(source, at)| Command::Fail {
            source,
            at,
            reason: "r".into()
        }),
        source().prop_map(move |source| Command::Hold {
            source,
            held: held.clone()
        }),
        (source(), 0u128..3).prop_map(|(source, hash)| Command::Approve { source, hash }),
        time().prop_map(|now| Command::Expire { now }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn invariants_hold_and_effects_tell_exactly_what_changed(
        commands in proptest::collection::vec(any_command(), 0..40)
    ) {
        let mut state = State::default();
        let mut replica = State::default();
        let mut seen: BTreeMap<ResourceId, Arc<Resource>> = BTreeMap::new();
        for command in commands {
            let applied = state.apply(command.clone());
            prop_assert_eq!(state.check(), Ok(()));
            prop_assert_eq!(&replica.apply(command), &applied, "two nodes, one outcome");
            for effect in applied.effects {
                match effect {
                    Effect::ResourceUp { resource, .. } => {
                        let before = seen.insert(resource.id().clone(), Arc::clone(&resource));
                        prop_assert_ne!(before, Some(resource), "an effect without a change");
                    }
                    Effect::ResourceGone { id } => {
                        prop_assert!(seen.remove(&id).is_some(), "gone without having been");
                    }
                    _ => {}
                }
            }
        }
        let in_force: BTreeMap<ResourceId, Arc<Resource>> = state
            .resources()
            .map(|(resource, _)| (resource.id().clone(), Arc::clone(resource)))
            .collect();
        prop_assert_eq!(seen, in_force);
        let mut bytes = Vec::new();
        codec::encode::<{ 1 << 20 }>(Kind::CATALOG_STATE, 1, &state, &mut bytes).unwrap();
        let stored = codec::decode::<State, { 1 << 22 }>(Kind::CATALOG_STATE, 1, &bytes);
        prop_assert_eq!(stored.unwrap().0, state);
    }

    #[test]
    fn a_committed_run_leaves_exactly_its_set_and_is_then_no_news(
        before in proptest::collection::btree_set(0usize..12, 0..10),
        after in proptest::collection::btree_set(0usize..12, 1..10),
    ) {
        let set = |numbers: &BTreeSet<usize>| -> Vec<Resource> {
            numbers.iter().flat_map(|number| many(*number, 1)).collect()
        };
        let mut state = site();
        commit(&mut state, &run("a", 10.0, set(&before)));
        let next = run("a", 20.0, set(&after));
        let removed = before.difference(&after).count();
        let is_held = removed > SHRINK_COUNT_FREE && removed * 5 > before.len();
        commit(&mut state, &next);
        let expected = if is_held { before.len() } else { after.len() };
        prop_assert_eq!(state.resource_count(), expected);
        prop_assert_eq!(state.sources()["a"].held.is_some(), is_held);
        prop_assert_eq!(commit(&mut state, &next).len(), 0);
    }
}
