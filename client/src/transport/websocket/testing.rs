//! A WebSocket whose server end is in the same process: no sockets.

use campanile_common::Codec;
use campanile_common::message::{Command, Reply};
use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::{WebSocketTransport, handshake};
use crate::transport::Transport;

/// The server's end of a connection.
pub(crate) struct Server {
    pub(crate) socket: WebSocketStream<DuplexStream>,
    pub(crate) codec: Codec,
}

impl Server {
    pub(crate) async fn send(&mut self, replies: &[Reply]) {
        let frame: Vec<u8> = replies
            .iter()
            .flat_map(|reply| self.codec.encode_reply(reply))
            .collect();
        let message = match self.codec {
            Codec::Json => Message::text(String::from_utf8(frame).unwrap()),
            _ => Message::binary(frame),
        };
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn recv(&mut self) -> Command {
        let message = self.socket.next().await.unwrap().unwrap();
        let commands: Result<Vec<_>, _> = self.codec.decode_commands(&message.into_data()).collect();
        commands.unwrap().pop().unwrap()
    }
}

/// Agrees to whatever subprotocol the client asks for. (The type of the error is that of tungstenite's callback.)
#[allow(clippy::result_large_err)]
pub(crate) fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if let Some(subprotocol) = request.headers().get(SEC_WEBSOCKET_PROTOCOL) {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, subprotocol.clone());
    }
    Ok(response)
}

/// Both ends of an open WebSocket.
pub(crate) async fn pair(codec: Codec) -> (Box<dyn Transport>, Server) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let request = handshake::request("ws://gateway/connection/websocket").unwrap();
    let (client, server) = tokio::join!(
        handshake::upgrade(request, codec, Box::new(near)),
        accept_hdr_async(far, agree)
    );
    let server = Server {
        socket: server.unwrap(),
        codec,
    };
    (Box::new(WebSocketTransport::new(client.unwrap(), codec)), server)
}
