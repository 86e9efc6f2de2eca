//! Fixed work that nothing in this repository can make faster or slower: what measured times are divided by.
//!
//! A time says as much about the machine as about the program, and on a busy machine more. The ratio of two times that were
//! measured in turns, within milliseconds, says little about the machine.
//!
//! [`Computing`] copies, hashes and branches over a few kilobytes, as codecs, queues and sessions do. It uses the standard
//! library alone: a new version of a dependency must not move it.

use std::hint::black_box;

/// Bytes that one step of [`Computing`] goes over: what fits the first cache beside other things.
const BLOCK: usize = 4096;

/// A loop that computes.
#[derive(Debug)]
pub struct Computing {
    from: Vec<u8>,
    to: Vec<u8>,
    random: u64,
}

impl Default for Computing {
    fn default() -> Self {
        let byte = |index: usize| u8::try_from(index * 31 % 251).unwrap_or(0);
        Self {
            from: (0..BLOCK).map(byte).collect(),
            to: vec![0; BLOCK],
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl Computing {
    /// One step: some microseconds.
    pub fn step(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        let hash = self.hash();
        self.random ^= hash | 1;
        let taken = self.branch();
        let index = usize::from(self.random.to_le_bytes()[0]);
        self.from[index] = taken;
        black_box(&self.to);
    }

    /// FNV-1a, whose every step waits for the one before.
    fn hash(&self) -> u64 {
        let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.to.iter().fold(0xcbf2_9ce4_8422_2325, fnv)
    }

    /// Branches that no predictor foresees: half of them are taken.
    fn branch(&mut self) -> u8 {
        let mut taken = 0_u8;
        for _ in 0..BLOCK / 16 {
            // Xorshift (Marsaglia, 2003).
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            if black_box(self.random) & 1 == 0 {
                taken = taken.wrapping_add(1);
            } else {
                taken = taken.rotate_left(1);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computing_never_settles_on_one_state() {
        let mut computing = Computing::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            computing.step();
            seen.insert(computing.random);
        }
        assert_eq!(seen.len(), 1000);
    }
}
