//! Answers operators.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_shard_router::audience::Audience;
use campanile_shard_router::coordinator::{Planned, ShardSource as _};
use campanile_shard_router::partition::Partition;
use campanile_shard_router::router::{Router, ShardHealth};
use campanile_shard_router::shard::{ShardStatus, ShardUsage};
use campanile_shard_router::topology::{
    Generation, PartitionState, ShardEntry, ShardId, ShardState, Topology,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::report::{Load, MoveGroup, Moves, PartitionMap, PlanReport, ShardList, ShardRow, Status};
use super::{Change, Refusal, RefusalCode};
use crate::cluster::{Cluster, Leading, Progress};
use crate::config::ManagedBy;

/// What this gateway knows of the shards.
pub trait ShardView: Send + Sync + 'static {
    /// The topology that is applied; `None`: none yet.
    fn topology(&self) -> Option<Arc<Topology>>;

    /// How each shard of it is.
    fn health(&self) -> Vec<ShardHealth>;

    /// What each shard holds, of those that say so in time.
    fn usage(&self) -> BoxFuture<'_, BTreeMap<ShardId, ShardUsage>>;
}

/// How long a shard may take to say what it holds.
const USAGE: Duration = Duration::from_secs(1);

impl<A: Audience> ShardView for Router<A> {
    fn topology(&self) -> Option<Arc<Topology>> {
        Self::topology(self)
    }

    fn health(&self) -> Vec<ShardHealth> {
        self.shard_health()
    }

    fn usage(&self) -> BoxFuture<'_, BTreeMap<ShardId, ShardUsage>> {
        let topology = Self::topology(self);
        let entries = topology.iter().flat_map(|topology| &topology.shards);
        let asked = entries.filter_map(|(id, entry)| {
            let run = entry
                .incarnation
                .as_ref()
                .filter(|_| entry.state != ShardState::Lost)?;
            let usage = self.shard(id, &entry.url).ok()?.usage(run);
            let id = id.clone();
            Some(async move { Some((id, timeout(USAGE, usage).await.ok()?.ok()?)) })
        });
        let answers = join_all(asked.collect::<Vec<_>>());
        answers
            .map(|answers| answers.into_iter().flatten().collect())
            .boxed()
    }
}

/// Where changes of the shards are decided.
pub trait ShardChanges: Send + Sync + 'static {
    /// What would come of `change`; without one, what is left of the present plan. Decides nothing.
    fn plan(&self, change: Option<Change>) -> BoxFuture<'_, Result<Planned, Refusal>>;

    /// Decides it; where a generation is given, only on the topology of that generation.
    fn submit(&self, change: Change, on: Option<Generation>) -> BoxFuture<'_, Result<Planned, Refusal>>;
}

/// Answers operators. Cheap to share; every face of it has the same one.
pub struct ShardAdmin {
    /// What is.
    pub view: Arc<dyn ShardView>,
    /// What is to be.
    pub changes: Arc<dyn ShardChanges>,
    /// Who knows more.
    pub cluster: Arc<Cluster>,
    /// Who may change the list.
    pub managed_by: ManagedBy,
}

/// What a status is to tell beside what it always does.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatusQuery {
    /// Which shard owns which partition.
    pub partitions: bool,
    /// Not if the topology is still this one.
    pub since: u64,
}

impl ShardAdmin {
    /// Which shards there are.
    ///
    /// # Errors
    ///
    /// If there is no topology yet.
    pub async fn list(&self) -> Result<ShardList, Refusal> {
        let leading = self.cluster.leading().await;
        Ok(self.rows(&*self.topology()?, leading.as_ref()))
    }

    /// How far the moves are.
    ///
    /// # Errors
    ///
    /// If there is no topology yet.
    pub async fn status(&self, query: StatusQuery) -> Result<Status, Refusal> {
        let leading = self.cluster.leading().await;
        let topology = self.topology()?;
        let tells_partitions = query.partitions && query.since != topology.generation.0;
        Ok(Status {
            list: self.rows(&topology, leading.as_ref()),
            moves: moves(
                &topology,
                leading.as_ref().and_then(|leading| leading.moves.as_ref()),
            ),
            leader: leading.map(|leading| leading.gateway),
            partitions: tells_partitions.then(|| partitions(&topology)),
        })
    }

    /// What `change` would move; without one, what the present plan has yet to.
    ///
    /// # Errors
    ///
    /// If the change would be refused.
    pub async fn plan(&self, change: Option<Change>) -> Result<PlanReport, Refusal> {
        Ok(report(&self.changes.plan(change).await?))
    }

    /// Has `change` made; what moves because of it.
    ///
    /// # Errors
    ///
    /// If it is refused. Then nothing has changed.
    pub async fn change(&self, change: Change) -> Result<PlanReport, Refusal> {
        self.submit(change, None).await
    }

    /// The same for whoever has seen its plan, which was made on `generation`: that plan is carried out or none.
    ///
    /// # Errors
    ///
    /// If it is refused, also because the topology is another one by now. Then nothing has changed.
    pub async fn confirm(&self, change: Change, generation: u64) -> Result<PlanReport, Refusal> {
        self.submit(change, Some(Generation(generation))).await
    }

    async fn submit(&self, change: Change, on: Option<Generation>) -> Result<PlanReport, Refusal> {
        self.may_change()?;
        let command = change.command();
        let planned = self.changes.submit(change, on).await?;
        let moving = planned.summary.total();
        tracing::info!(command, generation = %planned.generation, moving, "the shards are changed");
        Ok(report(&planned))
    }

    fn topology(&self) -> Result<Arc<Topology>, Refusal> {
        let none = || RefusalCode::NotNow.because("there is no topology yet; /ready says what is missing");
        self.view.topology().ok_or_else(none)
    }

    fn may_change(&self) -> Result<(), Refusal> {
        let instead = match &self.managed_by {
            ManagedBy::Api => return Ok(()),
            ManagedBy::File => "change `shards` in the gateways' configuration file, which they watch",
            ManagedBy::Dns(_) => "change what the name in cluster.dns.name stands for",
        };
        Err(RefusalCode::ManagedElsewhere.because(format!(
            "cluster.shards_managed_by is {}: {instead}; or set it to api and restart the gateways",
            name_of(&self.managed_by)
        )))
    }

    fn rows(&self, topology: &Topology, leading: Option<&Leading>) -> ShardList {
        let shares = topology.shares();
        let health: BTreeMap<ShardId, ShardStatus> = self
            .view
            .health()
            .into_iter()
            .map(|health| (health.id, health.status))
            .collect();
        let row = |(id, entry): (&ShardId, &ShardEntry)| {
            let status = health.get(id);
            let known = leading.and_then(|leading| leading.troubles.get(id.as_str()));
            let partitions = shares.get(id).copied().unwrap_or(0);
            ShardRow {
                name: id.to_string(),
                address: entry.address.clone(),
                state: state(entry.state).to_owned(),
                weight: entry.weight,
                durable: entry.durable,
                partitions,
                share: share(partitions),
                incarnation: entry.incarnation.as_ref().map(ToString::to_string),
                reachable: status == Some(&ShardStatus::Connected),
                trouble: known.cloned().or_else(|| trouble(entry.state, status)),
            }
        };
        ShardList {
            generation: topology.generation.0,
            managed_by: name_of(&self.managed_by).to_owned(),
            shards: topology.shards.iter().map(row).collect(),
        }
    }
}

fn report(planned: &Planned) -> PlanReport {
    let summary = &planned.summary;
    let moves: Vec<MoveGroup> = summary
        .moves
        .iter()
        .map(|((from, to), count)| group(from, to, *count, planned.bytes_of(from, *count)))
        .collect();
    let load = |(id, after): (&ShardId, &usize)| Load {
        name: id.to_string(),
        before: summary.before.get(id).copied().unwrap_or(0),
        after: *after,
        share: share(*after),
    };
    PlanReport {
        generation: planned.generation.0,
        bytes: moves.iter().map(|group| group.bytes).sum(),
        moves,
        partitions: summary.total(),
        share: share(summary.total()),
        minimum: summary.minimum,
        shards: summary.after.iter().map(load).collect(),
    }
}

/// How far the moves are, as far as `topology` tells, and in more detail where whoever leads does.
fn moves(topology: &Topology, progress: Option<&Progress>) -> Option<Moves> {
    let (left, moving) = (topology.plan.len(), topology.moving());
    if left + moving == 0 {
        return None;
    }
    let planned = topology.planned.max(left + moving);
    let done = planned - left - moving;
    let mut moves = Moves {
        planned,
        done,
        left,
        moving,
        groups: topology
            .summary(topology)
            .moves
            .iter()
            .map(|((from, to), count)| group(from, to, *count, None))
            .collect(),
        ..Moves::default()
    };
    if let Some(progress) = progress {
        detail(&mut moves, progress);
    }
    Some(moves)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn detail(moves: &mut Moves, progress: &Progress) {
    let seconds = progress.seconds;
    moves.bytes = Some(progress.bytes);
    moves.seconds = Some(seconds);
    moves.stage = Some(progress.stage.clone());
    moves.trouble.clone_from(&progress.trouble);
    if seconds <= 0.0 {
        return;
    }
    moves.byte_rate = Some(progress.bytes as f64 / seconds);
    let rate = moves.done as f64 / seconds;
    moves.rate = Some(rate);
    if moves.done > 0 {
        moves.remaining = Some((moves.left + moves.moving) as f64 / rate);
    }
}

fn group(from: &ShardId, to: &ShardId, partitions: usize, bytes: Option<u64>) -> MoveGroup {
    MoveGroup {
        from: from.to_string(),
        to: to.to_string(),
        partitions,
        share: share(partitions),
        bytes,
    }
}

/// The owners in runs, and what is on its way.
fn partitions(topology: &Topology) -> PartitionMap {
    let places: BTreeMap<&ShardId, usize> = topology.shards.keys().zip(0..).collect();
    let place = |shard: &ShardId| places.get(shard).copied().unwrap_or(usize::MAX);
    let mut map = PartitionMap::default();
    for (partition, state) in topology.states() {
        let owner = place(state.owner());
        match map.owners.last_mut() {
            Some((last, count)) if *last == owner => *count += 1,
            _ => map.owners.push((owner, 1)),
        }
        if matches!(state, PartitionState::Moving { .. }) {
            map.moving.push((
                u16::try_from(partition.index()).unwrap_or(u16::MAX),
                place(state.destination()),
            ));
        }
    }
    map
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
fn share(partitions: usize) -> f64 {
    partitions as f64 / f64::from(Partition::COUNT)
}

/// A shard's part in the deployment, in a word.
pub(crate) fn state(state: ShardState) -> &'static str {
    match state {
        ShardState::Active => "active",
        ShardState::Draining => "draining",
        ShardState::Leaving => "leaving",
        ShardState::Lost => "lost",
    }
}

/// What this gateway sees wrong with a shard.
fn trouble(state: ShardState, status: Option<&ShardStatus>) -> Option<String> {
    match (state, status) {
        // Nobody keeps a connection to it.
        (ShardState::Lost, _) => {
            Some("it was given up; once it is reachable again it can come back empty".to_owned())
        }
        (_, None | Some(ShardStatus::Connected)) => None,
        (_, Some(ShardStatus::Untrusted(run))) => Some(format!("run {run} is not admitted (yet)")),
        (_, Some(ShardStatus::Unreachable(why))) => Some(why.clone()),
    }
}

/// The setting's word for it.
fn name_of(managed_by: &ManagedBy) -> &'static str {
    match managed_by {
        ManagedBy::File => "file",
        ManagedBy::Api => "api",
        ManagedBy::Dns(_) => "dns",
    }
}
