//! Messages on a byte stream: each is a line of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::protocol::{FromWorker, ToWorker};
use crate::Failure;
use crate::run::Port;

/// The longest message, between those that know each other: histograms and ledgers of a large run.
pub(super) const LONGEST: usize = 256 << 20;

/// The next message; `None` at the end.
pub(super) async fn read<M: DeserializeOwned>(
    read: &mut BufReader<impl AsyncRead + Unpin>,
    longest: usize,
) -> Result<Option<M>, Failure> {
    let mut line = Vec::new();
    let limit = longest as u64 + 1;
    let mut limited = read.take(limit);
    limited
        .read_until(b'\n', &mut line)
        .await
        .map_err(|error| broken(&error))?;
    match line.pop() {
        Some(b'\n') => {
            let wrong = |error| Failure::run(format!("a message that is not understood: {error}"));
            serde_json::from_slice(&line).map(Some).map_err(wrong)
        }
        Some(_) if line.len() >= longest => Err(Failure::run("a message that is too long")),
        // The end, maybe in the middle of a message, as it is when somebody is killed.
        _ => Ok(None),
    }
}

/// Writes a message.
pub(super) async fn write(
    write: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(message).map_err(|error| Failure::run(error.to_string()))?;
    line.push(b'\n');
    write.write_all(&line).await.map_err(|error| broken(&error))?;
    write.flush().await.map_err(|error| broken(&error))
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::run(format!("the connection broke: {error}"))
}

/// Carries messages between a worker's port and the wire, until the controller says that it is over, or the worker has ended.
/// A controller that goes away without a word is a failure: nobody knows what became of the run.
pub(super) async fn worker_side(
    mut from_controller: BufReader<impl AsyncRead + Send + Unpin>,
    mut to_controller: impl AsyncWrite + Send + Unpin,
    mut port: Port,
) -> Result<(), Failure> {
    let down = async {
        while let Some(message) = read::<ToWorker>(&mut from_controller, LONGEST).await? {
            // The end of the stream follows, and must not be what is seen first.
            if let ToWorker::Refused { why } = message {
                return Err(Failure::run(format!("it says no: {why}")));
            }
            let is_last = message == ToWorker::Stop;
            if port.to.send(message).await.is_err() || is_last {
                return Ok(());
            }
        }
        Err(Failure::run("it is gone, and the run was not over"))
    };
    let up = async {
        while let Some(message) = port.from.recv().await {
            write(&mut to_controller, &message).await?;
        }
        Ok(())
    };
    let carried = tokio::select! {
        done = down => done,
        done = up => done,
    };
    carried.map_err(|failure| failure.during("the controller"))
}

/// Carries messages between the controller's end of a link and the wire, until either side is gone.
pub(super) async fn controller_side(
    mut from_worker: BufReader<impl AsyncRead + Send + Unpin>,
    mut to_worker: impl AsyncWrite + Send + Unpin,
    link: crate::run::Link,
) {
    let up = async {
        loop {
            match read::<FromWorker>(&mut from_worker, LONGEST).await {
                Ok(Some(message)) => link.say(message).await?,
                // The port sees that nothing more comes.
                Ok(None) => return Ok(()),
                Err(failure) => return link.say(FromWorker::Failed { failure }).await,
            }
        }
    };
    let down = async {
        while let Some(message) = link.hear().await {
            write(&mut to_worker, &message).await?;
        }
        Ok::<(), Failure>(())
    };
    // However it ends: dropping the link tells the controller.
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}

#[cfg(test)]
mod tests;
