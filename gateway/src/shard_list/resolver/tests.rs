use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::rr::rdata::{A, AAAA};

use super::*;
use crate::config::UrlTemplate;
use crate::shard_list::testing::{NameServer, service};

fn options(server: &NameServer, kind: RecordKind) -> DnsOptions {
    DnsOptions {
        name: "shards.test.".to_owned(),
        kind,
        url: UrlTemplate::parse("redis://{host}:{port}").unwrap(),
        replica_mark: String::new(),
        durable: false,
        interval: Duration::from_secs(1),
        gone_after: Duration::ZERO,
        server: Some(server.address()),
    }
}

#[tokio::test]
async fn services_are_found_with_their_hosts_and_ports() {
    let records = [("redis-0.test.", 6379), ("redis-1.test.", 6380)];
    let answers = records.map(|(target, port)| service(target, port)).to_vec();
    let server = NameServer::start(RecordType::SRV, answers).await;
    let mut found = resolve(&options(&server, RecordKind::Service)).await.unwrap();
    found.sort();
    let expected = records.map(|(target, port)| Found::Service {
        target: target.to_owned(),
        port,
    });
    assert_eq!(found, expected);
}

#[tokio::test]
async fn addresses_are_found_and_those_of_version_6_where_there_are_no_others() {
    let v4 = Ipv4Addr::new(10, 0, 0, 7);
    let v6 = Ipv6Addr::LOCALHOST;
    for (kind, record, ip) in [
        (RecordType::A, RData::A(A(v4)), v4.into()),
        (RecordType::AAAA, RData::AAAA(AAAA(v6)), v6.into()),
    ] {
        let server = NameServer::start(kind, vec![record]).await;
        let found = resolve(&options(&server, RecordKind::Addresses(6379)))
            .await
            .unwrap();
        assert_eq!(found, [Found::Address { ip, port: 6379 }]);
    }
}

#[tokio::test]
async fn what_is_no_whole_answer_is_a_failure() {
    let spoilers: [fn(&mut Message); 4] = [
        |answer| answer.answers.clear(),
        |answer| {
            answer.answers.clear();
            answer.metadata.response_code = ResponseCode::NXDomain;
        },
        |answer| answer.metadata.response_code = ResponseCode::ServFail,
        // There is nobody on TCP, where the whole of it could be had.
        |answer| answer.metadata.truncation = true,
    ];
    for (number, spoil) in spoilers.into_iter().enumerate() {
        let server = NameServer::of_services(&["redis-0.test."]).await;
        let options = options(&server, RecordKind::Service);
        assert_eq!(resolve(&options).await.unwrap().len(), 1);
        server.spoil(spoil);
        let answer = resolve(&options).await;
        assert!(answer.is_err(), "{number}: {answer:?}");
    }
}
