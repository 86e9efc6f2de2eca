//! The Rust SDK end to end, over each of its transports: it recovers after a cut, renews its token, and asks who is there and
//! what was said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use campanile_client::{
    Client, ClientBuilder, ClientEvent, HistoryQuery, Subscribed, Subscription, SubscriptionEvent,
    SubscriptionEvents,
};
use campanile_tests::gateway::GatewayConfig;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use serde_json::json;
use tokio::time::timeout;

use self::route::{Front, Route};

mod route;

over_each_route!(
    recovers_all_that_it_missed_while_it_was_cut_off,
    renews_its_token_before_it_expires,
    sees_who_is_there_and_who_comes_and_goes,
    reads_what_was_said,
);

const CHANNEL: &str = "room:1";

fn config() -> GatewayConfig {
    let room = json!({
        "history_size": 1000,
        "history_ttl": "300s",
        "presence": true,
        "join_leave": true,
        "force_push_join_leave": true,
        "allow_subscribe_for_client": true,
        "allow_publish_for_client": true,
        "allow_presence_for_client": true,
        "allow_history_for_client": true,
        "force_recovery": true,
    });
    GatewayConfig::default().namespace("room", &room)
}

/// A client that soon notices when nothing comes any more, and comes back soon.
fn quick(builder: ClientBuilder) -> ClientBuilder {
    builder
        .max_ping_delay(Duration::from_secs(2))
        .timeout(Duration::from_secs(2))
        .reconnect_delay(Duration::from_millis(20), Duration::from_millis(200))
}

async fn connect(front: &Front, user: &str) -> Result<Client> {
    let client = quick(front.client()?).token(token::connection(user)).build()?;
    client.connect();
    timeout(SOON, client.ready()).await??;
    Ok(client)
}

async fn subscribe(client: &Client) -> Result<(Subscription, SubscriptionEvents)> {
    let subscription = client.subscription(CHANNEL).recoverable().join_leave().build()?;
    let events = subscription.events();
    subscription.subscribe();
    timeout(SOON, subscription.ready()).await??;
    Ok((subscription, events))
}

async fn next(events: &mut SubscriptionEvents) -> Result<SubscriptionEvent> {
    let event = timeout(SOON, events.recv()).await.context("nothing happened")?;
    event.context("the subscription ended")
}

/// The next publication's number.
async fn next_number(events: &mut SubscriptionEvents) -> Result<u64> {
    loop {
        match next(events).await? {
            SubscriptionEvent::Publication(publication) => return Ok(publication.json()?),
            SubscriptionEvent::Lagged(lagged) => bail!("{lagged:?}"),
            _ => {}
        }
    }
}

async fn next_subscribed(events: &mut SubscriptionEvents) -> Result<Subscribed> {
    loop {
        match next(events).await? {
            SubscriptionEvent::Subscribed(subscribed) => return Ok(subscribed),
            SubscriptionEvent::Publication(publication) => bail!("{publication:?} before it was subscribed"),
            _ => {}
        }
    }
}

async fn recovers_all_that_it_missed_while_it_was_cut_off(route: Route) -> Result<()> {
    let often = config()
        .set("client.ping_interval", "2s")
        .set("client.pong_timeout", "1900ms");
    let front = Front::start(route, often).await?;
    let client = connect(&front, "ann").await?;
    let (subscription, mut events) = subscribe(&client).await?;
    let first = next_subscribed(&mut events).await?;
    assert!(first.recoverable && !first.was_recovering, "{first:?}");
    for number in 0..10 {
        front.publish(CHANNEL, &json!(number)).await?;
        assert_eq!(next_number(&mut events).await?, number);
    }

    for round in 1..3 {
        front.cut();
        // Over UDP nobody is told: what is cut for a moment only goes on by itself.
        while !matches!(next(&mut events).await?, SubscriptionEvent::Subscribing(_)) {}
        for number in 10 * round..10 * round + 5 {
            front.publish(CHANNEL, &json!(number)).await?;
        }
        front.mend();
        let back = next_subscribed(&mut events).await?;
        assert!(back.was_recovering && back.recovered, "{back:?}");
        for number in 10 * round + 5..10 * round + 10 {
            front.publish(CHANNEL, &json!(number)).await?;
        }
        for number in 10 * round..10 * round + 10 {
            assert_eq!(
                next_number(&mut events).await?,
                number,
                "each exactly once, in order"
            );
        }
    }
    drop(subscription);
    Ok(())
}

async fn renews_its_token_before_it_expires(route: Route) -> Result<()> {
    let front = Front::start(route, config()).await?;
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetched);
    let client = quick(front.client()?)
        .token_source(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let claims = json!({ "sub": "ann", "exp": token::seconds_from_now(2) });
            async move { Ok(token::sign(&claims, token::SECRET)) }
        })
        .build()?;
    let mut events = client.events();
    client.connect();
    timeout(SOON, client.ready()).await??;
    eventually("the token was renewed twice", SOON, || async {
        fetched.load(Ordering::Relaxed) >= 3
    })
    .await;
    let (_subscription, mut received) = subscribe(&client).await?;
    front.publish(CHANNEL, &json!(7)).await?;
    assert_eq!(next_number(&mut received).await?, 7);
    client.disconnect();
    let mut connections = 0;
    loop {
        match timeout(SOON, events.recv()).await? {
            Some(ClientEvent::Connected(_)) => connections += 1,
            Some(ClientEvent::Disconnected(_)) | None => break,
            Some(_) => {}
        }
    }
    assert_eq!(connections, 1, "it never had to connect again");
    Ok(())
}

async fn sees_who_is_there_and_who_comes_and_goes(route: Route) -> Result<()> {
    let front = Front::start(route, config()).await?;
    let ann = connect(&front, "ann").await?;
    let (subscription, mut events) = subscribe(&ann).await?;
    let bob = connect(&front, "bob").await?;
    let (theirs, _) = subscribe(&bob).await?;
    assert_eq!(
        next_to_come_or_go(&mut events, "ann").await?,
        ("joined", "bob".to_owned())
    );
    let present = subscription.presence().await?;
    let mut users: Vec<_> = present.values().map(|info| info.user.as_str()).collect();
    users.sort_unstable();
    assert_eq!(users, ["ann", "bob"]);
    let stats = ann.presence_stats(CHANNEL).await?;
    assert_eq!((stats.clients, stats.users), (2, 2));
    drop(theirs);
    assert_eq!(
        next_to_come_or_go(&mut events, "ann").await?,
        ("left", "bob".to_owned())
    );
    assert_eq!(subscription.presence().await?.len(), 1);
    Ok(())
}

/// The next to come or go, other than `own`.
async fn next_to_come_or_go(events: &mut SubscriptionEvents, own: &str) -> Result<(&'static str, String)> {
    loop {
        let (what, info) = match next(events).await? {
            SubscriptionEvent::Join(info) => ("joined", info),
            SubscriptionEvent::Leave(info) => ("left", info),
            _ => continue,
        };
        if info.user != own {
            return Ok((what, info.user));
        }
    }
}

async fn reads_what_was_said(route: Route) -> Result<()> {
    let front = Front::start(route, config()).await?;
    let client = connect(&front, "ann").await?;
    let (subscription, mut events) = subscribe(&client).await?;
    for number in 0..5 {
        subscription.publish(number.to_string()).await?;
        assert_eq!(next_number(&mut events).await?, number);
    }
    let all = subscription.history(HistoryQuery::new().all()).await?;
    let numbers: Vec<u64> = all
        .publications
        .iter()
        .map(|it| it.json())
        .collect::<Result<_, _>>()?;
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    let last = client
        .history(CHANNEL, HistoryQuery::new().limit(2).reverse())
        .await?;
    let numbers: Vec<u64> = last
        .publications
        .iter()
        .map(|it| it.json())
        .collect::<Result<_, _>>()?;
    assert_eq!(numbers, [4, 3]);
    let nothing_new = HistoryQuery::new().all().since(all.position.clone());
    assert!(
        client
            .history(CHANNEL, nothing_new)
            .await?
            .publications
            .is_empty()
    );
    Ok(())
}
