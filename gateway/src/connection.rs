//! One client connection: its queue, its session, and the task that drives both.

pub mod outbound;
