//! What has arrived for one channel but may not be handed on before another shard is drained.

use std::collections::VecDeque;

use crate::feed::{info_weight, weight};
use crate::publication::ShardMessage;

/// A message that can be held back.
pub trait Weighed {
    /// About what it costs to hold it, in bytes.
    fn bytes(&self) -> usize;
}

impl Weighed for ShardMessage {
    fn bytes(&self) -> usize {
        match self {
            Self::Publication { publication, .. } => weight(publication),
            Self::Join(info) | Self::Leave(info) => info_weight(info),
            Self::Cleared => 0,
        }
    }
}

/// Bounds of what is held back for one channel.
#[derive(Clone, Copy, Debug)]
pub struct HoldLimits {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Messages in the order of their arrival.
#[derive(Clone, Debug)]
pub(super) struct Held<M> {
    messages: VecDeque<M>,
    bytes: usize,
}

impl<M> Default for Held<M> {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<M> Held<M> {
    /// Adds a message; false if it does not fit.
    pub(super) fn push(&mut self, message: M, bytes: usize, limits: &HoldLimits) -> bool {
        let total = self.bytes.saturating_add(bytes);
        if self.messages.len() >= limits.messages || total > limits.bytes {
            return false;
        }
        self.bytes = total;
        self.messages.push_back(message);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn into_messages(self) -> impl Iterator<Item = M> {
        self.messages.into_iter()
    }
}
