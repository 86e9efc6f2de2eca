//! A client's socket.

use std::cell::RefCell;
use std::io::{self, ErrorKind};

use campanile_common::Codec;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What may wait for one client; more ends its connection.
const MOST_WAITING: usize = 64 << 20;

/// A socket, and what it did not take: a frame that was begun must be ended, and nothing may overtake it.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) codec: Codec,
    waiting: RefCell<Vec<u8>>,
    /// Told when something begins to wait, and when the connection must end.
    stirred: Notify,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, codec: Codec) -> Self {
        Self {
            stream,
            codec,
            waiting: RefCell::default(),
            stirred: Notify::new(),
        }
    }

    /// Writes a frame at once, as far as the socket takes it.
    pub(super) fn send(&self, frame: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        let written = if waiting.is_empty() {
            // An error shows again when the rest is written.
            self.stream.try_write(frame).unwrap_or(0)
        } else {
            0
        };
        if written < frame.len() {
            waiting.extend(&frame[written..]);
            self.stirred.notify_one();
        }
    }

    /// Sends what waits, whenever the socket takes it. Ends with an error only, a client that is far too slow being one.
    pub(super) async fn flush(&self) -> io::Error {
        loop {
            self.stirred.notified().await;
            while !self.waiting.borrow().is_empty() {
                tokio::select! {
                    biased;
                    writable = self.stream.writable() => {
                        if let Err(error) = writable.and_then(|()| self.write_waiting()) {
                            return error;
                        }
                    }
                    () = self.stirred.notified() => {}
                }
                if self.waiting.borrow().len() > MOST_WAITING {
                    return ErrorKind::StorageFull.into();
                }
            }
        }
    }

    fn write_waiting(&self) -> io::Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        match self.stream.try_write(&waiting) {
            Ok(written) => drop(waiting.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
