//! Whole meshes in simulation: safe under faults, whole after them; and the checks find mutants.
//!
//! Does: run seeds; on failure print the seed and the command that repeats it.
//! Does not: use real disks, lines or clocks.
//! In: `OCELLI_SEED` for one seed, `OCELLI_TEST_FULL=1` for many. Out: figures on stderr.

use ocelli_tests::mesh_simulation::{Mutant, Outcome, simulate};

/// Seeds of a plain run.
const SEEDS: u64 = 200;
/// Seeds with `--full`.
const SEEDS_FULL: u64 = 1_000;
/// Hours of the mesh's time that faults last; the heal adds a quarter.
const HOURS: u64 = 1;
/// Seeds within which each mutant must be found.
const SEEDS_FOR_MUTANT: u64 = 40;

fn seeds() -> Vec<u64> {
    let is_full = std::env::var("OCELLI_TEST_FULL").is_ok_and(|full| full == "1");
    match std::env::var("OCELLI_SEED").map(|seed| seed.parse()) {
        Ok(Ok(seed)) => vec![seed],
        Ok(Err(error)) => panic!("OCELLI_SEED is no number: {error}"),
        Err(_) => (1..=if is_full { SEEDS_FULL } else { SEEDS }).collect(),
    }
}

fn run(seeds: &[u64]) -> Outcome {
    let mut sum = Outcome::default();
    for seed in seeds {
        match simulate(*seed, HOURS, None) {
            Ok(outcome) => {
                sum.simulated_ms += outcome.simulated_ms;
                sum.events += outcome.events;
                sum.commits += outcome.commits;
                sum.fills += outcome.fills;
                sum.compared += outcome.compared;
            }
            Err(violation) => panic!(
                "seed {seed}: {violation}\nrepeat: OCELLI_SEED={seed} \
                 cargo test -p ocelli-tests --test mesh_simulation after_any_faults"
            ),
        }
    }
    sum
}

#[test]
fn after_any_faults_all_that_is_held_is_above_once_and_in_order() {
    let seeds = seeds();
    // Two halves on two threads: each seed is a world of its own.
    let (one, other) = seeds.split_at(seeds.len() / 2);
    let sum = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(other));
        let (one, other) = (run(one), other.join().expect("the other half failed"));
        [one, other]
    });
    let hours = sum.iter().map(|half| half.simulated_ms).sum::<u64>() / 3_600_000;
    let commits: u64 = sum.iter().map(|half| half.commits).sum();
    let fills: u64 = sum.iter().map(|half| half.fills).sum();
    let compared: u64 = sum.iter().map(|half| half.compared).sum();
    eprintln!(
        "{} seeds, {hours} simulated hours, {commits} commits, {fills} fills",
        seeds.len()
    );
    assert!(
        fills < commits / 20,
        "{fills} of {commits} blocks in no order"
    );
    assert!(compared > 0, "nothing was compared");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(simulate(7, 1, None), simulate(7, 1, None));
}

#[test]
fn each_broken_rule_is_found() {
    for mutant in [
        Mutant::VisibleBeforeDurable,
        Mutant::DefinitionsAfterData,
        Mutant::RollbackIgnored,
        Mutant::SkipTakenAsHeld,
        Mutant::RefillNotAwaited,
        Mutant::LanesOfSenders,
    ] {
        let found = (1..=SEEDS_FOR_MUTANT).find_map(|seed| {
            simulate(seed, HOURS, Some(mutant))
                .err()
                .map(|text| (seed, text))
        });
        let (seed, text) = found.unwrap_or_else(|| panic!("{mutant:?} was not found"));
        eprintln!("{mutant:?}: seed {seed}: {text}");
    }
}
