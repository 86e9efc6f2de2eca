//! The steps of an attempt, in their order.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use super::desk::Desk;
use super::moves::{Move, Target, moves_of, pairs, partitions};
use super::pace::Pace;
use super::standing::{Course, course, course_without_target};
use super::{Answer, Ask, AttemptOptions, Outcome, Stage};
use crate::fence::{FenceCommand, FenceReply, OwnerRecord};
use crate::partition::Partition;
use crate::safeguard::{Safeguard, holds};
use crate::topology::{Generation, ShardId, Token};

/// The first pause before what failed after the seal is tried again: publishers wait.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// After which a target that did not answer is asked once more.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// An attempt under way.
pub(super) struct Script {
    pub(super) desk: Desk,
    pub(super) generation: Generation,
    pub(super) options: AttemptOptions,
    pub(super) token: Token,
    pub(super) pace: Pace,
    /// What has been copied of a large item: where to go on if it changes. One for each such item of the batch.
    pub(super) marks: HashMap<(Partition, Bytes), Bytes>,
    /// Up to which number the changes at the source have been copied.
    pub(super) copied: BTreeMap<Partition, u64>,
    /// Sealed at the source and not open yet: as long as there are any, what fails is tried again.
    pub(super) sealed: Vec<Move>,
    /// Open at their targets, not written down yet.
    pub(super) opened: Vec<Partition>,
}

/// Why an attempt ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It was not done, or not answered. The same may work later.
    Failed(String),
    /// Somebody else stands in the way.
    Refused(String),
    /// The topology has changed under the attempt.
    Changed,
}

/// What is next for the partitions of a batch.
#[derive(Debug, Default)]
struct Survey {
    courses: BTreeMap<Course, Vec<Move>>,
    /// The epoch floor of each partition at its source.
    floors: BTreeMap<Partition, Generation>,
    /// Why some have to wait.
    trouble: Option<String>,
}

impl Script {
    pub(super) fn new(desk: Desk, generation: Generation, options: AttemptOptions) -> Self {
        Self {
            desk,
            generation,
            token: Token::default(),
            pace: Pace::new(options.move_rate),
            options,
            marks: HashMap::new(),
            copied: BTreeMap::new(),
            sealed: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// From the first ask to the outcome.
    pub(super) async fn run(mut self) -> Outcome {
        let (reason, again) = match self.carry().await {
            Ok(()) if self.moves().is_empty() => return Outcome::Finished,
            Ok(()) | Err(Stop::Changed) => ("the topology has changed".to_owned(), true),
            Err(Stop::Failed(words) | Stop::Refused(words)) => (words, false),
        };
        Outcome::Stopped { reason, again }
    }

    async fn carry(&mut self) -> Result<(), Stop> {
        self.stage(Stage::Survey);
        self.token = self.take_token().await?;
        let mut survey = self.survey().await?;
        let mut next = |course| survey.courses.remove(&course).unwrap_or_default();
        let (opened, sealed, serving) = (next(Course::Commit), next(Course::Finish), next(Course::Carry));
        let settled = [
            Course::Resume,
            Course::Aborted,
            Course::Abort,
            Course::Reclaim,
            Course::Abandon,
            Course::Forsake,
        ];
        let settled = settled.map(|course| (course, next(course)));
        self.commit(partitions(&opened)).await?;
        for (course, moves) in settled {
            self.settle(course, moves).await?;
        }
        // Those that nobody serves go first.
        if !sealed.is_empty() {
            self.prepare(&sealed, &survey.floors).await?;
            self.hand_over(sealed).await?;
        }
        if !serving.is_empty() {
            self.prepare(&serving, &survey.floors).await?;
            if self.barrier(&serving).await? {
                self.hand_over(serving).await?;
            }
        }
        survey.trouble.map_or(Ok(()), |words| Err(Stop::Failed(words)))
    }

    async fn take_token(&mut self) -> Result<Token, Stop> {
        if !holds(Safeguard::TokenPerAttempt) {
            return Ok(Token(1));
        }
        match self.ask(Ask::Token).await? {
            Answer::Token(token) => Ok(token),
            other => Err(Stop::unfit(&other)),
        }
    }

    /// Reads the records of both shards. A shard that does not answer keeps only its own partitions waiting.
    async fn survey(&mut self) -> Result<Survey, Stop> {
        let mut survey = Survey::default();
        for ((from, to), moves) in pairs(&self.moves()) {
            let targets = match moves[0].target {
                Target::Lost => Ok(vec![None; moves.len()]),
                Target::Same | Target::Readmitted => self.records_at_target(&to, &moves).await,
            };
            let targets = match targets {
                Ok(records) => records,
                Err(stop) => {
                    self.survey_sources(&mut survey, (&from, &to), moves, &stop).await;
                    continue;
                }
            };
            // What is open at its target needs nothing of its source, which may be gone.
            let (open, rest): (Vec<_>, Vec<_>) = moves.into_iter().zip(targets).partition(|(one, target)| {
                matches!(
                    course(one, self.generation, None, target.as_ref()),
                    Course::Commit | Course::Resume
                )
            });
            for (one, target) in open {
                survey.note(one, self.generation, None, target.as_ref());
            }
            let (moves, targets): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
            if moves.is_empty() {
                continue;
            }
            match self.records(&from, partitions(&moves)).await {
                Ok(sources) => {
                    for ((one, source), target) in moves.into_iter().zip(sources).zip(targets) {
                        survey.note(one, self.generation, source.as_ref(), target.as_ref());
                    }
                }
                Err(stop) => survey.wait(&from, moves, &stop),
            }
        }
        Ok(survey)
    }

    /// The target is asked twice: much is given up because of its silence.
    async fn records_at_target(
        &mut self,
        to: &ShardId,
        moves: &[Move],
    ) -> Result<Vec<Option<OwnerRecord>>, Stop> {
        if let Ok(records) = self.records(to, partitions(moves)).await {
            return Ok(records);
        }
        self.ask(Ask::Pause(SECOND_LOOK)).await?;
        self.records(to, partitions(moves)).await
    }

    /// What the sources of `moves` say alone, whose target does not answer because of `silence`.
    async fn survey_sources(
        &mut self,
        survey: &mut Survey,
        (from, to): (&ShardId, &ShardId),
        moves: Vec<Move>,
        silence: &Stop,
    ) {
        let sources = match self.records(from, partitions(&moves)).await {
            Ok(sources) => sources,
            Err(stop) => return survey.wait(from, moves, &stop),
        };
        let (mut waiting, mut settled) = (Vec::new(), Vec::new());
        for (one, source) in moves.into_iter().zip(sources) {
            match course_without_target(&one, self.generation, source.as_ref()) {
                Course::Wait => waiting.push(one),
                course => settled.push((course, one)),
            }
        }
        for (course, one) in settled {
            survey.courses.entry(course).or_default().push(one);
        }
        if !waiting.is_empty() {
            survey.wait(to, waiting, silence);
        }
    }

    /// What is still moving, by the newest topology.
    pub(super) fn moves(&self) -> Vec<Move> {
        moves_of(&self.desk.topology(), self.generation)
    }

    pub(super) fn stage(&self, stage: Stage) {
        self.desk.note(|progress| progress.stage = stage);
    }

    /// Asks. What fails is tried again as long as something is sealed and the topology still wants it moved.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Answer, Stop> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.desk.ask(ask.clone()).await {
                Answer::Refused(words) => return Err(Stop::Refused(words)),
                Answer::Failed(words) if self.sealed.is_empty() => return Err(Stop::Failed(words)),
                Answer::Failed(words) => self.desk.note(|progress| progress.trouble = Some(words)),
                answer => {
                    self.desk.note(|progress| progress.trouble = None);
                    return Ok(answer);
                }
            }
            self.desk.ask(Ask::Pause(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let moves = self.moves();
            if !self.sealed.iter().all(|one| moves.contains(one)) {
                return Err(Stop::Changed);
            }
        }
    }

    pub(super) async fn records(
        &mut self,
        shard: &ShardId,
        partitions: Vec<Partition>,
    ) -> Result<Vec<Option<OwnerRecord>>, Stop> {
        let (shard, many) = (shard.clone(), partitions.len());
        match self.ask(Ask::Records { shard, partitions }).await? {
            Answer::Records(records) if records.len() == many => Ok(records),
            other => Err(Stop::unfit(&other)),
        }
    }

    /// Carries out a command for each of `moves`, at `shard`.
    pub(super) async fn fence(
        &mut self,
        shard: &ShardId,
        moves: &[Move],
        command: impl Fn(&Move) -> FenceCommand,
    ) -> Result<Vec<FenceReply>, Stop> {
        let commands = moves.iter().map(|one| (one.partition, command(one)));
        let ask = Ask::Fence {
            shard: shard.clone(),
            commands: commands.collect(),
        };
        match self.ask(ask).await? {
            Answer::Fenced(replies) if replies.len() == moves.len() => Ok(replies),
            other => Err(Stop::unfit(&other)),
        }
    }
}

impl Survey {
    fn note(
        &mut self,
        one: Move,
        generation: Generation,
        source: Option<&OwnerRecord>,
        target: Option<&OwnerRecord>,
    ) {
        let course = course(&one, generation, source, target);
        if course == Course::Wait {
            let words = format!("partition {} is not at its source {}", one.partition, one.from);
            self.trouble.get_or_insert(words);
        }
        if let Some(source) = source {
            self.floors.insert(one.partition, source.floor);
        }
        self.courses.entry(course).or_default().push(one);
    }

    fn wait(&mut self, shard: &ShardId, moves: Vec<Move>, stop: &Stop) {
        self.trouble.get_or_insert(format!("{shard}: {}", stop.words()));
        self.courses.entry(Course::Wait).or_default().extend(moves);
    }
}

impl Stop {
    /// An answer that does not belong to what was asked.
    pub(super) fn unfit(answer: &Answer) -> Self {
        Self::Failed(format!("an answer that was not asked for: {answer:?}"))
    }

    /// Somebody else's record stands in the way of `act` on `partition`.
    pub(super) fn in_the_way(act: &str, partition: Partition, reply: &FenceReply) -> Self {
        Self::Refused(format!("{act} of partition {partition} was refused: {reply:?}"))
    }

    fn words(&self) -> &str {
        match self {
            Self::Failed(words) | Self::Refused(words) => words,
            Self::Changed => "the topology has changed",
        }
    }
}
