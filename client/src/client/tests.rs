//! A client with its driver, against a server in the same process, in time that passes only when nothing else can happen.

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use campanile_common::message::{
    HistoryResult, Message, PresenceStatsResult, PublishResult, Push, RPCResult, Reply, Request,
    SubscribeResult, UnsubscribeResult,
};
use futures_util::StreamExt;
use futures_util::future::join_all;

use super::*;
use crate::{ClientEvent, Closed, Codec, RequestError, SubscriptionEvent, SubscriptionState, TokenError};
use harness::{Dialer, client, published, stream};

#[tokio::test(start_paused = true)]
async fn a_client_connects_asks_and_is_answered() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    let mut events = client.events();
    assert_eq!(client.state(), State::Disconnected);
    assert!(client.ready().await.is_err(), "nobody has called connect");
    client.connect();
    let mut server = servers.accept().await;
    assert!(matches!(events.recv().await, Some(ClientEvent::Connecting(_))));
    assert!(
        matches!(events.next().await, Some(ClientEvent::Connected(connected)) if connected.client == "c")
    );
    client.ready().await.unwrap();
    assert_eq!(client.state(), State::Connected);

    let (answers, ()) = tokio::join!(
        async {
            tokio::join!(
                client.publish("a", "1"),
                client.rpc("m", "2"),
                client.presence_stats("a")
            )
        },
        async {
            for _ in 0..3 {
                let (id, request) = server.recv().await;
                match request {
                    Request::Publish(request) => {
                        assert_eq!((request.channel.as_str(), &request.data[..]), ("a", &b"1"[..]));
                        server.reply(Reply::answer(id, PublishResult {}));
                    }
                    Request::RPC(request) => {
                        server.reply(Reply::answer(id, RPCResult { data: request.data }));
                    }
                    _ => server.reply(Reply::answer(
                        id,
                        PresenceStatsResult {
                            num_clients: 3,
                            num_users: 2,
                        },
                    )),
                }
            }
        }
    );
    answers.0.unwrap();
    assert_eq!(answers.1.unwrap(), "2");
    let stats = answers.2.unwrap();
    assert_eq!((stats.clients, stats.users), (3, 2));

    client.send("hi").await.unwrap();
    assert!(matches!(server.recv().await, (0, Request::Send(_))));
    server.reply(Reply::push(Push::message("ho".into())));
    assert!(matches!(events.recv().await, Some(ClientEvent::Message(data)) if data == "ho"));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_connection() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    client.connect();
    let mut server = servers.accept().await;
    let news = client.subscription("news").build().unwrap();
    let events = news.events();
    news.subscribe();
    let (id, _) = server.recv().await;
    server.reply(Reply::answer(id, stream("e", 0)));
    news.ready().await.unwrap();
    drop(client);
    drop(news);
    // The stream keeps both alive.
    server.reply(published("news", 1));
    let mut events = events;
    while !matches!(events.recv().await, Some(SubscriptionEvent::Publication(_))) {}
    drop(events);
    assert_eq!(server.closed().await, Closed::new(Closed::LEAVING, ""));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_is_unsubscribed() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    client.connect();
    let mut server = servers.accept().await;
    let news = client.subscription("news").build().unwrap();
    assert!(client.subscription("news").build().is_err(), "one a channel");
    let same = client.get_subscription("news").unwrap();
    news.subscribe();
    let (id, _) = server.recv().await;
    server.reply(Reply::answer(id, stream("e", 0)));
    same.ready().await.unwrap();
    drop(news);
    assert_eq!(same.state(), SubscriptionState::Subscribed);
    drop(same);
    let (id, request) = server.recv().await;
    assert!(matches!(request, Request::Unsubscribe(request) if request.channel == "news"));
    server.reply(Reply::answer(id, UnsubscribeResult {}));
    assert!(client.get_subscription("news").is_none());
    assert!(client.subscription("news").build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_and_recovered() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    let news = client.subscription("news").build().unwrap();
    let mut events = news.events();
    news.subscribe();
    client.connect();
    let mut server = servers.accept().await;
    let (id, _) = server.recv().await;
    server.reply(Reply::answer(id, stream("e", 4)));
    server.reply(published("news", 5));
    server.close(Closed::new(3001, "shutdown"));

    let mut server = servers.accept().await;
    let (id, request) = server.recv().await;
    let Request::Subscribe(request) = request else {
        panic!("{request:?}");
    };
    assert!(request.recover);
    assert_eq!((request.epoch.as_str(), request.offset), ("e", 5));
    let result = SubscribeResult {
        was_recovering: true,
        recovered: true,
        publications: vec![harness::publication(6), harness::publication(7)],
        ..stream("e", 5)
    };
    server.reply(Reply::answer(id, result));
    server.reply(published("news", 8));

    let mut offsets = Vec::new();
    let mut recoveries = Vec::new();
    while offsets.last() != Some(&8) {
        match events.recv().await.unwrap() {
            SubscriptionEvent::Publication(publication) => offsets.extend(publication.offset),
            SubscriptionEvent::Subscribed(subscribed) => {
                recoveries.push((
                    subscribed.was_recovering,
                    subscribed.recovered,
                    subscribed.recovered_publications,
                ));
            }
            _ => {}
        }
    }
    assert_eq!(offsets, [5, 6, 7, 8]);
    assert_eq!(recoveries, [(false, false, 0), (true, true, 2)]);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_a_connection_but_not_for_ever() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    assert_eq!(client.publish("a", "1").await, Err(RequestError::Disconnected));
    client.connect();
    assert_eq!(
        client.publish("a", "1").await,
        Err(RequestError::Timeout),
        "nobody opens the door"
    );
    let (published, mut server) = tokio::join!(
        async { tokio::time::timeout(Duration::from_secs(1), client.publish("a", "2")).await },
        async {
            let mut server = servers.accept().await;
            let (id, _) = server.recv().await;
            server.reply(Reply::answer(id, PublishResult {}));
            server
        }
    );
    published.unwrap().unwrap();

    // A request that was sent and is not answered when the connection ends may have been carried out.
    let (lost, ()) = tokio::join!(client.publish("a", "3"), async {
        server.recv().await;
        server.close(Closed::new(Closed::BROKEN, ""));
    });
    assert!(matches!(lost, Err(RequestError::Closed(_))), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_nobody_waits_for_leave_room_for_others() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    client.connect();
    let mut server = servers.accept().await;
    for _ in 0..3 {
        let requests = join_all((0..2000).map(|_| client.publish("a", "1")));
        // Polled, then dropped.
        assert!(
            tokio::time::timeout(Duration::from_millis(1), requests)
                .await
                .is_err()
        );
    }
    let answer = async {
        loop {
            let (id, _) = server.recv().await;
            server.reply(Reply::answer(id, PublishResult {}));
        }
    };
    tokio::select! {
        answers = join_all((0..2000).map(|_| client.publish("a", "1"))) => {
            assert!(answers.iter().all(Result::is_ok));
        }
        () = answer => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_asks_once_it_is_subscribed() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    let news = client.subscription("news").build().unwrap();
    assert!(matches!(
        news.publish("1").await,
        Err(RequestError::Unsubscribed(_))
    ));
    client.connect();
    let mut server = servers.accept().await;
    news.subscribe();
    let (history, ()) = tokio::join!(news.history(HistoryQuery::new().limit(2)), async {
        let (id, _) = server.recv().await;
        server.reply(Reply::answer(id, stream("e", 4)));
        let (id, request) = server.recv().await;
        assert!(matches!(request, Request::History(request) if request.limit == 2));
        let result = HistoryResult {
            publications: vec![harness::publication(3), harness::publication(4)],
            epoch: "e".into(),
            offset: 4,
        };
        server.reply(Reply::answer(id, result));
    });
    let history = history.unwrap();
    assert_eq!(history.publications.len(), 2);
    assert_eq!(history.position.to_string(), "e:4");

    news.unsubscribe();
    assert_eq!(news.state(), SubscriptionState::Unsubscribed);
    assert!(matches!(
        news.presence().await,
        Err(RequestError::Unsubscribed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn tokens_come_from_where_the_application_says() {
    let (dialer, mut servers) = Dialer::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let client = client(dialer)
        .token_source(move || {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            async move {
                match number {
                    0 => Err(std::io::Error::other("the backend is down"))?,
                    1 => Ok("good".to_owned()),
                    _ => Err(TokenError::unauthorized()),
                }
            }
        })
        .build()
        .unwrap();
    let mut events = client.events();
    client.connect();
    let server = servers.accept().await;
    assert_eq!(server.token, "good");
    client.ready().await.unwrap();
    assert!(matches!(events.recv().await, Some(ClientEvent::Connecting(_))));
    assert!(
        matches!(events.recv().await, Some(ClientEvent::Error(error)) if error.to_string() == "no token for the connection")
    );

    let secret = client
        .subscription("$a")
        .token_source(|| async { Err(TokenError::unauthorized()) })
        .build()
        .unwrap();
    secret.subscribe();
    let ended = secret.ready().await.unwrap_err();
    assert_eq!(ended.0.code, crate::unsubscribed::UNAUTHORIZED);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_for_a_token_is_dropped_with_what_it_was_for() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    client.connect();
    let _server = servers.accept().await;
    client.ready().await.unwrap();
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dropped);
    let secret = client
        .subscription("$a")
        .token_source(move || {
            let guard = Dropped(Arc::clone(&counter));
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                Ok(String::new())
            }
        })
        .build()
        .unwrap();
    for _ in 0..5 {
        secret.subscribe();
        tokio::time::sleep(Duration::from_millis(1)).await;
        secret.unsubscribe();
    }
    secret.subscribe();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(dropped.load(Ordering::Relaxed), 5, "one is under way at most");
}

#[tokio::test(start_paused = true)]
async fn slow_readers_are_told_what_they_missed() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).event_buffer(20_000).build().unwrap();
    client.connect();
    let mut server = servers.accept().await;
    let news = client.subscription("news").build().unwrap();
    let mut slow = news.events();
    let mut quick = news.events();
    news.subscribe();
    let (id, _) = server.recv().await;
    server.reply(Reply::answer(id, stream("e", 0)));
    let mut seen = 0;
    for offset in 1..=1000 {
        server.reply(published("news", offset));
        if offset == 1 {
            while !matches!(slow.recv().await, Some(SubscriptionEvent::Publication(_))) {}
        }
        loop {
            match quick.recv().await.unwrap() {
                SubscriptionEvent::Publication(publication) => {
                    seen = publication.offset.unwrap();
                    break;
                }
                SubscriptionEvent::Lagged(lagged) => panic!("{lagged:?}"),
                _ => {}
            }
        }
    }
    assert_eq!(seen, 1000);
    let Some(SubscriptionEvent::Lagged(lagged)) = slow.recv().await else {
        panic!("nothing is missing");
    };
    assert_eq!(lagged.since.unwrap().to_string(), "e:1");
    let Some(SubscriptionEvent::Publication(next)) = slow.recv().await else {
        panic!("the newest are there");
    };
    assert_eq!(next.offset, Some(1 + lagged.missed + 1));
}

#[tokio::test(start_paused = true)]
async fn commands_that_wait_go_out_together_but_not_in_frames_too_large() {
    let (dialer, mut servers) = Dialer::new();
    let client = client(dialer).build().unwrap();
    let subscribe = |channel: usize| {
        let subscription = client.subscription(channel.to_string()).build().unwrap();
        subscription.subscribe();
        subscription
    };
    let _subscriptions: Vec<_> = (0..200).map(subscribe).collect();
    client.connect();
    let mut server = servers.accept().await;
    let frame = server.recv_frame().await;
    assert_eq!(frame.commands, 200, "with the connect still unanswered");
    client.ready().await.unwrap();
    let large = Bytes::from(vec![b'x'; 10_000]);
    let requests = join_all((0..4).map(|_| client.publish("a", large.clone())));
    let (answers, ()) = tokio::join!(requests, async {
        for _ in 0..4 {
            let frame = server.recv_frame().await;
            assert_eq!(frame.commands, 1);
            server.reply(Reply::answer(frame.first_id, PublishResult {}));
        }
    });
    assert!(answers.iter().all(Result::is_ok));
}

#[test]
fn without_a_runtime_there_is_no_client() {
    let (dialer, _servers) = Dialer::new();
    assert!(matches!(
        client(dialer).build(),
        Err(crate::BuildError::NoRuntime)
    ));
}

#[test]
fn when_the_runtime_ends_all_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (client, mut events, news, _servers) = runtime.block_on(async {
        let (dialer, servers) = Dialer::new();
        let client = client(dialer).build().unwrap();
        let events = client.events();
        let news = client.subscription("news").build().unwrap();
        news.subscribe();
        client.connect();
        (client, events, news, servers)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    other.block_on(async {
        assert!(matches!(events.recv().await, Some(ClientEvent::Connecting(_))));
        assert!(matches!(events.recv().await, Some(ClientEvent::Disconnected(_))));
        assert!(events.recv().await.is_none());
        assert!(client.ready().await.is_err());
        assert_eq!(client.publish("a", "1").await, Err(RequestError::Disconnected));
        client.connect();
        assert_eq!(client.publish("a", "1").await, Err(RequestError::Disconnected));
        assert_eq!(client.state(), State::Disconnected, "nobody would connect it");
        assert!(client.events().recv().await.is_none());
        let ended = news.ready().await.unwrap_err();
        assert_eq!(ended.0.code, crate::unsubscribed::CLIENT_CLOSED);
        assert!(news.events().recv().await.is_none());
    });
}

#[tokio::test]
async fn each_codec_carries_everything() {
    for codec in Codec::ALL {
        let (transport, mut server) = crate::transport::testing::pair(codec).await;
        let client = Client::with_dialer(harness::Once::new(transport))
            .codec(codec)
            .build()
            .unwrap();
        let mut events = client.events();
        client.connect();
        let connect = server.recv().await;
        assert!(connect.connect.is_some());
        server
            .send(&[
                Reply::answer(connect.id, harness::welcome()),
                Reply::push(Push {
                    message: Some(Box::new(Message { data: "[1]".into() })),
                    ..Push::default()
                }),
            ])
            .await;
        client.ready().await.unwrap();
        let message = loop {
            if let Some(ClientEvent::Message(data)) = events.recv().await {
                break data;
            }
        };
        assert_eq!(message, "[1]");
        let (published, ()) = tokio::join!(client.publish("a", r#"{"b":1}"#), async {
            let publish = server.recv().await;
            assert_eq!(publish.publish.unwrap().data, r#"{"b":1}"#);
            server.send(&[Reply::answer(publish.id, PublishResult {})]).await;
        });
        published.unwrap();
    }
}
