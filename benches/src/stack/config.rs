//! The gateways' configuration, made for load: everybody may do everything, and nobody is held back.

use serde_json::{Value, json};

use crate::target::Target;

/// Of channels without a stream.
pub(super) const NAMESPACE: &str = "bench";

/// Of channels with a stream.
pub(super) const STREAM_NAMESPACE: &str = "stream";

/// The configuration file of every gateway.
pub(super) fn text(target: &Target, store: Option<&str>, presence: bool) -> String {
    let mut plain = namespace(NAMESPACE);
    plain["presence"] = json!(presence);
    let mut stream = namespace(STREAM_NAMESPACE);
    stream["history_size"] = json!(1_000);
    stream["history_ttl"] = json!("300s");
    stream["force_recovery"] = json!(true);
    stream["force_positioning"] = json!(true);
    let mut config = json!({
        "http_server": { "address": "127.0.0.1", "port": 0 },
        "http_api": { "key": target.api_key },
        "client": {
            "allow_anonymous_connect_without_token": true,
            "rate_limit": { "commands_per_second": 0 },
            "channel_limit": 1_000,
        },
        "channel": { "namespaces": [plain, stream] },
        "quic": { "enabled": true, "generated_certificate": true },
        "log": { "level": "warn" },
    });
    if let Some(store) = store {
        let shards: Vec<_> = target
            .shards
            .iter()
            .map(|it| json!({ "name": it.name, "url": it.url }))
            .collect();
        config["engine"] = json!({ "type": "redis" });
        config["shards"] = json!(shards);
        config["cluster"] = json!({ "store": store, "shards_managed_by": "api" });
    }
    config.to_string()
}

fn namespace(name: &str) -> Value {
    json!({
        "name": name,
        "allow_subscribe_for_client": true,
        "allow_subscribe_for_anonymous": true,
        "allow_publish_for_client": true,
        "allow_publish_for_anonymous": true,
        "allow_history_for_client": true,
        "allow_history_for_anonymous": true,
    })
}
