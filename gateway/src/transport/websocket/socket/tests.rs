use std::future::poll_fn;

use campanile_common::DisconnectCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;
use crate::transport::websocket::Violation;

/// The bytes of a client's frame, with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length <= 125);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn pair(binary: bool) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    (WebSocket::new(near, Bytes::new(), binary, &options()), far)
}

fn options() -> WebSocketOptions {
    WebSocketOptions {
        path: "/".into(),
        message_size_limit: 100,
        write_timeout: Duration::from_secs(1),
    }
}

async fn recv(socket: &mut WebSocket<DuplexStream>) -> Result<Bytes, End> {
    poll_fn(|cx| socket.poll_recv(cx)).await
}

async fn flush(socket: &mut WebSocket<DuplexStream>) -> Result<(), End> {
    poll_fn(|cx| socket.poll_flush(cx)).await
}

async fn send(socket: &mut WebSocket<DuplexStream>, pieces: &[&'static str]) -> Result<(), End> {
    let mut batch: Vec<Bytes> = pieces.iter().map(|&piece| Bytes::from(piece)).collect();
    poll_fn(|cx| Poll::Ready(socket.start_send(cx, &mut batch))).await?;
    assert!(batch.is_empty());
    flush(socket).await
}

async fn read(far: &mut DuplexStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    far.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_together_are_received_one_by_one() {
    let (mut socket, mut far) = pair(false);
    let both = [frame(0x81, b"one"), frame(0x81, b"two"), frame(0x01, b"thr")].concat();
    far.write_all(&both).await.unwrap();
    assert_eq!(recv(&mut socket).await.unwrap(), "one");
    assert_eq!(recv(&mut socket).await.unwrap(), "two");
    far.write_all(&frame(0x80, b"ee")).await.unwrap();
    assert_eq!(recv(&mut socket).await.unwrap(), "three");
    assert!(socket.unread.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_with_the_handshake_comes_first() {
    let (near, mut far) = duplex(100);
    let unread = Bytes::from(frame(0x81, b"early"));
    let mut socket = WebSocket::new(near, unread, false, &options());
    far.write_all(&frame(0x81, b"late")).await.unwrap();
    assert_eq!(recv(&mut socket).await.unwrap(), "early");
    assert_eq!(recv(&mut socket).await.unwrap(), "late");
}

#[tokio::test(start_paused = true)]
async fn text_is_joined_without_the_last_line_break_and_binary_as_it_is() {
    let (mut socket, mut far) = pair(false);
    send(&mut socket, &["{}\n", "{\"id\":1}\n"]).await.unwrap();
    assert_eq!(read(&mut far, 13).await, b"\x81\x0b{}\n{\"id\":1}");
    let (mut socket, mut far) = pair(true);
    send(&mut socket, &["\u{1}\n", "\n"]).await.unwrap();
    assert_eq!(read(&mut far, 5).await, b"\x82\x03\x01\n\n");
}

#[tokio::test(start_paused = true)]
async fn the_last_ping_is_answered() {
    let (mut socket, mut far) = pair(false);
    let input = [frame(0x89, b"first"), frame(0x89, b"last"), frame(0x81, b"x")].concat();
    far.write_all(&input).await.unwrap();
    recv(&mut socket).await.unwrap();
    flush(&mut socket).await.unwrap();
    assert_eq!(read(&mut far, 6).await, b"\x8a\x04last");
}

#[tokio::test(start_paused = true)]
async fn a_violation_ends_the_connection_with_its_code() {
    for (input, violation, code) in [
        (frame(0x83, b""), Violation::ReservedOpcode, 1002_u16),
        (frame(0x81, b"\xff"), Violation::Utf8, 1007),
        (frame(0x81, &[b'x'; 101]), Violation::TooLong, 1009),
    ] {
        let (mut socket, mut far) = pair(false);
        far.write_all(&input).await.unwrap();
        let End::Violation(found) = recv(&mut socket).await.unwrap_err() else {
            panic!("the end must be a violation");
        };
        assert_eq!(found, violation.into());
        let closing = tokio::spawn(socket.close(Farewell::Violation(found)));
        let head = read(&mut far, 4).await;
        assert_eq!((head[0], &head[2..]), (0x88, &code.to_be_bytes()[..]));
        drop(far);
        closing.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_waits_for_the_clients_answer() {
    let (socket, mut far) = pair(false);
    let start = Instant::now();
    let closing = tokio::spawn(socket.close(Farewell::Disconnect(DisconnectCode::Shutdown.into())));
    assert_eq!(read(&mut far, 12).await, b"\x88\x0a\x0b\xb9shutdown");
    far.write_all(&frame(0x81, b"sent before")).await.unwrap();
    far.write_all(&frame(0x88, &3001_u16.to_be_bytes()))
        .await
        .unwrap();
    closing.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_a_disconnect_is_dropped() {
    let (socket, mut far) = pair(false);
    let start = Instant::now();
    socket
        .close(Farewell::Disconnect(DisconnectCode::Slow.into()))
        .await;
    assert_eq!(start.elapsed(), CLOSE_WAIT);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"\x88\x06\x0b\xc0slow");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_returned() {
    let (mut socket, mut far) = pair(false);
    far.write_all(&frame(0x88, &1000_u16.to_be_bytes()))
        .await
        .unwrap();
    assert!(matches!(recv(&mut socket).await, Err(End::Closed)));
    socket.close(Farewell::Echo).await;
    assert_eq!(read(&mut far, 4).await, b"\x88\x02\x03\xe8");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_noticed() {
    let (mut socket, far) = pair(false);
    drop(far);
    assert!(matches!(recv(&mut socket).await, Err(End::Gone(None))));
}
