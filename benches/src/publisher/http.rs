//! As much of HTTP/1.1 as the API needs: requests one behind the other on a connection that stays open.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::Failure;
use crate::target::{Api, Target};

/// The longest answer that is read.
const LONGEST: usize = 16 << 20;

/// The longest line of a head.
const LONGEST_LINE: u64 = 16 << 10;

/// How long a server may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where an API is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    api: Api,
    key: String,
}

/// An open connection to an API.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) server: Server,
    pub(super) read: BufReader<OwnedReadHalf>,
    pub(super) write: OwnedWriteHalf,
}

impl Server {
    /// One of the target's APIs, in turns.
    pub(super) fn of(target: &Target, number: usize) -> Result<Self, Failure> {
        Ok(Self {
            api: target.apis[number % target.apis.len()].parse()?,
            key: target.api_key.clone(),
        })
    }

    /// Opens a connection.
    pub(super) async fn connect(self) -> Result<Http, Failure> {
        let address = self.api.address();
        let unreachable = |why: &str| Failure::run(format!("the API at {address}: {why}"));
        let stream = match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(&error.to_string())),
            Err(_) => return Err(unreachable("nobody answers")),
        };
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        Ok(Http {
            server: self,
            read: BufReader::new(read),
            write,
        })
    }

    /// A request that calls `method` with `body`.
    pub(super) fn request(&self, method: &str, body: &[u8]) -> Vec<u8> {
        let (address, path, key) = (self.api.address(), self.api.path(method), &self.key);
        let length = body.len();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// The next answer: its status and its body.
pub(super) async fn answer(read: &mut BufReader<OwnedReadHalf>) -> std::io::Result<(u16, Vec<u8>)> {
    let status = line(read).await?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| malformed("no status"))?;
    let mut length = None;
    let mut chunked = false;
    loop {
        let header = line(read).await?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| malformed("a header without a colon"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = line(read).await?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| malformed("a chunk without a size"))?;
            extend(read, &mut body, size).await?;
            line(read).await?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = length.ok_or_else(|| malformed("neither a length nor chunks"))?;
        extend(read, &mut body, length).await?;
    }
    Ok((status, body))
}

/// The next line without its end.
async fn line(read: &mut BufReader<OwnedReadHalf>) -> std::io::Result<String> {
    let mut line = String::new();
    read.take(LONGEST_LINE).read_line(&mut line).await?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
        None => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn extend(read: &mut BufReader<OwnedReadHalf>, body: &mut Vec<u8>, by: usize) -> std::io::Result<()> {
    let from = body.len();
    if from.saturating_add(by) > LONGEST {
        return Err(malformed("the answer is too long"));
    }
    body.resize(from + by, 0);
    read.read_exact(&mut body[from..]).await.map(drop)
}

fn malformed(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}
