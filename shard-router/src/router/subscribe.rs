//! Subscribers come and go.

use std::sync::Arc;

use campanile_common::ChannelName;
use tokio::time::{Instant, timeout_at};

use super::channel::Channel;
use super::{Core, Router, RouterError};
use crate::audience::Audience;
use crate::feed::{Recover, RecoveryOutcome, Subscribed, Ticket};
use crate::shard::StreamLimits;

/// What a subscriber asks for.
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    /// The stream that the channel keeps; `None`: it keeps none. The same for all subscribers of a channel.
    pub stream: Option<StreamLimits>,
    /// From where the subscriber wants to go on.
    pub recover: Option<Recover>,
    /// Publications that it may recover at once; the router's own limit applies too.
    pub limit: u32,
}

impl<A: Audience> Router<A> {
    /// Subscribes somebody to `channel`.
    ///
    /// `join` runs once, under the channel's state lock, with the position at which it joins: it must add the
    /// subscriber to the members and enqueue the reply, and must not call the router. What is delivered to the
    /// members after it follows that position without a gap. If the future is dropped before, nothing remains.
    ///
    /// # Errors
    ///
    /// If the channel's shard could not be asked within the command timeout; `join` has not run then.
    pub async fn subscribe(
        &self,
        channel: ChannelName,
        options: SubscribeOptions,
        join: impl FnOnce(&mut A::Members, &Subscribed) + Send,
    ) -> Result<(), RouterError> {
        let deadline = Instant::now() + self.core.config.command_timeout;
        let mut joining = Joining::enter(&self.core, &channel, options);
        let channel = Arc::clone(&joining.channel);
        let mut join = Some(join);
        loop {
            // Made before the look at the state, so that no change in between is missed.
            let progress = channel.progress.notified();
            if joining.attempt(&mut join) {
                return Ok(());
            }
            tokio::select! {
                waited = timeout_at(deadline, progress) => {
                    if waited.is_err() {
                        return Err(joining.trouble());
                    }
                }
                () = self.core.shutdown.cancelled() => return Err(RouterError::ShutDown),
            }
        }
    }

    /// Runs `leave` on the members of `channel`, under its state lock. When no member remains, the channel is let go
    /// in the background: its window at once, its subscription when the shard has acknowledged, unless somebody came
    /// meanwhile.
    pub fn unsubscribe(&self, channel: &ChannelName, leave: impl FnOnce(&mut A::Members)) {
        let Some(channel) = self.core.channels.get(channel) else {
            return;
        };
        let mut state = channel.state.lock();
        leave(&mut state.members);
        if !state.is_wanted() {
            state.feed.release();
        }
        self.core.kick_locked(&channel, &mut state);
    }
}

/// A subscriber that is counted as waiting until it has joined or gone away.
struct Joining<'a, A: Audience> {
    core: &'a Arc<Core<A>>,
    channel: Arc<Channel<A>>,
    options: SubscribeOptions,
    ticket: Ticket,
}

impl<'a, A: Audience> Joining<'a, A> {
    fn enter(core: &'a Arc<Core<A>>, name: &ChannelName, mut options: SubscribeOptions) -> Self {
        options.limit = options.limit.min(core.config.recovery_limit);
        loop {
            let new = |partition| {
                let handover = core.handovers.lock(partition);
                let limits = Arc::clone(&core.feed_limits);
                Channel::new((partition, name.clone()), options.stream, limits, &handover)
            };
            let channel = core.channels.get_or_insert(name, new);
            let mut state = channel.state.lock();
            if state.closed {
                continue;
            }
            state.joining += 1;
            state.feed.engage();
            if options.stream.is_some() {
                state.stream = options.stream;
                state.feed.enable_stream();
            }
            drop(state);
            return Self {
                core,
                channel,
                options,
                ticket: Ticket::default(),
            };
        }
    }

    /// Joins if that is possible now; else sees to it that somebody works on it. True if it has joined.
    fn attempt(&mut self, join: &mut Option<impl FnOnce(&mut A::Members, &Subscribed)>) -> bool {
        let mut state = self.channel.state.lock();
        self.core.kick_locked(&self.channel, &mut state);
        let recover = self.options.recover.as_ref();
        let Some(subscribed) = state.feed.join(recover, self.options.limit, &mut self.ticket) else {
            self.core.kick_locked(&self.channel, &mut state);
            return false;
        };
        let subscribed = self.core.renewals.explain_to(self.channel.partition, subscribed);
        if let Some(join) = join.take() {
            join(&mut state.members, &subscribed);
        }
        drop(state);
        self.count(&subscribed);
        true
    }

    fn count(&self, subscribed: &Subscribed) {
        let metrics = &self.core.metrics;
        let Some(outcome) = subscribed.outcome else { return };
        metrics.recovered(outcome);
        if self.ticket.shared_read() {
            metrics.single_flight_hits.increment(1);
        } else if outcome == RecoveryOutcome::Recovered && !self.ticket.took_read() {
            metrics.window_hits.increment(1);
        }
    }

    /// Why it took too long.
    fn trouble(&self) -> RouterError {
        let trouble = self.channel.state.lock().trouble.clone();
        let late =
            || crate::shard::ShardError::Unavailable("the channel was not subscribed in time".to_owned());
        RouterError::Shard(trouble.unwrap_or_else(late))
    }
}

impl<A: Audience> Drop for Joining<'_, A> {
    fn drop(&mut self) {
        let mut state = self.channel.state.lock();
        state.feed.forget(&mut self.ticket);
        state.joining -= 1;
        if !state.is_wanted() {
            state.feed.release();
        }
        self.core.kick_locked(&self.channel, &mut state);
    }
}
