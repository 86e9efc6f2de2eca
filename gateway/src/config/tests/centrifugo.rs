//! Files that were written for Centrifugo.

use super::*;

#[test]
fn a_file_of_centrifugo_starts_and_says_what_it_ignores() {
    let (config, report) = Written::file("config.yaml", CENTRIFUGO).load();
    let ShardsOptions::Redis(shards) = &config.shards else {
        panic!("two Redis addresses make two shards");
    };
    let urls: Vec<&str> = shards.iter().map(|shard| shard.url.expose()).collect();
    assert_eq!(
        urls,
        [
            "redis://:redis-password@10.0.0.11:6379/2",
            "redis://:redis-password@10.0.0.12:6379/2"
        ]
    );
    assert_eq!(shards[1].id.as_str(), "redis-2");
    assert_eq!(
        config.cluster.store.unwrap().url.to_string(),
        "redis://10.0.0.11:6379/2"
    );
    assert_eq!(config.cluster.prefix, "realtime");
    assert_eq!(config.http.internal.unwrap().port(), 9000);
    assert_eq!(config.client.ping_interval, Duration::from_secs(20));
    assert_eq!(
        config.channel.namespaces["chat"].history_ttl,
        Duration::from_secs(24 * 3600)
    );
    assert!(config.channel.namespaces["chat"].allow_publish.subscriber);
    assert!(config.channel.without_namespace.allow_user_limited_channels);

    let (warnings, security) = (
        texts(&report, Severity::Warning),
        texts(&report, Severity::Security),
    );
    for key in [
        "client.token.jwks_public_endpoint",
        "client.proxy.connect.endpoint",
        "rpc.ping.method",
        "channel.namespaces[0].delta_publish",
        "websocket.compression",
        "uni_sse.enabled",
        "engine.redis.io_timeout",
    ] {
        assert!(
            warnings.iter().any(|warning| warning.starts_with(key)),
            "{key}: {warnings:#?}"
        );
    }
    for key in [
        "http_server.tls.client_ca_pem",
        "channel.namespaces[1].subscribe_proxy_enabled",
    ] {
        assert!(
            security.iter().any(|warning| warning.starts_with(key)),
            "{key}: {security:#?}"
        );
    }
    assert!(
        texts(&report, Severity::Note)
            .iter()
            .any(|note| note.starts_with("swagger.enabled"))
    );
}

#[test]
fn a_section_of_centrifugo_that_is_off_is_only_noted() {
    let text = "http_server: {tls_autocert: {enabled: false}}\nclient: {token: {hmac_secret_key: a-long-enough-secret-key}}\nhttp_api: {key: k}";
    let (_, report) = Written::file("c.yaml", text).load();
    assert_eq!(texts(&report, Severity::Note).len(), 1);
    assert_eq!(report.findings().len(), 1, "{report}");
}

#[test]
fn secrets_do_not_show_in_what_is_logged() {
    let (config, report) = Written::file("config.yaml", CENTRIFUGO).load();
    let shown = format!("{config:?}{report}");
    for secret in [
        "redis-password",
        "centrifugo-secret",
        "centrifugo-api-key",
        "centrifugo-admin-password",
        "centrifugo-admin-secret",
    ] {
        assert!(
            CENTRIFUGO.contains(secret) && !shown.contains(secret),
            "{secret} shows"
        );
    }
}
