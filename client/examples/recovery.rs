//! Publishes numbers from one client while another one loses its connection again and again, and shows that the numbers
//! arrive whole. The channel must keep a stream: `history_size`, `history_ttl`.
//!
//! ```sh
//! cargo run -p campanile-client --example recovery -- ws://localhost:8000/connection/websocket chat:numbers
//! ```
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use campanile_client::{Client, SubscriptionEvent};
use tokio::time::sleep;

const NUMBERS: u32 = 50;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .unwrap_or_else(|| "ws://localhost:8000/connection/websocket".into());
    let channel = arguments.next().unwrap_or_else(|| "chat:numbers".into());

    let subscriber = Client::builder(&url).build()?;
    let numbers = subscriber.subscription(&channel).recoverable().build()?;
    let mut events = numbers.events();
    subscriber.connect();
    numbers.subscribe();
    numbers.ready().await?;

    let publisher = Client::builder(&url).build()?;
    publisher.connect();
    let publish = async {
        for number in 1..=NUMBERS {
            publisher.publish(&channel, number.to_string()).await?;
            if number % 10 == 0 {
                // The subscriber is away while the next ones are published.
                subscriber.disconnect();
            } else if number % 10 == 5 {
                subscriber.connect();
            }
            sleep(Duration::from_millis(20)).await;
        }
        subscriber.connect();
        Ok::<(), Box<dyn Error>>(())
    };
    let receive = async {
        let mut expected = 1;
        while expected <= NUMBERS {
            match events.recv().await.ok_or("the client has ended")? {
                SubscriptionEvent::Publication(publication) => {
                    let number: u32 = publication.json()?;
                    assert_eq!(number, expected, "in order, none twice, none missing");
                    expected += 1;
                }
                SubscriptionEvent::Subscribed(subscribed) if subscribed.was_recovering => {
                    println!(
                        "before {expected}: recovered = {}, {} publications",
                        subscribed.recovered, subscribed.recovered_publications
                    );
                }
                SubscriptionEvent::Unsubscribed(reason) => return Err(reason.to_string().into()),
                _ => {}
            }
        }
        Ok::<(), Box<dyn Error>>(())
    };
    tokio::try_join!(publish, receive)?;
    println!("all of {NUMBERS}");
    Ok(())
}
