//! Who is subscribed to what, and the loop that this is all about.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use campanile_common::Codec;
use campanile_common::message::Publication;
use tokio::task::{spawn_local, yield_now};

use super::Fault;
use super::frame;
use super::socket::Socket;

/// All channels.
pub(super) struct Rooms {
    rooms: RefCell<HashMap<String, Rc<Room>>>,
    coalesce: usize,
    fault: Option<Fault>,
    /// How many subscriptions have been asked for.
    asked: Cell<u64>,
}

/// One channel.
#[derive(Default)]
struct Room {
    sockets: RefCell<Vec<Rc<Socket>>>,
    /// Publications that wait for others to go out with.
    waiting: RefCell<Vec<Bytes>>,
    /// Whether a task is about to send them.
    scheduled: Cell<bool>,
    /// How many there have been.
    count: Cell<u64>,
    /// One that goes behind the next by [`Fault::Swap`].
    held: RefCell<Option<Bytes>>,
}

/// One of so many publications is what a [`Fault`] befalls.
const FAULTY: u64 = 7;

impl Rooms {
    pub(super) fn new(coalesce: usize, fault: Option<Fault>) -> Self {
        Self {
            rooms: RefCell::default(),
            coalesce: coalesce.max(1),
            fault,
            asked: Cell::new(0),
        }
    }

    /// Whether this server accepts publications.
    pub(super) fn accepts(&self) -> bool {
        self.fault != Some(Fault::Refuse)
    }

    /// Whether the next subscription is to be refused for now.
    pub(super) fn is_busy(&self) -> bool {
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        self.fault == Some(Fault::Busy) && asked.is_multiple_of(FAULTY)
    }

    pub(super) fn join(&self, channel: &str, socket: &Rc<Socket>) {
        self.room(channel).sockets.borrow_mut().push(Rc::clone(socket));
    }

    /// Takes a socket out of the channels that it has joined.
    pub(super) fn leave(&self, channels: &[String], socket: &Rc<Socket>) {
        let mut rooms = self.rooms.borrow_mut();
        for channel in channels {
            let Some(room) = rooms.get(channel) else { continue };
            room.sockets
                .borrow_mut()
                .retain(|found| !Rc::ptr_eq(found, socket));
            if room.sockets.borrow().is_empty() {
                rooms.remove(channel);
            }
        }
    }

    /// Sends `data` to all who are subscribed to `channel`; at once, or with the next ones if they may be joined.
    pub(super) fn publish(&self, channel: &str, data: Bytes) {
        let room = self.room(channel);
        let fault = room.next_fault(self.fault);
        if fault == Some(Fault::Misroute)
            && let Some(other) = self.beside(channel)
        {
            let room = self.room(&other);
            room.take_in(data, None);
            return self.send(&room, &other);
        }
        room.take_in(data, fault);
        self.send(&room, channel);
    }

    /// Sends what waits in a room; at once, or with the next ones if they may be joined.
    fn send(&self, room: &Rc<Room>, channel: &str) {
        if self.coalesce == 1 {
            room.flush(channel, 1);
        } else if !room.scheduled.replace(true) {
            let (room, channel, most) = (Rc::clone(room), channel.to_owned(), self.coalesce);
            spawn_local(async move {
                // Whatever else has been read by now belongs to the same burst.
                yield_now().await;
                room.flush(&channel, most);
            });
        }
    }

    /// The channel beside this one, if there is such: they stand two by two, by the numbers at their ends.
    fn beside(&self, channel: &str) -> Option<String> {
        let (name, number) = channel.rsplit_once('-')?;
        let other = format!("{name}-{}", number.parse::<u64>().ok()? ^ 1);
        self.rooms.borrow().contains_key(&other).then_some(other)
    }

    fn room(&self, channel: &str) -> Rc<Room> {
        let mut rooms = self.rooms.borrow_mut();
        if let Some(room) = rooms.get(channel) {
            return Rc::clone(room);
        }
        Rc::clone(rooms.entry(channel.to_owned()).or_default())
    }
}

impl Room {
    /// Counts a publication; what befalls it.
    fn next_fault(&self, fault: Option<Fault>) -> Option<Fault> {
        let count = self.count.get() + 1;
        self.count.set(count);
        fault.filter(|_| count.is_multiple_of(FAULTY))
    }

    fn take_in(&self, data: Bytes, fault: Option<Fault>) {
        let mut waiting = self.waiting.borrow_mut();
        match fault {
            Some(Fault::Lose) => {}
            Some(Fault::Double) => waiting.extend([data.clone(), data]),
            Some(Fault::Swap) => drop(self.held.replace(Some(data))),
            // Those befall others than publications, or have done so already.
            Some(Fault::Misroute | Fault::Refuse | Fault::Busy) | None => {
                waiting.push(data);
                waiting.extend(self.held.take());
            }
        }
    }

    /// The loop: up to `most` messages in one write to each socket.
    fn flush(&self, channel: &str, most: usize) {
        self.scheduled.set(false);
        let waiting = self.waiting.take();
        for batch in waiting.chunks(most) {
            let mut frames: [Option<Vec<u8>>; Codec::ALL.len()] = Default::default();
            for socket in self.sockets.borrow().iter() {
                let codec = socket.codec;
                let frame = frames[codec.index()].get_or_insert_with(|| encode(codec, channel, batch));
                socket.send(frame);
            }
        }
    }
}

fn encode(codec: Codec, channel: &str, batch: &[Bytes]) -> Vec<u8> {
    let push = |data: &Bytes| {
        let publication = Publication {
            data: data.clone(),
            ..Publication::default()
        };
        codec.encode_publication(channel, publication)
    };
    let pushes: Vec<_> = batch.iter().map(push).collect();
    frame::message(codec, &pushes)
}
