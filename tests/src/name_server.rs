//! A name server that knows a headless service: the SRV records of whatever pods there are at the moment. On UDP, and, for what
//! does not fit there, on TCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

/// What may be sent over UDP to somebody who has not asked for more.
const DATAGRAM: usize = 512;

/// As long as cluster DNS servers let answers be remembered.
const TTL: u32 = 5;

/// A name server. Ends when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    hosts: Arc<Mutex<Vec<(String, u16)>>>,
    serving: [JoinHandle<()>; 2],
}

impl NameServer {
    /// Starts a server that lists these hosts and ports behind the service `name`, and knows no other name.
    pub async fn start(name: &str, hosts: Vec<(String, u16)>) -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), name, hosts).await
    }

    /// Starts it at an address of the caller's choice.
    pub async fn start_at(address: SocketAddr, name: &str, hosts: Vec<(String, u16)>) -> Result<Self> {
        let (socket, listener) = bind(address).await?;
        let address = socket.local_addr()?;
        let hosts = Arc::new(Mutex::new(hosts));
        let service = Arc::new(Service {
            name: Name::from_ascii(name)?,
            hosts: Arc::clone(&hosts),
        });
        let serving = [
            tokio::spawn(serve(socket, Arc::clone(&service))),
            tokio::spawn(serve_streams(listener, service)),
        ];
        Ok(Self {
            address,
            hosts,
            serving,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lists these hosts from now on.
    pub fn list(&self, hosts: Vec<(String, u16)>) {
        *self.hosts.lock() = hosts;
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

struct Service {
    name: Name,
    hosts: Arc<Mutex<Vec<(String, u16)>>>,
}

/// Both at one port, which the kernel may have to choose.
async fn bind(address: SocketAddr) -> Result<(UdpSocket, TcpListener)> {
    for _ in 0..10 {
        let socket = UdpSocket::bind(address).await?;
        // Somebody may have the other one.
        if let Ok(listener) = TcpListener::bind(socket.local_addr()?).await {
            return Ok((socket, listener));
        }
    }
    bail!("no port is free on UDP and TCP")
}

async fn serve(socket: UdpSocket, service: Arc<Service>) {
    let mut buffer = [0; 1500];
    loop {
        // The system tells of ports that nobody listens on any more as errors of the next call.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Ok(answer) = service.datagram(&buffer[..length]) {
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_streams(listener: TcpListener, service: Arc<Service>) {
    let mut asking = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let service = Arc::clone(&service);
        // It ends with whoever asks, and with this.
        asking.spawn(async move { service.attend(stream).await });
        while asking.try_join_next().is_some() {}
    }
}

impl Service {
    /// Answers what comes over a stream, each with its length in front, until that ends.
    async fn attend(&self, mut stream: TcpStream) -> Result<()> {
        loop {
            let mut question = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut question).await?;
            let answer = self.answer(&question)?.to_vec()?;
            stream.write_u16(u16::try_from(answer.len())?).await?;
            stream.write_all(&answer).await?;
        }
    }

    /// The answer as it is sent over UDP.
    fn datagram(&self, question: &[u8]) -> Result<Vec<u8>> {
        let mut answer = self.answer(question)?;
        let whole = answer.to_vec()?;
        if whole.len() <= DATAGRAM {
            return Ok(whole);
        }
        answer.answers.clear();
        answer.metadata.truncation = true;
        Ok(answer.to_vec()?)
    }

    fn answer(&self, question: &[u8]) -> Result<Message> {
        let question = Message::from_vec(question)?;
        let query = question.queries.first().context("a question")?.clone();
        let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
        answer.metadata.response_code = ResponseCode::NXDomain;
        // Names that are asked for end with a dot, whether they were written so or not.
        let mut asked = query.name().clone();
        asked.set_fqdn(self.name.is_fqdn());
        if asked == self.name {
            answer.metadata.response_code = ResponseCode::NoError;
            if query.query_type() == RecordType::SRV {
                answer.add_answers(self.records(query.name())?);
            }
        }
        answer.add_query(query);
        Ok(answer)
    }

    fn records(&self, name: &Name) -> Result<Vec<Record>> {
        let hosts = self.hosts.lock();
        let record = |(host, port): &(String, u16)| {
            let target = Name::from_ascii(host)?;
            Ok(Record::from_rdata(
                name.clone(),
                TTL,
                RData::SRV(SRV::new(0, 50, *port, target)),
            ))
        };
        hosts.iter().map(record).collect()
    }
}
