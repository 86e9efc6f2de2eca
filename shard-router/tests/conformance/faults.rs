//! What a gateway sees of a server that restarts, forgets, stalls or is gone.

use std::time::Duration;

use campanile_common::Offset;
use campanile_shard_router::fence::FenceCommand::{Admit, Reopen};
use campanile_shard_router::fence::FenceReply;
use campanile_shard_router::shard::{ShardError, ShardOptions, ShardStatus};
use campanile_shard_router::topology::{DeploymentId, Generation, Incarnation};
use tokio::time::Instant;

use crate::gateway::{Channel, Gateway, OPENED, Told, eventually};
use crate::world::{World, options};

/// A timeout that a case can wait for, and that a slow machine still keeps.
const BRIEF: Duration = Duration::from_secs(3);

fn brief() -> ShardOptions {
    ShardOptions {
        command_timeout: BRIEF,
        ..options()
    }
}

/// The run that answers, once one does.
async fn answering_run(gateway: &Gateway) -> Incarnation {
    eventually(|| async { gateway.shard.probe().await.ok() })
        .await
        .incarnation
}

/// Publishes until it is certain that nothing is done. A connection that has not yet noticed its end may take one more
/// request with it; nothing is ever accepted.
async fn publishing_is_unavailable(gateway: &Gateway, channel: &Channel) {
    eventually(|| async {
        match gateway.publish(channel, "not for you").await {
            Err(ShardError::Unavailable(_)) => Some(()),
            Err(ShardError::Unanswered(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// Waits until another run than `old` is known to answer, then checks that nothing is sent to it.
async fn another_run_is_noticed_and_not_used(
    gateway: &Gateway,
    channel: &Channel,
    old: &Incarnation,
) -> Incarnation {
    let run = answering_run(gateway).await;
    assert_ne!(run, *old);
    gateway
        .status_becomes(|status| *status == ShardStatus::Untrusted(run.clone()))
        .await;
    publishing_is_unavailable(gateway, channel).await;
    run
}

pub async fn an_untrusted_run_is_reported_and_not_used(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("trusted");
    let run = answering_run(&gateway).await;
    gateway
        .status_becomes(|status| *status == ShardStatus::Untrusted(run.clone()))
        .await;
    gateway
        .shard
        .trust(Some(Incarnation::new("some other run")), OPENED.0);
    gateway
        .status_becomes(|status| *status == ShardStatus::Untrusted(run.clone()))
        .await;
    let answers = [
        gateway.publish(&channel, "x").await.map(drop),
        gateway
            .shard
            .subscribe(vec![(channel.partition, channel.name.clone())])
            .await,
    ];
    for answer in answers {
        assert!(matches!(answer, Err(ShardError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(gateway.events.told(), [], "no link without trust");
    gateway.open_for(&channel).await;
    gateway.append(&channel, "x").await;
    gateway.shard.trust(None, OPENED.0);
    gateway
        .status_becomes(|status| *status == ShardStatus::Untrusted(run.clone()))
        .await;
    let told = gateway.events.until(|told| told.len() >= 2).await;
    assert!(
        matches!(&told[..], [Told::Up(up), Told::Down(down)] if up == down),
        "{told:?}"
    );
}

pub async fn a_restart_with_data_is_another_run_that_still_knows_all(mut world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("durable");
    let old = gateway.open_for(&channel).await;
    gateway
        .shard
        .note_admitted(&old, Generation(1), DeploymentId(1))
        .await
        .unwrap();
    let before = gateway.append(&channel, "a").await;
    world.restart();
    let run = another_run_is_noticed_and_not_used(&gateway, &channel, &old).await;
    assert_eq!(gateway.shard.probe().await.unwrap().admitted, Some(Generation(1)));
    let generation = Generation(2);
    assert_eq!(
        gateway
            .fence(
                &run,
                channel.partition,
                Admit {
                    generation,
                    keep_epochs: true
                }
            )
            .await,
        FenceReply::Done
    );
    assert_eq!(
        gateway
            .fence(&run, channel.partition, Reopen { generation })
            .await,
        FenceReply::Done
    );
    gateway.shard.trust(Some(run), generation);
    gateway.connected().await;
    assert_eq!(gateway.content(&channel).await, (before, vec!["a".to_owned()]));
}

pub async fn a_restart_without_data_owns_nothing(mut world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("lost");
    let old = gateway.open_for(&channel).await;
    gateway
        .shard
        .note_admitted(&old, Generation(1), DeploymentId(1))
        .await
        .unwrap();
    gateway.append(&channel, "a").await;
    world.restart_empty();
    let run = another_run_is_noticed_and_not_used(&gateway, &channel, &old).await;
    assert_eq!(gateway.shard.probe().await.unwrap().admitted, None);
    assert_eq!(gateway.shard.owners(&run).await.unwrap(), []);
    gateway.shard.trust(Some(run), Generation(2));
    gateway.connected().await;
    assert!(matches!(
        gateway.publish(&channel, "b").await,
        Err(ShardError::NotOwner)
    ));
}

pub async fn a_restart_from_an_old_snapshot_is_behind(mut world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("behind");
    let old = gateway.open_for(&channel).await;
    let kept = gateway.append(&channel, "kept").await;
    let snapshot = world.snapshot();
    gateway.append(&channel, "acknowledged and lost").await;
    world.restart_with(snapshot);
    let run = another_run_is_noticed_and_not_used(&gateway, &channel, &old).await;
    let generation = Generation(2);
    gateway
        .fence(
            &run,
            channel.partition,
            Admit {
                generation,
                keep_epochs: false,
            },
        )
        .await;
    gateway
        .fence(&run, channel.partition, Reopen { generation })
        .await;
    gateway.shard.trust(Some(run), generation);
    gateway.connected().await;
    let (position, content) = gateway.content(&channel).await;
    assert_eq!(content, ["kept"]);
    assert_eq!(position.offset, Offset(1));
    assert_ne!(
        position.epoch, kept.epoch,
        "no position from before may be continued"
    );
}

pub async fn a_flush_in_the_midst_of_a_run_leaves_no_owner(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("flushed");
    let run = gateway.open_for(&channel).await;
    gateway
        .shard
        .note_admitted(&run, Generation(1), DeploymentId(1))
        .await
        .unwrap();
    gateway.append(&channel, "a").await;
    world.flush();
    assert!(matches!(
        gateway.publish(&channel, "b").await,
        Err(ShardError::NotOwner)
    ));
    assert!(matches!(
        gateway.history(&channel, crate::gateway::ALL).await,
        Err(ShardError::NotOwner)
    ));
    let probe = gateway.shard.probe().await.unwrap();
    assert_eq!((probe.incarnation, probe.admitted), (run, None));
}

pub async fn a_paused_server_is_noticed_in_time_and_used_again(world: impl World) {
    let gateway = world.gateway_with(brief());
    let channel = Channel::new("paused");
    let run = gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    gateway.append(&channel, "before").await;
    world.pause();
    let start = Instant::now();
    let first = gateway.publish(&channel, "in between").await;
    assert!(matches!(first, Err(ShardError::Unanswered(_))), "{first:?}");
    assert!(!first.unwrap_err().had_no_effect(), "it may be carried out yet");
    // Generous: what matters is that it does not wait for the server.
    assert!(start.elapsed() < 5 * BRIEF, "{:?}", start.elapsed());
    gateway
        .status_becomes(|status| matches!(status, ShardStatus::Unreachable(_)))
        .await;
    let second = gateway.publish(&channel, "too late").await;
    assert!(matches!(second, Err(ShardError::Unavailable(_))), "{second:?}");
    let admin = gateway.shard.owners(&run).await;
    assert!(
        matches!(admin, Err(ShardError::Unavailable(_) | ShardError::Unanswered(_))),
        "{admin:?}"
    );
    gateway
        .events
        .until(|told| matches!(told.last(), Some(Told::Down(_))))
        .await;

    world.resume();
    gateway.connected().await;
    gateway.append(&channel, "after").await;
    let (_, content) = gateway.content(&channel).await;
    assert_eq!(content.first().map(String::as_str), Some("before"));
    assert_eq!(content.last().map(String::as_str), Some("after"));
    assert!(
        !content.contains(&"too late".to_owned()),
        "it was said to have had no effect"
    );
    gateway
        .events
        .until(|told| matches!(told.last(), Some(Told::Up(_))))
        .await;
}

pub async fn a_stopped_server_is_unreachable_and_used_again_when_it_returns(mut world: impl World) {
    let gateway = world.gateway_with(brief());
    let channel = Channel::new("stopped");
    gateway.open_for(&channel).await;
    gateway.append(&channel, "before").await;
    world.stop();
    gateway
        .status_becomes(|status| matches!(status, ShardStatus::Unreachable(_)))
        .await;
    publishing_is_unavailable(&gateway, &channel).await;
    assert!(gateway.shard.probe().await.is_err());
    gateway
        .events
        .until(|told| matches!(told.last(), Some(Told::Down(_))))
        .await;
    world.restart();
    let run = answering_run(&gateway).await;
    gateway.shard.trust(Some(run), Generation(2));
    gateway.connected().await;
    assert_eq!(gateway.content(&channel).await.1, ["before"]);
    gateway
        .events
        .until(|told| matches!(told.last(), Some(Told::Up(_))))
        .await;
}

pub async fn another_admission_makes_the_links_anew(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("admitted again");
    let run = gateway.open_for(&channel).await;
    gateway.events.until(|told| told.len() == 1).await;
    gateway.shard.trust(Some(run.clone()), OPENED.0);
    gateway.append(&channel, "nothing changed").await;
    assert_eq!(gateway.events.told().len(), 1);
    gateway.shard.trust(Some(run), OPENED.0.next());
    let told = gateway.events.until(|told| told.len() == 3).await;
    assert!(matches!(&told[..], [Told::Up(a), Told::Down(b), Told::Up(c)] if a == b && b.serial != c.serial));
    gateway.connected().await;
    gateway.append(&channel, "goes on").await;
}

pub async fn a_closed_shard_answers_nothing_and_reports_its_links_down(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("closed");
    gateway.open_for(&channel).await;
    gateway.shard.close();
    let told = gateway.events.until(|told| told.len() == 2).await;
    assert!(
        matches!(&told[..], [Told::Up(up), Told::Down(down)] if up == down),
        "{told:?}"
    );
    gateway
        .status_becomes(|status| matches!(status, ShardStatus::Unreachable(_)))
        .await;
    let answer = gateway.publish(&channel, "x").await;
    assert!(matches!(answer, Err(ShardError::Unavailable(_))), "{answer:?}");
}
