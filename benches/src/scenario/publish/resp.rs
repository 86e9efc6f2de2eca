//! As much of Redis' protocol as the references need, without anything that would cost them time.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::Failure;
use crate::target::Shard;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest text that is read.
const LONGEST: usize = 16 << 20;

/// A connection, used by a thread of its own.
#[derive(Debug)]
pub(super) struct Resp {
    reader: BufReader<TcpStream>,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Integer(i64),
    Text(Vec<u8>),
    Array(Vec<Reply>),
    Error(String),
}

/// Host and port of a shard; `None` where one needs a name and a password, or TLS, to get in.
pub(super) fn address(shard: &Shard) -> Option<&str> {
    let rest = shard.url.strip_prefix("redis://")?;
    let address = rest.split('/').next()?;
    (!address.contains('@')).then_some(address)
}

/// Appends a command.
pub(super) fn command<T: AsRef<[u8]>>(out: &mut Vec<u8>, words: &[T]) {
    let head = |mark: char, length: usize, out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{mark}{length}\r\n").as_bytes());
    };
    head('*', words.len(), out);
    for word in words {
        head('$', word.as_ref().len(), out);
        out.extend_from_slice(word.as_ref());
        out.extend_from_slice(b"\r\n");
    }
}

impl Resp {
    /// Connects to `host:port`.
    pub(super) fn connect(address: &str) -> io::Result<Self> {
        let addresses = address.to_socket_addrs()?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    let reader = BufReader::with_capacity(1 << 16, stream);
                    return Ok(Self { reader });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends commands that are encoded already.
    pub(super) fn send(&mut self, commands: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(commands)
    }

    /// Sends a command and waits for its answer; an error is one.
    pub(super) fn ask<T: AsRef<[u8]>>(&mut self, words: &[T]) -> io::Result<Reply> {
        let mut encoded = Vec::new();
        command(&mut encoded, words);
        self.send(&encoded)?;
        match self.reply()? {
            Reply::Error(error) => Err(malformed(error)),
            reply => Ok(reply),
        }
    }

    /// The next answer.
    pub(super) fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (mark, rest) = line
            .split_at_checked(1)
            .ok_or_else(|| malformed("an empty line"))?;
        let number = || {
            rest.parse::<i64>()
                .map_err(|_| malformed("no number where one belongs"))
        };
        match mark {
            "+" => Ok(Reply::Text(rest.as_bytes().to_vec())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Integer(number()?)),
            "$" => match usize::try_from(number()?) {
                Ok(length) => Ok(Reply::Text(self.text(length)?)),
                Err(_) => Ok(Reply::Nothing),
            },
            "*" => match usize::try_from(number()?) {
                Ok(length) => (0..length)
                    .map(|_| self.reply())
                    .collect::<io::Result<_>>()
                    .map(Reply::Array),
                Err(_) => Ok(Reply::Nothing),
            },
            _ => Err(malformed("an unknown kind of answer")),
        }
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        (&mut self.reader).take(limit).read_until(b'\n', &mut line)?;
        let line = line.strip_suffix(b"\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn text(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > LONGEST {
            return Err(malformed("an answer that is too long"));
        }
        let mut text = vec![0; length + 2];
        self.reader.read_exact(&mut text)?;
        text.truncate(length);
        Ok(text)
    }
}

/// A thread's work, with what it failed of in front.
pub(super) async fn apart<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Failure::run(format!("{what}: {error}"))),
        Err(error) => Err(Failure::run(format!("{what}: {error}"))),
    }
}

pub(super) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn commands_and_answers_are_as_redis_has_them() {
        let mut out = Vec::new();
        command(&mut out, &["SET", "a", ""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(b"*3\r\n:-7\r\n$-1\r\n$2\r\n\r\n\r\n-NOSCRIPT no\r\n")
                .unwrap();
        });
        let mut resp = Resp::connect(&address).unwrap();
        let array = vec![Reply::Integer(-7), Reply::Nothing, Reply::Text(b"\r\n".to_vec())];
        assert_eq!(resp.reply().unwrap(), Reply::Array(array));
        assert_eq!(resp.reply().unwrap(), Reply::Error("NOSCRIPT no".to_owned()));
        assert!(resp.reply().is_err());
        server.join().unwrap();
    }

    #[test]
    fn only_servers_that_let_anybody_in_have_an_address() {
        let shard = |url: &str| Shard {
            name: "a".to_owned(),
            url: url.to_owned(),
        };
        assert_eq!(address(&shard("redis://127.0.0.1:7/0")), Some("127.0.0.1:7"));
        assert_eq!(address(&shard("redis://u:p@127.0.0.1:7")), None);
        assert_eq!(address(&shard("rediss://127.0.0.1:7")), None);
    }
}
