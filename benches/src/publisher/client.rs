//! Publishing as a client.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use campanile_client::Closed;
use campanile_client::transport::Dial;
use campanile_common::message::PublishRequest;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Item;
use super::account::Account;
use crate::Failure;
use crate::check::{Fate, Ledger};
use crate::client::{Connection, Event};
use crate::payload::Label;
use crate::run::Run;

/// How long the server may take to open a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publications that may be without an answer. Others wait in the queue until some are answered.
const WINDOW: usize = 4_096;

/// Bytes that may wait until the network takes them; meanwhile others wait in the queue.
const UNSENT: usize = 1 << 20;

/// Numbers of publishing clients begin here, so that they are none of the swarm's.
const NUMBERS: usize = 1 << 30;

/// One publishing client.
pub(super) struct Lane {
    run: Run,
    number: usize,
    dialer: Arc<dyn Dial>,
    connection: Connection<Label>,
}

impl Lane {
    /// Connects publishing client `number` of this worker.
    pub(super) async fn connect(run: &Run, number: usize) -> Result<Self, Failure> {
        let target = run.target();
        let number = NUMBERS + run.share().index * run.plan().load.publishers + number;
        let dialer = target.dialer(&target.urls[number % target.urls.len()], None)?;
        Ok(Self {
            connection: open(run, &*dialer, number).await?,
            run: run.clone(),
            number,
            dialer,
        })
    }

    /// Publishes until there is nothing more, and all is answered or time is up.
    pub(super) async fn publish(mut self, mut items: mpsc::Receiver<Item>, mut account: Account) -> Ledger {
        let mut time_is_up = pin!(account.over());
        let window = account.window(WINDOW, account.batch());
        loop {
            let are_over = items.is_closed() && items.is_empty();
            if are_over && self.connection.waiting() == 0 {
                break;
            }
            let room = self.connection.waiting() < window && self.connection.unsent() < UNSENT;
            let event = tokio::select! {
                item = items.recv(), if room && !are_over => {
                    if let Some(item) = item {
                        self.send(&item, &mut account);
                    }
                    continue;
                }
                event = poll_fn(|cx| self.connection.poll(cx, false)) => event,
                () = &mut time_is_up => break,
            };
            if self.take(event, &mut account).await.is_break() {
                break;
            }
        }
        give_up(self.connection, &mut account);
        account.finish(None, items)
    }

    /// Takes what came; an end, if the server does not let this client come back.
    async fn take(&mut self, event: Result<Event<Label>, Closed>, account: &mut Account) -> ControlFlow<()> {
        match event {
            Ok(Event::Answer(label, reply)) => match reply.error {
                None => account.settled(&label, Fate::Accepted),
                Some(error) => account.refused(&label, &format!("{} ({})", error.message, error.code)),
            },
            Ok(Event::Push(..)) => {}
            Err(_) => {
                let Ok(connection) = open(&self.run, &*self.dialer, self.number).await else {
                    return ControlFlow::Break(());
                };
                let broken = std::mem::replace(&mut self.connection, connection);
                give_up(broken, account);
            }
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self, item: &Item, account: &mut Account) {
        account.sent(item);
        let request = PublishRequest {
            channel: item.name.as_ref().to_owned(),
            data: account.payload(&item.label),
            ..PublishRequest::default()
        };
        self.connection.ask(request, item.label);
    }
}

/// Nobody will say what became of what has no answer.
fn give_up(connection: Connection<Label>, account: &mut Account) {
    for label in connection.into_unanswered() {
        account.settled(&label, Fate::Unknown);
    }
}

async fn open(run: &Run, dialer: &dyn Dial, number: usize) -> Result<Connection<Label>, Failure> {
    let target = run.target();
    let deadline = Instant::now() + PATIENCE;
    let opening = Connection::open(dialer, target.codec.into(), target.token(number), deadline);
    Ok(opening.await?)
}
