//! What a connection costs while nothing happens.

use std::mem::size_of;

use super::kit::{Kit, Rules};
use crate::session::Session;
use crate::session::subscriptions::Subscription;

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 320, "{} bytes", size_of::<Session>());
    assert!(
        size_of::<Subscription>() <= 96,
        "{} bytes",
        size_of::<Subscription>()
    );
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let mut kit = Kit::connected(Rules::default());
    for id in 0..20 {
        kit.subscribed(id + 2, &format!("channel-{id}"));
    }
    assert_eq!(kit.session.outputs.capacity(), 0);
    assert_eq!(kit.session.pending.capacity(), 0);
    assert!(kit.session.subscriptions.capacity() <= 25);
}
