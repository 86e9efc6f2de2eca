//! Clients that come and go, each with its positions.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::play::Work;
use crate::Failure;
use crate::check::Ledger;
use crate::client::{Member, Order};

/// How long a visitor stays, in milliseconds.
const STAYS: std::ops::Range<u64> = 500..2_000;
/// How long it is away: many publications, far fewer than a stream keeps.
const AWAY: std::ops::Range<u64> = 50..800;

/// Makes each of `visitors` leave without a word and come back, over and over, until `stop`; then all are back.
pub(in crate::scenario) fn visits(visitors: Vec<Member>, seed: u64, stop: watch::Receiver<bool>) -> Work {
    tokio::spawn(async move {
        let mut going = JoinSet::new();
        for member in visitors {
            let random = StdRng::seed_from_u64(seed ^ member.number as u64);
            going.spawn(come_and_go(member, random, stop.clone()));
        }
        while let Some(ended) = going.join_next().await {
            ended.map_err(|error| Failure::run(error.to_string()))??;
        }
        Ok(Ledger::default())
    })
}

async fn come_and_go(
    member: Member,
    mut random: StdRng,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    loop {
        let stay = Duration::from_millis(random.random_range(STAYS));
        if tokio::time::timeout(stay, stop.wait_for(|stop| *stop))
            .await
            .is_ok()
        {
            return Ok(());
        }
        member.order(Order::Break).await?;
        tokio::time::sleep(Duration::from_millis(random.random_range(AWAY))).await;
        member.order(Order::Return).await?;
    }
}
