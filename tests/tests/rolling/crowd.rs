//! The clients, and what becomes of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use campanile_client::{
    Client, ClientEvent, ClientEvents, SubscriptionEvent, SubscriptionEvents, connecting, subscribing,
};
use campanile_common::DisconnectCode;
use campanile_tests::token;
use campanile_tests::wait::eventually;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::PATIENCE;
use super::fleet::{Fleet, Way};

/// Clients that begin to connect at once.
const AT_ONCE: usize = 200;

/// One in so many comes over QUIC.
const QUIC: usize = 10;

/// The name of a channel.
pub(crate) fn channel(index: usize) -> String {
    format!("room:{index}")
}

/// Which of so many channels a client listens to. Those over QUIC are spread as evenly as the others.
const fn channel_of(client: usize, channels: usize) -> usize {
    (client / QUIC + client) % channels
}

/// All clients.
pub(crate) struct Crowd {
    seen: Arc<Seen>,
    channels: usize,
    /// Ends with the crowd, and the clients with it.
    _tasks: JoinSet<()>,
}

/// What all of them have seen.
#[derive(Default)]
struct Seen {
    /// How many are subscribed.
    there: AtomicUsize,
    /// How often a client was told that its gateway ends.
    sent_away: AtomicUsize,
    /// The number that each client was last given.
    last: Vec<AtomicU64>,
    /// The first thing that should not have been.
    fault: Mutex<Option<String>>,
}

/// One client.
struct Member {
    index: usize,
    quic: bool,
    is_there: bool,
    was_there: bool,
    seen: Arc<Seen>,
}

impl Crowd {
    /// Connects so many clients and subscribes them, each to one of the channels.
    pub(crate) async fn gather(fleet: &Arc<Fleet>, clients: usize, channels: usize) -> Result<Self> {
        let seen = Arc::new(Seen {
            last: (0..clients).map(|_| AtomicU64::new(0)).collect(),
            ..Seen::default()
        });
        let mut tasks = JoinSet::new();
        let token = token::connection("reader");
        for index in 0..clients {
            let quic = index % QUIC == 0;
            let way = Way {
                fleet: Arc::clone(fleet),
                quic,
            };
            let client = Client::with_dialer(way)
                .token(token.clone())
                .timeout(PATIENCE)
                .max_ping_delay(PATIENCE)
                .reconnect_delay(Duration::from_millis(100), Duration::from_secs(2))
                .build()?;
            let subscription = client
                .subscription(channel(channel_of(index, channels)))
                .recoverable()
                .build()?;
            let member = Member {
                index,
                quic,
                is_there: false,
                was_there: false,
                seen: Arc::clone(&seen),
            };
            tasks.spawn(member.follow(client.events(), subscription.events()));
            client.connect();
            subscription.subscribe();
            if (index + 1) % AT_ONCE == 0 || index + 1 == clients {
                eventually("they are all there", PATIENCE, || async {
                    seen.there.load(Ordering::Relaxed) == index + 1
                })
                .await;
            }
        }
        ensure!(seen.fault.lock().is_none(), "{:?}", seen.fault.lock());
        Ok(Self {
            seen,
            channels,
            _tasks: tasks,
        })
    }

    /// How often clients were told that their gateway ends, all in all.
    pub(crate) fn sent_away(&self) -> usize {
        self.seen.sent_away.load(Ordering::Relaxed)
    }

    /// Whether all are subscribed.
    pub(crate) fn are_all_there(&self) -> bool {
        self.seen.there.load(Ordering::Relaxed) == self.seen.last.len()
    }

    /// Whether every client has been given the last of its channel.
    pub(crate) fn have_received(&self, published: &[u64]) -> bool {
        let mut clients = self.seen.last.iter().enumerate();
        clients
            .all(|(index, last)| last.load(Ordering::Relaxed) == published[channel_of(index, self.channels)])
    }

    /// The first thing that should not have been.
    pub(crate) fn fault(&self) -> Option<String> {
        self.seen.fault.lock().clone()
    }
}

impl Member {
    /// The streams of events keep the client alive.
    async fn follow(mut self, mut client: ClientEvents, mut subscription: SubscriptionEvents) {
        loop {
            let judged = tokio::select! {
                Some(event) = client.recv() => self.connection(&event),
                Some(event) = subscription.recv() => self.subscription(event),
                else => return,
            };
            if let Err(fault) = judged {
                let mut first = self.seen.fault.lock();
                first.get_or_insert_with(|| format!("client {}: {fault}", self.index));
            }
        }
    }

    fn connection(&self, event: &ClientEvent) -> Result<()> {
        // The packet that says why may get lost. Then the end of its stream is all that a client hears.
        let ends = |code: u32| {
            code == DisconnectCode::Shutdown.code() || self.quic && code == connecting::TRANSPORT_CLOSED
        };
        match event {
            ClientEvent::Connecting(reason) if ends(reason.code) => {
                self.seen.sent_away.fetch_add(1, Ordering::Relaxed);
            }
            ClientEvent::Connecting(reason) => ensure!(reason.code == connecting::CONNECT_CALLED, "{reason}"),
            // An attempt that failed is followed by another.
            ClientEvent::Connected(_) | ClientEvent::Error(_) => {}
            other => bail!("{other:?}"),
        }
        Ok(())
    }

    fn subscription(&mut self, event: SubscriptionEvent) -> Result<()> {
        match event {
            SubscriptionEvent::Subscribed(subscribed) => {
                let is_whole = subscribed.was_recovering && subscribed.recovered;
                ensure!(!self.was_there || is_whole, "{subscribed:?}");
                (self.is_there, self.was_there) = (true, true);
                self.seen.there.fetch_add(1, Ordering::Relaxed);
            }
            SubscriptionEvent::Subscribing(reason) => {
                if std::mem::take(&mut self.is_there) {
                    self.seen.there.fetch_sub(1, Ordering::Relaxed);
                    ensure!(reason.code == subscribing::TRANSPORT_CLOSED, "{reason}");
                }
            }
            SubscriptionEvent::Publication(publication) => {
                let number: u64 = publication.json()?;
                let last = self.seen.last[self.index].swap(number, Ordering::Relaxed);
                ensure!(number == last + 1, "{number} came after {last}");
            }
            SubscriptionEvent::Error(_) => {}
            other => bail!("{other:?}"),
        }
        Ok(())
    }
}
