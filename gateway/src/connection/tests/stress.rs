//! Many things at once: order must not depend on luck.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::client::Client;
use super::world::{client, eventually, host_with, members, pipe, publish};
use crate::connection::host::Host;

const ROUNDS: u64 = 300;

/// A host that holds whatever comes while a client is kept from reading.
async fn patient_host() -> Arc<Host> {
    host_with(|options, _| options.queue_max_size = 64 << 20).await
}

/// So much may wait for a client before the publisher pauses: far less than the host holds.
const AHEAD: u32 = 1 << 20;

/// Publishes until dropped, without a pause but for clients that are behind: however slow the machine is, none is closed for
/// that.
struct Publisher(Arc<AtomicBool>);

impl Publisher {
    fn start(host: &Arc<Host>, channel: &'static str) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let (host, go_on) = (Arc::clone(host), Arc::clone(&running));
        tokio::spawn(async move {
            while go_on.load(Ordering::Relaxed) {
                if most_waiting(&host) < AHEAD {
                    publish(&host, channel, "1").await;
                }
                tokio::task::yield_now().await;
            }
        });
        Self(running)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What waits for the client for whom most does, in bytes.
fn most_waiting(host: &Host) -> u32 {
    let mut most = 0;
    host.registry
        .for_each(|connection| most = most.max(connection.waiting_bytes()));
    most
}

fn offset(reply: &Value) -> Option<u64> {
    let publication = &reply["push"]["pub"];
    publication
        .is_object()
        .then(|| publication["offset"].as_u64().unwrap())
}

/// The reply to a subscription comes before its first publication, that is the next one, and after the reply to the
/// unsubscription comes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn subscribing_again_and_again_shows_no_stray_doubled_or_missing_publication() {
    let host = patient_host().await;
    let _publisher = Publisher::start(&host, "news");
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = client(&host).await;
        clients.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let subscribe = client.command("subscribe", r#"{"channel":"news"}"#).await;
                let reply = client.reply().await;
                assert_eq!(reply["id"], subscribe, "round {round}: {reply}");
                let mut last = reply["subscribe"]["offset"].as_u64().unwrap_or(0);
                let end = last + round % 5;
                let mut unsubscribe = None;
                loop {
                    if last == end {
                        unsubscribe = Some(client.command("unsubscribe", r#"{"channel":"news"}"#).await);
                    }
                    let reply = client.reply().await;
                    if reply["id"].is_number() {
                        assert_eq!(reply["id"].as_u64(), unsubscribe.map(u64::from), "{reply}");
                        break;
                    }
                    last += 1;
                    assert_eq!(offset(&reply), Some(last), "round {round}: {reply}");
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
}

/// The first of them begins long before the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_subscriptions_of_the_server_bring_waits_for_the_connect_reply() {
    let host = patient_host().await;
    let _publisher = Publisher::start(&host, "a");
    let others = ('b'..='z').map(|name| format!(",\"{name}\":{{}}"));
    let subs = format!("{{\"subs\":{{\"a\":{{}}{}}}}}", others.collect::<String>());
    for round in 0..ROUNDS {
        let mut client = Client::new(pipe(&host, 65_536));
        let connect = client.command("connect", &subs).await;
        let reply = client.reply().await;
        assert_eq!(reply["id"], connect, "round {round}: {reply}");
        let last = reply["connect"]["subs"]["a"]["offset"].as_u64().unwrap_or(0);
        for next in last + 1..last + 4 {
            assert_eq!(client.publication().await["offset"], next, "round {round}");
        }
    }
}

/// Both commands in one frame: what the second ends, the first may not have begun yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_that_follow_each_other_at_once_take_effect_in_order() {
    let host = patient_host().await;
    let _publisher = Publisher::start(&host, "news");
    let mut client = client(&host).await;
    let subscribe = |id| format!("{{\"id\":{id},\"subscribe\":{{\"channel\":\"news\"}}}}");
    let unsubscribe = |id| format!("{{\"id\":{id},\"unsubscribe\":{{\"channel\":\"news\"}}}}");
    for round in 0..ROUNDS {
        let id = 10 + 4 * round;
        let frame = [
            subscribe(id),
            unsubscribe(id + 1),
            subscribe(id + 2),
            unsubscribe(id + 3),
        ];
        client.send_text(&frame.join("\n")).await;
        let mut subscribed = None;
        for expected in id..id + 4 {
            loop {
                let reply = client.reply().await;
                let Some(offset) = offset(&reply) else {
                    assert_eq!(reply["id"], expected, "{reply}");
                    assert!(reply["error"].is_null(), "{reply}");
                    subscribed = reply["subscribe"]
                        .is_object()
                        .then(|| reply["subscribe"]["offset"].as_u64());
                    break;
                };
                let last = subscribed
                    .expect("nothing comes while not subscribed")
                    .unwrap_or(0);
                assert_eq!(offset, last + 1, "round {round}");
                subscribed = Some(Some(offset));
            }
        }
    }
    assert!(members(&host, "news").is_empty());
}

/// Connections that come and go while their subscriptions are being made leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_vanish_at_any_moment_leave_nothing_behind() {
    let host = patient_host().await;
    let _publisher = Publisher::start(&host, "news");
    let mut clients = Vec::new();
    for round in 0..200_usize {
        let host = Arc::clone(&host);
        clients.push(tokio::spawn(async move {
            let mut client = client(&host).await;
            client.command("subscribe", r#"{"channel":"news"}"#).await;
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    eventually("all are gone", || {
        host.admission.present() == 0 && members(&host, "news").is_empty()
    })
    .await;
    assert!(host.registry.all().is_empty());
}
