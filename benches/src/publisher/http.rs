//! As much of HTTP/1.1 as the API needs: requests one behind the other on a connection that stays open.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::Failure;
use crate::target::Target;

/// The longest answer that is read.
const LONGEST: usize = 16 << 20;

/// The longest line of a head.
const LONGEST_LINE: u64 = 16 << 10;

/// Where an API is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Host and port, to connect to.
    address: String,
    /// Between the host and the method's name.
    path: String,
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
        let base = &target.apis[number % target.apis.len()];
        let Some(rest) = base.strip_prefix("http://") else {
            return Err(Failure::usage(format!(
                "{base}: the API must be at an http:// address"
            )));
        };
        let (address, path) = rest.split_once('/').unwrap_or((rest, "api"));
        let port = if address
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        {
            ""
        } else {
            ":80"
        };
        Ok(Self {
            address: format!("{address}{port}"),
            path: format!("/{}", path.trim_end_matches('/')),
            key: target.api_key.clone(),
        })
    }

    /// Opens a connection.
    pub(super) async fn connect(self) -> Result<Http, Failure> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|error| Failure::run(format!("the API at {}: {error}", self.address)))?;
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
        let Self { address, path, key } = self;
        let length = body.len();
        let mut request = format!(
            "POST {path}/{method} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\
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
