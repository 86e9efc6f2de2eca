//! What the same Redis does without a gateway: the gateway's very command pipelined, by a loop of our own and by
//! `redis-benchmark`, and the least that a stream with listeners can cost.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::resp::{self, Reply, Resp, apart};
use super::template::Template;
use crate::Failure;
use crate::run::Run;

/// How long each of them runs.
const LENGTH: Duration = Duration::from_secs(2);

/// Commands that are sent before answers are waited for: as many as a gateway puts into one batch at most.
const PIPELINE: usize = 256;

/// Connections: as many as a gateway has to each shard.
const CONNECTIONS: usize = 2;

/// Channels among which commands are spread.
const CHANNELS: usize = 1_000;

/// Commands that `redis-benchmark` sends.
const BENCHMARK: usize = 50_000;

/// The points between which the references run.
pub(super) const MARKS: [&str; 4] = ["script", "plain", "redis_benchmark", "referenced"];

/// The names under which is counted what they did, and for how many nanoseconds.
pub(super) const SCRIPT: [&str; 2] = ["script_runs", "script_nanoseconds"];
pub(super) const PLAIN: [&str; 2] = ["plain_runs", "plain_nanoseconds"];
/// What `redis-benchmark` says: commands a second.
pub(super) const BENCHMARKED: &str = "redis_benchmark_rate";

/// What the first worker runs; the others wait. Without a template, that of the script is left out.
pub(super) async fn measure(run: &Run, reference: Option<(String, Option<Template>)>) -> Result<(), Failure> {
    let mut commands = Vec::new();
    if let Some((address, template)) = &reference {
        commands = match template {
            Some(template) => scripts(run, address, template).await?,
            None => Vec::new(),
        };
        if commands.is_empty() {
            run.unseen("the script by itself: the first shard serves none of the run's first channels");
        }
    }
    run.mark(MARKS[0]).await?;
    if let Some((address, _)) = &reference
        && !commands.is_empty()
    {
        pipelined(run, address, commands, 1, SCRIPT).await?;
    }
    run.mark(MARKS[1]).await?;
    if let Some((address, _)) = &reference {
        pipelined(run, address, plain(run), 2, PLAIN).await?;
    }
    run.mark(MARKS[2]).await?;
    if let Some((address, _)) = &reference {
        forget(run, address).await?;
    }
    if let Some((address, Some(template))) = &reference
        && let Some(rate) = redis_benchmark(address, template).await
    {
        run.total(BENCHMARKED, rate);
    }
    run.mark(MARKS[3]).await.map(drop)
}

/// The publishing command for each of the run's channels that this shard serves.
async fn scripts(run: &Run, address: &str, template: &Template) -> Result<Vec<Vec<u8>>, Failure> {
    let count = run.plan().load.channels.min(CHANNELS);
    let commands: Vec<_> = (0..count)
        .map(|index| template.command_for(&run.channel(index)))
        .collect();
    let address = address.to_owned();
    let served = apart("the reference", move || {
        let mut resp = Resp::connect(&address)?;
        let mut served = Vec::new();
        for command in commands {
            resp.send(&command)?;
            if matches!(resp.reply()?, Reply::Array(_)) {
                served.push(command);
            }
        }
        Ok(served)
    });
    served.await
}

/// An `XADD` and a `PUBLISH` for each channel, with payloads as long as the gateway's.
fn plain(run: &Run) -> Vec<Vec<u8>> {
    let load = &run.plan().load;
    let payload = "x".repeat(load.size);
    let command = |key: String| {
        let mut encoded = Vec::new();
        resp::command(
            &mut encoded,
            &["XADD", &key, "MAXLEN", "1000", "*", "p", &payload],
        );
        resp::command(&mut encoded, &["PUBLISH", &key, &payload]);
        encoded
    };
    plain_keys(run).map(command).collect()
}

/// Keys that nobody else has.
fn plain_keys(run: &Run) -> impl Iterator<Item = String> {
    let plan = run.plan();
    let begin = format!("{}{}", plan.prefix, run.id());
    (0..plan.load.channels.min(CHANNELS)).map(move |index| format!("{begin}-plain-{index}"))
}

/// Leaves nothing behind on a server that is not the run's own.
async fn forget(run: &Run, address: &str) -> Result<(), Failure> {
    let words: Vec<_> = std::iter::once("UNLINK".to_owned())
        .chain(plain_keys(run))
        .collect();
    let address = address.to_owned();
    apart("the reference", move || {
        Resp::connect(&address)?.ask(&words).map(drop)
    })
    .await
}

/// Sends commands in turns, pipelined; notes how many were answered, in how long. Each of them is of `answers` commands.
async fn pipelined(
    run: &Run,
    address: &str,
    commands: Vec<Vec<u8>>,
    answers: usize,
    names: [&'static str; 2],
) -> Result<(), Failure> {
    let start = Instant::now();
    let ends = (0..CONNECTIONS).map(|number| {
        let (address, commands) = (address.to_owned(), commands.clone());
        apart("the reference", move || {
            pipeline(&address, &commands, number, answers, start)
        })
    });
    let done = futures_util::future::try_join_all(ends).await?;
    run.total(names[0], done.into_iter().sum());
    let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    run.total(names[1], took);
    Ok(())
}

fn pipeline(
    address: &str,
    commands: &[Vec<u8>],
    offset: usize,
    answers: usize,
    start: Instant,
) -> io::Result<u64> {
    let mut resp = Resp::connect(address)?;
    let mut turn = commands
        .iter()
        .cycle()
        .skip(offset * commands.len() / CONNECTIONS);
    let (mut done, mut batch) = (0, Vec::new());
    loop {
        batch.clear();
        for command in turn.by_ref().take(PIPELINE) {
            batch.extend_from_slice(command);
        }
        resp.send(&batch)?;
        for _ in 0..PIPELINE * answers {
            if let Reply::Error(error) = resp.reply()? {
                return Err(resp::malformed(error));
            }
        }
        done += PIPELINE as u64;
        if start.elapsed() >= LENGTH {
            return Ok(done);
        }
    }
}

/// What `redis-benchmark` reaches with the same command, if it is installed. Its payloads can only be text, and all goes to
/// one channel: the numbers that it makes up differ from key to key of one command, and know nothing of hash tags.
async fn redis_benchmark(address: &str, template: &Template) -> Option<u64> {
    let (host, port) = address.rsplit_once(':')?;
    let mut command = tokio::process::Command::new("redis-benchmark");
    command.args(["-h", host, "-p", port, "-q"]);
    for (flag, value) in [("-c", CONNECTIONS), ("-P", PIPELINE), ("-n", BENCHMARK)] {
        command.arg(flag).arg(value.to_string());
    }
    command.args(template.arguments());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(5 * LENGTH, command.output())
        .await
        .ok()?
        .ok()?;
    rate(&String::from_utf8_lossy(&output.stdout))
}

/// The last of the rates that it printed.
fn rate(output: &str) -> Option<u64> {
    let before = &output[..output.rfind(" requests per second")?];
    let number = before.rsplit(' ').next()?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_redis_benchmark_says_in_the_end() {
        let output = "EVALSHA abc: rps=0.0\rEVALSHA abc: 55432.37 requests per second, p50=4.2 msec\n";
        assert_eq!(rate(output), Some(55_432));
        assert_eq!(rate("redis-benchmark: not found"), None);
    }
}
