//! The bare reference: the least that a server can do for a fan-out, to compare Campanile with.
//!
//! One thread, and for each publication a plain loop that writes the ready frame to each subscribed socket: one write a
//! message, or one for up to `coalesce` messages that wait. It speaks enough of the client protocol (connect, subscribe,
//! publish, in all codecs) and of the HTTP API (`publish`, `batch`) that the scenarios run against it with all their
//! checks. No permissions, streams, pings, budgets, shards, or metrics: what it costs is what the system calls cost.
//!
//! * [`connection`]: from an accepted socket to a client or an API caller; [`handshake`] and [`frame`]: what WebSocket asks for.
//! * [`commands`]: the answers to clients, [`api`]: to callers.
//! * [`rooms`]: who is subscribed to what, and the loop.
//! * [`socket`]: a client's socket, with what it did not take yet.
//! * [`child`]: the server as a process of its own, as a run starts it.
//!
//! Tests make it break its word on purpose ([`Fault`]): a check that cannot fail holds nothing.

mod api;
mod child;
mod commands;
mod connection;
mod frame;
mod handshake;
mod head;
mod rooms;
mod socket;

use std::net::SocketAddr;
use std::rc::Rc;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use crate::Failure;
pub use child::Bare;
use rooms::Rooms;

/// What a bare server is started with.
#[derive(Clone, Copy, Debug, Args)]
pub struct Options {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Messages that go out in one write at most, if they wait together
    #[arg(long, default_value_t = 1)]
    pub coalesce: usize,
    /// A promise that it breaks, to try the checks
    #[arg(long)]
    pub fault: Option<Fault>,
}

/// A way to break what a fan-out promises, or to make it hard to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Some messages are not sent.
    Lose,
    /// Some are sent twice.
    Double,
    /// Some change places with the one behind them.
    Swap,
    /// Some change places with those of the same number in the channel beside theirs.
    Misroute,
    /// No publication is accepted.
    Refuse,
    /// Some subscriptions are refused at first, for now.
    Busy,
}

/// What it says, before the address, once it listens.
pub(crate) const LISTENING: &str = "listening on ";

/// Serves until the process ends. `ready` is told the address once it listens.
///
/// It makes a runtime of its own, for the process should have one thread only: the kernel shares less then.
pub fn serve(options: Options, ready: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    LocalSet::new().block_on(&runtime, accept(options, ready))
}

/// The same, telling the address on standard output.
pub fn serve_and_tell(options: Options) -> Result<(), Failure> {
    use std::io::Write as _;
    serve(options, |address| {
        // Who started this and does not read has no use for it either.
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{LISTENING}{address}").and_then(|()| out.flush());
    })
}

async fn accept(options: Options, ready: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    let listener = TcpListener::bind(options.listen).await?;
    ready(listener.local_addr()?);
    let rooms = Rc::new(Rooms::new(options.coalesce, options.fault));
    loop {
        let (stream, _) = listener.accept().await?;
        // One that has gone already ends by itself.
        let _ = stream.set_nodelay(true);
        spawn_local(connection::serve(stream, Rc::clone(&rooms)));
    }
}

#[cfg(test)]
mod tests;
