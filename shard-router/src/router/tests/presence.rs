//! Presence entries live as long as their gateway keeps them.

use campanile_common::message::ClientInfo;

use super::*;

fn client(name: &str) -> Arc<ClientInfo> {
    Arc::new(ClientInfo {
        client: name.into(),
        user: "u".into(),
        ..ClientInfo::default()
    })
}

async fn present(router: &Router<Witnesses>, channel: &ChannelName) -> Vec<String> {
    router.presence(channel).await.unwrap().into_keys().collect()
}

#[tokio::test(start_paused = true)]
async fn entries_outlive_their_ttl_while_they_are_refreshed_and_no_longer() {
    let cluster = Cluster::open(2).await;
    let (router, other) = (cluster.router(), cluster.router());
    let channel = cluster.channel_on(1);
    router.enter(&channel, client("a")).await.unwrap();
    router.enter(&channel, client("b")).await.unwrap();
    other.enter(&channel, client("c")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(present(&other, &channel).await, ["a", "b", "c"]);
    router.leave(&channel, "a").await.unwrap();
    assert_eq!(present(&other, &channel).await, ["b", "c"]);
    router.shutdown().await;
    let ttl = RouterConfig::default().presence_ttl;
    tokio::time::sleep(ttl + Duration::from_millis(10)).await;
    assert_eq!(present(&other, &channel).await, ["c"]);
}

#[tokio::test(start_paused = true)]
async fn entries_come_back_at_once_after_their_shard_lost_them() {
    let cluster = Cluster::open(1).await;
    let router = cluster.router();
    let channel = cluster.channel_on(1);
    router.enter(&channel, client("a")).await.unwrap();
    cluster.server(1).flush();
    cluster.admit(1, false).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(present(&router, &channel).await, ["a"]);
}
