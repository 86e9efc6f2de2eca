//! A server with streams that are short and sometimes lost, which is honest about it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use campanile_common::message::{
    Command, ConnectResult, Error, PublishResult, Push, Reply, Request, SubscribeRequest, SubscribeResult,
    UnsubscribeResult,
};
use campanile_common::{ErrorCode, Position};

use super::super::rig::{publication, published, unsubscribed};
use crate::transport::Incoming;

pub(super) const CHANNELS: usize = 3;

/// Publications that a stream keeps.
const KEPT: u64 = 4;

pub(super) fn channel_name(channel: usize) -> String {
    channel.to_string()
}

#[derive(Clone, Default)]
pub(super) struct Server {
    streams: [Stream; CHANNELS],
    commands: VecDeque<Command>,
    /// Channel to lane.
    subscribed: HashMap<usize, Option<u64>>,
    last_lane: u64,
    control: VecDeque<Reply>,
    lanes: BTreeMap<u64, VecDeque<Push>>,
    /// Everything goes well.
    pub(super) calm: bool,
}

#[derive(Clone, Copy, Default)]
struct Stream {
    epoch: u32,
    top: u64,
}

impl Server {
    /// A new connection to the same streams.
    pub(super) fn connection(&self, connect: Command) -> Self {
        Self {
            streams: self.streams,
            calm: self.calm,
            commands: VecDeque::from([connect]),
            ..Default::default()
        }
    }

    pub(super) fn receive(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// Takes the next command. What becomes of it, `choice` decides where that is open.
    pub(super) fn serve(&mut self, choice: u8) {
        let Some(command) = self.commands.pop_front() else {
            return;
        };
        let (id, request) = command.into_request().unwrap();
        let fails = !self.calm && choice.is_multiple_of(8);
        let reply = match request.unwrap() {
            _ if fails => Reply::error(id, Error::from(ErrorCode::Internal)),
            Request::Connect(_) => Reply::answer(id, ConnectResult::default()),
            Request::Subscribe(request) => Reply::answer(id, self.subscribe(&request, choice)),
            Request::Unsubscribe(request) => {
                self.subscribed.remove(&request.channel.parse().unwrap());
                Reply::answer(id, UnsubscribeResult {})
            }
            Request::Publish(_) => Reply::answer(id, PublishResult {}),
            other => panic!("{other:?}"),
        };
        self.control.push_back(reply);
    }

    fn subscribe(&mut self, request: &SubscribeRequest, choice: u8) -> SubscribeResult {
        let channel = request.channel.parse().unwrap();
        let Stream { top, .. } = self.streams[channel];
        let position = self.top(channel);
        let reaches = request.offset <= top && request.offset + KEPT >= top;
        let recovered = request.recover && request.epoch == position.epoch.as_str() && reaches;
        let missed = if recovered {
            request.offset + 1..top + 1
        } else {
            0..0
        };
        let lane = choice.is_multiple_of(2).then(|| {
            self.last_lane += 1;
            self.last_lane
        });
        self.subscribed.insert(channel, lane);
        if recovered && top > 0 && choice.is_multiple_of(5) {
            // What the recovery has already, once more.
            self.push(channel, top);
        }
        SubscribeResult {
            recoverable: true,
            was_recovering: request.recover,
            recovered,
            epoch: position.epoch.as_str().into(),
            // Both are found among servers.
            offset: if recovered && choice.is_multiple_of(3) {
                request.offset
            } else {
                top
            },
            publications: missed.map(publication).collect(),
            id: lane.unwrap_or_default().cast_signed(),
            ..Default::default()
        }
    }

    pub(super) fn publish(&mut self, channel: usize) {
        self.streams[channel].top += 1;
        self.push(channel, self.streams[channel].top);
    }

    fn push(&mut self, channel: usize, offset: u64) {
        match self.subscribed.get(&channel) {
            Some(Some(lane)) => {
                let push = published("", offset);
                self.lanes.entry(*lane).or_default().push_back(push);
            }
            Some(None) => {
                let push = published(&channel_name(channel), offset);
                self.control.push_back(Reply::push(push));
            }
            None => {}
        }
    }

    pub(super) fn evict(&mut self, channel: usize, code: u32) {
        if self.subscribed.remove(&channel).is_some() {
            let push = unsubscribed(&channel_name(channel), code);
            self.control.push_back(Reply::push(push));
        }
    }

    pub(super) fn renew(&mut self, channel: usize) {
        let epoch = self.streams[channel].epoch + 1;
        self.streams[channel] = Stream { epoch, top: 0 };
        self.evict(channel, 2500);
    }

    /// What arrives next: within the control stream and within each lane in order, and in no order between them.
    pub(super) fn arrive(&mut self, choice: u8) -> Option<Incoming> {
        let lanes: Vec<_> = self.lanes.keys().copied().collect();
        let choice = usize::from(choice) % (lanes.len() + 1);
        if choice == 0 && !self.control.is_empty() {
            return self.control.pop_front().map(Incoming::Reply);
        }
        let id = *lanes.get(choice.saturating_sub(1))?;
        let queue = self.lanes.get_mut(&id)?;
        let push = queue.pop_front()?;
        if queue.is_empty() {
            self.lanes.remove(&id);
        }
        Some(Incoming::Lane { id, push })
    }

    pub(super) fn top(&self, channel: usize) -> Position {
        let Stream { epoch, top } = self.streams[channel];
        Position::new(format!("epoch-{epoch}").into(), top.into())
    }
}
