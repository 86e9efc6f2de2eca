//! Pieces that wait in line.

use std::collections::VecDeque;

use bytes::Bytes;

use super::take_batch;

/// What waits, in order; no piece is empty. One piece, which is what there is nearly always, takes no memory of its own: to get and
/// give back a list for each would be some 3 % of what a delivery costs the gateway.
#[derive(Debug)]
pub(super) enum Pieces {
    /// One piece, or none if it is empty. This way the whole is not larger than a piece.
    One(Bytes),
    /// Let go of as soon as it is empty.
    #[expect(
        clippy::box_collection,
        reason = "a list beside the piece would make every connection larger"
    )]
    Several(Box<VecDeque<Bytes>>),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::One(piece) if piece.is_empty())
    }

    pub(super) fn push_back(&mut self, piece: Bytes) {
        if let Some(piece) = self.fill(piece) {
            self.list().push_back(piece);
        }
    }

    pub(super) fn push_front(&mut self, piece: Bytes) {
        if let Some(piece) = self.fill(piece) {
            self.list().push_front(piece);
        }
    }

    /// Moves pieces to `batch`, which must be empty, up to the limits of one write; at least one, if there is one.
    pub(super) fn take(&mut self, batch: &mut Vec<Bytes>) {
        match std::mem::take(self) {
            Self::One(piece) if piece.is_empty() => {}
            Self::One(piece) => batch.push(piece),
            Self::Several(mut pieces) => {
                take_batch(&mut pieces, batch);
                if !pieces.is_empty() {
                    *self = Self::Several(pieces);
                }
            }
        }
    }

    /// Keeps a piece if nothing else waits, else gives it back.
    fn fill(&mut self, piece: Bytes) -> Option<Bytes> {
        debug_assert!(!piece.is_empty(), "nothing is sent with an empty piece");
        if !self.is_empty() {
            return Some(piece);
        }
        *self = Self::One(piece);
        None
    }

    /// Makes one piece a list, which is about to get another.
    fn list(&mut self) -> &mut VecDeque<Bytes> {
        if let Self::One(piece) = self {
            let list = VecDeque::from([std::mem::take(piece)]);
            *self = Self::Several(Box::new(list));
        }
        match self {
            Self::Several(list) => list,
            Self::One(_) => unreachable!("it has just been made a list"),
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        let (one, several) = match self {
            Self::One(piece) => (Some(piece).filter(|piece| !piece.is_empty()), None),
            Self::Several(pieces) => (None, Some(&**pieces)),
        };
        one.into_iter().chain(several.into_iter().flatten())
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
        assert_eq!(size_of::<Pieces>(), size_of::<Bytes>());
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
