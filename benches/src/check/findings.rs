//! What a subscriber found wrong.

use crate::Promise;

/// What a subscriber found wrong in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many arrived, each counted once.
    pub received: u64,
    /// How many were accepted and did not arrive.
    pub lost: u64,
    /// How many arrived again.
    pub doubled: u64,
    /// How many arrived after later ones.
    pub reordered: u64,
    /// How many arrived that do not belong to the channel.
    pub strayed: u64,
    /// The first of the wrong ones, for people.
    pub example: Option<String>,
}

impl Findings {
    /// How often which promises were broken, of those that were.
    pub fn broken(&self) -> impl Iterator<Item = (Promise, u64)> + use<> {
        let counts = [
            (Promise::NothingLost, self.lost),
            (Promise::NothingDoubled, self.doubled),
            (Promise::InOrder, self.reordered),
            (Promise::RightChannel, self.strayed),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0)
    }

    /// Adds what was found in the same channel later.
    pub fn add(&mut self, later: Self) {
        self.received += later.received;
        self.lost += later.lost;
        self.doubled += later.doubled;
        self.reordered += later.reordered;
        self.strayed += later.strayed;
        self.example = self.example.take().or(later.example);
    }
}
