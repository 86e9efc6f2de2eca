//! Fixed work that nothing in this repository can make faster or slower: what measured times are divided by.
//!
//! A time says as much about the machine as about the program, and on a busy machine more. The ratio of two times that were
//! measured in turns, within milliseconds, says little about the machine. Two loops, because what slows down computing
//! and what slows down system calls are different things:
//!
//! * [`Computing`]: copies, hashes and branches over a few kilobytes, as codecs, queues and sessions do.
//! * [`Writing`]: small writes to a socket, and reading what arrives, as connections do.
//!
//! They use the standard library alone: a new version of a dependency must not move them.

use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// Bytes that one step of [`Computing`] goes over: what fits the first cache beside other things.
const BLOCK: usize = 4096;

/// Bytes of one write of [`Writing`]: a publication as most are.
const MESSAGE: usize = 160;

/// Writes of one step of [`Writing`], before what they brought is read.
const WRITES: usize = 32;

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

/// A loop that writes to a socket, over the loopback interface, and reads from its other end.
#[derive(Debug)]
pub struct Writing {
    here: TcpStream,
    there: TcpStream,
    arrived: Vec<u8>,
}

impl Writing {
    /// Opens the connection.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let here = TcpStream::connect(listener.local_addr()?)?;
        let (there, _) = listener.accept()?;
        here.set_nodelay(true)?;
        Ok(Self {
            here,
            there,
            arrived: vec![0; WRITES * MESSAGE],
        })
    }

    /// One step: [`Self::WRITES`] writes, and as much is read.
    pub fn step(&mut self) -> io::Result<()> {
        for _ in 0..WRITES {
            self.here.write_all(&[b'x'; MESSAGE])?;
        }
        self.there.read_exact(&mut self.arrived)
    }

    /// Writes of one step.
    pub const WRITES: usize = WRITES;
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

    #[test]
    fn what_is_written_arrives() {
        let mut writing = Writing::open().unwrap();
        for _ in 0..100 {
            writing.step().unwrap();
        }
        assert!(writing.arrived.iter().all(|byte| *byte == b'x'));
    }
}
