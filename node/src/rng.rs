//! Real chance: the kernel's random numbers, a page at a time.
//!
//! Does: hand out unpredictable bits. Does not: repeat from a seed (tests have their own).
//! In: `getrandom`. Out: [`RealRng`], one a thread.

use ocelli_model::clock::Rng;
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes fetched at once: as many as the kernel gives whole and uninterrupted.
const BUFFER_BYTES: usize = 256;

/// Random numbers of the kernel.
#[derive(Debug)]
pub struct RealRng {
    bytes: [u8; BUFFER_BYTES],
    used: usize,
}

impl Default for RealRng {
    fn default() -> Self {
        Self {
            bytes: [0; BUFFER_BYTES],
            used: BUFFER_BYTES,
        }
    }
}

impl RealRng {
    fn refill(&mut self) {
        // An error would mean a kernel without the call (before 3.17), where nothing else runs.
        let filled = getrandom(&mut self.bytes, GetRandomFlags::empty());
        debug_assert_eq!(filled, Ok(BUFFER_BYTES));
        self.used = 0;
    }
}

impl Rng for RealRng {
    fn next_u64(&mut self) -> u64 {
        if self.used >= BUFFER_BYTES {
            self.refill();
        }
        let mut number = [0; 8];
        let next = self.used + number.len();
        number.copy_from_slice(&self.bytes[self.used..next]);
        // What was handed out must not be found in memory.
        self.bytes[self.used..next].fill(0);
        self.used = next;
        u64::from_ne_bytes(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generators_do_not_agree_and_none_repeats() {
        let (mut one, mut other) = (RealRng::default(), RealRng::default());
        let mut numbers: Vec<u64> = (0..200)
            .flat_map(|_| [one.next_u64(), other.next_u64()])
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 400);
    }
}
