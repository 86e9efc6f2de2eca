//! A connected client, and its end.

use std::time::Duration;

use campanile_client::{Client, ClientError, ClientEvent, ClientEvents};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::arguments::ServerArguments;
use super::failure::Failure;
use crate::cli::trust::chain;

/// How long the last words of a connection may take.
const GOODBYE: Duration = Duration::from_millis(1500);

/// How often it is looked whether they have been said.
const LOOK: Duration = Duration::from_millis(1);

impl ServerArguments {
    /// A client of the gateway, not connected yet, and what happens to it.
    pub(super) fn client(&self) -> Result<(Client, ClientEvents), Failure> {
        let urls: Vec<_> = self.urls.iter().map(|url| client_url(url)).collect();
        let (first, others) = urls
            .split_first()
            .ok_or_else(|| Failure::Usage("--url: give at least one".to_owned()))?;
        let builder = Client::builder(first)
            .name("campanile-cli")
            .token(&self.token)
            .timeout(self.timeout.get())
            .tls(self.trust.options().map_err(Failure::Usage)?);
        let builder = others.iter().fold(builder, |builder, url| builder.fallback(url));
        let client = builder
            .build()
            .map_err(|error| Failure::Usage(format!("--url: {}", chain(&error))))?;
        let events = client.events();
        Ok((client, events))
    }
}

/// The address for clients of a gateway whose address for people this is.
fn client_url(url: &str) -> String {
    let of = |scheme: &str, rest: &str| {
        // A path there is that of the API.
        let host = rest.split('/').next().unwrap_or_default();
        format!("{scheme}://{host}")
    };
    match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => of("ws", rest),
        (_, Some(rest)) => of("wss", rest),
        _ => url.to_owned(),
    }
}

/// Connects. A gateway that cannot be reached at first is not waited for: the address may be wrong.
pub(super) async fn connect(client: &Client, events: &mut ClientEvents) -> Result<(), Failure> {
    client.connect();
    while let Some(event) = events.recv().await {
        match event {
            ClientEvent::Connected(_) => return Ok(()),
            ClientEvent::Disconnected(reason) => {
                let what = "the gateway does not take the connection".to_owned();
                return Err(Failure::Refused { what, reason });
            }
            ClientEvent::Error(ClientError::Open(error)) => return Err(Failure::unreachable(&*error)),
            ClientEvent::Error(ClientError::Connect(error)) => {
                return Err(Failure::of_request("connecting", error));
            }
            ClientEvent::Error(error) => return Err(Failure::Unreachable(chain(&error))),
            _ => {}
        }
    }
    Err(Failure::Unreachable("the client has ended".to_owned()))
}

/// Waits until the tasks of the client that was dropped have said goodbye to the gateway, which would wait for signs of
/// life otherwise.
pub(super) async fn goodbye() {
    let until = Instant::now() + GOODBYE;
    while Handle::current().metrics().num_alive_tasks() > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::client_url;

    #[test]
    fn addresses_for_people_are_understood() {
        for (url, expected) in [
            ("http://host:8000", "ws://host:8000"),
            ("https://host/api/", "wss://host"),
            ("quic://host:8000", "quic://host:8000"),
            ("wss://host/own/path", "wss://host/own/path"),
        ] {
            assert_eq!(client_url(url), expected);
        }
    }
}
