//! The owner fence.

use std::collections::BTreeMap;

use campanile_shard_router::fence::FenceCommand::{Admit, Fresh, Open, Reopen};
use campanile_shard_router::fence::{FenceReply, OwnerRecord, OwnerState};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::shard::{Announcement, HistoryRange, PresenceEntry, ShardError};
use campanile_shard_router::topology::{DeploymentId, Generation, Incarnation, Token};

use crate::gateway::{Channel, Gateway, OPENED, Told, channels_apart, info};
use crate::world::World;

fn record(generation: u64, state: OwnerState, token: u64, floor: u64) -> OwnerRecord {
    OwnerRecord {
        generation: Generation(generation),
        state,
        token: Token(token),
        floor: Generation(floor),
    }
}

fn done() -> Vec<FenceReply> {
    vec![FenceReply::Done]
}

/// Every data operation, and what each was answered.
async fn all_operations(gateway: &Gateway, channel: &Channel) -> Vec<Result<(), ShardError>> {
    let (p, name) = (channel.partition, &channel.name);
    let entry = PresenceEntry {
        partition: p,
        channel: name.clone(),
        info: info("c").into(),
        ttl: channel.limits.ttl,
    };
    vec![
        gateway.publish(channel, "x").await.map(drop),
        gateway
            .shard
            .announce(p, name, Announcement::Join(info("c")))
            .await,
        gateway.history(channel, HistoryRange::POSITION).await.map(drop),
        gateway.shard.remove_history(p, name).await,
        gateway
            .shard
            .positions(vec![channel.position_request()])
            .await
            .unwrap()
            .remove(0)
            .map(drop),
        gateway
            .shard
            .refresh_presence(vec![entry])
            .await
            .unwrap()
            .remove(0),
        gateway.shard.remove_presence(p, name, "c").await,
        gateway.shard.presence(p, name).await.map(drop),
    ]
}

async fn is_served(gateway: &Gateway, channel: &Channel) -> bool {
    let answers = all_operations(gateway, channel).await;
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(ShardError::NotOwner)))
        .count();
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(
        refused == answers.len() || served == answers.len(),
        "all or none: {answers:?}"
    );
    refused == 0
}

async fn owner(gateway: &Gateway, run: &Incarnation, partition: Partition) -> Option<OwnerRecord> {
    let owners: BTreeMap<_, _> = gateway.shard.owners(run).await.unwrap().into_iter().collect();
    owners.get(&partition).cloned()
}

pub async fn nothing_is_served_without_an_open_record(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("fenced");
    let run = gateway.trust_present_run().await;
    assert!(!is_served(&gateway, &channel).await, "no record");
    let (generation, token) = OPENED;
    gateway
        .fence(
            &run,
            channel.partition,
            Fresh {
                generation,
                token,
                unless_open: None,
            },
        )
        .await;
    assert!(!is_served(&gateway, &channel).await, "importing");
    gateway
        .fence(&run, channel.partition, Open { generation, token })
        .await;
    assert!(is_served(&gateway, &channel).await, "open");
    gateway
        .fence(
            &run,
            channel.partition,
            Admit {
                generation: Generation(2),
                keep_epochs: true,
            },
        )
        .await;
    assert!(!is_served(&gateway, &channel).await, "sealed");
    gateway
        .fence(
            &run,
            channel.partition,
            Reopen {
                generation: Generation(2),
            },
        )
        .await;
    assert!(is_served(&gateway, &channel).await, "open again");
}

pub async fn acts_lead_from_state_to_state_on_the_server(world: impl World) {
    let gateway = world.gateway();
    let run = gateway.trust_present_run().await;
    let p = Partition::from_index(4095).unwrap();
    let g = Generation;
    let steps = [
        (Reopen { generation: g(3) }, FenceReply::Refused(None)),
        (
            Open {
                generation: g(3),
                token: Token(5),
            },
            FenceReply::Refused(None),
        ),
        (
            Fresh {
                generation: g(3),
                token: Token(5),
                unless_open: None,
            },
            FenceReply::Done,
        ),
        (
            Open {
                generation: g(3),
                token: Token(4),
            },
            FenceReply::Refused(Some(record(3, OwnerState::Importing, 5, 3))),
        ),
        (
            Open {
                generation: g(3),
                token: Token(5),
            },
            FenceReply::Done,
        ),
        (
            Open {
                generation: g(3),
                token: Token(4),
            },
            FenceReply::Done,
        ),
        (
            Fresh {
                generation: g(3),
                token: Token(6),
                unless_open: None,
            },
            FenceReply::Refused(Some(record(3, OwnerState::Open, 5, 3))),
        ),
        (
            Admit {
                generation: g(3),
                keep_epochs: false,
            },
            FenceReply::Refused(Some(record(3, OwnerState::Open, 5, 3))),
        ),
        (
            Admit {
                generation: g(8),
                keep_epochs: true,
            },
            FenceReply::Done,
        ),
        (
            Admit {
                generation: g(8),
                keep_epochs: false,
            },
            FenceReply::Done,
        ),
        (
            Reopen { generation: g(7) },
            FenceReply::Refused(Some(record(8, OwnerState::Sealed, 5, 3))),
        ),
        (Reopen { generation: g(8) }, FenceReply::Done),
        (Reopen { generation: g(8) }, FenceReply::Done),
        (
            Admit {
                generation: g(9),
                keep_epochs: false,
            },
            FenceReply::Done,
        ),
        (Reopen { generation: g(9) }, FenceReply::Done),
    ];
    for (command, expected) in steps {
        assert_eq!(
            gateway.fence(&run, p, command.clone()).await,
            expected,
            "{command:?}"
        );
    }
    assert_eq!(
        owner(&gateway, &run, p).await,
        Some(record(9, OwnerState::Open, 5, 9))
    );
}

pub async fn commands_are_answered_one_by_one_in_order(world: impl World) {
    let gateway = world.gateway();
    let run = gateway.trust_present_run().await;
    let (one, two) = (
        Partition::from_index(1).unwrap(),
        Partition::from_index(2).unwrap(),
    );
    let (generation, token) = OPENED;
    let commands = vec![
        (
            one,
            Fresh {
                generation,
                token,
                unless_open: None,
            },
        ),
        (two, Reopen { generation }),
        (one, Open { generation, token }),
    ];
    let replies = gateway.shard.fence(&run, commands).await.unwrap();
    assert_eq!(
        replies,
        [FenceReply::Done, FenceReply::Refused(None), FenceReply::Done]
    );
}

pub async fn a_repeated_import_passes_to_later_tokens_only(world: impl World) {
    let gateway = world.gateway();
    let run = gateway.trust_present_run().await;
    let p = Partition::from_index(9).unwrap();
    let generation = Generation(4);
    let fresh = |token| Fresh {
        generation,
        token: Token(token),
        unless_open: None,
    };
    assert_eq!(gateway.fence(&run, p, fresh(2)).await, FenceReply::Done);
    assert_eq!(gateway.fence(&run, p, fresh(2)).await, FenceReply::Done);
    let refused = FenceReply::Refused(Some(record(4, OwnerState::Importing, 2, 4)));
    assert_eq!(gateway.fence(&run, p, fresh(1)).await, refused);
    assert_eq!(gateway.fence(&run, p, fresh(3)).await, FenceReply::Done);
    let refused = FenceReply::Refused(Some(record(4, OwnerState::Importing, 3, 4)));
    assert_eq!(
        gateway
            .fence(
                &run,
                p,
                Open {
                    generation,
                    token: Token(2)
                }
            )
            .await,
        refused
    );
}

pub async fn records_are_listed_and_probes_remember_the_admission(world: impl World) {
    let gateway = world.gateway();
    let probe = gateway.shard.probe().await.unwrap();
    assert_eq!(probe.admitted, None);
    let run = probe.incarnation;
    assert_eq!(gateway.shard.owners(&run).await.unwrap(), []);
    let partitions = [0, 17, 4095].map(|index| Partition::from_index(index).unwrap());
    gateway.open(partitions).await;
    let expected = partitions.map(|partition| (partition, record(1, OwnerState::Open, 1, 1)));
    assert_eq!(gateway.shard.owners(&run).await.unwrap(), expected);
    gateway
        .shard
        .note_admitted(&run, Generation(41), DeploymentId(1))
        .await
        .unwrap();
    assert_eq!(
        gateway.shard.probe().await.unwrap().admitted,
        Some(Generation(41))
    );
    assert_eq!(gateway.shard.probe().await.unwrap().incarnation, run);
}

pub async fn acts_for_another_run_are_not_carried_out(world: impl World) {
    let gateway = world.gateway();
    let run = gateway.shard.probe().await.unwrap().incarnation;
    let other = Incarnation::new("another run");
    let p = Partition::from_index(3).unwrap();
    let (generation, token) = OPENED;
    let answers = [
        gateway
            .shard
            .fence(
                &other,
                vec![(
                    p,
                    Fresh {
                        generation,
                        token,
                        unless_open: None,
                    },
                )],
            )
            .await
            .map(drop),
        gateway.shard.owners(&other).await.map(drop),
        gateway.shard.wipe(&other, vec![p], generation, token).await,
        gateway
            .shard
            .note_admitted(&other, generation, DeploymentId(1))
            .await,
    ];
    for answer in answers {
        assert!(matches!(answer, Err(ShardError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(gateway.shard.owners(&run).await.unwrap(), []);
    assert_eq!(gateway.shard.probe().await.unwrap().admitted, None);
}

pub async fn a_wipe_takes_what_this_coordinator_fills_and_nothing_else(world: impl World) {
    let gateway = world.gateway();
    let channels = channels_apart(3);
    let run = gateway
        .open(channels.iter().map(|channel| channel.partition))
        .await;
    for channel in &channels {
        gateway.append(channel, "old").await;
        gateway.append(channel, "older").await;
    }
    let [importing, other_token, open] = &channels[..] else {
        unreachable!("three were asked for")
    };
    let (generation, token) = (Generation(5), Token(7));
    gateway
        .fence(
            &run,
            importing.partition,
            Fresh {
                generation,
                token,
                unless_open: None,
            },
        )
        .await;
    gateway
        .fence(
            &run,
            other_token.partition,
            Fresh {
                generation,
                token: Token(8),
                unless_open: None,
            },
        )
        .await;

    let all = channels.iter().map(|channel| channel.partition).collect();
    gateway.shard.wipe(&run, all, generation, token).await.unwrap();
    gateway
        .fence(&run, importing.partition, Open { generation, token })
        .await;
    gateway
        .fence(
            &run,
            other_token.partition,
            Open {
                generation,
                token: Token(8),
            },
        )
        .await;

    assert_eq!(gateway.content(importing).await.0.offset.0, 0);
    assert_eq!(gateway.content(importing).await.1.len(), 0);
    assert_eq!(gateway.content(other_token).await.1.len(), 2);
    assert_eq!(gateway.content(open).await.1.len(), 2);
}

pub async fn every_partition_can_be_fenced_at_once(world: impl World) {
    let gateway = world.gateway();
    let run = gateway.trust_present_run().await;
    let (generation, token) = OPENED;
    let fresh = Partition::all()
        .map(|partition| {
            (
                partition,
                Fresh {
                    generation,
                    token,
                    unless_open: None,
                },
            )
        })
        .collect();
    let replies = gateway.shard.fence(&run, fresh).await.unwrap();
    assert_eq!(replies.len(), 4096);
    assert!(replies.iter().all(|reply| *reply == FenceReply::Done));
    gateway
        .shard
        .wipe(&run, Partition::all().collect(), generation, token)
        .await
        .unwrap();
    let open = Partition::all()
        .map(|partition| (partition, Open { generation, token }))
        .collect();
    gateway.shard.fence(&run, open).await.unwrap();
    let owners = gateway.shard.owners(&run).await.unwrap();
    assert_eq!(owners.len(), 4096);
    assert!(owners.iter().all(|(_, owner)| owner.state == OwnerState::Open));
}

pub async fn sealing_what_was_open_is_announced(world: impl World) {
    let gateway = world.gateway();
    let channel = Channel::new("marked");
    let run = gateway.open_for(&channel).await;
    gateway.subscribe(&channel).await;
    gateway.append(&channel, "before the seal").await;
    let admit = Admit {
        generation: Generation(6),
        keep_epochs: false,
    };
    let replies = gateway
        .shard
        .fence(&run, vec![(channel.partition, admit.clone())])
        .await
        .unwrap();
    assert_eq!(replies, done());
    // Repeating the act is not another seal.
    gateway.fence(&run, channel.partition, admit).await;
    gateway
        .fence(
            &run,
            channel.partition,
            Admit {
                generation: Generation(7),
                keep_epochs: false,
            },
        )
        .await;
    gateway
        .fence(
            &run,
            channel.partition,
            Reopen {
                generation: Generation(7),
            },
        )
        .await;
    gateway.append(&channel, "after").await;
    let told = gateway.events.until(|told| told.len() >= 4).await;
    let kinds: Vec<_> = told
        .iter()
        .map(|told| match told {
            Told::Up(_) => "up".to_owned(),
            Told::Down(_) => "down".to_owned(),
            Told::Message(..) => "message".to_owned(),
            Told::Marker(_, partition, generation) => {
                assert_eq!(*partition, channel.partition);
                format!("marker {generation}")
            }
        })
        .collect();
    assert_eq!(kinds, ["up", "message", "marker 6", "message"]);
}
