//! A planned change of owner: the channel was subscribed at both shards, and the former one has nothing more to say.

use campanile_common::{Epoch, Offset, Position};

use super::{Feed, Stage};

/// What came with a partition to its new owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The stream came too: its epoch goes on, and the next offset proves continuity as ever.
    WithHistory,
    /// The stream stayed behind: the new owner begins an epoch of its own, with offset 1.
    WithoutHistory,
}

impl Feed {
    /// The partition moved as planned. To be called when nothing more can come from the former owner, and before
    /// anything of the new owner's is handed in.
    ///
    /// `complete`: everything that the former owner accepted has been handed in, because the subscriptions at both
    /// have lasted since before the seal and the former owner's has said its last. A feed that then has no gap has all
    /// of the old epoch; with offset 1 of the new one nothing is missing, and nobody needs to know.
    pub fn moved(&mut self, moved: Moved, complete: bool) {
        if self.stage == Stage::Released || !self.stream {
            return;
        }
        let certain = complete && self.has_everything();
        let renewed = moved == Moved::WithoutHistory || self.awaits_successor;
        self.awaits_successor = certain && renewed && self.delivered.is_some();
        self.reads.void = self.reads.begun;
        self.drop_window();
        if self.awaits_successor {
            self.stage = Stage::Unverified(self.reads.begun);
        }
        let missed = std::mem::take(&mut self.missed);
        if missed || !self.awaits_successor && (!complete || renewed) {
            self.doubt = Some(self.reads.begun);
        }
    }

    /// Messages of the coming owner, held back until [`Feed::moved`], were dropped for want of room: the stream is to be
    /// read. That says nothing against what the former owner has still to say.
    pub fn missed(&mut self) {
        if self.stream {
            self.missed = true;
            self.asked = Some(self.reads.begun);
        }
    }

    /// Whether nothing is known to exist that was not delivered, or feared to.
    fn has_everything(&self) -> bool {
        let behind = |delivered: &Position| delivered.offset < self.known_top;
        let verified = self.stage == Stage::Live || self.awaits_successor;
        verified
            && self.doubt.is_none()
            && self.held.is_empty()
            && !self.delivered.as_ref().is_some_and(behind)
    }

    /// Goes on with `epoch`, in which nothing has been delivered yet, after all of the one before it.
    pub(super) fn succeed(&mut self, epoch: Epoch, known_top: Offset) {
        self.awaits_successor = false;
        self.delivered = Some(Position::new(epoch, Offset::ZERO));
        self.known_top = known_top;
    }
}
