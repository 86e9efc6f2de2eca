//! A network namespace with a thread in it.

use std::future::Future;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread::{Builder, JoinHandle};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task;

use super::relay::{DEVICE, PREFIX};

/// One side of a link: a thread in a namespace, with a runtime.
///
/// Dropping it ends its tasks.
#[derive(Debug)]
pub struct Namespace {
    handle: Handle,
    // Dropped before the thread is waited for, which ends it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Starts a thread in the namespace of the calling one, which has just made it.
    pub(super) fn begin(name: &str) -> Result<Self> {
        ip(&["link", "set", "lo", "up"])?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        // A thread begins in its maker's namespace, and so do the threads and the processes that it starts.
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            // Nothing is ever sent: the other half is dropped.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Runs a future in the namespace, on its one thread, and waits for the end.
    ///
    /// # Panics
    /// When the future does.
    pub async fn run<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self.spawn(future).await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => panic!("the namespace has ended: {error}"),
            },
        }
    }

    /// Starts a future in the namespace, on its one thread.
    pub fn spawn<F>(&self, future: F) -> task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.handle.spawn(future)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its tasks' panics are told to those who wait for them; the thread itself has none.
            let _ = thread.join();
        }
    }
}

/// Takes the address `from` away from the side in whose namespace this is called, and gives it `to`, as a change of networks
/// does: for a moment there is none.
pub fn change_address(from: Ipv4Addr, to: Ipv4Addr) -> Result<()> {
    let with_prefix = |address| format!("{address}/{PREFIX}");
    ip(&["address", "delete", &with_prefix(from), "dev", DEVICE])?;
    ip(&["address", "add", &with_prefix(to), "dev", DEVICE])
}

/// Calls `ip` in the namespace of this thread.
fn ip(arguments: &[&str]) -> Result<()> {
    let status = Command::new("ip")
        .args(arguments)
        .status()
        .context("starting `ip` (of Debian's package iproute2)")?;
    ensure!(status.success(), "`ip {}`: {status}", arguments.join(" "));
    Ok(())
}
