//! What is noted of changes while a partition migrates.

use std::collections::BTreeSet;

use campanile_shard_router::fence::FenceCommand::{Abort, Migrate};
use campanile_shard_router::fence::FenceReply;
use campanile_shard_router::shard::{CopyScope, HistoryRange};
use campanile_shard_router::topology::Generation;

use crate::changes::{LATER, enter, keyed, leave, present, remove_history};
use crate::gateway::Channel;
use crate::mover::{MOVE, Mover, name};
use crate::world::World;

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
