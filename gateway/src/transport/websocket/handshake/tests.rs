use super::*;

fn request(change: impl FnOnce(&mut request::Parts)) -> request::Parts {
    let (mut parts, ()) = http::Request::get("/connection/websocket")
        .header(CONNECTION, "keep-alive, Upgrade")
        .header(UPGRADE, "WebSocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
        .body(())
        .unwrap()
        .into_parts();
    // A message that cannot be upgraded gives an `OnUpgrade` that fails when awaited.
    let upgrade = hyper::upgrade::on(http::Request::new(()));
    parts.extensions.insert(upgrade);
    change(&mut parts);
    parts
}

fn refusal(change: impl FnOnce(&mut request::Parts)) -> HandshakeError {
    accept(&mut request(change)).expect_err("the request is not to be accepted")
}

fn offer(protocols: &'static str, query: &str) -> Result<(Codec, Option<String>), HandshakeError> {
    let mut parts = request(|parts| {
        parts
            .headers
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocols));
        parts.uri = format!("/connection/websocket?{query}").parse().unwrap();
    });
    let accepted = accept(&mut parts)?;
    let answer = accepted.headers.get(SEC_WEBSOCKET_PROTOCOL);
    Ok((
        accepted.codec,
        answer.map(|value| value.to_str().unwrap().to_owned()),
    ))
}

#[test]
fn the_example_of_the_rfc_is_answered_as_there() {
    let accepted = accept(&mut request(|_| {})).unwrap();
    assert_eq!(
        accepted.headers[SEC_WEBSOCKET_ACCEPT],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(accepted.codec, Codec::Json);
    assert_eq!(accepted.headers.get(SEC_WEBSOCKET_PROTOCOL), None);
}

fn with(name: HeaderName, value: &'static str) -> impl FnOnce(&mut request::Parts) {
    move |parts| {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
}

#[test]
fn what_is_no_websocket_request_is_refused() {
    let plain = refusal(with(UPGRADE, "h2c"));
    assert_eq!(plain, HandshakeError::NotWebSocket);
    assert_eq!(plain.headers()[UPGRADE], "websocket");
    assert_eq!(
        refusal(|parts| parts.method = Method::POST),
        HandshakeError::NotWebSocket
    );
    let old = refusal(with(SEC_WEBSOCKET_VERSION, "8"));
    assert_eq!(old, HandshakeError::Version);
    assert_eq!(old.status(), StatusCode::UPGRADE_REQUIRED);
    for key in ["", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZQ", "????"] {
        assert_eq!(refusal(with(SEC_WEBSOCKET_KEY, key)), HandshakeError::Key);
    }
}

#[test]
fn the_first_known_subprotocol_chooses_the_codec() {
    let named = |codec, name: &str| Ok((codec, Some(name.to_owned())));
    assert_eq!(
        offer("chat, centrifuge-protobuf", ""),
        named(Codec::Protobuf, "centrifuge-protobuf")
    );
    assert_eq!(
        offer("campanile-msgpack,centrifuge-json", "cf_protocol=protobuf"),
        named(Codec::MessagePack, "campanile-msgpack")
    );
    assert_eq!(
        offer("centrifuge-json", ""),
        named(Codec::Json, "centrifuge-json")
    );
}

#[test]
fn the_query_chooses_the_codec_where_no_subprotocol_does() {
    assert_eq!(
        offer("chat", "a=b&cf_protocol=msgpack"),
        Ok((Codec::MessagePack, None))
    );
    assert_eq!(offer("", "cf_protocol=json"), Ok((Codec::Json, None)));
    assert_eq!(offer("", "cf_protocol=xml"), Err(HandshakeError::Codec));
    assert_eq!(offer("chat", "cf_protocol_version=v2"), Ok((Codec::Json, None)));
}
