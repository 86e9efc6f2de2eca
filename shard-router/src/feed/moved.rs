//! A planned change of owner: the channel was subscribed at both shards, and the former one has nothing more to say.

use super::{Feed, Stage};

/// What a move left of the channel's stream, and how sure it is that nothing was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The stream moved too: its epoch goes on, and the next offset proves continuity as ever.
    WithHistory,
    /// The stream stayed behind: the new owner begins an epoch of its own, with offset 1.
    WithoutHistory {
        /// Whether everything that the former owner accepted has arrived: both subscriptions have lasted since before
        /// the seal, and the former owner's said its last.
        complete: bool,
    },
}

impl Feed {
    /// The partition moved as planned. Call it when nothing more can come from the former owner and before anything of
    /// the new owner's is handed in.
    pub fn moved(&mut self, moved: Moved) {
        let _ = moved;
        if matches!(self.stage, Stage::Released) {
            return;
        }
        self.reads.void = self.reads.begun;
        self.drop_window();
    }

    /// Messages that had arrived were dropped before they came here, for want of room: what they were is to be read from
    /// the stream.
    pub fn missed(&mut self) {
        if self.stream {
            self.doubt = Some(self.reads.begun);
        }
    }
}
