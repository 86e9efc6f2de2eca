//! A name server for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// A name server on UDP that answers every question of one type with the same records.
pub(crate) struct NameServer {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    _serving: AbortOnDropHandle<()>,
}

struct Answers {
    kind: RecordType,
    records: Vec<RData>,
    /// Applied to every answer.
    change: fn(&mut Message),
    asked: usize,
}

impl NameServer {
    /// Answers questions of type `kind` with `records`, and others with nothing.
    pub(crate) async fn start(kind: RecordType, records: Vec<RData>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(Answers {
            kind,
            records,
            change: |_| {},
            asked: 0,
        }));
        let serving = tokio::spawn(serve(socket, Arc::clone(&answers)));
        Self {
            address,
            answers,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Names these hosts, with port 6379.
    pub(crate) async fn of_services(targets: &[&str]) -> Self {
        Self::start(RecordType::SRV, services(targets)).await
    }

    /// Names these hosts from now on.
    pub(crate) fn name(&self, targets: &[&str]) {
        self.answers.lock().records = services(targets);
    }

    /// Spoils every answer.
    pub(crate) fn spoil(&self, change: fn(&mut Message)) {
        self.answers.lock().change = change;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions there were.
    pub(crate) fn asked(&self) -> usize {
        self.answers.lock().asked
    }
}

/// A host that serves at a port.
pub(crate) fn service(target: &str, port: u16) -> RData {
    RData::SRV(SRV::new(0, 50, port, Name::from_ascii(target).unwrap()))
}

fn services(targets: &[&str]) -> Vec<RData> {
    targets.iter().map(|target| service(target, 6379)).collect()
}

async fn serve(socket: UdpSocket, answers: Arc<Mutex<Answers>>) {
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let answer = answers.lock().answer(&question);
        socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    }
}

impl Answers {
    fn answer(&mut self, question: &Message) -> Message {
        self.asked += 1;
        let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
        answer.metadata.response_code = ResponseCode::NoError;
        let query = question.queries.first().unwrap().clone();
        if query.query_type() == self.kind {
            let record = |data: &RData| Record::from_rdata(query.name().clone(), 5, data.clone());
            answer.add_answers(self.records.iter().map(record));
        }
        answer.add_query(query);
        (self.change)(&mut answer);
        answer
    }
}
