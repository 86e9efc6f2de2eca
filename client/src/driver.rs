//! The task behind a client: joins the machine to a transport, to the clock, and to the application's token sources.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use campanile_common::Codec;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, Aborted, BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::protocol::{Attempt, NoToken, Ticket, TokenOwner};
use crate::shared::{DialOrder, Shared, Work};
use crate::token::TokenSource;
use crate::transport::{Dial, DialContext, Transport};
use crate::{Closed, OpenError};

/// How long a transport may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Replies taken in at once, before anything else gets its turn.
const RECEIVED_AT_ONCE: usize = 64;

/// Bytes of commands that go into one frame. Servers have limits for a frame.
const FRAME: usize = 16 * 1024;

/// Rounds before other tasks of the thread get their turn.
const ROUNDS: usize = 16;

type Opening = BoxFuture<'static, Result<Box<dyn Transport>, OpenError>>;
type Fetching = BoxFuture<'static, (TokenOwner, Ticket, Result<String, NoToken>)>;

/// The task.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    dialer: Arc<dyn Dial>,
    codec: Codec,
    token_source: Option<TokenSource>,
    transport: Option<Box<dyn Transport>>,
    /// A command that did not go into the last frame.
    held: Option<Bytes>,
    opening: Option<(Attempt, Opening)>,
    closing: Option<Goodbye>,
    tokens: FuturesUnordered<Abortable<Fetching>>,
    /// The present question to each owner of tokens; an older one is dropped.
    questions: HashMap<TokenOwner, AbortHandle>,
    timer: Pin<Box<Sleep>>,
}

/// A transport that is being closed.
struct Goodbye {
    transport: Box<dyn Transport>,
    closed: Closed,
    limit: Pin<Box<Sleep>>,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        dialer: Arc<dyn Dial>,
        codec: Codec,
        token_source: Option<TokenSource>,
    ) -> Self {
        Self {
            shared,
            dialer,
            codec,
            token_source,
            transport: None,
            held: None,
            opening: None,
            closing: None,
            tokens: FuturesUnordered::new(),
            questions: HashMap::new(),
            timer: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// One round. Ready if there was anything to do, so that another round may find more.
    fn poll_round(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = self.take_work();
        busy |= self.poll_opening(cx).is_ready();
        busy |= self.poll_tokens(cx).is_ready();
        busy |= self.poll_receive(cx).is_ready();
        busy |= self.poll_timer(cx).is_ready();
        busy |= self.poll_send(cx).is_ready();
        busy
    }

    fn take_work(&mut self) -> bool {
        let Work { close, dial, tokens } = self.shared.drive(|core, _| std::mem::take(&mut core.work));
        let busy = close.is_some() || dial.is_some() || !tokens.is_empty();
        if let Some(closed) = close {
            self.opening = None;
            // A goodbye that is under way goes on.
            if let Some(transport) = self.transport.take() {
                self.closing = Some(Goodbye {
                    transport,
                    closed,
                    limit: Box::pin(sleep(GOODBYE)),
                });
            }
        }
        if let Some(order) = dial {
            self.open(&order);
        }
        for (owner, ticket) in tokens {
            self.fetch(owner, ticket);
        }
        busy
    }

    fn open(&mut self, order: &DialOrder) {
        let context = DialContext::new(self.codec, Instant::from_std(order.deadline))
            .with_first(self.codec.encode_command(&order.connect));
        let dialer = Arc::clone(&self.dialer);
        let opening = async move { dialer.dial(context).await }.boxed();
        self.opening = Some((order.attempt, opening));
    }

    fn fetch(&mut self, owner: TokenOwner, ticket: Ticket) {
        let source = match owner {
            TokenOwner::Connection => self.token_source.clone(),
            TokenOwner::Subscription(id) => self.shared.drive(|core, _| core.token_source(id)),
        };
        let fetching = async move {
            let answer = match source {
                Some(source) => source().await,
                None => Err(NoToken::Unauthorized),
            };
            (owner, ticket, answer)
        };
        let (handle, registration) = AbortHandle::new_pair();
        self.tokens.push(Abortable::new(fetching.boxed(), registration));
        if let Some(older) = self.questions.insert(owner, handle) {
            older.abort();
        }
    }

    fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((attempt, opening)) = &mut self.opening else {
            return Poll::Pending;
        };
        let attempt = *attempt;
        let opened = ready!(opening.poll_unpin(cx));
        self.opening = None;
        match opened {
            Ok(transport) => {
                let kind = transport.kind();
                if self
                    .shared
                    .drive(|core, now| core.machine.opened(now, attempt, kind))
                {
                    self.transport = Some(transport);
                    self.held = None;
                }
            }
            Err(error) => self
                .shared
                .drive(|core, now| core.machine.open_failed(now, attempt, error)),
        }
        Poll::Ready(())
    }

    fn poll_tokens(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(answer) = ready!(self.tokens.poll_next_unpin(cx)) {
            let Ok((owner, ticket, answer)) = answer.map_err(|Aborted| ()) else {
                continue;
            };
            self.questions.remove(&owner);
            self.shared
                .drive(|core, now| core.machine.token(now, owner, ticket, answer));
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(transport) = &mut self.transport else {
            return Poll::Pending;
        };
        let mut received = Vec::new();
        let mut end = None;
        while received.len() < RECEIVED_AT_ONCE {
            match transport.poll_recv(cx) {
                Poll::Ready(Ok(incoming)) => received.push(incoming),
                Poll::Ready(Err(closed)) => {
                    end = Some(closed);
                    break;
                }
                Poll::Pending if received.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        self.shared.drive(|core, now| {
            // If the machine is done with this transport, it is not interested in what that brings.
            if core.work.close.is_none() {
                for incoming in received {
                    core.machine.received(now, incoming);
                }
            }
        });
        if let Some(closed) = end {
            self.lose(&closed);
        }
        Poll::Ready(())
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.shared.drive(|core, _| core.machine.next_timeout()) else {
            return Poll::Pending;
        };
        let at = Instant::from_std(at);
        if self.timer.deadline() != at {
            self.timer.set(sleep_until(at));
        }
        ready!(self.timer.as_mut().poll(cx));
        self.shared.drive(|core, now| core.machine.timeout(now));
        Poll::Ready(())
    }

    /// Hands commands to the transport as long as it has room.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(transport) = &mut self.transport else {
            return Poll::Pending;
        };
        let mut sent = false;
        let outcome = loop {
            match transport.poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(closed)) => break Err(closed),
                Poll::Pending => break Ok(()),
            }
            let Some(frame) = next_frame(&self.shared, self.codec, &mut self.held) else {
                break Ok(());
            };
            sent = true;
            if let Err(closed) = transport.start_send(frame) {
                break Err(closed);
            }
        };
        let flushed = outcome.and_then(|()| match transport.poll_flush(cx) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Ok(()),
        });
        match flushed {
            Err(closed) => self.lose(&closed),
            Ok(()) if !sent => return Poll::Pending,
            Ok(()) => {}
        }
        Poll::Ready(())
    }

    fn lose(&mut self, closed: &Closed) {
        self.transport = None;
        self.shared.drive(|core, now| {
            if core.work.close.is_none() {
                core.machine.closed(now, closed);
            }
        });
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>) {
        if let Some(goodbye) = &mut self.closing {
            let Closed { code, reason } = &goodbye.closed;
            let said = goodbye.transport.poll_close(cx, *code, reason).is_ready();
            if said || goodbye.limit.as_mut().poll(cx).is_ready() {
                self.closing = None;
            }
        }
    }
}

/// What commands there are, as far as they go into one frame; one that does not is held for the next. A command that is
/// larger than that is a frame by itself.
fn next_frame(shared: &Shared, codec: Codec, held: &mut Option<Bytes>) -> Option<Bytes> {
    shared.drive(|core, _| {
        if core.work.close.is_some() {
            return None;
        }
        let mut next = || Some(codec.encode_command(&core.machine.poll_command()?));
        let mut frame = BytesMut::from(held.take().or_else(&mut next)?);
        while frame.len() < FRAME {
            match next() {
                Some(command) if frame.len() + command.len() > FRAME => {
                    *held = Some(command);
                    break;
                }
                Some(command) => frame.extend_from_slice(&command),
                None => break,
            }
        }
        Some(frame.freeze())
    })
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.waker.register(cx.waker());
        let mut rounds = 0;
        while self.poll_round(cx) {
            rounds += 1;
            if rounds == ROUNDS {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.poll_goodbye(cx);
        if self.closing.is_none()
            && self
                .shared
                .drive(|core, _| core.leaving && core.work.close.is_none())
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.drive(|core, now| core.end(now));
    }
}
