//! What the world plays with: a few partitions, and in each of them channels of different kinds.

use std::sync::OnceLock;
use std::time::Duration;

use campanile_common::ChannelName;

use crate::partition::Partition;
use crate::shard::StreamLimits;

/// A channel of the world.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) name: ChannelName,
    pub(super) partition: Partition,
    pub(super) kind: Kind,
}

/// What a channel keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: who is not there misses it.
    Plain,
    /// A stream long enough that nothing is trimmed within a run.
    Stream,
    /// A stream that is trimmed early, expires soon, and is emptied now and then.
    Brief,
}

/// How many partitions are played with; the others stay where they are.
pub(super) const PARTITIONS: usize = 3;

const KINDS: [Kind; 4] = [Kind::Plain, Kind::Stream, Kind::Plain, Kind::Brief];

impl Kind {
    /// The limits of the stream, if one is kept.
    pub(super) fn limits(self) -> Option<StreamLimits> {
        match self {
            Self::Plain => None,
            Self::Stream => Some(StreamLimits {
                size: 100_000,
                ttl: Duration::from_secs(100_000),
                meta_ttl: Duration::from_secs(100_000),
            }),
            Self::Brief => Some(StreamLimits {
                size: 4,
                ttl: Duration::from_millis(1500),
                meta_ttl: Duration::from_secs(4),
            }),
        }
    }
}

/// All channels: of each partition a few, the last partition with fewer.
pub(super) fn cast() -> &'static [Role] {
    static CAST: OnceLock<Vec<Role>> = OnceLock::new();
    CAST.get_or_init(|| {
        let partitions = partitions();
        let mut roles: Vec<Role> = Vec::new();
        for number in 0_u32.. {
            let name = format!("sim:{number}");
            let partition = Partition::of(&name);
            let taken = roles.iter().filter(|role| role.partition == partition).count();
            let Some(index) = partitions.iter().position(|one| *one == partition) else {
                continue;
            };
            if taken == KINDS.len() - index {
                continue;
            }
            roles.push(Role {
                name: ChannelName::from_trusted(&name),
                partition,
                kind: KINDS[taken],
            });
            if roles.len() == (0..PARTITIONS).map(|index| KINDS.len() - index).sum::<usize>() {
                break;
            }
        }
        roles
    })
}

/// The partitions that are played with.
pub(super) fn partitions() -> &'static [Partition] {
    static PLAYED: OnceLock<Vec<Partition>> = OnceLock::new();
    PLAYED.get_or_init(|| Partition::all().step_by(1001).take(PARTITIONS).collect())
}

/// The role of a channel of the world.
pub(super) fn role(name: &ChannelName) -> &'static Role {
    let role = cast().iter().find(|role| role.name == *name);
    role.expect("no other channels are used")
}
