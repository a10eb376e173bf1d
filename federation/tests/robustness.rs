//! No bytes of a peer make the frame decoder panic, hang or break its own rules.
//!
//! Does: run every fuzz entry over the committed corpus and over mutations of it, the same ones
//! each time. Does not: look for new inputs (`federation/fuzz` does, by `cargo fuzz`).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is the report"
)]

use std::path::Path;

#[expect(
    unreachable_pub,
    reason = "public for the fuzz crate, which owns the file"
)]
#[path = "../fuzz/src/entries.rs"]
mod entries;

/// Mutated inputs for each file of the corpus.
const MUTATIONS: u32 = 3_000;

/// xorshift64*: the same inputs on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        usize::try_from(drawn % limit.max(1) as u64).unwrap()
    }

    /// Bytes at the edges of varints and variants come more often.
    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 10] = [0, 1, 2, 250, 251, 252, 253, 254, 255, 0x7f];
        match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let place = chance.below(bytes.len());
        let byte = chance.byte();
        match chance.below(6) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, byte),
            2 if !bytes.is_empty() => drop(bytes.drain(place..=place)),
            3 if !bytes.is_empty() => bytes[place] ^= 1 << chance.below(8),
            4 => bytes.extend_from_within(place..),
            _ if !bytes.is_empty() => bytes[place] = byte,
            _ => bytes.push(byte),
        }
    }
}

/// The files of an entry's corpus, in the order of their names.
fn corpus(entry: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(entry);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(
        files.len() >= 11,
        "{}: the corpus is gone",
        folder.display()
    );
    files
}

#[test]
fn no_file_of_the_corpus_and_no_mutation_of_it_breaks_the_decoder() {
    let mut chance = Chance(0x6f63_656c_6c69);
    for (name, entry) in entries::ENTRIES {
        for (file, seed) in corpus(name) {
            entry(&seed);
            for number in 0..MUTATIONS {
                let mut bytes = seed.clone();
                mutate(&mut bytes, &mut chance);
                let outcome = std::panic::catch_unwind(|| entry(&bytes));
                let shown = bytes.get(..200).unwrap_or(&bytes);
                assert!(
                    outcome.is_ok(),
                    "{name}: {file}, mutation {number}: {shown:02x?}"
                );
            }
        }
    }
}
