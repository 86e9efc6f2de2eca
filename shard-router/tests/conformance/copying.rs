//! Copying partitions from server to server.

use std::collections::BTreeSet;
use std::time::Duration;

use campanile_shard_router::fence::FenceCommand::{Abort, Import, Migrate, Open};
use campanile_shard_router::fence::FenceReply;
use campanile_shard_router::shard::{
    CopyItem, CopyScope, HistoryRange, IdempotencyKey, PresenceEntry, PublishRequest, ShardError, Suppressed,
    Version,
};
use campanile_shard_router::topology::{DeploymentId, Generation, Token};

use crate::gateway::{Channel, Gateway, Told, channels_apart, info};
use crate::mover::{MOVE, Mover, name};
use crate::world::World;

const LATER: Duration = Duration::from_millis(1500);

fn keyed(channel: &Channel, key: &str) -> PublishRequest {
    PublishRequest {
        idempotency: Some(IdempotencyKey {
            key: key.to_owned(),
            ttl: Duration::from_secs(60),
        }),
        ..channel.request(key)
    }
}

fn versioned(channel: &Channel, number: u64) -> PublishRequest {
    PublishRequest {
        version: Some(Version {
            number,
            epoch: "v".to_owned(),
        }),
        ..channel.request(&number.to_string())
    }
}

async fn enter(gateway: &Gateway, channel: &Channel, client: &str, ttl: Duration) {
    let entry = PresenceEntry {
        partition: channel.partition,
        channel: channel.name.clone(),
        info: info(client).into(),
        ttl,
    };
    gateway
        .shard
        .refresh_presence(vec![entry])
        .await
        .unwrap()
        .remove(0)
        .unwrap();
}

async fn leave(gateway: &Gateway, channel: &Channel, client: &str) {
    let left = gateway
        .shard
        .remove_presence(channel.partition, &channel.name, client);
    left.await.unwrap();
}

async fn remove_history(gateway: &Gateway, channel: &Channel) {
    let removed = gateway.shard.remove_history(channel.partition, &channel.name);
    removed.await.unwrap();
}

async fn present(gateway: &Gateway, channel: &Channel) -> Vec<String> {
    let members = gateway
        .shard
        .presence(channel.partition, &channel.name)
        .await
        .unwrap();
    for (client, member) in &members {
        assert_eq!(*member, info(client));
    }
    members.into_keys().collect()
}

pub async fn a_moved_partition_keeps_all_that_it_held(world: impl World) {
    let channel = Channel::new("all of it");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let gateway = &mover.source.gateway;
    gateway
        .shard
        .publish(channel.partition, keyed(&channel, "k1"))
        .await
        .unwrap();
    gateway
        .shard
        .publish(channel.partition, versioned(&channel, 8))
        .await
        .unwrap();
    enter(gateway, &channel, "a", channel.limits.ttl).await;
    mover.begin().await;
    mover.copy_all().await;
    let gateway = &mover.source.gateway;
    gateway
        .shard
        .publish(channel.partition, keyed(&channel, "k2"))
        .await
        .unwrap();
    enter(gateway, &channel, "b", channel.limits.ttl).await;
    let before = gateway.content(&channel).await;
    mover.finish().await;

    let refused = mover.source.gateway.publish(&channel, "too late").await;
    assert!(matches!(refused, Err(ShardError::NotOwner)), "{refused:?}");
    let gateway = &mover.target.gateway;
    assert_eq!(gateway.content(&channel).await, before);
    assert_eq!(before.1, ["k1", "8", "k2"]);
    for key in ["k1", "k2"] {
        let again = gateway
            .shard
            .publish(channel.partition, keyed(&channel, key))
            .await
            .unwrap();
        assert_eq!(again.suppressed, Some(Suppressed::Repeated));
    }
    let old = gateway
        .shard
        .publish(channel.partition, versioned(&channel, 8))
        .await
        .unwrap();
    assert_eq!(old.suppressed, Some(Suppressed::Outdated));
    assert_eq!(present(gateway, &channel).await, ["a", "b"]);
    let next = gateway.append(&channel, "next").await;
    assert_eq!(
        (next.epoch, next.offset),
        (before.0.epoch, before.0.offset.next())
    );
}

pub async fn what_is_copied_expires_when_it_would_have(world: impl World) {
    let mut channel = Channel::new("short-lived");
    channel.limits.ttl = LATER;
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let gateway = &mover.source.gateway;
    let position = gateway.append(&channel, "short-lived").await;
    enter(gateway, &channel, "a", LATER).await;
    enter(gateway, &channel, "b", 100 * LATER).await;
    mover.run().await;
    let gateway = &mover.target.gateway;
    assert_eq!(gateway.content(&channel).await.1, ["short-lived"]);
    assert_eq!(present(gateway, &channel).await, ["a", "b"]);
    other.pass(LATER).await;
    assert_eq!(gateway.content(&channel).await, (position, vec![]));
    assert_eq!(present(gateway, &channel).await, ["b"]);
}

pub async fn each_change_is_noted_once_under_its_last_number(world: impl World) {
    let channel = Channel::new("noted");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, "before").await;
    mover.begin().await;
    assert_eq!(mover.dirty_names().await, [""; 0]);
    mover.source.gateway.append(&channel, "x").await;
    mover.source.gateway.append(&channel, "y").await;
    assert_eq!(mover.dirty_names().await, ["meta:noted", "stream:noted"]);
    let request = keyed(&channel, "k");
    mover
        .source
        .gateway
        .shard
        .publish(channel.partition, request)
        .await
        .unwrap();
    assert_eq!(
        mover.dirty_names().await,
        ["idem:5:noted:k", "meta:noted", "stream:noted"]
    );
    mover
        .source
        .gateway
        .history(&channel, HistoryRange::POSITION)
        .await
        .unwrap();
    assert_eq!(mover.dirty_names().await, ["meta:noted"], "it lives longer now");
    let asked = vec![channel.position_request()];
    mover
        .source
        .gateway
        .shard
        .positions(asked)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(mover.dirty_names().await, ["meta:noted"]);
    remove_history(&mover.source.gateway, &channel).await;
    assert_eq!(mover.dirty_names().await, ["stream:noted"]);
    remove_history(&mover.source.gateway, &channel).await;
    assert_eq!(mover.dirty_names().await, [""; 0], "nothing was left to remove");

    enter(&mover.source.gateway, &channel, "c:1", LATER).await;
    assert_eq!(mover.dirty_names().await, ["member:5:noted:c:1"]);
    enter(&mover.source.gateway, &channel, "d", 100 * LATER).await;
    mover.dirty_names().await;
    assert_eq!(present(&mover.source.gateway, &channel).await.len(), 2);
    assert_eq!(mover.dirty_names().await, [""; 0], "nobody expired");
    world.pass(LATER).await;
    assert_eq!(present(&mover.source.gateway, &channel).await, ["d"]);
    assert_eq!(mover.dirty_names().await, ["member:5:noted:c:1"]);
    leave(&mover.source.gateway, &channel, "d").await;
    leave(&mover.source.gateway, &channel, "nobody").await;
    assert_eq!(mover.dirty_names().await, ["member:5:noted:d"]);
}

pub async fn notes_are_read_by_anybody_any_number_of_times(world: impl World) {
    let channel = Channel::new("read twice");
    let other = world.another();
    let mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.begin().await;
    for number in 0..300 {
        let request = keyed(&channel, &number.to_string());
        mover
            .source
            .gateway
            .shard
            .publish(channel.partition, request)
            .await
            .unwrap();
    }
    let shard = &mover.source.gateway.shard;
    for _ in 0..2 {
        let mut names = BTreeSet::new();
        let (mut since, mut more) = (0, true);
        while more {
            let asked = vec![(channel.partition, since)];
            let mut pages = shard
                .dirty(&mover.source.run, MOVE.0, asked, CopyScope::Results)
                .await
                .unwrap();
            let page = pages.remove(0).unwrap();
            assert!(page.through > since);
            (since, more) = (page.through, page.more);
            names.extend(page.items.iter().map(name));
        }
        assert_eq!(names.len(), 300);
        assert!(
            names.iter().all(|name| name.starts_with("idem:")),
            "no others were asked for"
        );
    }
    // Going on where nothing more is known answers nothing.
    let asked = vec![(channel.partition, 1_000_000)];
    let page = shard
        .dirty(&mover.source.run, MOVE.0, asked, CopyScope::All)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!((page.items.len(), page.through, page.more), (0, 1_000_000, false));
}

pub async fn a_migration_begins_with_no_notes(world: impl World) {
    let channel = Channel::new("twice");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let generation = Generation(3);
    mover
        .source
        .fence(channel.partition, Migrate { generation })
        .await;
    mover.source.gateway.append(&channel, "x").await;
    let abort = Abort {
        generation: Generation(4),
        moving: generation,
    };
    assert_eq!(
        mover.source.fence(channel.partition, abort).await,
        FenceReply::Done
    );
    mover.source.gateway.append(&channel, "not noted").await;
    mover.begin().await;
    assert_eq!(mover.dirty_names().await, [""; 0]);
    mover.source.gateway.append(&channel, "z").await;
    let migrate = Migrate { generation: MOVE.0 };
    assert_eq!(
        mover.source.fence(channel.partition, migrate).await,
        FenceReply::Done
    );
    assert_eq!(
        mover.dirty_names().await.len(),
        2,
        "repeating the act forgets nothing"
    );
}

pub async fn what_is_gone_is_deleted_at_the_target(world: impl World) {
    let [kept, gone] = &channels_apart(2)[..] else {
        unreachable!("two were asked for")
    };
    let other = world.another();
    let mut mover = Mover::open(&world, &other, &[kept.clone(), gone.clone()]).await;
    for channel in [kept, gone] {
        mover.source.gateway.append(channel, "copied").await;
        enter(&mover.source.gateway, channel, "a", channel.limits.ttl).await;
        enter(&mover.source.gateway, channel, "b", channel.limits.ttl).await;
    }
    mover.begin().await;
    mover.copy_all().await;
    remove_history(&mover.source.gateway, gone).await;
    leave(&mover.source.gateway, gone, "a").await;
    let dirty = mover.copy_dirty().await;
    assert_eq!(dirty.len(), 2);
    mover.finish().await;
    let gateway = &mover.target.gateway;
    assert_eq!(gateway.content(kept).await.1, ["copied"]);
    assert_eq!(present(gateway, kept).await, ["a", "b"]);
    let (position, content) = gateway.content(gone).await;
    assert_eq!((position.offset.get(), content.len()), (1, 0));
    assert_eq!(present(gateway, gone).await, ["b"]);
}

pub async fn what_expired_meanwhile_is_deleted_at_the_target(world: impl World) {
    let channel = Channel::new("expires");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    let request = PublishRequest {
        idempotency: Some(IdempotencyKey {
            key: "k".to_owned(),
            ttl: LATER,
        }),
        ..channel.request("x")
    };
    mover.begin().await;
    mover
        .source
        .gateway
        .shard
        .publish(channel.partition, request)
        .await
        .unwrap();
    let items = mover.dirty().await;
    world.pass(LATER).await;
    let parts = mover.copy(items).await;
    assert_eq!(parts.len(), 3);
    mover.finish().await;
    let again = keyed(&channel, "k");
    let published = mover
        .target
        .gateway
        .shard
        .publish(channel.partition, again)
        .await
        .unwrap();
    assert_eq!(published.suppressed, None);
}

pub async fn only_the_move_may_read(world: impl World) {
    let channel = Channel::new("fenced reading");
    let other = world.another();
    let mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, "x").await;
    let item = CopyItem {
        partition: channel.partition,
        name: "stream:fenced reading".into(),
        resume: None,
    };
    let asked = || vec![(channel.partition, 0)];
    let shard = &mover.source.gateway.shard;
    let (run, (generation, _)) = (&mover.source.run, MOVE);
    assert_eq!(mover.read(generation, item.clone()).await, None, "open");
    assert_eq!(
        shard
            .dirty(run, generation, asked(), CopyScope::All)
            .await
            .unwrap(),
        [None]
    );
    mover.begin().await;
    for other in [Generation(4), Generation(6)] {
        assert_eq!(mover.read(other, item.clone()).await, None);
        assert_eq!(
            shard.dirty(run, other, asked(), CopyScope::All).await.unwrap(),
            [None]
        );
    }
    assert!(mover.read(generation, item.clone()).await.is_some());
    let abort = Abort {
        generation: Generation(6),
        moving: generation,
    };
    mover.source.fence(channel.partition, abort).await;
    assert_eq!(mover.read(generation, item).await, None, "abandoned");
}

pub async fn only_the_attempt_may_write(world: impl World) {
    let channel = Channel::new("fenced writing");
    let other = world.another();
    let mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, "x").await;
    enter(&mover.source.gateway, &channel, "a", channel.limits.ttl).await;
    mover.begin().await;
    let (generation, token) = MOVE;
    let mut parts = Vec::new();
    for item in mover.scan().await {
        parts.push(mover.read(generation, item).await.unwrap());
    }
    let gone = CopyItem {
        partition: channel.partition,
        name: "meta:nothing".into(),
        resume: None,
    };
    parts.push(mover.read(generation, gone).await.unwrap());
    let newer = Token(token.0 + 1);
    let floor = Generation(1);
    let again = Import {
        generation,
        token: newer,
        floor,
    };
    assert_eq!(
        mover.target.fence(channel.partition, again).await,
        FenceReply::Done
    );
    let late = [
        (generation, token),
        (Generation(4), newer),
        (Generation(6), newer),
    ];
    for part in &parts {
        for holder in late {
            assert!(!mover.write(holder, part.clone()).await);
        }
        assert!(mover.write((generation, newer), part.clone()).await);
    }
    let open = Open {
        generation,
        token: newer,
    };
    assert_eq!(
        mover.target.fence(channel.partition, open).await,
        FenceReply::Done
    );
    for part in &parts {
        assert!(!mover.write((generation, newer), part.clone()).await, "open");
    }
}

pub async fn a_walk_meets_all_that_the_partitions_hold(world: impl World) {
    let channels = channels_apart(40);
    let other = world.another();
    let mut mover = Mover::open(&world, &other, &channels).await;
    let mut expected = BTreeSet::new();
    for (number, channel) in channels.iter().enumerate() {
        let gateway = &mover.source.gateway;
        for key in 0..20 {
            let key = key.to_string();
            gateway
                .shard
                .publish(channel.partition, keyed(channel, &key))
                .await
                .unwrap();
            if number % 2 == 0 {
                expected.insert(format!(
                    "idem:{}:{}:{key}",
                    channel.name.len(),
                    channel.name.as_str()
                ));
            }
        }
        enter(gateway, channel, "a", channel.limits.ttl).await;
    }
    let half = channels.iter().step_by(2);
    mover.partitions = std::sync::Arc::new(half.clone().map(|channel| channel.partition).collect());
    mover.scope = CopyScope::Results;
    let results: BTreeSet<_> = mover.scan().await.iter().map(name).collect();
    assert_eq!(results, expected);
    mover.scope = CopyScope::All;
    for kind in ["stream", "meta", "presence"] {
        expected.extend(
            half.clone()
                .map(|channel| format!("{kind}:{}", channel.name.as_str())),
        );
    }
    let all: BTreeSet<_> = mover.scan().await.iter().map(name).collect();
    assert_eq!(all, expected);
    assert!(
        mover
            .scan()
            .await
            .iter()
            .all(|item| mover.partitions.contains(&item.partition))
    );
    let nothing = std::sync::Arc::new(BTreeSet::new());
    mover.partitions = nothing;
    assert_eq!(mover.scan().await, []);
}

pub async fn results_alone_can_be_moved(world: impl World) {
    let channel = Channel::new("results");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.scope = CopyScope::Results;
    let gateway = &mover.source.gateway;
    gateway
        .shard
        .publish(channel.partition, keyed(&channel, "early"))
        .await
        .unwrap();
    mover.begin().await;
    mover.copy_all().await;
    let late = keyed(&channel, "late");
    mover
        .source
        .gateway
        .shard
        .publish(channel.partition, late)
        .await
        .unwrap();
    mover.finish().await;
    let gateway = &mover.target.gateway;
    for key in ["early", "late"] {
        let again = gateway
            .shard
            .publish(channel.partition, keyed(&channel, key))
            .await
            .unwrap();
        assert_eq!(again.suppressed, Some(Suppressed::Repeated));
    }
    assert_eq!(gateway.append(&channel, "anew").await.offset.get(), 1);
}

pub async fn only_what_was_closed_for_good_is_cleaned(world: impl World) {
    let channel = Channel::new("cleaned");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.source.gateway.append(&channel, "x").await;
    let (generation, _) = MOVE;
    mover.clean(&mover.source, generation).await.unwrap();
    assert_eq!(mover.source.gateway.content(&channel).await.1, ["x"], "open");
    mover.run().await;
    mover
        .clean(&mover.source, Generation(generation.0 - 1))
        .await
        .unwrap();
    assert!(!mover.scan().await.is_empty(), "closed later");
    mover.clean(&mover.target, generation).await.unwrap();
    assert_eq!(mover.target.gateway.content(&channel).await.1, ["x"], "open");
    mover.clean(&mover.source, generation).await.unwrap();
    assert_eq!(mover.scan().await, []);
    let sealed = mover
        .source
        .gateway
        .shard
        .sealed(vec![channel.partition])
        .await
        .unwrap();
    assert_eq!(sealed, [(channel.partition, generation)], "the record stays");
}

pub async fn a_seal_is_announced_and_can_be_asked_for(world: impl World) {
    let channels = channels_apart(2);
    let other = world.another();
    let mut mover = Mover::open(&world, &other, &channels[..1]).await;
    let gateway = &mover.source.gateway;
    gateway.subscribe(&channels[0]).await;
    let partitions: Vec<_> = channels.iter().map(|channel| channel.partition).collect();
    assert_eq!(gateway.shard.sealed(partitions.clone()).await.unwrap(), []);
    mover.begin().await;
    mover.source.gateway.append(&channels[0], "last").await;
    mover.finish().await;
    let gateway = &mover.source.gateway;
    assert_eq!(
        gateway.shard.sealed(partitions).await.unwrap(),
        [(channels[0].partition, MOVE.0)]
    );
    let told = gateway.events.until(|told| told.len() >= 3).await;
    assert!(
        matches!(&told[1..], [Told::Message(..), Told::Marker(_, partition, generation)]
            if (*partition, *generation) == (channels[0].partition, MOVE.0)),
        "{told:?}"
    );
}

pub async fn a_copy_for_another_run_is_not_carried_out(world: impl World) {
    let channel = Channel::new("another run");
    let other = world.another();
    let mut mover = Mover::open(&world, &other, std::slice::from_ref(&channel)).await;
    mover.begin().await;
    mover.source.run = campanile_shard_router::topology::Incarnation::new("another");
    let shard = &mover.source.gateway.shard;
    let run = &mover.source.run;
    let partitions = vec![channel.partition];
    let answers = [
        shard.records(run, partitions).await.map(drop),
        shard.copy(run, MOVE.0, vec![]).await.map(drop),
        shard.restore(run, MOVE.0, MOVE.1, vec![]).await.map(drop),
        shard.clean(run, vec![]).await,
        shard.usage(run).await.map(drop),
        shard.note_drained(run, true).await,
    ];
    for answer in answers {
        assert!(matches!(answer, Err(ShardError::Unavailable(_))), "{answer:?}");
    }
}

pub async fn records_are_read_in_order(world: impl World) {
    let channels = channels_apart(3);
    let gateway = world.gateway();
    let run = gateway.open([channels[1].partition]).await;
    let partitions = channels.iter().map(|channel| channel.partition).collect();
    let records = gateway.shard.records(&run, partitions).await.unwrap();
    assert!(matches!(&records[..], [None, Some(record), None] if record.generation == Generation(1)));
}

pub async fn who_admitted_and_who_asks_to_drain_is_told(world: impl World) {
    let gateway = world.gateway();
    let probe = gateway.shard.probe().await.unwrap();
    assert_eq!((probe.deployment, probe.drain_asked), (None, false));
    let run = probe.incarnation;
    let deployment = DeploymentId(0x00ab_cdef);
    gateway
        .shard
        .note_admitted(&run, Generation(3), deployment)
        .await
        .unwrap();
    world.ask_to_drain();
    let probe = gateway.shard.probe().await.unwrap();
    assert_eq!((probe.deployment, probe.drain_asked), (Some(deployment), true));
    assert!(!world.is_drained());
    gateway.shard.note_drained(&run, true).await.unwrap();
    assert!(world.is_drained());
    assert!(gateway.shard.probe().await.unwrap().drain_asked);
    gateway.shard.note_drained(&run, false).await.unwrap();
    assert!(!world.is_drained());
    assert!(!gateway.shard.probe().await.unwrap().drain_asked);
}

pub async fn usage_grows_with_what_is_held(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("used");
    let run = gateway.open_for(&channel).await;
    let before = gateway.shard.usage(&run).await.unwrap();
    gateway.append(&channel, &"x".repeat(1 << 20)).await;
    let after = gateway.shard.usage(&run).await.unwrap();
    assert!(after.bytes >= before.bytes + (1 << 19), "{before:?} {after:?}");
    assert!(after.keys > before.keys);
}
