//! Where those who return live: on threads that stand back behind everything else.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads whose clients wait for a core until nobody else on the machine wants it, as those of other machines would.
pub(super) struct Crowd(Option<Runtime>);

impl Crowd {
    /// Starts the threads, with this niceness (0: like the others, to 19).
    pub(super) fn start(nice: i32) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .on_thread_start(move || stand_back(nice))
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where to start its clients.
    pub(super) fn handle(&self) -> Handle {
        match &self.0 {
            Some(runtime) => runtime.handle().clone(),
            None => Handle::current(),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Whoever is in the midst of asynchronous code must not wait for threads.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Of the calling thread alone: for Linux niceness is a thread's.
fn stand_back(nice: i32) {
    // Everybody may stand back; only who wants to come forward is refused.
    let _ = rustix::process::setpriority_process(None, nice);
}
