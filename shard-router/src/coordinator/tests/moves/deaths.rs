//! Invariant 6 for moves: whichever operation is a coordinator's last, another one finishes; and two at once do no harm.

use super::super::crash::Mortal;
use super::*;

/// Has a coordinator die with its `last` operation in the midst of a move, and another finish. False: it had finished.
async fn die(last: usize, at_last: Verdict) -> bool {
    let cluster = Cluster::new(2);
    let earlier = keep(&cluster, "earlier", 2);
    let _gateway = Follower::start(&cluster, "a");
    at_rest(&cluster).await;
    earlier.stop().await;
    let traffic = Traffic::start(&cluster);
    sleep(Duration::from_millis(300)).await;
    let moved = plan_some(&cluster, 20).await;
    let mortal = Mortal::new(last, at_last);
    let judge = mortal.judge();
    let dying = cluster.coordinator_behind("dying", &judge, &judge);
    let deadline = Instant::now() + PATIENCE;
    while !mortal.is_dead() && !is_at_rest(&cluster.topology().await) {
        assert!(Instant::now() < deadline, "neither dead nor done");
        sleep(Duration::from_millis(10)).await;
    }
    let died = mortal.is_dead();
    drop(dying);
    let _heir = keep(&cluster, "heir", 2);
    let end = at_rest(&cluster).await;
    assert!(
        moved
            .iter()
            .all(|partition| *end.partition(*partition).owner() == shard(2))
    );
    traffic.assert_nothing_lost().await;
    assert_in_order(&cluster, &end).await;
    died
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_may_die_at_every_step_of_a_move() {
    for at_last in [Verdict::Hang, Verdict::DoAndHang] {
        let mut last = 1;
        while die(last, at_last).await {
            last += 1;
        }
        assert!(last > 25, "a move had only {last} steps");
    }
}

#[tokio::test(start_paused = true)]
async fn two_coordinators_at_once_move_everything_once() {
    for seed in 0..4_u64 {
        let cluster = Cluster::new(2);
        let _gateway = Follower::start(&cluster, "a");
        let late = |salt: u64| -> Judge {
            let state = parking_lot::Mutex::new(seed * 2 + salt + 1);
            Arc::new(move || {
                let mut state = state.lock();
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                Verdict::Late(Duration::from_millis((*state >> 33) % 100))
            })
        };
        let both = [0, 100].map(|salt| {
            let judge = late(salt);
            // The same gateway to the store, so that each is given the lease.
            cluster.coordinator_behind("both", &judge, &judge)
        });
        at_rest(&cluster).await;
        let traffic = Traffic::start(&cluster);
        let moved = plan_some(&cluster, 100).await;
        let end = at_rest(&cluster).await;
        assert!(
            moved
                .iter()
                .all(|partition| *end.partition(*partition).owner() == shard(2))
        );
        assert!(
            both.iter().all(|one| one.status().borrow().leading),
            "seed {seed}"
        );
        drop(both);
        traffic.assert_nothing_lost().await;
        assert_in_order(&cluster, &end).await;
    }
}
