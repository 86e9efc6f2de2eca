//! Documents survive their stored form, nonsense is refused, and no transition breaks what every document holds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

mod kit;
mod leaving;
mod moving;
mod request;
mod walk;

const COUNT: usize = Partition::COUNT as usize;

fn id(index: usize) -> ShardId {
    ShardId::new(&format!("shard-{index}"))
}

fn entry(index: usize) -> ShardEntry {
    ShardEntry {
        url: ShardUrl::default(),
        address: format!("127.0.0.1:{index}"),
        weight: 1,
        durable: index.is_multiple_of(2),
        state: ShardState::Active,
        incarnation: None,
        admitted: Generation(0),
    }
}

fn entries(count: usize) -> BTreeMap<ShardId, ShardEntry> {
    (0..count).map(|index| (id(index), entry(index))).collect()
}

fn change(generation: u64) -> Change {
    Change {
        generation: Generation(generation),
        id: generation * 31,
    }
}

fn bootstrapped(shards: usize, content: OpeningContent) -> Topology {
    let placement = (0..COUNT)
        .map(|partition| (id(partition % shards), content))
        .collect();
    Topology::bootstrap(change(7), entries(shards), placement).unwrap()
}

/// All that `shard` owns, as if opened at `generation`.
fn all_of(topology: &Topology, shard: &ShardId, generation: Generation) -> Vec<(Partition, Generation)> {
    let owned = topology.owned_by(shard);
    owned.map(|(partition, _)| (partition, generation)).collect()
}

fn decode_with(edit: impl FnOnce(&mut serde_json::Value)) -> DocumentError {
    let bytes = bootstrapped(2, OpeningContent::Fresh).encode();
    let mut value = serde_json::from_slice(&bytes).unwrap();
    edit(&mut value);
    Topology::decode(&serde_json::to_vec(&value).unwrap()).unwrap_err()
}

#[test]
fn a_shard_is_admitted_and_its_partitions_opened() {
    let topology = bootstrapped(2, OpeningContent::Keep);
    let admitted = topology
        .admit(change(8), &id(0), Incarnation::new("run"), Generation(8))
        .unwrap();
    assert_eq!(admitted.shards[&id(0)].incarnation, Some(Incarnation::new("run")));
    assert_eq!(admitted.shards[&id(0)].admitted, Generation(8));
    assert_eq!(admitted.shards[&id(1)], topology.shards[&id(1)]);

    let opened = admitted
        .opened(change(9), &id(0), &all_of(&admitted, &id(0), Generation(8)))
        .unwrap();
    for (partition, state) in opened.states() {
        let before = topology.partition(partition);
        assert_eq!(state.owner(), before.owner());
        let stable = matches!(state, PartitionState::Stable(_));
        assert_eq!(stable, *state.owner() == id(0));
    }
    assert_eq!(
        opened.shares(),
        BTreeMap::from([(id(0), COUNT / 2), (id(1), COUNT / 2)])
    );
}

#[test]
fn an_unfinished_fresh_opening_stays_fresh_and_a_finished_one_is_kept() {
    let topology = bootstrapped(1, OpeningContent::Fresh);
    let admitted = topology
        .admit(change(8), &id(0), Incarnation::new("a"), Generation(8))
        .unwrap();
    let half = &all_of(&admitted, &id(0), Generation(8))[..COUNT / 2];
    let opened = admitted.opened(change(9), &id(0), half).unwrap();
    let again = opened
        .admit(change(10), &id(0), Incarnation::new("b"), Generation(10))
        .unwrap();
    for (partition, state) in again.states() {
        let content = if half.contains(&(partition, Generation(8))) {
            OpeningContent::Keep
        } else {
            OpeningContent::Fresh
        };
        assert_eq!(
            *state,
            PartitionState::Opening {
                shard: id(0),
                generation: Generation(10),
                content
            }
        );
    }
}

#[test]
fn what_was_decided_later_is_not_undone_by_an_earlier_opening() {
    let topology = bootstrapped(1, OpeningContent::Keep);
    let first = topology
        .admit(change(8), &id(0), Incarnation::new("a"), Generation(8))
        .unwrap();
    let second = first
        .admit(change(9), &id(0), Incarnation::new("b"), Generation(9))
        .unwrap();
    let opened = second
        .opened(change(10), &id(0), &all_of(&second, &id(0), Generation(8)))
        .unwrap();
    assert_eq!(opened.partitions, second.partitions);
    let stale = second.admit(change(10), &id(0), Incarnation::new("a"), Generation(9));
    assert_eq!(stale, Err(TransitionError::DecidedElsewhere(Generation(9))));
}

#[test]
fn a_moving_partition_is_not_reopened_by_itself() {
    let mut topology = bootstrapped(2, OpeningContent::Keep);
    topology.partitions[0] = PartitionState::Moving {
        from: id(0),
        to: id(1),
        generation: Generation(7),
        aborting: None,
        history: MoveHistory::Keep,
    };
    topology.validate().unwrap();
    let moving = Partition::from_index(0).unwrap();
    let reopened = topology.reopen(change(8), &id(0), &[moving], Generation(8));
    assert_eq!(reopened, Err(TransitionError::Moving(moving)));
}

#[test]
fn another_shards_partition_is_not_reopened() {
    let topology = bootstrapped(2, OpeningContent::Keep);
    let partition = Partition::from_index(1).unwrap();
    let reopened = topology.reopen(change(8), &id(0), &[partition], Generation(8));
    assert_eq!(reopened, Err(TransitionError::NotOwned(partition)));
    let unknown = topology.admit(change(8), &id(9), Incarnation::new("run"), Generation(8));
    assert_eq!(unknown, Err(TransitionError::UnknownShard(id(9))));
}

#[test]
fn raising_changes_nothing_but_the_marks() {
    let topology = bootstrapped(2, OpeningContent::Keep);
    let raised = topology.raised(change(50)).unwrap();
    assert_eq!(
        raised,
        Topology {
            generation: Generation(50),
            change_id: 50 * 31,
            ..topology
        }
    );
    let back = raised.raised(change(50));
    assert_eq!(
        back,
        Err(TransitionError::NotNewer {
            present: Generation(50),
            proposed: Generation(50)
        })
    );
}

#[test]
fn a_placement_must_fit() {
    let short = vec![(id(0), OpeningContent::Fresh); COUNT - 1];
    assert_eq!(
        Topology::bootstrap(change(1), entries(1), short),
        Err(TransitionError::Placement)
    );
    let unknown = vec![(id(5), OpeningContent::Fresh); COUNT];
    assert_eq!(
        Topology::bootstrap(change(1), entries(1), unknown),
        Err(TransitionError::Placement)
    );
}

#[test]
fn a_newer_format_is_named() {
    let error = decode_with(|value| value["format"] = 2.into());
    assert!(matches!(error, DocumentError::Format(2)), "{error}");
    let only_header = Topology::decode(br#"{"format": 77, "whatever": []}"#).unwrap_err();
    assert_eq!(
        only_header.to_string(),
        "its format is 77, this release understands 1"
    );
}

#[test]
fn nonsense_is_an_error() {
    for bytes in [
        &b""[..],
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"\xff\xfe",
        br#"{"format":"1"}"#,
    ] {
        assert!(
            matches!(Topology::decode(bytes), Err(DocumentError::Malformed(_))),
            "{bytes:?}"
        );
    }
}

#[test]
fn contradictions_are_errors() {
    let error = decode_with(|value| drop(value["partitions"].as_array_mut().unwrap().pop()));
    assert!(
        matches!(error, DocumentError::Invalid(Invalid::PartitionCount(4095))),
        "{error}"
    );
    let error = decode_with(|value| value["partitions"][17] = 2.into());
    assert!(matches!(error, DocumentError::NoSuchShard(2)), "{error}");
    let error = decode_with(|value| value["partitions"][17] = (-1).into());
    assert!(matches!(error, DocumentError::Malformed(_)), "{error}");
    let error = decode_with(|value| value["partitions"][0]["generation"] = 8.into());
    assert!(
        matches!(error, DocumentError::Invalid(Invalid::DecidedLater(..))),
        "{error}"
    );
    let error = decode_with(|value| value["shards"][0]["admitted"] = 8.into());
    assert!(
        matches!(error, DocumentError::Invalid(Invalid::AdmittedLater(..))),
        "{error}"
    );
    let error = decode_with(|value| value["generation"] = 0.into());
    assert!(
        matches!(error, DocumentError::Invalid(Invalid::GenerationZero)),
        "{error}"
    );
    let error = decode_with(|value| value["shards"][1]["id"] = "shard-0".into());
    assert!(matches!(error, DocumentError::DuplicateShard(_)), "{error}");
    let error = decode_with(|value| value["something"] = serde_json::json!([]));
    assert!(matches!(error, DocumentError::Malformed(_)), "{error}");
}

/// A stored document of this format, as it must stay readable.
#[test]
fn a_stored_document_of_this_format_is_read() {
    let partitions = vec!["1"; COUNT - 2].join(",");
    let stored = format!(
        r#"{{"format":1,"generation":9,"change_id":18446744073709551615,"shards":[
        {{"id":"a","address":"h:1","weight":2,"durable":true,"state":"draining","incarnation":null,"admitted":0}},
        {{"id":"b","address":"h:2","weight":1,"durable":false,"state":"active","incarnation":"x","admitted":8}}],
        "partitions":[{{"opening":0,"generation":9,"content":"fresh"}},
        {{"from":0,"to":1,"generation":8,"aborting":9}},{partitions}]}}"#
    );
    let topology = Topology::decode(stored.as_bytes()).unwrap();
    assert_eq!(topology.change_id, u64::MAX);
    let (a, b) = (ShardId::new("a"), ShardId::new("b"));
    assert_eq!(topology.shards[&a].state, ShardState::Draining);
    assert_eq!(topology.shards[&b].incarnation, Some(Incarnation::new("x")));
    let fresh = OpeningContent::Fresh;
    let opening = PartitionState::Opening {
        shard: a.clone(),
        generation: Generation(9),
        content: fresh,
    };
    assert_eq!(topology.partitions[0], opening);
    let moving = PartitionState::Moving {
        from: a,
        to: b.clone(),
        generation: Generation(8),
        aborting: Some(Generation(9)),
        history: MoveHistory::Keep,
    };
    assert_eq!(topology.partitions[1], moving);
    assert_eq!(topology.partitions[4095], PartitionState::Stable(b));
}

fn state() -> impl Strategy<Value = PartitionState> {
    let content = prop_oneof![Just(OpeningContent::Keep), Just(OpeningContent::Fresh)];
    let generation = || (1_u64..=20).prop_map(Generation);
    prop_oneof![
        8 => (0..3_usize).prop_map(|shard| PartitionState::Stable(id(shard))),
        1 => (0..3_usize, generation(), content).prop_map(|(shard, generation, content)| {
            PartitionState::Opening { shard: id(shard), generation, content }
        }),
        1 => (0..3_usize, 1..3_usize, generation(), prop::option::of(generation())).prop_map(
            |(from, step, generation, aborting)| {
                PartitionState::Moving { from: id(from), to: id((from + step) % 3), generation, aborting, history: MoveHistory::Drop }
            }
        ),
    ]
}

/// What a coordinator may try next.
#[derive(Clone, Debug)]
enum Step {
    Admit {
        shard: usize,
        jump: u64,
        behind: u64,
    },
    Reopen {
        shard: usize,
        some: Vec<Index>,
        jump: u64,
    },
    Opened {
        shard: usize,
        jump: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize, 0..3_u64, 0..2_u64).prop_map(|(shard, jump, behind)| Step::Admit {
            shard,
            jump,
            behind
        }),
        (0..4_usize, prop::collection::vec(any::<Index>(), 0..5), 0..3_u64)
            .prop_map(|(shard, some, jump)| Step::Reopen { shard, some, jump }),
        (0..4_usize, 0..3_u64).prop_map(|(shard, jump)| Step::Opened { shard, jump }),
    ]
}

fn take(topology: &Topology, step: &Step) -> Result<Topology, TransitionError> {
    let next = |jump: u64| change(topology.generation.0 + jump);
    match step {
        Step::Admit { shard, jump, behind } => {
            let sealed = Generation((topology.generation.0 + jump).saturating_sub(*behind));
            topology.admit(
                next(*jump),
                &id(*shard),
                Incarnation::new(&format!("run-{jump}")),
                sealed,
            )
        }
        Step::Reopen { shard, some, jump } => {
            let partitions: Vec<Partition> = some
                .iter()
                .map(|index| Partition::all().nth(index.index(COUNT)).unwrap())
                .collect();
            topology.reopen(next(*jump), &id(*shard), &partitions, next(*jump).generation)
        }
        Step::Opened { shard, jump } => {
            let shard = id(*shard);
            let openings = topology
                .owned_by(&shard)
                .filter_map(|(partition, state)| match state {
                    PartitionState::Opening { generation, .. } => Some((partition, *generation)),
                    _ => None,
                });
            let carried_out: Vec<_> = openings.step_by(2).collect();
            topology.opened(next(*jump), &shard, &carried_out)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_document_survives_its_stored_form(
        states in prop::collection::vec(state(), 64),
        change_id in any::<u64>(),
    ) {
        let mut topology = bootstrapped(3, OpeningContent::Keep);
        topology.generation = Generation(20);
        topology.change_id = change_id;
        topology.partitions = states.into_iter().cycle().take(COUNT).collect();
        prop_assert_eq!(Topology::decode(&topology.encode()).unwrap(), topology);
    }

    #[test]
    fn a_damaged_document_is_never_a_panic(at in any::<Index>(), byte in any::<u8>()) {
        let mut bytes = bootstrapped(3, OpeningContent::Keep).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(topology) = Topology::decode(&bytes) {
            prop_assert_eq!(topology.validate(), Ok(()));
        }
    }

    #[test]
    fn transitions_keep_what_documents_hold(steps in prop::collection::vec(step(), 1..24)) {
        let mut topology = bootstrapped(3, OpeningContent::Keep);
        for step in steps {
            let Ok(next) = take(&topology, &step) else { continue };
            prop_assert!(next.generation > topology.generation);
            prop_assert_eq!(next.validate(), Ok(()));
            let owners = |topology: &Topology| -> Vec<ShardId> {
                topology.partitions.iter().map(|state| state.owner().clone()).collect()
            };
            prop_assert_eq!(owners(&next), owners(&topology));
            for (id, entry) in &next.shards {
                prop_assert!(entry.admitted >= topology.shards[id].admitted);
            }
            topology = next;
        }
    }
}
