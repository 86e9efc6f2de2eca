//! The task of a connection: frames in, batches out.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use campanile_common::CommandFrames;

use super::outbound::Next;
use super::{CloseReason, Connection};
use crate::registry::{Leaving, Permit};
use crate::transport::{End, Transport};

/// Commands that a connection may send before others get their turn.
const COMMANDS_PER_TURN: usize = 64;

/// Batches that are written to a connection before others get their turn.
const BATCHES_PER_TURN: usize = 16;

thread_local! {
    /// The batch that is about to be written; no connection keeps one.
    static BATCH: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// Carries a connection from its first frame to its last. Its place is free again when the client is gone.
///
/// This future is what an idle connection costs beside the [`Connection`] itself: it is written so that it holds
/// everything once (arguments of an `async fn` would be held twice), and the end, rare and large, is boxed.
pub fn drive<T: Transport>(
    connection: Arc<Connection>,
    transport: T,
    place: Permit,
) -> impl Future<Output = ()> + Send {
    let mut driver = Driver {
        connection,
        transport: Some(transport),
        frame: None,
        place: Some(place),
    };
    async move {
        let reason = poll_fn(|cx| driver.poll(cx)).await;
        let place = driver.place.take();
        if let CloseReason::End(End::Gone(_) | End::WriteTimeout) = reason {
            let leaving = driver.let_go(&reason, place).await;
            driver.finish(&reason, leaving).await;
        } else {
            driver.finish(&reason, place).await;
        }
    }
}

struct Driver<T> {
    connection: Arc<Connection>,
    /// There until it is closed.
    transport: Option<T>,
    /// The rest of the frame that is being carried out.
    frame: Option<CommandFrames>,
    /// There as long as the client.
    place: Option<Permit>,
}

impl<T: Transport> Driver<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if let Poll::Ready(reason) = self.poll_read(cx) {
            return Poll::Ready(reason);
        }
        if let Poll::Ready(reason) = self.poll_write(cx) {
            return Poll::Ready(reason);
        }
        self.poll_lanes(cx).map(CloseReason::End)
    }

    /// Carries out commands, as long as the session accepts them.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        for _ in 0..COMMANDS_PER_TURN {
            if self.frame.is_none() {
                match ready!(self.transport().poll_recv(cx)) {
                    Ok(frame) => self.begin_frame(&frame),
                    Err(end) => return Poll::Ready(CloseReason::End(end)),
                }
            }
            // Asked last, for most of the time nothing has come, and this would be the only look at the session.
            ready!(self.connection.poll_accepts(cx));
            match self.frame.as_mut().and_then(Iterator::next) {
                Some(Ok(command)) => self.connection.handle_command(command),
                Some(Err(error)) => {
                    tracing::debug!(client = %self.connection.id, %error, "bad frame");
                    self.connection.handle_bad_frame();
                }
                None => self.frame = None,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn begin_frame(&mut self, frame: &Bytes) {
        let Connection { host, codec, .. } = &*self.connection;
        host.counters.received(*codec, frame.len());
        self.frame = Some(codec.decode_commands(frame));
    }

    /// Sends what waits, as fast as the transport takes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        for _ in 0..BATCHES_PER_TURN {
            match self.transport().poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    let Connection { host, outbound, .. } = &*self.connection;
                    host.counters.delivery.written(outbound);
                }
                Poll::Ready(Err(end)) => return Poll::Ready(CloseReason::End(end)),
                Poll::Pending => {
                    return self
                        .connection
                        .outbound
                        .poll_overflow(cx)
                        .map(CloseReason::Disconnect);
                }
            }
            if let Some(reason) = ready!(self.poll_send(cx)) {
                return Poll::Ready(reason);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends one batch, or finds that it was the last.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Option<CloseReason>> {
        BATCH.with_borrow_mut(|batch| {
            if let Next::Close(disconnect) = ready!(self.connection.outbound.poll_next(cx, batch)) {
                return Poll::Ready(Some(CloseReason::Disconnect(disconnect)));
            }
            let bytes = batch.iter().map(Bytes::len).sum();
            let counters = &self.connection.host.counters;
            counters.sent(self.connection.codec, batch.len(), bytes);
            counters.delivery.taken(&self.connection.outbound, batch);
            let sent = self.transport().start_send(cx, batch);
            batch.clear();
            Poll::Ready(sent.err().map(CloseReason::End))
        })
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Self {
            connection,
            transport,
            ..
        } = self;
        match transport {
            Some(transport) => transport.poll_lanes(cx, &connection.outbound),
            None => Poll::Pending,
        }
    }

    /// Frees what others would notice of a client that is gone and waits for no goodbye: its place and its user. The rest, closing the
    /// socket above all, waits for its turn, for thousands at once must not stand in the way of what is delivered to others.
    fn let_go(
        &mut self,
        reason: &CloseReason,
        place: Option<Permit>,
    ) -> Pin<Box<dyn Future<Output = Option<Leaving>> + Send>> {
        self.connection.unregister(reason);
        let leaving = place.map(Permit::leave);
        let host = Arc::clone(&self.connection.host);
        Box::pin(async move {
            if let Some(leaving) = &leaving {
                leaving.wait(host.exit.pass()).await;
            }
            leaving
        })
    }

    /// Undoes what was done for the connection, then tells the client. What is `held` for it is free once its socket is closed.
    fn finish(
        &mut self,
        reason: &CloseReason,
        held: impl Send + 'static,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.connection.over(reason);
        tracing::debug!(client = %self.connection.id, reason = reason.label(), "connection closed");
        let transport = self.transport.take();
        let farewell = reason.farewell();
        Box::pin(async move {
            if let Some(transport) = transport {
                transport.close(farewell).await;
            }
            drop(held);
        })
    }

    fn transport(&mut self) -> &mut T {
        self.transport
            .as_mut()
            .expect("the transport is there until it is closed")
    }
}

impl<T> Drop for Driver<T> {
    /// However the task ends, nothing of the connection stays behind.
    fn drop(&mut self) {
        self.connection.over(&CloseReason::Aborted);
    }
}
