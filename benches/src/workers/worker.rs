//! A worker's part of a run.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::unix::pipe;

use super::protocol::{FromWorker, ToWorker};
use super::wire;
use crate::run::{Assignment, Clock, Link, Run, pair};
use crate::{Failure, limits, scenario};

/// Does what the controller says until it says that it is over.
pub(super) async fn attend(link: Link) -> Result<(), Failure> {
    let link = Arc::new(link);
    loop {
        match link.hear().await {
            None | Some(ToWorker::Stop) => return Ok(()),
            Some(ToWorker::Time) => {
                let now = Clock::new().now();
                link.say(FromWorker::Time { now }).await?;
            }
            Some(ToWorker::Begin { assignment, ahead }) => match carry_out(*assignment, ahead, &link).await {
                Ok(finished) => link.say(finished).await?,
                Err(failure) => {
                    let told = FromWorker::Failed {
                        failure: failure.clone(),
                    };
                    link.say(told).await?;
                    return Err(failure);
                }
            },
            Some(other) => return Err(Failure::run(format!("the controller says {other:?} out of turn"))),
        }
    }
}

/// The worker's end of a connection to a controller.
pub(super) async fn over(
    read: BufReader<impl AsyncRead + Send + Unpin + 'static>,
    write: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<(), Failure> {
    let (link, port) = pair();
    let attending = tokio::spawn(attend(link));
    let carried = wire::worker_side(read, write, port).await;
    if carried.is_err() {
        // Without a controller there is nothing to do, whatever is going on.
        attending.abort();
        return carried;
    }
    // It has heard that it is over, or has ended before.
    let attended = attending.await;
    attended.unwrap_or_else(|error| Err(Failure::run(error.to_string())))
}

/// A worker that is a child of the controller, with pipes for standard input and output.
pub async fn over_stdio() -> Result<(), Failure> {
    let read = pipe::Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let write = pipe::Sender::from_owned_fd(std::io::stdout().as_fd().try_clone_to_owned()?)?;
    // What goes wrong the controller is told, and tells the user. Where it is gone there is nobody to be told.
    let _ = over(BufReader::new(read), write).await;
    Ok(())
}

/// Carries out a share of a scenario: what was recorded.
async fn carry_out(assignment: Assignment, ahead: i64, link: &Arc<Link>) -> Result<FromWorker, Failure> {
    let scenario = scenario::find(&assignment.plan.scenario)?;
    let share = assignment.share.range(assignment.plan.load.connections);
    limits::check_open_files(share.len(), "use more --workers")?;
    let run = Run::new(assignment, Clock::new().ahead_by(ahead), Arc::clone(link));
    scenario.run(&run).await?;
    Ok(FromWorker::Finished {
        recording: Box::new(run.into_recording()),
    })
}
