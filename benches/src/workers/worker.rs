//! A worker's part of a run.

use super::protocol::FromWorker;
use crate::run::{Assignment, Clock, Link, Run};
use crate::{Failure, scenario};

/// Carries out a share, and says how it ended.
pub(crate) async fn serve(assignment: Assignment, clock: Clock, link: Link) -> Result<(), Failure> {
    let scenario = scenario::find(&assignment.plan.scenario)?;
    let run = Run::new(assignment, clock, link);
    let outcome = scenario.run(&run).await;
    let link_of = run.clone();
    let last = match outcome {
        Ok(()) => FromWorker::Finished {
            recording: Box::new(run.into_recording()),
        },
        Err(failure) => FromWorker::Failed { failure },
    };
    link_of.link().say(last).await
}
