//! Who may read, write and delete what is copied, and when.

use campanile_shard_router::fence::FenceCommand::{Abort, Import, Open};
use campanile_shard_router::fence::FenceReply;
use campanile_shard_router::shard::{CopyItem, CopyScope, ShardError};
use campanile_shard_router::topology::{Generation, Token};

use crate::changes::enter;
use crate::gateway::{Channel, Told, channels_apart};
use crate::mover::{MOVE, Mover};
use crate::world::World;

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
