//! `client.*`: what every connection may do.

use std::num::NonZeroU32;
use std::time::Duration;

/// The rules of a client connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// Time between the server's pings; zero: no pings. 25 s keeps connections alive through proxies, which
    /// commonly cut after 30 to 60 s of silence.
    pub ping_interval: Duration,
    /// How long a pong may take; zero: pongs are not asked for. 8 s; must be shorter than `ping_interval`.
    pub pong_timeout: Duration,
    /// How long a connection may exist without a successful connect command. 10 s: it holds a file descriptor and
    /// some KiB meanwhile, and nobody knows yet whose it is.
    pub stale_close_delay: Duration,
    /// How long an expired connection may go on before it is closed. 25 s, time for the client to fetch a new token.
    pub expired_close_delay: Duration,
    /// The same for a subscription whose token has expired. 25 s.
    pub expired_sub_close_delay: Duration,
    /// Subscriptions of one connection at most, server-side ones included. 128; each costs about 90 bytes in the
    /// session plus the channel's name, and its place in the hub.
    pub channel_limit: usize,
    /// Commands of one connection that wait for an answer from a shard at most; further ones are not read before. 64;
    /// each holds its request, at most a frame.
    pub in_flight_limit: usize,
    /// Bytes that may wait for one connection before it is closed as slow. 1 MiB; the worst cost in memory is this
    /// times the number of connections, though publications are shared between them.
    pub queue_max_size: usize,
    /// Publications in one answer to a history command at most. 300; the answer holds them all at once.
    pub history_max_publication_limit: u32,
    /// Publications that one subscribe command recovers at most; more missed ones mean `recovered=false`. 300; the
    /// answer holds them all at once.
    pub recovery_max_publication_limit: u32,
    /// No checks at all: tokens are not asked for and every permission is granted. Off. For development.
    pub insecure: bool,
    /// A client without a token is connected with an empty user. Off.
    pub allow_anonymous_connect_without_token: bool,
    /// A token with an empty user is refused. Off: who signs such a token means it.
    pub disallow_anonymous_connection_tokens: bool,
    /// Connections of one user on one gateway at most; zero: any number. Zero. Does not count anonymous ones.
    pub user_connection_limit: u32,
    /// Connections of one gateway at most; zero: as many as the operating system allows. Zero.
    pub connection_limit: u32,
    /// New connections a second on one gateway at most; zero: any number. Zero.
    pub connection_rate_limit: u32,
    /// Whether the connect answer carries the server's time. Off.
    pub connect_include_server_time: bool,
    /// How often presence entries are refreshed. 27 s; must be well below the shard's presence TTL.
    pub presence_update_interval: Duration,
    /// How often an idle channel with a stream is compared with its shard. 40 s: how long a lost publication goes
    /// unnoticed if no other follows.
    pub channel_position_check_delay: Duration,
    /// Over how long the subscribers of channels are told, 1000 a second at least, that have lost continuity together:
    /// those of an evicted shard, say. 30 s: a million of them on ten gateways come back as 33,000 a second. They get
    /// nothing meanwhile. A subscription that waits costs 8 bytes and what it costs anyway.
    pub resubscribe_spread: Duration,
    /// How fast one connection may send commands; `None`: as fast as it can.
    pub rate_limit: Option<RateLimit>,
    /// Subscribes each connected user to a channel of their own; `None`: not.
    pub personal_channel: Option<PersonalChannel>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(8),
            stale_close_delay: Duration::from_secs(10),
            expired_close_delay: Duration::from_secs(25),
            expired_sub_close_delay: Duration::from_secs(25),
            channel_limit: 128,
            in_flight_limit: 64,
            queue_max_size: 1024 * 1024,
            history_max_publication_limit: 300,
            recovery_max_publication_limit: 300,
            insecure: false,
            allow_anonymous_connect_without_token: false,
            disallow_anonymous_connection_tokens: false,
            user_connection_limit: 0,
            connection_limit: 0,
            connection_rate_limit: 0,
            connect_include_server_time: false,
            presence_update_interval: Duration::from_secs(27),
            channel_position_check_delay: Duration::from_secs(40),
            resubscribe_spread: Duration::from_secs(30),
            rate_limit: Some(RateLimit::default()),
            personal_channel: None,
        }
    }
}

/// A limit on how fast something happens: `burst` at once, `per_second` in the long run.
///
/// The default, 1000 a second and 2000 at once, is far above what a person's client does and lets a client that
/// returns subscribe to all its channels at once; keep `burst` above `channel_limit`. It costs 8 bytes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            per_second: NonZeroU32::new(1000).expect("a constant above 0"),
            burst: NonZeroU32::new(2000).expect("a constant above 0"),
        }
    }
}

/// The channel `namespace:#user` that a connected user is subscribed to by the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonalChannel {
    /// Its namespace; `None`: the channel is `#user` without one.
    pub namespace: Option<String>,
}
