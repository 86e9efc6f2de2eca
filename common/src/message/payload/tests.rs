//! Payloads within JSON.

use bytes::Bytes;

use super::{MAX_DEPTH, is_json};
use crate::message::Message;

fn encode(payload: impl Into<Bytes>) -> String {
    serde_json::to_string(&Message { data: payload.into() }).unwrap()
}

#[test]
fn json_is_carried_verbatim() {
    let text = r#"{"z": 1.50, "a":[ 1e400, 12345678901234567890123 ], "z": "\u00e9\/"}"#;
    assert_eq!(encode(text), format!(r#"{{"data":{text}}}"#));
    let message: Message = serde_json::from_str(&encode(text)).unwrap();
    assert_eq!(message.data, text);
}

#[test]
fn line_breaks_between_tokens_are_left_out() {
    let pretty = "\r\n{\r\n  \"a\": [1,\n2],\n\"b\":\"x\\ny\"\n}\n";
    assert_eq!(encode(pretty), r#"{"data":{  "a": [1,2],"b":"x\ny"}}"#);
}

#[test]
fn what_is_not_json_becomes_base64() {
    assert_eq!(encode(&b"\x00\xff\x10"[..]), r#"{"data":"AP8Q"}"#);
    for not_json in ["{", "1 2", "{}}", "\"\n\"", "nul", " ", "a\",\"b\":\""] {
        assert!(!is_json(not_json.as_bytes()), "{not_json:?}");
        let text = encode(not_json);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, not_json);
        assert_eq!(value, serde_json::json!({ "data": encoded }));
    }
}

#[test]
fn json_too_deep_for_parsers_becomes_base64() {
    let nested = |depth, within: &str| format!("{}{within}{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
    for within in ["", r#""[[[ \\\" {{{""#] {
        let most = nested(MAX_DEPTH / 2, within);
        assert_eq!(encode(most.clone()), format!(r#"{{"data":{most}}}"#));
        let too_many = nested(MAX_DEPTH / 2, &format!("[{within}]"));
        assert!(!is_json(too_many.as_bytes()));
        assert!(!encode(too_many).contains('['));
    }
    // Many side by side, or in a text, are not deep.
    for flat in [
        format!("[{}0]", "[],".repeat(1000)),
        format!("\"{}\"", "[".repeat(1000)),
    ] {
        assert!(is_json(flat.as_bytes()));
    }
}

#[test]
fn null_is_a_payload_and_absence_is_none() {
    let message: Message = serde_json::from_str(r#"{"data":null}"#).unwrap();
    assert_eq!(message.data, "null");
    assert_eq!(encode("null"), r#"{"data":null}"#);
    assert_eq!(encode(""), "{}");
    assert_eq!(serde_json::from_str::<Message>("{}").unwrap().data, "");
}

#[test]
fn payloads_can_be_read_from_values_and_readers() {
    let value = serde_json::json!({ "data": [1, 2] });
    assert_eq!(serde_json::from_value::<Message>(value).unwrap().data, "[1,2]");
    let reader = &br#"{"data": [1, 2]}"#[..];
    assert_eq!(
        serde_json::from_reader::<_, Message>(reader).unwrap().data,
        "[1, 2]"
    );
}
