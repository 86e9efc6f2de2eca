//! Connects and subscribes with tokens from a token source. Here a command that prints a token stands for the application's
//! backend, `campanile gentoken` for example, and is run again whenever a token is about to expire.
//!
//! ```sh
//! cargo run -p campanile-client --example tokens -- ws://localhost:8000/connection/websocket chat:lobby \
//!     campanile gentoken --config config.yaml --user 42
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::process::Stdio;

use campanile_client::{Client, ClientEvent, TokenError};
use tokio::process::Command;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("which server?")?;
    let channel = arguments.next().ok_or("which channel?")?;
    let command: Vec<_> = arguments.collect();

    let client = Client::builder(url)
        .token_source(move || token(command.clone()))
        .build()?;
    let subscription = client.subscription(channel).build()?;
    let mut events = client.events();
    client.connect();
    subscription.subscribe();
    while let Some(event) = events.recv().await {
        match event {
            ClientEvent::Connected(connected) => println!("connected as {}", connected.client),
            ClientEvent::Error(error) => println!("{error}"),
            ClientEvent::Disconnected(reason) => {
                println!("disconnected: {reason}");
                break;
            }
            _ => {}
        }
    }
    Ok(())
}

/// An error means that there is no token for the moment, and the client asks again later.
async fn token(command: Vec<String>) -> Result<String, TokenError> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(TokenError::unauthorized());
    };
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .await?;
    if !output.status.success() {
        // Whoever is refused a token will be refused the next one, too.
        return Err(TokenError::unauthorized());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
