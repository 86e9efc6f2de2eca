//! Shards, the topology store, and moves.

use super::*;

#[test]
fn moves_are_configured_and_have_defaults() {
    let (config, _) = Written::file("c.yaml", "{}").load();
    let defaults = MoveOptions {
        evict_after: Some(Duration::from_secs(30)),
        keeps_history: true,
        max_moving: 64,
        rate: Some(32 << 20),
        barrier_timeout: Duration::from_secs(10),
    };
    assert_eq!(config.cluster.moves, defaults);
    let text =
        "cluster: {evict_after: 0s, history_on_move: drop, max_moving: 8, move_rate: 0, barrier_timeout: 5s}";
    let (config, _) = Written::file("c.yaml", text).load();
    let changed = MoveOptions {
        evict_after: None,
        keeps_history: false,
        max_moving: 8,
        rate: None,
        barrier_timeout: Duration::from_secs(5),
    };
    assert_eq!(config.cluster.moves, changed);
    let (config, _) = Written::file("c.json", "{}")
        .variable("CAMPANILE_CLUSTER_MOVE_RATE", "1.5MB/s")
        .load();
    assert_eq!(config.cluster.moves.rate, Some(1_500_000));
}

#[test]
fn shards_are_managed_by_the_file_unless_they_are_in_this_process() {
    let managed = |text| Written::file("c.yaml", text).load().0.cluster.managed_by;
    assert_eq!(managed("{}"), ManagedBy::Api);
    assert_eq!(managed("shards: [{name: a, url: 'redis://a'}]"), ManagedBy::File);
    assert_eq!(managed("engine: {type: redis}"), ManagedBy::File);
    let (config, report) = Written::file("c.yaml", "cluster: {shards_managed_by: file}").load();
    assert_eq!(config.cluster.managed_by, ManagedBy::Api);
    assert!(report.to_string().contains("are managed by api"), "{report}");
}

#[test]
fn who_asks_the_topology_or_the_dns_need_not_list_shards() {
    let text = "cluster: {shards_managed_by: api, store: 'redis://a'}";
    let (config, _) = Written::file("c.yaml", text).load();
    assert!(matches!(config.shards, ShardsOptions::Redis(shards) if shards.is_empty()));
    let text = "cluster: {shards_managed_by: dns, store: 'redis://a', dns: {name: redis, kind: a, port: 7, interval: 1ms}}";
    let (config, report) = Written::file("c.yaml", text).load();
    assert!(matches!(config.shards, ShardsOptions::Redis(shards) if shards.is_empty()));
    let ManagedBy::Dns(dns) = config.cluster.managed_by else {
        panic!("it was said to be");
    };
    assert_eq!(
        (dns.kind, dns.interval),
        (RecordKind::Addresses(7), LEAST_INTERVAL)
    );
    assert!(
        report
            .to_string()
            .contains("cluster.dns.interval: 1ms is too often"),
        "{report}"
    );
}

#[test]
fn a_list_of_shards_needs_no_secrets_in_it() {
    let text = "shards: [{name: a, url: 'redis://a'}, {name: b, url: 'redis://own:word@b/3'}, \
         {name: c, url: 'redis+sentinel://s:1,t:2/c'}]";
    let file = Written::file("c.yaml", text).variable("CAMPANILE_ENGINE_REDIS_PASSWORD", "hush");
    let ShardsOptions::Redis(shards) = file.load().0.shards else {
        panic!("they are on Redis");
    };
    let urls: Vec<_> = shards.iter().map(|shard| shard.url.expose()).collect();
    let expected = [
        "redis://:hush@a",
        "redis://own:word@b/3",
        "redis+sentinel://:hush@s:1,t:2/c",
    ];
    assert_eq!(urls, expected);
}

#[test]
fn a_store_on_the_first_shard_believes_the_certificates_that_the_shard_believes() {
    let text = "shards: [{name: a, url: 'rediss://a', ca_file: ca.pem}]";
    let store = Written::file("c.yaml", text).load().0.cluster.store.unwrap();
    assert_eq!(store.ca_file, Some("ca.pem".into()));
}
