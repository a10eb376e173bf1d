//! Plans by hand, and properties over random sites.

use proptest::prelude::*;

use super::*;
use crate::catalog::SHARDS;

fn shard(number: u16) -> Shard {
    Shard { set: 0, number }
}

fn standing<'a>(number: u16, cost: u64, owner: Option<&'a str>) -> Standing<'a> {
    Standing {
        shard: shard(number),
        cost,
        owner,
        standby: None,
        is_settling: false,
    }
}

fn up(name: &str) -> Node<'_> {
    let state = NodeState::Up;
    Node { name, state }
}

/// Moves that change the owner, as text: `number: from > to, reason`.
fn owners(placement: &Placement<'_, '_>) -> Vec<String> {
    let moves = decide_moves(placement);
    let moves = moves.iter().filter(|it| it.reason != Reason::Standby);
    let name = |node: Option<&str>| node.unwrap_or("-").to_owned();
    let line = |it: &Move<'_>| {
        let (from, to) = (name(it.from), name(it.to));
        format!("{}: {from} > {to}, {}", it.shard.number, it.reason)
    };
    moves.map(line).collect()
}

#[test]
fn what_has_no_owner_is_spread_dearest_first() {
    let shards = [
        standing(1, 10, None),
        standing(2, 30, None),
        standing(3, 20, None),
    ];
    let placement = Placement {
        nodes: &[up("a"), up("b")],
        sets: &[vec!["a", "b"]],
        shards: &shards,
        balancing_moves_max: BALANCING_MOVES_MAX,
    };
    let moves = owners(&placement);
    let node_of_2 = if moves[0].contains("> a") { "a" } else { "b" };
    let other = if node_of_2 == "a" { "b" } else { "a" };
    let expected = [
        format!("2: - > {node_of_2}, nobody had it"),
        format!("3: - > {other}, nobody had it"),
        format!("1: - > {other}, nobody had it"),
    ];
    assert_eq!(moves, expected);
}

#[test]
fn each_reason_to_move_happens() {
    let down = Node {
        name: "down",
        state: NodeState::Down,
    };
    let draining = Node {
        name: "drain",
        state: NodeState::Draining,
    };
    let all = vec!["a", "b", "down", "drain"];
    let rows: [(&str, Standing<'_>, &[&str]); 7] = [
        ("up", standing(1, 5, Some("a")), &[]),
        (
            "down",
            standing(1, 5, Some("down")),
            &["1: down > b, its owner is down"],
        ),
        (
            "drained",
            standing(1, 5, Some("drain")),
            &["1: drain > b, its owner is drained"],
        ),
        (
            "gone",
            standing(1, 5, Some("x")),
            &["1: x > b, its owner may not have it"],
        ),
        (
            "of another set",
            Standing {
                shard: Shard { set: 1, number: 1 },
                ..standing(1, 5, Some("a"))
            },
            &["1: a > b, its owner may not have it"],
        ),
        (
            "no node may have it",
            Standing {
                shard: Shard { set: 2, number: 1 },
                ..standing(1, 5, Some("down"))
            },
            &["1: down > -, no node may have it"],
        ),
        (
            "drained, and no node may have it",
            Standing {
                shard: Shard { set: 3, number: 1 },
                ..standing(1, 5, Some("drain"))
            },
            &[],
        ),
    ];
    for (name, row, expected) in rows {
        let busy = standing(9, 100, Some("a"));
        let placement = Placement {
            nodes: &[up("a"), up("b"), down, draining],
            sets: &[all.clone(), vec!["b"], vec!["down"], vec!["drain"]],
            shards: &[row, busy],
            balancing_moves_max: 0,
        };
        assert_eq!(owners(&placement), expected, "{name}");
    }
}

#[test]
fn the_standby_takes_over_unless_it_has_too_much_to_do() {
    let with_standby = |load_of_b: u64| {
        let lost = Standing {
            standby: Some("b"),
            ..standing(1, 10, Some("gone"))
        };
        let shards = [
            lost,
            standing(2, load_of_b, Some("b")),
            standing(3, 30, Some("c")),
        ];
        owners(&Placement {
            nodes: &[up("b"), up("c")],
            sets: &[vec!["b", "c"]],
            shards: &shards,
            balancing_moves_max: 0,
        })
    };
    assert_eq!(with_standby(35), ["1: gone > b, its owner may not have it"]);
    assert_eq!(with_standby(90), ["1: gone > c, its owner may not have it"]);
}

#[test]
fn load_is_evened_out_with_few_moves_and_a_settling_shard_stays() {
    let mut shards: Vec<Standing<'_>> = (0..10).map(|n| standing(n, 10, Some("a"))).collect();
    shards.push(standing(10, 48, Some("a")));
    let moves_of = |shards: &[Standing<'_>], balancing_moves_max| {
        owners(&Placement {
            nodes: &[up("a"), up("b")],
            sets: &[vec!["a", "b"]],
            shards,
            balancing_moves_max,
        })
    };
    assert!(
        moves_of(&shards, 0).is_empty(),
        "a new leader moves nothing"
    );
    let moves = moves_of(&shards, 64);
    assert_eq!(
        moves.len(),
        4,
        "48, then three of 10 make 78 against 70: {moves:?}"
    );
    assert_eq!(moves[0], "10: a > b, its owner has more to do than others");
    assert_eq!(moves_of(&shards, 1).len(), 1, "bounded");
    shards[10].is_settling = true;
    let stays = |it: &String| !it.starts_with("10:");
    assert!(moves_of(&shards, 64).iter().all(stays));
}

#[test]
fn a_standby_is_another_node_and_is_kept_while_it_can_be() {
    let mut shards = [standing(1, 10, Some("a")), standing(2, 10, Some("a"))];
    let all = [up("a"), up("b"), up("c")];
    fn place(
        nodes: &[Node<'static>],
        shards: &[Standing<'static>],
    ) -> Vec<(u16, Option<&'static str>, Reason)> {
        let moves = decide_moves(&Placement {
            nodes,
            sets: &[vec!["a", "b", "c"]],
            shards,
            balancing_moves_max: 0,
        });
        let moves = moves.iter();
        let told = moves.map(|it| (it.shard.number, it.standby, it.reason));
        told.collect()
    }
    let chosen = place(&all, &shards);
    assert_eq!(chosen.len(), 2);
    assert_ne!(
        chosen[0].1, chosen[1].1,
        "the load after a death is spread: {chosen:?}"
    );
    for (shard, (_, standby, reason)) in shards.iter_mut().zip(&chosen) {
        assert_eq!(*reason, Reason::Standby);
        assert_ne!(*standby, Some("a"));
        shard.standby = if *standby == Some("b") {
            Some("b")
        } else {
            Some("c")
        };
    }
    assert_eq!(place(&all, &shards), [], "what stands is kept");
    let without_b = place(&[up("a"), up("c")], &shards);
    assert_eq!(without_b.len(), 1);
    assert_eq!(without_b[0].1, Some("c"));
    let alone = place(&[up("a")], &shards);
    assert!(
        alone.iter().all(|(_, standby, _)| standby.is_none()),
        "{alone:?}"
    );
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "gone"];

/// A site: states of four nodes, three sets, shards.
#[derive(Debug, Clone)]
struct Site {
    nodes: Vec<Node<'static>>,
    sets: Vec<Vec<&'static str>>,
    shards: Vec<Standing<'static>>,
}

fn site() -> impl Strategy<Value = Site> {
    let state = prop::sample::select(vec![
        NodeState::Up,
        NodeState::Up,
        NodeState::Draining,
        NodeState::Down,
    ]);
    let nodes = prop::collection::vec(state, 4);
    let set = prop::sample::subsequence(NAMES[..4].to_vec(), 0..=4);
    let name = || prop::option::of(prop::sample::select(NAMES.to_vec()));
    let one = (
        0u16..3,
        1u64..100,
        name(),
        name(),
        prop::bool::weighted(0.1),
    );
    (
        nodes,
        prop::collection::vec(set, 3),
        prop::collection::vec(one, 0..40),
    )
        .prop_map(|(states, sets, rows)| {
            let nodes = states.into_iter().zip(NAMES);
            let nodes = nodes.map(|(state, name)| Node { name, state }).collect();
            let rows = rows.into_iter().zip(0u16..);
            let shards = rows.map(
                |((set, cost, owner, standby, is_settling), number)| Standing {
                    shard: Shard { set, number },
                    cost,
                    owner,
                    standby,
                    is_settling,
                },
            );
            let shards = shards.collect();
            Site {
                nodes,
                sets,
                shards,
            }
        })
}

fn decide(site: &Site, balancing_moves_max: usize) -> Vec<Move<'static>> {
    decide_moves(&Placement {
        nodes: &site.nodes,
        sets: &site.sets,
        shards: &site.shards,
        balancing_moves_max,
    })
}

fn applied(site: &Site, moves: &[Move<'static>]) -> Site {
    let mut after = site.clone();
    for it in moves {
        let place = site
            .shards
            .iter()
            .position(|known| known.shard == it.shard)
            .unwrap();
        let shard = &mut after.shards[place];
        assert_eq!(shard.owner, it.from, "moves tell what stands");
        (shard.owner, shard.standby) = (it.to, it.standby);
        shard.is_settling |= it.reason != Reason::Standby;
    }
    after
}

fn loads(site: &Site) -> Vec<u64> {
    let up = site.nodes.iter().filter(|node| node.state == NodeState::Up);
    let load = |node: &Node<'_>| {
        let own = site.shards.iter().filter(|it| it.owner == Some(node.name));
        own.map(|it| it.cost).sum()
    };
    up.map(load).collect()
}

proptest! {
    #[test]
    fn each_shard_has_an_eligible_owner_and_another_standby_if_any_node_may(
        site in site(),
        budget in 0usize..8,
    ) {
        let moves = decide(&site, budget);
        prop_assert!(moves.iter().filter(|it| it.reason == Reason::Load).count() <= budget);
        let after = applied(&site, &moves);
        for it in &after.shards {
            let is_up = |name: &&&str| site.nodes.iter().any(|node| {
                node.name == **name && node.state == NodeState::Up
            });
            let takers: Vec<&str> =
                site.sets[usize::from(it.shard.set)].iter().filter(is_up).copied().collect();
            match it.owner {
                Some(owner) if !takers.is_empty() => prop_assert!(takers.contains(&owner)),
                Some(owner) => {
                    let node = site.nodes.iter().find(|node| node.name == owner).unwrap();
                    prop_assert_eq!(node.state, NodeState::Draining);
                }
                None => prop_assert!(takers.is_empty()),
            }
            match it.standby {
                Some(standby) => {
                    prop_assert!(takers.contains(&standby) && it.owner != Some(standby));
                }
                None => prop_assert!(takers.iter().all(|node| it.owner == Some(*node))
                    || it.owner.is_none()),
            }
        }
        prop_assert_eq!(decide(&after, 0), Vec::new(), "a plan that was just made stands");
    }

    #[test]
    fn evening_out_never_makes_the_busiest_node_busier(site in site()) {
        let before = applied(&site, &decide(&site, 0));
        let highest = |site: &Site| loads(site).into_iter().max();
        let mut calm = before.clone();
        calm.shards.iter_mut().for_each(|it| it.is_settling = false);
        let after = applied(&calm, &decide(&calm, 64));
        prop_assert!(highest(&after) <= highest(&calm));
    }

    #[test]
    fn the_order_in_which_nodes_and_shards_are_told_is_nothing(site in site()) {
        let mut turned = site.clone();
        turned.nodes.reverse();
        turned.shards.reverse();
        let sorted = |mut moves: Vec<Move<'static>>| {
            moves.sort_by_key(|it| it.shard);
            moves
        };
        let owners = |moves: Vec<Move<'static>>| {
            let moves = moves.into_iter().filter(|it| it.reason != Reason::Standby);
            moves.map(|it| (it.shard, it.to)).collect::<Vec<_>>()
        };
        prop_assert_eq!(owners(sorted(decide(&site, 8))), owners(sorted(decide(&turned, 8))));
    }
}

#[test]
fn one_dear_device_leaves_the_rest_to_the_others() {
    // One device at 100 × cost among 3 × 1,024 shards: its node keeps little else.
    let cost = |number| if number == 7 { 100_000 } else { 1_000 };
    let names = ["a", "b", "c"];
    let owner = |number: u16| Some(names[usize::from(number % 3)]);
    let all = 0..SHARDS;
    let mut shards: Vec<Standing<'_>> = all.map(|n| standing(n, cost(n), owner(n))).collect();
    let nodes = names.map(up);
    let sets = [names.to_vec()];
    for minute in 0..10 {
        let placement = Placement {
            nodes: &nodes,
            sets: &sets,
            shards: &shards.clone(),
            balancing_moves_max: BALANCING_MOVES_MAX,
        };
        let moves = decide_moves(&placement);
        if minute > 2 {
            assert!(
                moves.iter().all(|it| it.reason == Reason::Standby),
                "it settles"
            );
        }
        for it in &moves {
            let shard = &mut shards[usize::from(it.shard.number)];
            (shard.owner, shard.standby) = (it.to, it.standby);
        }
    }
    let load = |name: &str| -> u64 {
        shards
            .iter()
            .filter(|it| it.owner == Some(name))
            .map(|it| it.cost)
            .sum()
    };
    let loads = names.map(load);
    let (high, low) = (loads.iter().max().unwrap(), loads.iter().min().unwrap());
    assert!(high * 100 <= low * 115, "{loads:?}");
}
