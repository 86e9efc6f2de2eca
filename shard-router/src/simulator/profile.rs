//! What a run is made of, and which faults strike it how often.

use super::kernel::{MS, Micros, SECOND};

/// How many of a thousand rounds of the fault maker (see [`Profile::fault_every`]) bring each fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// A command connection between a gateway or coordinator and a shard.
    pub(super) break_connection: u64,
    /// A Pub/Sub link.
    pub(super) break_link: u64,
    /// A gateway stops for a while and goes on unaware.
    pub(super) pause_gateway: u64,
    /// A gateway dies; another starts in its place after a while.
    pub(super) kill_gateway: u64,
    /// A coordinator stops for a while, in the middle of what it does.
    pub(super) pause_coordinator: u64,
    /// A coordinator dies; another starts in its place after a while.
    pub(super) kill_coordinator: u64,
    /// A shard's server stops for a while.
    pub(super) pause_shard: u64,
    /// A shard's server dies and starts again with what it had.
    pub(super) restart_whole: u64,
    /// It starts again with nothing.
    pub(super) restart_empty: u64,
    /// It starts again with older data, or a replica that lagged is promoted.
    pub(super) restart_older: u64,
    /// A server dies and stays away until it is evicted.
    pub(super) lose_shard: u64,
    /// A shard that is alive is evicted.
    pub(super) evict_alive: u64,
    /// The store cannot be reached for a while.
    pub(super) store_outage: u64,
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    /// At most; a run draws from 1 up to this many.
    pub(super) gateways: u64,
    /// At least 2; a run draws from 2 up to this many.
    pub(super) shards: u64,
    pub(super) coordinators: u64,
    pub(super) subscribers: u64,
    /// How long faults and requests go on.
    pub(super) duration: Micros,
    /// Between two publications, on average.
    pub(super) publish_every: Micros,
    /// Between two changes of mind of a subscriber, on average.
    pub(super) stir_every: Micros,
    /// Between two requests of the operators, on average.
    pub(super) request_every: Micros,
    /// Of a thousand requests, how many ask for moves without history.
    pub(super) drop_history: u64,
    /// Between two rounds of the fault maker, on average.
    pub(super) fault_every: Micros,
    pub(super) faults: Faults,
    /// How many of a thousand messages on any connection are slow, and all behind them.
    pub(super) slow: u64,
    /// How long a slow one takes at most.
    pub(super) slowest: Micros,
    /// How long anything stays paused at most.
    pub(super) longest_pause: Micros,
    /// How many of a thousand attempts to get the lease succeed although another coordinator holds it.
    pub(super) two_coordinators: u64,
    /// How many of a thousand steps of a move are followed by a pause of the coordinator that made it.
    pub(super) doze: u64,
    /// How long an answer is waited for.
    pub(super) patience: Micros,
    /// How long a registration or the lease lasts without being refreshed.
    pub(super) registration_ttl: Micros,
    /// How long a move waits for the gateways.
    pub(super) barrier_timeout: Micros,
    /// How many partitions move at once.
    pub(super) max_moving: usize,
}

impl Profile {
    /// Moves under traffic, and nothing that fails.
    pub(super) fn calm() -> Self {
        Self {
            name: "calm",
            gateways: 3,
            shards: 4,
            coordinators: 2,
            subscribers: 8,
            duration: 6 * SECOND,
            publish_every: 8 * MS,
            stir_every: 60 * MS,
            request_every: 300 * MS,
            drop_history: 100,
            fault_every: 100 * MS,
            faults: Faults::default(),
            slow: 30,
            slowest: 60 * MS,
            longest_pause: 2 * SECOND,
            two_coordinators: 0,
            doze: 0,
            patience: 400 * MS,
            registration_ttl: SECOND,
            barrier_timeout: SECOND,
            max_moving: 2,
        }
    }

    /// Connections and links break, gateways stop, expire, die and come.
    pub(super) fn gateways() -> Self {
        Self {
            name: "gateways",
            faults: Faults {
                break_connection: 60,
                break_link: 120,
                pause_gateway: 60,
                kill_gateway: 20,
                ..Faults::default()
            },
            ..Self::calm()
        }
    }

    /// Coordinators stop in the middle, die, take over, and are two at once.
    pub(super) fn coordinators() -> Self {
        Self {
            name: "coordinators",
            coordinators: 3,
            two_coordinators: 60,
            doze: 25,
            faults: Faults {
                pause_coordinator: 120,
                kill_coordinator: 40,
                store_outage: 10,
                ..Faults::default()
            },
            ..Self::calm()
        }
    }

    /// Shards stop, restart with all, some or none of their data, are lost, evicted and return.
    pub(super) fn shards() -> Self {
        Self {
            name: "shards",
            faults: Faults {
                pause_shard: 50,
                restart_whole: 25,
                restart_empty: 15,
                restart_older: 30,
                lose_shard: 20,
                evict_alive: 30,
                ..Faults::default()
            },
            ..Self::calm()
        }
    }

    /// One move after another, subscribers that come and go all the time, and slow links.
    pub(super) fn haste() -> Self {
        Self {
            name: "haste",
            stir_every: 12 * MS,
            request_every: 60 * MS,
            slow: 120,
            slowest: 250 * MS,
            max_moving: 3,
            drop_history: 50,
            faults: Faults {
                break_link: 40,
                ..Faults::default()
            },
            ..Self::calm()
        }
    }

    /// Gateways that stop for longer than their registrations last, and links on which messages stay for longer still.
    pub(super) fn expiry() -> Self {
        Self {
            name: "expiry",
            request_every: 150 * MS,
            slow: 40,
            slowest: 1500 * MS,
            registration_ttl: 400 * MS,
            longest_pause: 1200 * MS,
            faults: Faults {
                pause_gateway: 160,
                evict_alive: 10,
                ..Faults::default()
            },
            ..Self::calm()
        }
    }

    /// Coordinators that fall asleep in the middle of everything, and wake up when others have gone on.
    pub(super) fn sleepers() -> Self {
        Self {
            name: "sleepers",
            coordinators: 3,
            request_every: 120 * MS,
            two_coordinators: 300,
            doze: 90,
            longest_pause: 1200 * MS,
            registration_ttl: 500 * MS,
            faults: Faults {
                pause_coordinator: 100,
                evict_alive: 15,
                restart_older: 8,
                ..Faults::default()
            },
            ..Self::calm()
        }
    }

    /// Everything at once.
    pub(super) fn havoc() -> Self {
        Self {
            name: "havoc",
            faults: Faults {
                break_connection: 40,
                break_link: 60,
                pause_gateway: 30,
                kill_gateway: 15,
                pause_coordinator: 60,
                kill_coordinator: 30,
                pause_shard: 25,
                restart_whole: 12,
                restart_empty: 8,
                restart_older: 15,
                lose_shard: 10,
                evict_alive: 15,
                store_outage: 15,
            },
            drop_history: 200,
            ..Self::coordinators()
        }
    }
}
