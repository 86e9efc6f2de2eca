//! The feed's promises one by one; `model` holds them together under random interleavings.

mod live;
mod model;
mod moves;
mod recovery;
mod window;

use std::sync::Arc;

use bytes::Bytes;
use campanile_common::message::ClientInfo;
use campanile_common::{Epoch, Offset, Position, Timestamp};

use super::*;
use crate::audience::{Event, LossReason};
use crate::publication::{Publication, ShardMessage};
use crate::shard::{HistoryPage, HistoryRange};

fn limits() -> Arc<FeedLimits> {
    Arc::new(FeedLimits {
        window_publications: 4,
        window_bytes: 4096,
        held_messages: 4,
        held_bytes: 4096,
        heal_page: 3,
        recovery_limit: 8,
        kept: Arc::default(),
    })
}

fn at(epoch: &str, offset: u64) -> Position {
    Position::new(Epoch::from(epoch), Offset(offset))
}

fn publication(offset: u64) -> Publication {
    let data = Bytes::from(format!("\"{offset}\""));
    Publication {
        offset: Offset(offset),
        data,
        info: None,
        tags: Default::default(),
        time: Timestamp::ZERO,
    }
}

fn message(epoch: &str, offset: u64) -> ShardMessage {
    ShardMessage::Publication {
        position: Some(at(epoch, offset)),
        publication: publication(offset),
    }
}

fn page(epoch: &str, top: u64, offsets: impl IntoIterator<Item = u64>) -> HistoryPage {
    let publications = offsets.into_iter().map(publication).collect();
    HistoryPage {
        position: at(epoch, top),
        publications,
    }
}

/// What subscribers saw, in short: offsets, `j`, `l`, or the reason of a loss.
fn seen(events: &mut Vec<Event>) -> Vec<String> {
    let name = |event| match event {
        Event::Publication(publication) => publication.offset.to_string(),
        Event::Join(_) => "j".into(),
        Event::Leave(_) => "l".into(),
        Event::Lost(reason) => reason.label().into(),
    };
    events.drain(..).map(name).collect()
}

/// A feed with one subscriber that joined at `top` of epoch "e".
fn live(top: u64) -> (Feed, Vec<Event>) {
    let mut feed = Feed::new(true, limits());
    let mut out = Vec::new();
    feed.engage();
    assert_eq!(feed.need(), Need::Subscribe);
    feed.attached();
    assert_eq!(feed.need(), Need::Read(Read::Position));
    let read = feed.begin(Read::Position);
    feed.complete(read, page("e", top, []), &mut out);
    let joined = feed.join(None, 8, &mut Ticket::default()).unwrap();
    assert_eq!(
        joined,
        Subscribed {
            position: Some(at("e", top)),
            publications: vec![],
            outcome: None
        }
    );
    assert_eq!(feed.need(), Need::Nothing);
    (feed, out)
}

fn stream(position: Position) -> Recover {
    Recover {
        position,
        mode: RecoverMode::Stream,
    }
}

fn offsets(subscribed: &Subscribed) -> Vec<u64> {
    subscribed
        .publications
        .iter()
        .map(|publication| publication.offset.get())
        .collect()
}
