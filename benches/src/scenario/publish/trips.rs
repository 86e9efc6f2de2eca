//! The bare round trip: what `PUBLISH` and `SUBSCRIBE` take without anything between, at the same rate, in the same seconds.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::resp::{self, Reply, Resp, apart};
use crate::Failure;
use crate::pace::Schedule;
use crate::run::{Run, Stamp};

/// The latency that is noted.
pub(super) const LATENCY: &str = "bare_round_trip";

/// Publishes at `rate` from `start` until `end`, and notes how long each message takes to come back.
pub(super) async fn measure(
    run: &Run,
    address: String,
    rate: f64,
    (start, end): (Instant, Instant),
) -> Result<(), Failure> {
    let topic = format!("{}{}-bare", run.plan().prefix, run.id());
    let mut listener = listener(&address, &topic).await?;
    let publishing = {
        let (run, topic) = (run.clone(), topic.clone());
        apart("the bare round trip", move || {
            publish(&run, &address, &topic, rate, (start, end))
        })
    };
    let run = run.clone();
    let listening = apart("the bare round trip", move || listen(&run, &mut listener));
    tokio::try_join!(publishing, listening).map(drop)
}

async fn listener(address: &str, topic: &str) -> Result<Resp, Failure> {
    let (address, topic) = (address.to_owned(), topic.to_owned());
    apart("the bare round trip", move || {
        let mut resp = Resp::connect(&address)?;
        resp.ask(&["SUBSCRIBE", &topic])?;
        Ok(resp)
    })
    .await
}

fn publish(
    run: &Run,
    address: &str,
    topic: &str,
    rate: f64,
    (start, end): (Instant, Instant),
) -> io::Result<()> {
    let mut resp = Resp::connect(address)?;
    // Nobody reads the answers, which must not fill the connection.
    let mut quiet = Vec::new();
    resp::command(&mut quiet, &["CLIENT", "REPLY", "OFF"]);
    resp.send(&quiet)?;
    let schedule = Schedule::new(rate, 1);
    let intended = (0..).map_while(|number| Some(start + schedule.at(number)?));
    for intended in intended.take_while(|intended| *intended < end) {
        thread::sleep(intended.saturating_duration_since(Instant::now()));
        let stamp = run.clock().stamp(intended).nanoseconds().to_string();
        say(&mut resp, topic, &stamp)?;
    }
    say(&mut resp, topic, "end")
}

fn say(resp: &mut Resp, topic: &str, what: &str) -> io::Result<()> {
    let mut encoded = Vec::new();
    resp::command(&mut encoded, &["PUBLISH", topic, what]);
    resp.send(&encoded)
}

fn listen(run: &Run, resp: &mut Resp) -> io::Result<()> {
    loop {
        let Reply::Array(parts) = resp.reply()? else {
            continue;
        };
        let Some(Reply::Text(payload)) = parts.last() else {
            continue;
        };
        let now = run.clock().now();
        let stamp = std::str::from_utf8(payload)
            .ok()
            .and_then(|text| text.parse().ok());
        let Some(stamp) = stamp.map(Stamp::from_nanoseconds) else {
            return Ok(());
        };
        run.latency(LATENCY, now.since(stamp).max(Duration::from_nanos(1)));
    }
}
