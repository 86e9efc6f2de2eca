//! Configurations that nobody wrote: what a gateway without any makes up, and a starter file.

use std::net::Ipv4Addr;

use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde_json::Value;

use super::Demo;
use super::raw::{Namespace, Raw};

/// The namespace of the page's channels.
pub const DEMO_NAMESPACE: &str = "demo";

const STARTER: &str = include_str!("starter.yaml");

/// A secret for a key: 32 random letters and digits, about 190 bits.
#[must_use]
pub fn secret() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(32)
        .map(char::from)
        .collect()
}

/// A commented file to begin with, with secrets of its own.
#[must_use]
pub fn starter() -> String {
    STARTER
        .replace("@token_secret@", &secret())
        .replace("@api_key@", &secret())
}

/// What variables and flags say about that which would be made up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// Whether there is QUIC.
    quic: bool,
}

impl Said {
    /// What is said in `merged`.
    pub(super) fn of(merged: &Value) -> Self {
        Self {
            quic: merged.pointer("/quic/enabled").is_some(),
        }
    }
}

/// Makes up what is needed to be used at once, if there is no file and nothing says who may do what: secrets, a namespace
/// for the page, the page itself, QUIC, all on the loopback interface unless told otherwise.
pub(super) fn demo(raw: &mut Raw, without_file: Option<Said>) -> Option<Demo> {
    let untouched = raw.engine.kind == "memory"
        && raw.shards.is_empty()
        && raw.http_api.key.is_empty()
        && raw.client.token.hmac_secret_key.is_empty()
        && !raw.http_api.insecure
        && !raw.client.insecure;
    let said = without_file.filter(|_| untouched)?;
    let demo = Demo {
        api_key: secret(),
        token_secret: secret(),
    };
    raw.http_api.key.clone_from(&demo.api_key);
    raw.client.token.hmac_secret_key.clone_from(&demo.token_secret);
    raw.page.enabled = true;
    raw.quic.enabled |= !said.quic;
    raw.quic.generated_certificate = true;
    raw.webtransport.enabled |= raw.quic.enabled;
    if raw.http_server.address.is_empty() {
        raw.http_server.address = Ipv4Addr::LOCALHOST.to_string();
    }
    if !raw
        .channel
        .namespaces
        .iter()
        .any(|namespace| namespace.name == DEMO_NAMESPACE)
    {
        raw.channel.namespaces.push(demo_namespace());
    }
    Some(demo)
}

fn demo_namespace() -> Namespace {
    Namespace {
        name: DEMO_NAMESPACE.to_owned(),
        presence: true,
        join_leave: true,
        force_push_join_leave: true,
        history_size: 100,
        history_ttl: campanile_common::HumanDuration::from_secs(60 * 60),
        force_recovery: true,
        allow_subscribe_for_client: true,
        allow_publish_for_subscriber: true,
        allow_presence_for_subscriber: true,
        allow_history_for_subscriber: true,
        ..Namespace::default()
    }
}
