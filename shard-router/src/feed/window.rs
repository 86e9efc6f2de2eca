//! The recent window: the last publications delivered, kept to answer subscribers that return.

use std::collections::VecDeque;
use std::sync::Arc;

use campanile_common::Offset;
use campanile_common::message::ClientInfo;

use crate::publication::Publication;

/// Delivered publications without a hole, ending at the delivered offset.
#[derive(Debug, Default)]
pub(super) struct Window {
    publications: VecDeque<Arc<Publication>>,
    bytes: usize,
}

/// How much a window may keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) publications: usize,
    pub(super) bytes: usize,
}

impl Window {
    /// The offset after which the window has everything up to `delivered`.
    pub(super) fn floor(&self, delivered: Offset) -> Offset {
        match self.publications.front() {
            Some(first) => Offset(first.offset.get() - 1),
            None => delivered,
        }
    }

    /// Appends the publication that was just delivered.
    pub(super) fn push(&mut self, publication: Arc<Publication>, bounds: Bounds) {
        self.bytes += weight(&publication);
        self.publications.push_back(publication);
        self.trim(bounds);
    }

    /// Takes in older publications (ascending, none beyond `delivered`) as far as they reach the window without a
    /// hole.
    pub(super) fn backfill(&mut self, older: &[Arc<Publication>], delivered: Offset) {
        let mut floor = self.floor(delivered);
        for publication in older.iter().rev() {
            if publication.offset > floor {
                continue;
            }
            if publication.offset < floor || floor == Offset::ZERO {
                return;
            }
            self.bytes += weight(publication);
            self.publications.push_front(Arc::clone(publication));
            floor = Offset(floor.get() - 1);
        }
    }

    /// Whether it keeps more than that.
    pub(super) fn exceeds(&self, bounds: Bounds) -> bool {
        self.publications.len() > bounds.publications || self.bytes > bounds.bytes
    }

    /// What it keeps, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Cuts the oldest off down to the bounds.
    pub(super) fn trim(&mut self, bounds: Bounds) {
        while self.exceeds(bounds) {
            let Some(oldest) = self.publications.pop_front() else {
                return;
            };
            self.bytes -= weight(&oldest);
        }
    }

    /// What comes after `offset`, which must not lie below the floor.
    pub(super) fn after(&self, offset: Offset) -> Vec<Arc<Publication>> {
        let start = self
            .publications
            .partition_point(|publication| publication.offset <= offset);
        self.publications.range(start..).cloned().collect()
    }

    /// The last one delivered.
    pub(super) fn newest(&self) -> Option<&Arc<Publication>> {
        self.publications.back()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// About what a publication costs to keep, in bytes: its texts and a constant for its structure.
pub(crate) fn weight(publication: &Publication) -> usize {
    const STRUCTURE: usize = 160;
    const TAG: usize = 64;
    let tags = &publication.tags;
    let tags: usize = tags
        .iter()
        .map(|(key, value)| key.len() + value.len() + TAG)
        .sum();
    STRUCTURE + publication.data.len() + publication.info.as_ref().map_or(0, info_weight) + tags
}

/// The same for a client's info.
pub(crate) fn info_weight(info: &ClientInfo) -> usize {
    const STRUCTURE: usize = 128;
    STRUCTURE + info.user.len() + info.client.len() + info.conn_info.len() + info.chan_info.len()
}
