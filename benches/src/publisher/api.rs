//! Publishing through the HTTP API: requests follow each other without waiting for answers.

use std::collections::{HashSet, VecDeque};
use std::io::Write as _;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::Item;
use super::account::Account;
use super::http::{self, Http, Server};
use crate::check::{Fate, Ledger};
use crate::payload::Label;

/// Requests that may be without an answer; more wait in the queue.
const WINDOW: usize = 1_024;

/// How long a connection that broke may take to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between attempts to come back.
const RETRY: Duration = Duration::from_millis(50);

/// A status and a body.
type Answer = (u16, Vec<u8>);

/// Publishes until there is nothing more, and all is answered or time is up.
pub(super) async fn publish(http: Http, items: mpsc::Receiver<Item>, mut account: Account) -> Ledger {
    let mut items = Items { items, left: None };
    let server = http.server.clone();
    let mut next = Some(http);
    while let Some(http) = next.take() {
        let mut pending = VecDeque::new();
        let done = exchange(http, &mut items, &mut pending, &mut account).await;
        // Nobody will say what became of what has no answer.
        for label in pending.into_iter().flatten() {
            account.settled(&label, Fate::Unknown);
        }
        if !done {
            next = reconnect(&server).await;
        }
    }
    account.finish(items.left.as_ref(), items.items)
}

/// Publishes over one connection; false if it broke.
async fn exchange(
    http: Http,
    items: &mut Items,
    pending: &mut VecDeque<Vec<Label>>,
    account: &mut Account,
) -> bool {
    let (server, mut write) = (http.server, http.write);
    // As many answers fit in as there are requests: reading never waits for writing.
    let (sender, mut answers) = mpsc::channel(WINDOW);
    let reader = tokio::spawn(read(http.read, sender));
    let mut time_is_up = pin!(account.over());
    // One is carried out while the next one waits.
    let window = account.window(WINDOW, 2);
    // The request that is being written.
    let mut out = Bytes::new();
    let done = loop {
        let are_over = items.are_over();
        if are_over && pending.is_empty() {
            break true;
        }
        tokio::select! {
            answer = answers.recv() => match (answer, pending.pop_front()) {
                (Some(answer), Some(labels)) => settle(&answer, &labels, account),
                (_, labels) => {
                    pending.extend(labels);
                    break false;
                }
            },
            written = write.write_all_buf(&mut out), if !out.is_empty() => if written.is_err() {
                break false;
            },
            item = items.next(), if out.is_empty() && pending.len() < window && !are_over => {
                let Some(item) = item else { continue };
                let batch = items.gather(item, account.batch());
                batch.iter().for_each(|item| account.sent(item));
                pending.push_back(batch.iter().map(|item| item.label).collect());
                out = request(&server, &batch, account).into();
            },
            () = &mut time_is_up => break true,
        }
    };
    reader.abort();
    done
}

/// What is to be published.
struct Items {
    items: mpsc::Receiver<Item>,
    /// The one that did not fit into the last batch.
    left: Option<Item>,
}

impl Items {
    fn are_over(&self) -> bool {
        self.left.is_none() && self.items.is_closed() && self.items.is_empty()
    }

    /// Cancel safe.
    async fn next(&mut self) -> Option<Item> {
        match self.left.take() {
            Some(left) => Some(left),
            None => self.items.recv().await,
        }
    }

    /// This one and those that wait behind it, as long as they are all of one channel or each of another: any others a server would
    /// have to carry out one after another.
    fn gather(&mut self, first: Item, most: usize) -> Vec<Item> {
        let mut channels = HashSet::from([first.label.channel]);
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(item) = self.items.try_recv()
        {
            let another = channels.insert(item.label.channel);
            let all_of_one = channels.len() == 1;
            let each_of_another = another && channels.len() > batch.len();
            if !(all_of_one || each_of_another) {
                self.left = Some(item);
                break;
            }
            batch.push(item);
        }
        batch
    }
}

fn request(server: &Server, batch: &[Item], account: &Account) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.len() * (account.payload_size() + 80));
    let publication = |body: &mut Vec<u8>, item: &Item| {
        // Names of channels are made here, of letters that need no escape. Writing to memory cannot fail.
        let _ = write!(body, "{{\"channel\":\"{}\",\"data\":", item.name);
        body.extend_from_slice(&account.payload(&item.label));
        body.push(b'}');
    };
    if let [item] = batch {
        publication(&mut body, item);
        return server.request("publish", &body);
    }
    body.extend_from_slice(b"{\"commands\":[");
    for (index, item) in batch.iter().enumerate() {
        body.extend_from_slice(if index == 0 {
            b"{\"publish\":"
        } else {
            b",{\"publish\":"
        });
        publication(&mut body, item);
        body.push(b'}');
    }
    // Publications of one channel must keep their order.
    let parallel = batch[0].label.channel != batch[1].label.channel;
    // As above.
    let _ = write!(body, "],\"parallel\":{parallel}}}");
    server.request("batch", &body)
}

/// As much of an answer as matters.
#[derive(Deserialize)]
struct Reply<'a> {
    error: Option<Refusal>,
    #[serde(borrow, default)]
    replies: Vec<&'a RawValue>,
    /// Where some servers put them.
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// Why something is refused.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    code: u32,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

fn settle((status, body): &Answer, labels: &[Label], account: &mut Account) {
    let parts = match reply(*status, body) {
        // The result of a single one is of no interest.
        Ok(_) if labels.len() == 1 => return account.settled(&labels[0], Fate::Accepted),
        Ok(reply) => parts(reply),
        Err(reason) => return labels.iter().for_each(|label| account.refused(label, &reason)),
    };
    for (index, label) in labels.iter().enumerate() {
        let refused = match parts.get(index) {
            None => Some("a batch without its reply".to_owned()),
            Some(part) => match serde_json::from_str::<Reply<'_>>(part.get()) {
                Ok(part) => part.error.map(|error| error.to_string()),
                Err(error) => Some(format!("a reply that is not understood: {error}")),
            },
        };
        match refused {
            None => account.settled(label, Fate::Accepted),
            Some(reason) => account.refused(label, &reason),
        }
    }
}

/// The answer, or why all that was asked for is refused.
fn reply(status: u16, body: &[u8]) -> Result<Reply<'_>, String> {
    if status != 200 {
        return Err(format!("the API answers with status {status}"));
    }
    let mut reply: Reply<'_> =
        serde_json::from_slice(body).map_err(|error| format!("an answer that is not understood: {error}"))?;
    match reply.error.take() {
        Some(error) => Err(error.to_string()),
        None => Ok(reply),
    }
}

/// The replies to the parts of a batch.
fn parts(reply: Reply<'_>) -> Vec<&RawValue> {
    let inside = reply.result.map(RawValue::get);
    let inside = inside.and_then(|inner| serde_json::from_str::<Reply<'_>>(inner).ok());
    let inside = inside.into_iter().flat_map(|inner| inner.replies);
    reply.replies.into_iter().chain(inside).collect()
}

async fn read(mut read: BufReader<OwnedReadHalf>, answers: mpsc::Sender<Answer>) {
    while let Ok(answer) = http::answer(&mut read).await {
        if answers.send(answer).await.is_err() {
            break;
        }
    }
}

async fn reconnect(server: &Server) -> Option<Http> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(http) = server.clone().connect().await {
            return Some(http);
        }
        sleep(RETRY).await;
    }
    None
}
