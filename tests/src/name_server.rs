//! A name server that knows a headless service: the SRV records of whatever pods there are at the moment.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// As long as cluster DNS servers let answers be remembered.
const TTL: u32 = 5;

/// A name server on UDP. Ends when dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    hosts: Arc<Mutex<Vec<(String, u16)>>>,
    serving: JoinHandle<()>,
}

impl NameServer {
    /// Starts a server that lists these hosts and ports behind the service `name`, and knows no other name.
    pub async fn start(name: &str, hosts: Vec<(String, u16)>) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let hosts = Arc::new(Mutex::new(hosts));
        let service = Service {
            name: Name::from_ascii(name)?,
            hosts: Arc::clone(&hosts),
        };
        let serving = tokio::spawn(serve(socket, service));
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
        self.serving.abort();
    }
}

struct Service {
    name: Name,
    hosts: Arc<Mutex<Vec<(String, u16)>>>,
}

async fn serve(socket: UdpSocket, service: Service) {
    let mut buffer = [0; 1500];
    loop {
        // The system tells of ports that nobody listens on any more as errors of the next call.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Ok(answer) = service.answer(&buffer[..length]) {
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

impl Service {
    fn answer(&self, question: &[u8]) -> Result<Vec<u8>> {
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
        Ok(answer.to_vec()?)
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
