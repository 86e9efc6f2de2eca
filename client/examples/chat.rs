//! A chat at the terminal: what is typed is published, what is published is printed.
//!
//! ```sh
//! cargo run -p campanile-client --example chat -- ws://localhost:8000/connection/websocket chat:lobby
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;

use campanile_client::{Client, ClientEvent, SubscriptionEvent};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .unwrap_or_else(|| "ws://localhost:8000/connection/websocket".into());
    let channel = arguments.next().unwrap_or_else(|| "chat:lobby".into());

    let client = Client::builder(url).name("chat").build()?;
    let room = client.subscription(channel).recoverable().join_leave().build()?;
    let mut connection = client.events();
    let mut chat = room.events();
    client.connect();
    room.subscribe();

    let mut lines = BufReader::new(stdin()).lines();
    loop {
        tokio::select! {
            event = connection.recv() => match event {
                Some(ClientEvent::Connected(connected)) => println!("* connected as {}", connected.client),
                Some(ClientEvent::Connecting(reason)) => println!("* connecting: {reason}"),
                Some(ClientEvent::Error(error)) => println!("* {error}"),
                Some(ClientEvent::Disconnected(_)) | None => break,
                Some(_) => {}
            },
            event = chat.recv() => match event {
                Some(SubscriptionEvent::Publication(publication)) => match publication.json::<String>() {
                    Ok(text) => println!("{text}"),
                    Err(_) => println!("({} bytes)", publication.data.len()),
                },
                Some(SubscriptionEvent::Subscribed(subscribed)) if subscribed.was_recovering && !subscribed.recovered => {
                    println!("* some messages may be missing here");
                }
                Some(SubscriptionEvent::Join(info)) => println!("* {} joins", info.client),
                Some(SubscriptionEvent::Leave(info)) => println!("* {} leaves", info.client),
                Some(SubscriptionEvent::Unsubscribed(reason)) => println!("* not in the room: {reason}"),
                Some(_) => {}
                None => break,
            },
            line = lines.next_line() => match line? {
                Some(line) => {
                    if let Err(error) = room.publish(serde_json::to_vec(&line)?).await {
                        println!("* not sent: {error}");
                    }
                }
                None => break,
            },
        }
    }
    client.disconnect();
    Ok(())
}
