//! What is printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use campanile_client::{ClientInfo, Publication, Subscribed};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::cli::output::say;

/// An object on a line of standard output; whether anybody still wants it.
pub(super) fn print(line: &Value) -> bool {
    say(line.to_string())
}

/// A publication, for scripts. `epoch` and `offset` are what `--since` takes.
pub(super) fn publication(channel: &str, epoch: Option<&str>, publication: &Publication) -> Value {
    let mut line = Map::new();
    line.insert("type".into(), "publication".into());
    line.insert("channel".into(), channel.into());
    if let (Some(epoch), Some(offset)) = (epoch, publication.offset) {
        line.insert("epoch".into(), epoch.into());
        line.insert("offset".into(), offset.into());
    }
    let (key, data) = payload(&publication.data);
    line.insert(key.into(), data);
    if let Some(info) = &publication.info {
        line.insert("info".into(), client(info));
    }
    if !publication.tags.is_empty() {
        line.insert("tags".into(), json!(publication.tags));
    }
    line.into()
}

/// The beginning of a subscription, for scripts.
pub(super) fn subscribed(channel: &str, subscribed: &Subscribed) -> Value {
    let mut line = json!({
        "type": "subscribed",
        "channel": channel,
        "was_recovering": subscribed.was_recovering,
        "recovered": subscribed.recovered,
    });
    if let Some(position) = &subscribed.position {
        line["epoch"] = position.epoch.as_str().into();
        line["offset"] = json!(position.offset);
    }
    if !subscribed.recovery_reason.is_empty() {
        line["reason"] = subscribed.recovery_reason.as_str().into();
    }
    line
}

/// Someone who subscribed or published.
pub(super) fn client(info: &ClientInfo) -> Value {
    json!({ "user": info.user, "client": info.client })
}

/// The payload and the key that says what it is: JSON if it is that, else text, else base64.
fn payload(data: &[u8]) -> (&'static str, Value) {
    if let Ok(json) = serde_json::from_slice(data) {
        return ("data", json);
    }
    match std::str::from_utf8(data) {
        Ok(text) => ("text", text.into()),
        Err(_) => ("base64", STANDARD.encode(data).into()),
    }
}

/// Whether these bytes are one JSON value.
pub(super) fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(data).is_ok()
}
