//! No bytes from disk or wire make a decoder panic, hang or break its own rules.
//!
//! Does: run every fuzz entry over the committed corpus and over mutations of it, the same ones
//! each time. Does not: look for new inputs (`bus/fuzz` does, by `cargo fuzz`).

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
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        // Bytes at the edges of varints, widths and shapes come more often.
        const TELLING: [u8; 12] = [0, 1, 2, 7, 8, 0x3f, 0x40, 0x41, 0x7f, 0x80, 0xc0, 0xff];
        let any = u8::try_from(self.next() >> 56).unwrap();
        if any < 0x80 {
            TELLING[self.below(TELLING.len())]
        } else {
            any
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
        !files.is_empty(),
        "{}: the corpus is gone",
        folder.display()
    );
    files
}

#[test]
fn no_file_of_the_corpus_and_no_mutation_of_it_breaks_a_decoder() {
    let mut chance = Chance(0x6f63_656c_6c69);
    for (name, entry) in entries::ENTRIES {
        for (file, seed) in corpus(name) {
            entry(&seed);
            for number in 0..MUTATIONS {
                let mut bytes = seed.clone();
                mutate(&mut bytes, &mut chance);
                let outcome = std::panic::catch_unwind(|| entry(&bytes));
                assert!(
                    outcome.is_ok(),
                    "{name}: {file}, mutation {number}: {bytes:02x?}"
                );
            }
        }
    }
}
