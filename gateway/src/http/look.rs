//! What somebody who has connected wants, told from the first bytes of a request that nobody has read yet.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::task::{Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// How much of a request is looked at: a method and a path, which are short wherever it matters.
const LOOKED_AT: usize = 256;

/// What somebody who has connected wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// To be a client; or something that cannot be told.
    Connection,
    /// The answer to a request.
    Answer,
}

/// Waits until a peer says something, and leaves it where it is; `None`: it has left without a word. Clients connect at the
/// path `clients`.
pub(super) async fn look(stream: &TcpStream, clients: &str) -> io::Result<Option<Wants>> {
    // The bytes are on the stack only while there are some: who is silent binds no buffer.
    poll_fn(|cx| {
        let mut bytes = [MaybeUninit::uninit(); LOOKED_AT];
        let mut seen = ReadBuf::uninit(&mut bytes);
        let count = ready!(stream.poll_peek(cx, &mut seen))?;
        Poll::Ready(Ok((count > 0).then(|| Wants::of(seen.filled(), clients))))
    })
    .await
}

impl Wants {
    /// What the beginning of a request says. In doubt it is taken for a client's, which waits for its turn.
    fn of(head: &[u8], clients: &str) -> Self {
        match path(head) {
            Some(path) if path != clients.as_bytes() => Self::Answer,
            _ => Self::Connection,
        }
    }
}

/// The path of a request, if all of it is there.
fn path(head: &[u8]) -> Option<&[u8]> {
    let method = head.iter().position(|byte| *byte == b' ')?;
    let target = &head[method + 1..];
    let end = target.iter().position(|byte| b" ?#".contains(byte))?;
    target.starts_with(b"/").then(|| &target[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENTS: &str = "/connection/websocket";

    #[test]
    fn whoever_asks_for_another_path_wants_an_answer() {
        for head in [
            "GET /live HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /api/publish HTTP/1.1\r\n",
            "GET /live ",
            "GET /connection/websocket/ HTTP/1.1\r\n",
            "GET /connection HTTP/1.1\r\n",
            "HEAD /?next=/connection/websocket HTTP/1.1\r\n",
            "GET /api/info?key=",
        ] {
            assert_eq!(Wants::of(head.as_bytes(), CLIENTS), Wants::Answer, "{head:?}");
        }
    }

    #[test]
    fn clients_and_those_of_whom_nobody_can_tell_wait_for_their_turn() {
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for head in [
            b"GET /connection/websocket HTTP/1.1\r\nHost: h\r\n\r\n".as_slice(),
            b"GET /connection/websocket?cf_protocol=json HTTP/1.1\r\n",
            b"GET /connection/websocket#top HTTP/1.1\r\n",
            b"GET http://h/live HTTP/1.1\r\n",
            b"GET /live",
            b"GET",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[b'a'; LOOKED_AT],
            &hello,
        ] {
            let text = String::from_utf8_lossy(head);
            assert_eq!(Wants::of(head, CLIENTS), Wants::Connection, "{text:?}");
        }
    }
}
