//! WebSocket's handshake.

use campanile_common::Codec;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::head::Head;

/// The codec that a client asks for, and the answer; `None`: it asks for no WebSocket.
pub(super) fn accept(head: &Head) -> Option<(Codec, String)> {
    let key = head.field("sec-websocket-key")?;
    let offered = head.field("sec-websocket-protocol").unwrap_or_default();
    let chosen = offered
        .split(',')
        .map(str::trim)
        .find_map(Codec::from_subprotocol);
    let asked = Codec::ALL
        .into_iter()
        .find(|codec| head.request.contains(&format!("cf_protocol={}", codec.label())));
    let codec = chosen.or(asked).unwrap_or(Codec::Json);
    let protocol = chosen.and_then(Codec::subprotocol);
    let protocol = protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{protocol}\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    Some((codec, answer))
}
