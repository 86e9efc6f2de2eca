//! The two methods of the HTTP API that a fan-out needs.

use std::io;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::connection::read;
use super::head::Head;
use super::rooms::Rooms;

#[derive(Deserialize)]
struct Publish {
    channel: String,
    data: Box<RawValue>,
}

#[derive(Deserialize)]
struct Batch {
    commands: Vec<Command>,
}

#[derive(Deserialize)]
struct Command {
    publish: Publish,
}

/// Answers requests, of which `input` has been read, until the caller leaves.
pub(super) async fn serve(mut stream: TcpStream, mut input: Vec<u8>, rooms: &Rooms) -> io::Result<()> {
    loop {
        let Some(head) = Head::parse(&input) else {
            read(&stream, &mut input).await?;
            continue;
        };
        let length = head.field("content-length").and_then(|text| text.parse().ok());
        let end = head.length + length.unwrap_or(0);
        while input.len() < end {
            read(&stream, &mut input).await?;
        }
        let answer = answer(&head.request, &input[head.length..end], rooms);
        stream.write_all(&response(answer)).await?;
        input.drain(..end);
    }
}

/// The body of the answer; `None`: there is no such thing.
fn answer(request: &str, body: &[u8], rooms: &Rooms) -> Option<String> {
    let path = request.split(' ').nth(1)?;
    if (path.ends_with("/publish") || path.ends_with("/batch")) && !rooms.accepts() {
        return Some("{\"error\":{\"code\":103,\"message\":\"permission denied\"}}".to_owned());
    }
    if path.ends_with("/publish") {
        publish(serde_json::from_slice(body).ok()?, rooms);
        return Some("{\"result\":{}}".to_owned());
    }
    if path.ends_with("/batch") {
        let Batch { commands } = serde_json::from_slice(body).ok()?;
        let replies = vec!["{\"publish\":{}}"; commands.len()];
        for command in commands {
            publish(command.publish, rooms);
        }
        return Some(format!("{{\"replies\":[{}]}}", replies.join(",")));
    }
    path.ends_with("/health").then(|| "{}".to_owned())
}

fn publish(publish: Publish, rooms: &Rooms) {
    let data = Box::<str>::from(publish.data).into_boxed_bytes();
    rooms.publish(&publish.channel, Bytes::from(data));
}

fn response(body: Option<String>) -> Vec<u8> {
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
