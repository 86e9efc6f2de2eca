//! `campanile sub`.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use campanile_client::{ClientEvent, SubscriptionEvent};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::arguments::SubArguments;
use super::complain;
use super::failure::Failure;
use super::line;
use super::session::connect;
use crate::cli::output::say;
use crate::cli::trust::chain;

/// The events of all channels, each with the channel's name.
type Events = SelectAll<BoxStream<'static, (String, SubscriptionEvent)>>;

/// Prints what is published until there is enough.
pub(super) async fn run(arguments: SubArguments) -> Result<(), Failure> {
    if arguments.since.is_some() && arguments.channels.len() > 1 {
        let text = "--since: a position is of one channel; give one channel with it";
        return Err(Failure::Usage(text.to_owned()));
    }
    let (client, mut client_events) = arguments.server.client()?;
    let mut subscriptions = Vec::new();
    let mut events = Events::new();
    for channel in &arguments.channels {
        let mut builder = client.subscription(channel).recoverable();
        if let Some(position) = &arguments.since {
            builder = builder.since(position.clone());
        }
        // Named twice, it is subscribed once.
        let Ok(subscription) = builder.build() else {
            continue;
        };
        let channel = channel.clone();
        let named = subscription.events().map(move |event| (channel.clone(), event));
        events.push(named.boxed());
        subscription.subscribe();
        subscriptions.push(subscription);
    }
    let mut end = pin!(end(arguments.lasting.map(|duration| duration.get())));
    tokio::select! {
        connected = connect(&client, &mut client_events) => connected?,
        () = &mut end => return incomplete(0, arguments.count),
    }
    let mut printer = Printer::new(&arguments);
    loop {
        tokio::select! {
            Some((channel, event)) = events.next() => {
                if printer.show(&channel, event)? == Next::Enough {
                    return Ok(());
                }
            }
            Some(event) = client_events.recv() => connection_changed(event)?,
            () = &mut end => return incomplete(printer.came, arguments.count),
        }
    }
}

/// When somebody wants it to end.
async fn end(lasting: Option<Duration>) {
    let lasted = async {
        match lasting {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
        () = lasted => {}
    }
}

/// When the signal comes that means to end. Where it cannot be listened for, it ends the process by itself.
async fn told(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Listening for as long as one likes is all right; something else was asked for where there is a number.
fn incomplete(came: u64, wanted: Option<u64>) -> Result<(), Failure> {
    match wanted {
        Some(wanted) if came < wanted => Err(Failure::Incomplete { came, wanted }),
        _ => Ok(()),
    }
}

fn connection_changed(event: ClientEvent) -> Result<(), Failure> {
    match event {
        ClientEvent::Connecting(reason) => complain(&format!("connection lost: {reason}; connecting again")),
        ClientEvent::Connected(connected) => {
            complain(&format!("connected again over {}", connected.transport.label()));
        }
        ClientEvent::Disconnected(reason) => {
            let what = "the gateway has ended the connection".to_owned();
            return Err(Failure::Refused { what, reason });
        }
        ClientEvent::Error(error) => complain(&chain(&error)),
        ClientEvent::Lagged(_) | _ => {}
    }
    Ok(())
}

/// Whether to go on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Enough,
}

/// Prints events.
struct Printer {
    json: bool,
    /// Whether it must be said which channel something is of.
    several: bool,
    count: Option<u64>,
    came: u64,
    /// The streams' epochs, by channel.
    epochs: HashMap<String, String>,
}

impl Printer {
    fn new(arguments: &SubArguments) -> Self {
        Self {
            json: arguments.server.json,
            several: arguments.channels.len() > 1,
            count: arguments.count,
            came: 0,
            epochs: HashMap::new(),
        }
    }

    fn show(&mut self, channel: &str, event: SubscriptionEvent) -> Result<Next, Failure> {
        let wanted = match event {
            SubscriptionEvent::Publication(publication) => {
                self.came += 1;
                let epoch = self.epochs.get(channel).map(String::as_str);
                let wanted = if self.json {
                    line::print(&line::publication(channel, epoch, &publication))
                } else if self.several {
                    say([channel.as_bytes(), b"\t", &publication.data].concat())
                } else {
                    say(&publication.data)
                };
                wanted && self.count != Some(self.came)
            }
            SubscriptionEvent::Subscribed(subscribed) => {
                if let Some(position) = &subscribed.position {
                    let epoch = position.epoch.as_str().to_owned();
                    self.epochs.insert(channel.to_owned(), epoch);
                }
                if subscribed.was_recovering && !subscribed.recovered {
                    let reason = &subscribed.recovery_reason;
                    complain(&format!("{channel}: publications may be missing here ({reason})"));
                }
                !self.json || line::print(&line::subscribed(channel, &subscribed))
            }
            SubscriptionEvent::Unsubscribed(reason) => {
                let what = format!("{channel}: not subscribed");
                return Err(Failure::Refused { what, reason });
            }
            SubscriptionEvent::Join(info) => self.came_or_left("join", channel, &line::client(&info)),
            SubscriptionEvent::Leave(info) => self.came_or_left("leave", channel, &line::client(&info)),
            SubscriptionEvent::Error(error) => {
                complain(&format!("{channel}: {}", chain(&error)));
                true
            }
            SubscriptionEvent::Lagged(lagged) => {
                complain(&format!(
                    "{channel}: {} events are missing here: nobody took them",
                    lagged.missed
                ));
                true
            }
            _ => true,
        };
        Ok(if wanted { Next::GoOn } else { Next::Enough })
    }

    fn came_or_left(&self, what: &str, channel: &str, who: &serde_json::Value) -> bool {
        !self.json || line::print(&json!({ "type": what, "channel": channel, "info": who }))
    }
}
