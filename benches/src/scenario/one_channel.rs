//! What a client sees of its only channel.

use campanile_common::message::{Publication, SubscribeRequest};

use super::arrivals::Arrivals;
use crate::check::{Checker, Start};
use crate::payload::{self, Label};
use crate::run::Run;

/// What a client sees of its only channel.
pub(super) struct OneChannel {
    name: String,
    checker: Checker,
    /// Where what arrives is counted, if it is.
    arrived: Option<Arrivals>,
}

impl OneChannel {
    /// The channel of this index.
    pub(super) fn new(run: &Run, index: usize, start: Start) -> Self {
        Self {
            name: run.channel(index),
            checker: Checker::new(u32::try_from(index).unwrap_or(u32::MAX), start),
            arrived: None,
        }
    }

    /// The same, with what arrives counted there.
    pub(super) fn counted_in(mut self, arrived: &Arrivals) -> Self {
        self.arrived = Some(arrived.clone());
        self
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its index.
    pub(super) const fn index(&self) -> u32 {
        self.checker.channel()
    }

    /// Asks for it.
    pub(super) fn subscription(&self) -> SubscribeRequest {
        SubscribeRequest {
            channel: self.name.clone(),
            ..SubscribeRequest::default()
        }
    }

    /// A publication has arrived, by this name if it came with one: what it says of itself, unless it is a stranger's.
    pub(super) fn take(&mut self, name: &str, publication: &Publication) -> Option<Label> {
        let Some(label) = payload::read(&publication.data) else {
            self.checker
                .strayed(|| "a publication arrived that nobody made".to_owned());
            return None;
        };
        if !name.is_empty() && name != self.name {
            let Label { sequence, worker, .. } = label;
            self.checker
                .strayed(|| format!("{sequence} of publisher {worker} arrived as one of {name:?}"));
            return None;
        }
        let before = self.checker.received();
        self.checker.arrived(&label);
        if let Some(arrived) = &self.arrived {
            arrived.add(self.checker.received() - before);
        }
        Some(label)
    }

    /// A new count begins with the next publication that arrives; what there was of the old one.
    pub(super) fn begin_anew(&mut self) -> Checker {
        let fresh = Checker::new(self.checker.channel(), Start::FirstSeen);
        std::mem::replace(&mut self.checker, fresh)
    }

    /// What has arrived.
    pub(super) fn into_checker(self) -> Checker {
        self.checker
    }
}
