//! What Redis' scripts decide, and how long they keep the server busy.

use std::collections::BTreeSet;

use campanile_shard_router::fence::FenceCommand::{
    Abort, Admit, Close, Fresh, Import, Migrate, Open, Reclaim, Reopen, Seal,
};
use campanile_shard_router::fence::{self, FenceCommand, FenceReply, OwnerRecord, OwnerState};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::shard::ShardError;
use campanile_shard_router::topology::{Generation, Token};

use crate::gateway::Channel;
use crate::mover::{MOVE, Mover};
use crate::world::{RedisWorld, World};

const GENERATIONS: [Generation; 3] = [Generation(4), Generation(5), Generation(6)];
const TOKENS: [Token; 2] = [Token(1), Token(2)];
const FLOOR: Generation = Generation(3);

fn records() -> Vec<Option<OwnerRecord>> {
    let states = [
        (OwnerState::Open, "open"),
        (OwnerState::Migrating, "migrating"),
        (OwnerState::Sealed, "sealed"),
        (OwnerState::Importing, "importing"),
    ];
    let mut records = vec![None];
    for (state, _) in states {
        for generation in GENERATIONS {
            records.extend(TOKENS.map(|token| {
                Some(OwnerRecord {
                    generation,
                    state,
                    token,
                    floor: FLOOR,
                })
            }));
        }
    }
    records
}

fn commands() -> Vec<FenceCommand> {
    let mut commands = Vec::new();
    for generation in GENERATIONS {
        let through = generation;
        commands.extend([true, false].map(|keep_epochs| Admit {
            generation,
            keep_epochs,
        }));
        commands.extend([
            Reopen { generation },
            Migrate { generation },
            Seal { generation },
            Reclaim { generation },
            Close { through },
        ]);
        commands.extend(GENERATIONS.map(|moving| Abort { generation, moving }));
        for token in TOKENS {
            let unless = [None].into_iter().chain(GENERATIONS.map(Some));
            commands.extend(unless.map(|unless_open| Fresh {
                generation,
                token,
                unless_open,
            }));
            commands.push(Open { generation, token });
            commands.extend([FLOOR, Generation(1)].map(|floor| Import {
                generation,
                token,
                floor,
            }));
        }
    }
    commands
}

fn word(state: OwnerState) -> &'static str {
    match state {
        OwnerState::Open => "open",
        OwnerState::Migrating => "migrating",
        OwnerState::Sealed => "sealed",
        OwnerState::Importing => "importing",
    }
}

/// Writes owner records past every rule.
fn write(world: &RedisWorld, records: &[(Partition, &OwnerRecord)]) {
    let mut pipeline = redis::pipe();
    for (partition, record) in records {
        let key = format!("campanile:{{{partition}}}:owner");
        let numbers = [
            ("g", record.generation.0),
            ("t", record.token.0),
            ("f", record.floor.0),
        ];
        pipeline.hset_multiple(&key, &numbers).ignore();
        pipeline.hset(&key, "s", word(record.state)).ignore();
    }
    let client = redis::Client::open(world.server.url()).unwrap();
    pipeline
        .query::<()>(&mut client.get_connection().unwrap())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_decides_as_the_code_does_for_every_record_and_act() {
    let world = RedisWorld::start();
    let gateway = world.gateway();
    let run = gateway.trust_present_run().await;
    let cases: Vec<_> = records()
        .into_iter()
        .flat_map(|record| {
            commands()
                .into_iter()
                .map(move |command| (record.clone(), command))
        })
        .collect();
    assert!(cases.len() <= usize::from(Partition::COUNT), "{}", cases.len());
    let cases: Vec<_> = Partition::all().zip(cases).collect();
    let present = cases
        .iter()
        .filter_map(|(partition, (record, _))| Some((*partition, record.as_ref()?)));
    write(&world, &present.collect::<Vec<_>>());

    let partitions = cases.iter().map(|(partition, _)| *partition).collect();
    let asked = cases
        .iter()
        .map(|(partition, (_, command))| (*partition, command.clone()));
    let replies = gateway.shard.fence(&run, asked.collect()).await.unwrap();
    let after = gateway.shard.records(&run, partitions).await.unwrap();
    for (((_, (record, command)), reply), after) in cases.into_iter().zip(replies).zip(after) {
        let (expected, left) = match fence::apply(record.as_ref(), &command) {
            Ok(None) => (FenceReply::Done, record.clone()),
            Ok(Some(next)) => (FenceReply::Done, Some(next)),
            Err(_) => (FenceReply::Refused(record.clone()), record.clone()),
        };
        assert_eq!((reply, after), (expected, left), "{command:?} at {record:?}");
    }
}

/// How long the server's scripts took since this was asked last, in microseconds.
fn durations(world: &RedisWorld) -> Vec<i64> {
    type Entry = (i64, i64, i64, Vec<Vec<u8>>, String, String);
    let entries: Vec<Entry> = world.command(&["SLOWLOG", "GET", "-1"]);
    world.command::<()>(&["SLOWLOG", "RESET"]);
    let scripts = entries
        .into_iter()
        .filter(|entry| entry.3[0].eq_ignore_ascii_case(b"EVALSHA"));
    scripts.map(|entry| entry.2).collect()
}

fn log_scripts(world: &RedisWorld) {
    world.command::<()>(&["CONFIG", "SET", "slowlog-max-len", "100000"]);
    world.command::<()>(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    world.command::<()>(&["SLOWLOG", "RESET"]);
}

/// Figures to look at; a busy machine makes them worse, so nothing is expected of them.
#[expect(clippy::print_stdout, reason = "a figure to be read in the test's output")]
fn tell(what: &str, mut durations: Vec<i64>) {
    durations.sort_unstable();
    let (count, longest) = (durations.len(), durations.last().copied().unwrap_or(0));
    let [middle, nearly] = [50, 99].map(|share| durations.get(count * share / 100).copied().unwrap_or(0));
    println!("{what}: {count} scripts; us: {middle} half of them, {nearly} 99 %, {longest} at most");
}

/// Appends entries like the stream's first until it has `count`.
fn fill(world: &RedisWorld, channel: &Channel, count: u32) {
    let fill = "local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2][2] \
        for offset = 2, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], offset .. '-0', 'p', first) end \
        redis.call('HSET', KEYS[2], 'o', ARGV[1])";
    let key = |kind: &str| {
        format!(
            "campanile:{{{}}}:{kind}:{}",
            channel.partition,
            channel.name.as_str()
        )
    };
    world.command::<()>(&[
        "EVAL",
        fill,
        "2",
        &key("stream"),
        &key("meta"),
        &count.to_string(),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_entries_are_copied_in_small_parts() {
    let (world, other) = (RedisWorld::start(), RedisWorld::start());
    let mut channel = Channel::new("enormous");
    channel.limits.size = 100_000;
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, &"x".repeat(200)).await;
    fill(&world, &channel, channel.limits.size);
    mover.begin().await;
    log_scripts(&world);
    log_scripts(&other);
    let items = mover.scan().await;
    let parts = mover.copy(items).await;
    tell("reading 100,000 entries", durations(&world));
    tell("writing 100,000 entries", durations(&other));
    assert!(parts.len() > 100_000 / 1000, "{}", parts.len());
    assert!(parts.iter().all(|part| part.content.len() < 256 << 10));

    mover.source.gateway.append(&channel, "the end").await;
    durations(&world);
    let parts = mover.copy_dirty().await;
    tell("reading its end", durations(&world));
    assert_eq!(parts.len(), 2);
    mover.finish().await;
    let (position, content) = mover.target.gateway.content(&channel).await;
    assert_eq!((position.offset.get(), content.len()), (100_001, 100_000));
    assert_eq!(content.last().unwrap(), "the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_entries_are_copied_one_by_one() {
    let (world, other) = (RedisWorld::start(), RedisWorld::start());
    let mut channel = Channel::new("heavy");
    channel.limits.size = 20;
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, &"x".repeat(1 << 20)).await;
    fill(&world, &channel, channel.limits.size);
    mover.begin().await;
    log_scripts(&world);
    log_scripts(&other);
    let items = mover.scan().await;
    let parts = mover.copy(items).await;
    tell("reading entries of 1 MiB", durations(&world));
    tell("writing entries of 1 MiB", durations(&other));
    assert!(parts.iter().all(|part| part.content.len() < 3 << 19));
    mover.finish().await;
    assert_eq!(mover.target.gateway.content(&channel).await.1.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_keys_share_calls() {
    let (world, other) = (RedisWorld::start(), RedisWorld::start());
    let channels: Vec<_> = (0..1000)
        .map(|number| {
            let mut channel = Channel::new(&format!("small:{number}"));
            // None is to expire before the last one is there.
            channel.limits.ttl = channel.limits.meta_ttl;
            channel
        })
        .collect();
    let mut mover = Mover::open(&world, &other, &channels).await;
    for channel in &channels {
        mover.source.gateway.append(channel, &"x".repeat(200)).await;
        fill(&world, channel, 50);
    }
    mover.begin().await;
    log_scripts(&world);
    log_scripts(&other);
    let items = mover.scan().await;
    let names: BTreeSet<_> = items.iter().map(|item| item.name.clone()).collect();
    assert_eq!(names.len(), 2000);
    mover.copy(items).await;
    let reading = durations(&world);
    assert!(reading.len() < 1000, "{}", reading.len());
    tell("reading 2,000 small keys", reading);
    tell("writing 2,000 small keys", durations(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_target_refuses_parts_and_deletes_nothing_for_them() {
    let (world, other) = (RedisWorld::start(), RedisWorld::start());
    let mut channel = Channel::new("no room");
    channel.limits.size = 1000;
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, &"x".repeat(200)).await;
    fill(&world, &channel, channel.limits.size);
    mover.begin().await;
    mover.copy_all().await;
    let keys: Vec<String> = other.command(&["KEYS", "*:no room"]);
    assert_eq!(keys.len(), 2);
    other.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let shard = &mover.target.gateway.shard;
    for item in mover.scan().await {
        let part = mover.read(MOVE.0, item).await.unwrap();
        let answer = shard.restore(&mover.target.run, MOVE.0, MOVE.1, vec![part]).await;
        assert!(matches!(answer, Err(ShardError::Refused(_))), "{answer:?}");
    }
    other.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    mover.finish().await;
    assert_eq!(mover.target.gateway.content(&channel).await.1.len(), 1000);
}
