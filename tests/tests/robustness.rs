//! No bytes from a disk, a device, a peer or a person make a reader panic, hang or break its own
//! rules (promise P14).
//!
//! Does: run every fuzz target over its committed corpus and over mutations of it, the same ones
//! each time. Does not: look for new inputs (`tests/fuzz` does, see `tests/FUZZING.md`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use targets::TARGETS;

#[expect(
    unreachable_pub,
    reason = "public for the fuzz crate, which owns the file"
)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Most bytes of one corpus: it is read by people and cloned by all.
const CORPUS_BYTES_MAX: u64 = 200_000;
/// Shown of bytes that broke a reader; all of them stand in the file that is named.
const SHOWN_BYTES: usize = 400;

/// xorshift64*: the same inputs on every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    /// Half of them are telling.
    fn byte(&mut self, telling: &[u8]) -> u8 {
        let any = u8::try_from(self.next() >> 56).unwrap();
        if any < 0x80 {
            telling[self.below(telling.len())]
        } else {
            any
        }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, telling: &[u8]) {
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len());
            let byte = self.byte(telling);
            match self.below(6) {
                0 => bytes.truncate(place),
                1 => bytes.insert(place, byte),
                2 if !bytes.is_empty() => drop(bytes.remove(place)),
                3 if !bytes.is_empty() => bytes[place] ^= 1 << self.below(8),
                4 => bytes.extend_from_within(place..),
                _ if !bytes.is_empty() => bytes[place] = byte,
                _ => bytes.push(byte),
            }
        }
    }
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a corpus, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz_folder().join("corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "{}: the corpus is gone",
        folder.display()
    );
    files
}

#[test]
fn no_file_of_a_corpus_and_no_mutation_of_it_breaks_a_reader() {
    let mut chance = Chance(0x6f63_656c_6c69);
    for target in TARGETS {
        let files = corpus(target.name);
        // A corpus that fuzzing made richer takes no longer than a small one.
        let share = u32::try_from(files.len()).unwrap();
        let rounds = (4 * target.mutations).div_ceil(share).min(target.mutations);
        for (file, seed) in files {
            (target.entry)(&seed);
            for number in 0..rounds {
                let mut bytes = seed.clone();
                chance.mutate(&mut bytes, target.telling);
                let outcome = std::panic::catch_unwind(|| (target.entry)(&bytes));
                let shown = bytes.get(..SHOWN_BYTES).unwrap_or(&bytes).escape_ascii();
                let (name, file) = (target.name, file.display());
                assert!(
                    outcome.is_ok(),
                    "{name}: {file}, mutation {number}: {shown}"
                );
            }
        }
    }
}

#[test]
fn each_target_has_a_binary_and_a_corpus_that_is_small_enough_to_keep() {
    let manifest = std::fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    let binaries: BTreeSet<&str> = manifest
        .lines()
        .filter_map(|line| {
            line.strip_prefix("path = \"fuzz_targets/")?
                .strip_suffix(".rs\"")
        })
        .collect();
    let targets: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(binaries, targets);
    for target in targets {
        assert!(
            fuzz_folder()
                .join(format!("fuzz_targets/{target}.rs"))
                .is_file(),
            "{target}"
        );
        let bytes: u64 = corpus(target)
            .iter()
            .map(|(_, seed)| seed.len() as u64)
            .sum();
        assert!(
            bytes <= CORPUS_BYTES_MAX,
            "{target}: {bytes} bytes; cargo fuzz cmin {target}"
        );
    }
}
