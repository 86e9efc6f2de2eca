//! What the owner's answer to a read means for a feed.

use std::sync::Arc;

use campanile_common::{Offset, Position};

use super::{Feed, PendingRead, Read, ReadNumber, Stage};
use crate::audience::{Event, LossReason};
use crate::publication::Publication;
use crate::shard::HistoryPage;

impl Feed {
    /// The owner's answer to `pending`; what may be handed on now is appended to `out`.
    pub fn complete(&mut self, pending: PendingRead, page: HistoryPage, out: &mut Vec<Event>) {
        if pending.number <= self.reads.void {
            self.failed(pending);
            return;
        }
        self.reads.completed = pending.number;
        let top = page.position;
        let publications = ascending(page.publications, pending.read);
        self.held.discard_stale(pending.number, &top);
        self.reconcile(&pending, &top, out);
        self.awaits_successor = false;
        self.take(&pending, &publications, out);
        if pending.read == Read::Recent {
            self.reads.recent = pending.number;
            self.reads.recent_pending = None;
            self.reads.recent_wanted = false;
        }
        let answers = |since: &mut ReadNumber| *since < pending.number;
        self.doubt.take_if(answers);
        self.asked.take_if(answers);
        if matches!(self.stage, Stage::Unverified(since) if since < pending.number) {
            self.stage = Stage::Live;
        }
        self.drain(out);
    }

    /// The owner's answer to a [`Read::Position`].
    pub fn checked(&mut self, pending: PendingRead, position: Position, out: &mut Vec<Event>) {
        self.complete(
            pending,
            HistoryPage {
                position,
                publications: Vec::new(),
            },
            out,
        );
    }

    /// Compares the owner's position with the delivered one.
    fn reconcile(&mut self, pending: &PendingRead, top: &Position, out: &mut Vec<Event>) {
        match &self.delivered {
            None => self.adopt(top),
            Some(delivered) if delivered.epoch != top.epoch && self.awaits_successor => {
                self.succeed(top.epoch.clone(), top.offset);
            }
            Some(delivered) if delivered.epoch != top.epoch => {
                self.lose(LossReason::EpochChanged, out);
                self.adopt(top);
            }
            // What was delivered does not exist: an acknowledged end was lost under the same epoch.
            Some(_) if pending.delivered.is_some_and(|offset| top.offset < offset) => {
                self.lose(LossReason::PositionAhead, out);
                self.adopt(top);
            }
            Some(_) => self.known_top = top.offset,
        }
    }

    /// Goes on in the stream that ends at `top`, from there or from just before what has already arrived of it.
    fn adopt(&mut self, top: &Position) {
        let held = self.held.first_of(&top.epoch).filter(|_| self.occupied);
        let offset = match held {
            Some(first) => top.offset.min(Offset(first.get().saturating_sub(1))),
            None => top.offset,
        };
        self.delivered = Some(Position::new(top.epoch.clone(), offset));
        self.known_top = top.offset;
    }

    /// Hands on what is new in `publications` and keeps what is older for the window.
    fn take(&mut self, pending: &PendingRead, publications: &[Arc<Publication>], out: &mut Vec<Event>) {
        let Some(delivered) = self.delivered.as_ref().map(|position| position.offset) else {
            return;
        };
        let split = publications.partition_point(|publication| publication.offset <= delivered);
        let (older, newer) = publications.split_at(split);
        if pending.read == Read::Recent {
            self.reads.gone = self.bottom(publications);
            self.window.backfill(older, delivered);
            self.window.trim(self.window_bounds());
        }
        let first = newer.first().map(|publication| publication.offset);
        if first != Some(delivered.next()) && self.known_top > delivered {
            if !self.reaches_back(pending, publications.len(), first, delivered) {
                return;
            }
            self.skip_to(first, out);
        }
        for publication in newer {
            let next = self.delivered.as_ref().map(|position| position.offset.next());
            if next != Some(publication.offset) {
                return;
            }
            self.deliver(Arc::clone(publication), publication.offset, out);
        }
    }

    /// Up to where the stream has nothing any more, by the answer to a [`Read::Recent`]. A full page does not say.
    fn bottom(&self, publications: &[Arc<Publication>]) -> Offset {
        let is_full = publications.len() >= usize::try_from(self.limits.recovery_limit).unwrap_or(usize::MAX);
        match publications.first() {
            _ if is_full => Offset::ZERO,
            Some(first) => Offset(first.offset.get().saturating_sub(1)),
            None => self.known_top,
        }
    }

    /// Whether the read would have brought the publication after `delivered` if the stream still had it.
    fn reaches_back(
        &self,
        pending: &PendingRead,
        found: usize,
        first: Option<Offset>,
        delivered: Offset,
    ) -> bool {
        let all_of = |limit: u32| u32::try_from(found).is_ok_and(|found| found < limit);
        match pending.read {
            Read::Position => false,
            // A full page may end before what is asked about, if much has arrived meanwhile.
            Read::After(offset) => offset <= delivered && (first.is_some() || all_of(self.limits.heal_page)),
            Read::Recent => all_of(self.limits.recovery_limit),
        }
    }

    /// What follows the delivered offset is gone from the stream: goes on with the first that is not.
    fn skip_to(&mut self, first: Option<Offset>, out: &mut Vec<Event>) {
        self.lose(LossReason::PositionExpired, out);
        let Some(delivered) = &mut self.delivered else {
            return;
        };
        let held = self.held.first_of(&delivered.epoch);
        let end = match (first, held) {
            (Some(first), _) => Offset(first.get() - 1),
            (None, Some(held)) if held > delivered.offset => self.known_top.min(Offset(held.get() - 1)),
            (None, _) => self.known_top,
        };
        delivered.offset = end;
    }
}

/// The page's publications, oldest first, shared.
fn ascending(publications: Vec<Publication>, read: Read) -> Vec<Arc<Publication>> {
    let mut publications: Vec<_> = publications.into_iter().map(Arc::new).collect();
    if read == Read::Recent {
        publications.reverse();
    }
    publications
}
