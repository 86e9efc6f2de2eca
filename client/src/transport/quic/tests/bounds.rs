//! Servers that break the rules or send without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn garbage_ends_the_connection() {
    within(async {
        let server = Server::new();
        let cases = [
            (Codec::Json, &b"nonsense\n"[..]),
            (Codec::Protobuf, &[2, 0xff, 0xff]),
            (Codec::Protobuf, &[0xff; 11]),
            (Codec::MessagePack, &[1, 0xc1]),
        ];
        for (codec, garbage) in cases {
            for on_lane in [false, true] {
                let (mut transport, mut peer) = server.pair(codec).await;
                let mut lane = peer.lane(1).await;
                let sender = if on_lane { &mut lane } else { &mut peer.way_out };
                sender.send(&[push("before")]).await;
                sender.raw(garbage).await;
                assert_eq!(text_of(recv(&mut transport).await), "before");
                let closed = recv(&mut transport).await.unwrap_err();
                assert_eq!(closed.code, Closed::MALFORMED, "{codec:?} {on_lane}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn only_pushes_come_on_the_stream_of_a_subscription() {
    within(async {
        let server = Server::new();
        let (mut transport, peer) = server.pair(Codec::Json).await;
        peer.lane(1)
            .await
            .send(&[Reply::answer(1, ConnectResult::default())])
            .await;
        let closed = recv(&mut transport).await.unwrap_err();
        assert_eq!(closed.code, Closed::MALFORMED);
    })
    .await;
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_connection() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer().message_limit(1000);
        // Only what it claims is too long.
        let (mut transport, mut peer) = server.pair_with(&dialer, Codec::Protobuf).await;
        peer.way_out.raw(&[0xe9, 7]).await;
        assert_eq!(recv(&mut transport).await.unwrap_err().code, Closed::MALFORMED);
        let (mut transport, mut peer) = server.pair_with(&dialer, Codec::Json).await;
        peer.way_out.raw(&[b' '; 1001]).await;
        assert_eq!(recv(&mut transport).await.unwrap_err().code, Closed::MALFORMED);
    })
    .await;
}

#[tokio::test]
async fn messages_that_do_not_end_share_one_limit() {
    within(async {
        let server = Server::new();
        let dialer = server.dialer().message_limit(1000);
        let (mut transport, mut peer) = server.pair_with(&dialer, Codec::Json).await;
        let mut lanes = Vec::new();
        for id in 1..=3 {
            let mut lane = peer.lane(id).await;
            lane.send(&[push("whole")]).await;
            assert_eq!(text_of(recv(&mut transport).await), "whole");
            // Memory grows to twice the need at most.
            lane.raw(&[b' '; 200]).await;
            lanes.push(lane);
        }
        peer.send(&[push("no reason to end it yet")]).await;
        assert_eq!(text_of(recv(&mut transport).await), "no reason to end it yet");
        for lane in &mut lanes {
            lane.raw(&[b' '; 400]).await;
        }
        let closed = recv(&mut transport).await.unwrap_err();
        assert_eq!(closed.code, Closed::MALFORMED);
    })
    .await;
}

#[tokio::test]
async fn a_server_can_open_only_so_many_streams_and_none_of_the_other_kind() {
    within(async {
        let server = Server::new();
        let (_transport, peer) = server.pair(Codec::Json).await;
        let mut open = Vec::new();
        for _ in 0..config::MAX_LANES {
            open.push(peer.connection.open_uni().await.unwrap());
        }
        let more = peer.connection.open_uni();
        let other = peer.connection.open_bi();
        // Quinn knows the client's limits, so both wait without end, and no packet is sent.
        tokio::select! {
            biased;
            _ = more => panic!("too many streams"),
            _ = other => panic!("a stream of the wrong kind"),
            () = tokio::task::yield_now() => {}
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_read_makes_the_server_wait() {
    within(async {
        let server = Server::new();
        let (mut transport, peer) = server.pair(Codec::Json).await;
        let text = "x".repeat(1000);
        let message = Codec::Json.encode_reply(&push(&text));
        let messages = 4 * config::STREAM_WINDOW as usize / message.len();
        let written = Arc::new(AtomicUsize::new(0));
        let mut lane = peer.lane(1).await;
        let server_side = tokio::spawn({
            let written = written.clone();
            async move {
                for _ in 0..messages {
                    lane.raw(&message).await;
                    written.fetch_add(message.len(), Ordering::Relaxed);
                }
                lane.finish_and_wait().await;
            }
        });
        let window = config::STREAM_WINDOW as usize;
        while written.load(Ordering::Relaxed) < window - 2000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let most = window + usize::try_from(server::SEND_WINDOW).unwrap();
        assert!(written.load(Ordering::Relaxed) <= most);
        for _ in 0..messages {
            assert_eq!(text_of(recv(&mut transport).await), text);
        }
        server_side.await.unwrap();
    })
    .await;
}
