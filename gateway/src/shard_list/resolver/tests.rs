use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::proto::op::{MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::config::UrlTemplate;

const NAME: &str = "shards.test.";

/// A name server that answers every question of one type with these records.
struct NameServer {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl NameServer {
    async fn start(kind: RecordType, records: Vec<RData>, change: fn(&mut Message)) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let mut answer = answer(&question, kind, &records);
                change(&mut answer);
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        });
        Self {
            address,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    fn options(&self, kind: RecordKind) -> DnsOptions {
        DnsOptions {
            name: NAME.to_owned(),
            kind,
            url: UrlTemplate::parse("redis://{host}:{port}").unwrap(),
            durable: false,
            interval: Duration::from_secs(1),
            gone_after: Duration::ZERO,
            server: Some(self.address),
        }
    }
}

fn answer(question: &Message, kind: RecordType, records: &[RData]) -> Message {
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata.response_code = ResponseCode::NoError;
    let query = question.queries.first().unwrap().clone();
    if query.query_type() == kind {
        let record = |data: &RData| Record::from_rdata(query.name().clone(), 5, data.clone());
        answer.add_answers(records.iter().map(record));
    }
    answer.add_query(query);
    answer
}

fn service(target: &str, port: u16) -> RData {
    RData::SRV(SRV::new(0, 50, port, Name::from_ascii(target).unwrap()))
}

#[tokio::test]
async fn services_are_found_with_their_hosts_and_ports() {
    let records = vec![
        service("redis-0.shards.test.", 6379),
        service("redis-1.shards.test.", 6380),
    ];
    let server = NameServer::start(RecordType::SRV, records, |_| {}).await;
    let mut found = resolve(&server.options(RecordKind::Service)).await.unwrap();
    found.sort();
    let expected = [("redis-0.shards.test.", 6379), ("redis-1.shards.test.", 6380)];
    assert_eq!(
        found,
        expected.map(|(target, port)| Found::Service {
            target: target.to_owned(),
            port
        })
    );
}

#[tokio::test]
async fn addresses_are_found_and_those_of_version_6_where_there_are_no_others() {
    let v4 = Ipv4Addr::new(10, 0, 0, 7);
    let server = NameServer::start(RecordType::A, vec![RData::A(A(v4))], |_| {}).await;
    let found = resolve(&server.options(RecordKind::Addresses(6379)))
        .await
        .unwrap();
    let port = 6379;
    assert_eq!(found, [Found::Address { ip: v4.into(), port }]);

    let v6 = Ipv6Addr::LOCALHOST;
    let server = NameServer::start(RecordType::AAAA, vec![RData::AAAA(AAAA(v6))], |_| {}).await;
    let found = resolve(&server.options(RecordKind::Addresses(6379)))
        .await
        .unwrap();
    assert_eq!(found, [Found::Address { ip: v6.into(), port }]);
}

#[tokio::test]
async fn a_name_that_nobody_knows_or_an_answer_without_records_is_a_failure() {
    let server = NameServer::start(RecordType::SRV, Vec::new(), |_| {}).await;
    let answer = resolve(&server.options(RecordKind::Service)).await;
    assert!(matches!(answer, Err(Failed::Lookup(_))), "{answer:?}");
    let server = NameServer::start(RecordType::SRV, Vec::new(), |answer| {
        answer.metadata.response_code = ResponseCode::NXDomain;
    })
    .await;
    let answer = resolve(&server.options(RecordKind::Service)).await;
    assert!(matches!(answer, Err(Failed::Lookup(_))), "{answer:?}");
}

#[tokio::test]
async fn half_an_answer_is_a_failure() {
    let records = vec![service("redis-0.shards.test.", 6379)];
    // There is nobody on TCP, where the whole of it could be had.
    let server = NameServer::start(RecordType::SRV, records, |answer| {
        answer.metadata.truncation = true;
    })
    .await;
    let answer = resolve(&server.options(RecordKind::Service)).await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_cannot_help_is_a_failure() {
    let server = NameServer::start(RecordType::SRV, Vec::new(), |answer| {
        answer.metadata.response_code = ResponseCode::ServFail;
    })
    .await;
    let answer = resolve(&server.options(RecordKind::Service)).await;
    assert!(matches!(answer, Err(Failed::Lookup(_))), "{answer:?}");
}
