//! What has come in and waits to be taken.

use std::collections::VecDeque;

use campanile_common::message::{Push, Reply};

/// Replies that wait. A test that counts publications lets this many pass by while it waits for the answer to
/// a request; whoever needs more takes them meanwhile.
pub(crate) const INBOX_LIMIT: usize = 65_536;

/// Replies in the order in which they came, at most [`INBOX_LIMIT`].
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    replies: VecDeque<Reply>,
}

/// There was no room for another reply.
#[derive(Debug)]
pub(crate) struct Full;

impl Inbox {
    pub(crate) fn put(&mut self, reply: Reply) -> Result<(), Full> {
        if self.replies.len() >= INBOX_LIMIT {
            return Err(Full);
        }
        self.replies.push_back(reply);
        Ok(())
    }

    /// The oldest reply.
    pub(crate) fn take(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// The oldest push.
    pub(crate) fn take_push(&mut self) -> Option<Push> {
        let index = self.replies.iter().position(|reply| reply.push.is_some())?;
        self.replies.remove(index)?.push.map(|push| *push)
    }
}
