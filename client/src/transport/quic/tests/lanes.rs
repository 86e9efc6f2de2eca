//! Streams of subscriptions, and datagrams.

use bytes::Bytes;
use campanile_common::native::{datagram_header, lane_header};

use super::*;

#[tokio::test]
async fn a_stream_that_waits_holds_no_other_up_and_each_keeps_its_order() {
    within(async {
        let server = Server::new();
        for codec in Codec::ALL {
            let (mut transport, mut peer) = server.pair(codec).await;
            let (mut waits, mut goes_on) = (peer.lane(1).await, peer.lane(300).await);
            let split = codec.encode_reply(&push("late"));
            waits.raw(&split[..split.len() / 2]).await;
            for text in ["1", "2", "3"] {
                goes_on.send(&[push(text)]).await;
                assert_eq!(recv(&mut transport).await.unwrap(), lane_push(300, text));
            }
            peer.send(&[push("control")]).await;
            assert_eq!(
                recv(&mut transport).await.unwrap(),
                Incoming::Reply(push("control"))
            );
            waits.raw(&split[split.len() / 2..]).await;
            assert_eq!(recv(&mut transport).await.unwrap(), lane_push(1, "late"));
        }
    })
    .await;
}

#[tokio::test]
async fn what_stands_in_front_of_a_stream_may_come_in_pieces() {
    within(async {
        let server = Server::new();
        let (mut transport, peer) = server.pair(Codec::Json).await;
        let mut lane = peer.connection.open_uni().await.unwrap();
        let bytes = [&lane_header(70_000)[..], &Codec::Json.encode_reply(&push("x"))].concat();
        for byte in bytes {
            lane.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(recv(&mut transport).await.unwrap(), lane_push(70_000, "x"));
    })
    .await;
}

#[tokio::test]
async fn streams_come_and_go() {
    within(async {
        let server = Server::new();
        let (mut transport, peer) = server.pair(Codec::Protobuf).await;
        let many = u64::from(2 * config::MAX_LANES);
        let serve = async {
            for id in 1..=many {
                let mut lane = peer.lane(id).await;
                lane.send(&[push("x")]).await;
                lane.stream.finish().unwrap();
            }
        };
        let read = async {
            let mut ids = Vec::new();
            for _ in 1..=many {
                let Incoming::Lane { id, .. } = recv(&mut transport).await.unwrap() else {
                    panic!("not on a stream");
                };
                ids.push(id);
            }
            ids.sort_unstable();
            ids
        };
        let ((), ids) = tokio::join!(serve, read);
        assert!(ids.into_iter().eq(1..=many));
    })
    .await;
}

#[tokio::test]
async fn streams_of_kinds_to_come_are_passed_over() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer();
        let (mut transport, mut peer) = server.pair_with(&dialer, Codec::Json).await;
        let endless = [&[0x01][..], &[0xff; 10]].concat();
        for header in [&[0x02, 1][..], &endless] {
            let mut stream = peer.connection.open_uni().await.unwrap();
            stream.write_all(header).await.unwrap();
            let wait = async { peer_wait(&mut stream).await };
            tokio::select! {
                stopped = wait => assert!(stopped),
                incoming = recv(&mut transport) => panic!("{incoming:?}"),
            }
        }
        // One that ends before it has begun.
        peer.connection
            .open_uni()
            .await
            .unwrap()
            .write_all(&[0x01])
            .await
            .unwrap();
        peer.send(&[push("unimpressed")]).await;
        assert_eq!(text_of(recv(&mut transport).await), "unimpressed");
        assert_eq!(dialer.stats().foreign_streams, 2);
    })
    .await;
}

/// Whether the client wants no more of it.
async fn peer_wait(stream: &mut quinn::SendStream) -> bool {
    matches!(stream.stopped().await, Ok(Some(_)))
}

#[tokio::test]
async fn late_datagrams_are_dropped_and_counted() {
    within(async {
        let server = Server::new();
        for codec in Codec::ALL {
            let dialer = server.dialer();
            let (mut transport, mut peer) = server.pair_with(&dialer, codec).await;
            assert!(peer.preface.datagrams);
            let framed = codec.encode_reply(&push("x"));
            let bare = match codec {
                Codec::Json => framed.slice(..framed.len() - 1),
                _ => framed.slice(1..),
            };
            for (id, sequence) in [(1, 1), (1, 3), (1, 2), (2, 1), (1, 3), (1, 4)] {
                let datagram = [&datagram_header(id, sequence)[..], &bare].concat();
                peer.connection.send_datagram(Bytes::from(datagram)).unwrap();
            }
            peer.connection.send_datagram(Bytes::from_static(&[9])).unwrap();
            let mut ids = Vec::new();
            while dialer.stats().malformed_datagrams == 0 || ids.len() < 4 {
                tokio::select! {
                    incoming = recv(&mut transport) => match incoming.unwrap() {
                        Incoming::Lane { id, push } => {
                            assert_eq!(push, message("x"));
                            ids.push(id);
                        }
                        Incoming::Reply(reply) => panic!("{reply:?}"),
                    },
                    () = tokio::time::sleep(Duration::from_millis(1)) => {}
                }
            }
            ids.sort_unstable();
            assert_eq!(ids, [1, 1, 1, 2]);
            assert_eq!(dialer.stats().late_datagrams, 2);
            peer.send(&[push("the end")]).await;
            assert_eq!(text_of(recv(&mut transport).await), "the end");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_announced() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer().lanes(false).datagrams(false);
        let (_transport, peer) = server.pair_with(&dialer, Codec::Json).await;
        assert!(!peer.preface.lanes && !peer.preface.datagrams);
        assert!(peer.connection.max_datagram_size().is_none());
        let refused = peer.connection.send_datagram(Bytes::from_static(b"x"));
        assert!(refused.is_err());
    })
    .await;
}
