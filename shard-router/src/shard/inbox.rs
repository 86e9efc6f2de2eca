//! The bounded queue between a Pub/Sub link and the task that hands its messages to the router.
//!
//! A message that does not fit breaks the link: nothing behind a gap is ever delivered as if there were none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

/// The end into which messages are put; never waits.
pub(crate) struct Inbox<T> {
    sender: Mutex<Option<mpsc::Sender<Item<T>>>>,
    gauge: Arc<Gauge>,
    closed: Notify,
    overflowed: AtomicBool,
}

/// The end from which they are taken.
pub(crate) struct InboxReader<T> {
    receiver: mpsc::Receiver<Item<T>>,
    gauge: Arc<Gauge>,
}

enum Item<T> {
    /// With its size.
    Message(T, usize),
    /// Told when everything before it has been taken and handled.
    Passed(oneshot::Sender<()>),
}

struct Gauge {
    bytes: AtomicUsize,
    limit: usize,
}

/// An inbox for `messages` messages of `bytes` bytes together; a single larger message still goes through an empty
/// one.
pub(crate) fn inbox<T>(messages: usize, bytes: usize) -> (Arc<Inbox<T>>, InboxReader<T>) {
    let (sender, receiver) = mpsc::channel(messages.max(1));
    let gauge = Arc::new(Gauge {
        bytes: AtomicUsize::new(0),
        limit: bytes,
    });
    let inbox = Inbox {
        sender: Mutex::new(Some(sender)),
        gauge: Arc::clone(&gauge),
        closed: Notify::new(),
        overflowed: AtomicBool::new(false),
    };
    (Arc::new(inbox), InboxReader { receiver, gauge })
}

impl<T> Inbox<T> {
    /// Puts a message in; one that does not fit closes the inbox.
    pub(crate) fn push(&self, message: T, size: usize) {
        let mut sender = self.sender.lock();
        let Some(open) = sender.as_ref() else { return };
        let waiting = self.gauge.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = waiting == 0 || waiting.saturating_add(size) <= self.gauge.limit;
        if fits && open.try_send(Item::Message(message, size)).is_ok() {
            return;
        }
        *sender = None;
        self.overflowed.store(true, Ordering::Relaxed);
        self.closed.notify_one();
    }

    /// Resolves once all that is inside now has been taken and handled: the reader has asked for what follows it. False
    /// if it was closed before.
    pub(crate) async fn passed(&self) -> bool {
        let sender = self.sender.lock().clone();
        let Some(sender) = sender else { return false };
        let (passed, told) = oneshot::channel();
        if sender.send(Item::Passed(passed)).await.is_err() {
            return false;
        }
        drop(sender);
        told.await.is_ok()
    }

    /// Lets nothing more in; what is inside can still be taken.
    pub(crate) fn close(&self) {
        self.sender.lock().take();
        self.closed.notify_one();
    }

    /// Resolves once the inbox has been closed or has overflowed. For one waiter.
    pub(crate) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Whether nothing more gets in.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.lock().is_none()
    }

    /// Whether a message did not fit.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed)
    }
}

impl<T> InboxReader<T> {
    /// The next message; `None` when the inbox is closed and empty. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        loop {
            match self.receiver.recv().await? {
                Item::Message(message, size) => {
                    self.gauge.bytes.fetch_sub(size, Ordering::Relaxed);
                    return Some(message);
                }
                // Nobody may wait for it any more.
                Item::Passed(passed) => drop(passed.send(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_closes_the_inbox_behind_what_did() {
        let (inbox, mut reader) = inbox(10, 100);
        inbox.push('a', 60);
        inbox.push('b', 60);
        inbox.closed().await;
        assert!(inbox.overflowed());
        inbox.push('c', 1);
        assert_eq!(reader.next().await, Some('a'));
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test]
    async fn the_count_is_bounded_too() {
        let (inbox, mut reader) = inbox(2, 100);
        for letter in ['a', 'b', 'c'] {
            inbox.push(letter, 1);
        }
        assert!(inbox.overflowed());
        assert_eq!(reader.next().await, Some('a'));
        assert_eq!(reader.next().await, Some('b'));
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_inside_has_passed_when_the_reader_asks_for_more() {
        let (inbox, mut reader) = inbox(1, 100);
        inbox.push('a', 1);
        let passing = inbox.passed();
        tokio::pin!(passing);
        let soon = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, &mut passing).await.is_err());
        assert_eq!(reader.next().await, Some('a'));
        assert!(
            tokio::time::timeout(soon, &mut passing).await.is_err(),
            "it is not handled yet"
        );
        let more = tokio::time::timeout(soon, reader.next());
        assert!(tokio::join!(passing, more).0);
        inbox.close();
        assert!(!inbox.passed().await);
    }

    #[tokio::test]
    async fn what_was_taken_makes_room_and_one_large_message_passes() {
        let (inbox, mut reader) = inbox(2, 100);
        for letter in ['a', 'b', 'c'] {
            inbox.push(letter, 1000);
            assert_eq!(reader.next().await, Some(letter));
        }
        assert!(!inbox.overflowed());
    }
}
