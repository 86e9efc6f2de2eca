use std::future::poll_fn;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use campanile_client::transport::{Dial as _, DialContext, DialOptions, Incoming, Transport, dialer};
use campanile_common::Codec;
use campanile_common::message::{Command, ConnectRequest, PublishRequest, Reply, Request, SubscribeRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;

/// A server in a thread of its own; it runs until the tests end.
fn start(coalesce: usize, fault: Option<Fault>) -> SocketAddr {
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        coalesce,
        fault,
    };
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || serve(options, |address| tell.send(address).unwrap()));
    told.recv().unwrap()
}

/// A client that has subscribed to `bench:room`.
struct Client {
    transport: Box<dyn Transport>,
    codec: Codec,
}

impl Client {
    async fn connect(server: SocketAddr, codec: Codec) -> Self {
        let url = format!("ws://{server}/connection/websocket");
        let dialer = dialer(&[&url], &DialOptions::default()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let transport = dialer.dial(DialContext::new(codec, deadline)).await.unwrap();
        let mut client = Self { transport, codec };
        client.send(1, ConnectRequest::default()).await;
        assert!(client.receive().await.connect.is_some());
        let subscribe = SubscribeRequest {
            channel: "bench:room".into(),
            ..SubscribeRequest::default()
        };
        client.send(2, subscribe).await;
        assert!(client.receive().await.subscribe.is_some());
        client
    }

    async fn send(&mut self, id: u32, request: impl Into<Request>) {
        let command = self.codec.encode_command(&Command::new(id, request));
        poll_fn(|cx| self.transport.poll_ready(cx)).await.unwrap();
        self.transport.start_send(command).unwrap();
        poll_fn(|cx| self.transport.poll_flush(cx)).await.unwrap();
    }

    async fn receive(&mut self) -> Reply {
        match poll_fn(|cx| self.transport.poll_recv(cx)).await.unwrap() {
            Incoming::Reply(reply) => reply,
            Incoming::Lane { .. } => panic!("a WebSocket has no lanes"),
        }
    }

    /// What the next `count` publications say.
    async fn publications(&mut self, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < count {
            let push = self.receive().await.push.unwrap();
            assert_eq!(push.channel, "bench:room");
            found.push(String::from_utf8(push.publication.unwrap().data.to_vec()).unwrap());
        }
        found
    }
}

/// Calls `method` of the API, and returns the answer's body.
async fn call(server: SocketAddr, method: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let length = body.len();
    let request = format!("POST /api/{method} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.unwrap();
        assert_ne!(count, 0, "the answer is cut off");
        answer.extend(&part[..count]);
        let Some(head) = head::Head::parse(&answer) else {
            continue;
        };
        let length: usize = head.field("content-length").unwrap().parse().unwrap();
        if answer.len() == head.length + length {
            return String::from_utf8(answer.split_off(head.length)).unwrap();
        }
    }
}

/// A batch of the publications 1 to `count`.
fn batch(count: usize) -> String {
    let publish = |number| format!("{{\"publish\":{{\"channel\":\"bench:room\",\"data\":{number}}}}}");
    let commands: Vec<_> = (1..=count).map(publish).collect();
    format!("{{\"commands\":[{}]}}", commands.join(","))
}

async fn arrivals(coalesce: usize, fault: Option<Fault>, publish: usize, receive: usize) -> Vec<String> {
    let server = start(coalesce, fault);
    let mut client = Client::connect(server, Codec::Protobuf).await;
    call(server, "batch", &batch(publish)).await;
    client.publications(receive).await
}

fn numbers(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn clients_of_every_codec_get_what_callers_publish() {
    for coalesce in [1, 32] {
        let server = start(coalesce, None);
        for codec in Codec::ALL {
            let mut client = Client::connect(server, codec).await;
            let publish = r#"{"channel":"bench:room","data":{"a":[1]}}"#;
            assert_eq!(call(server, "publish", publish).await, r#"{"result":{}}"#);
            let replies = call(server, "batch", &batch(2)).await;
            assert_eq!(replies, r#"{"replies":[{"publish":{}},{"publish":{}}]}"#);
            assert_eq!(client.publications(3).await, [r#"{"a":[1]}"#, "1", "2"]);
        }
    }
}

#[tokio::test]
async fn clients_get_what_clients_publish_and_what_is_long() {
    let server = start(1, None);
    let mut client = Client::connect(server, Codec::Json).await;
    let text = format!("\"{}\"", "x".repeat(100_000));
    let publish = PublishRequest {
        channel: "bench:room".into(),
        data: Bytes::from(text.clone()),
        ..PublishRequest::default()
    };
    client.send(3, publish).await;
    assert_eq!(client.publications(1).await, [text]);
    assert!(client.receive().await.publish.is_some());
}

#[tokio::test]
async fn each_fault_breaks_its_promise() {
    let whole = numbers(&(1..=100).collect::<Vec<_>>());
    for coalesce in [1, 32] {
        assert_eq!(arrivals(coalesce, None, 100, 100).await, whole);
        let lost = arrivals(coalesce, Some(Fault::Lose), 8, 7).await;
        assert_eq!(lost, numbers(&[1, 2, 3, 4, 5, 6, 8]));
        let doubled = arrivals(coalesce, Some(Fault::Double), 8, 9).await;
        assert_eq!(doubled, numbers(&[1, 2, 3, 4, 5, 6, 7, 7, 8]));
        let swapped = arrivals(coalesce, Some(Fault::Swap), 8, 8).await;
        assert_eq!(swapped, numbers(&[1, 2, 3, 4, 5, 6, 8, 7]));
    }
}
