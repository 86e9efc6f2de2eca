//! Pieces that wait in line.

use std::collections::VecDeque;

use bytes::Bytes;

use super::take_batch;

/// What waits, in order. One piece, which is what there is nearly always, takes no memory of its own: to get and give back a list
/// for each would be some 3 % of what a delivery costs the gateway.
#[derive(Debug, Default)]
pub(super) enum Pieces {
    #[default]
    None,
    One(Bytes),
    Several(VecDeque<Bytes>),
}

impl Pieces {
    pub(super) const fn is_empty(&self) -> bool {
        // A list is let go of as soon as it is empty.
        matches!(self, Self::None)
    }

    pub(super) fn push_back(&mut self, piece: Bytes) {
        match self {
            Self::None => *self = Self::One(piece),
            Self::One(_) | Self::Several(_) => self.list().push_back(piece),
        }
    }

    pub(super) fn push_front(&mut self, piece: Bytes) {
        match self {
            Self::None => *self = Self::One(piece),
            Self::One(_) | Self::Several(_) => self.list().push_front(piece),
        }
    }

    /// Moves pieces to `batch`, which must be empty, up to the limits of one write; at least one, if there is one.
    pub(super) fn take(&mut self, batch: &mut Vec<Bytes>) {
        match std::mem::take(self) {
            Self::None => {}
            Self::One(piece) => batch.push(piece),
            Self::Several(mut pieces) => {
                take_batch(&mut pieces, batch);
                if !pieces.is_empty() {
                    *self = Self::Several(pieces);
                }
            }
        }
    }

    /// Makes it a list, which is about to get another piece.
    fn list(&mut self) -> &mut VecDeque<Bytes> {
        if let Self::None | Self::One(_) = self {
            let mut list = VecDeque::new();
            if let Self::One(piece) = std::mem::take(self) {
                list.push_back(piece);
            }
            *self = Self::Several(list);
        }
        match self {
            Self::Several(list) => list,
            Self::None | Self::One(_) => unreachable!("it has just been made a list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &mut Pieces) -> Vec<Bytes> {
        let mut batch = Vec::new();
        pieces.take(&mut batch);
        batch
    }

    #[test]
    fn pieces_come_out_in_order() {
        let [one, two, three] = ["1", "2", "3"].map(Bytes::from);
        let mut pieces = Pieces::default();
        assert!(pieces.is_empty() && taken(&mut pieces).is_empty());
        pieces.push_back(two.clone());
        assert!(matches!(pieces, Pieces::One(_)));
        pieces.push_front(one.clone());
        pieces.push_back(three.clone());
        assert_eq!(taken(&mut pieces), [one.clone(), two, three]);
        assert!(pieces.is_empty());
        pieces.push_front(one.clone());
        assert_eq!(taken(&mut pieces), [one]);
        assert!(pieces.is_empty());
    }

    #[test]
    fn what_does_not_fit_into_one_write_stays() {
        let mut pieces = Pieces::default();
        for _ in 0..=crate::transport::MAX_BATCH_PIECES {
            pieces.push_back(Bytes::from_static(b"x"));
        }
        assert_eq!(taken(&mut pieces).len(), crate::transport::MAX_BATCH_PIECES);
        assert!(!pieces.is_empty());
        assert_eq!(taken(&mut pieces).len(), 1);
        assert!(pieces.is_empty());
    }
}
