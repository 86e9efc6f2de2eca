//! The recent window: the last publications delivered, kept to answer subscribers that return.

use std::collections::VecDeque;
use std::sync::Arc;

use campanile_common::Offset;
use campanile_common::message::ClientInfo;

use super::FeedLimits;
use crate::publication::Publication;

/// Delivered publications without a hole, ending at the delivered offset.
#[derive(Debug, Default)]
pub(super) struct Window {
    publications: VecDeque<Arc<Publication>>,
    bytes: usize,
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
    pub(super) fn push(&mut self, publication: Arc<Publication>, limits: &FeedLimits, pinned: bool) {
        self.bytes += weight(&publication);
        self.publications.push_back(publication);
        self.trim(limits, pinned);
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

    /// Cuts the oldest off down to the bounds. A pinned window may keep in addition what one recovery read brings,
    /// until those who wait for it have been answered.
    pub(super) fn trim(&mut self, limits: &FeedLimits, pinned: bool) {
        let (mut count, mut bytes) = (limits.window_publications, limits.window_bytes);
        if pinned {
            count += usize::try_from(limits.recovery_limit).unwrap_or(usize::MAX);
            bytes = usize::MAX;
        }
        while self.publications.len() > count || self.bytes > bytes {
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
