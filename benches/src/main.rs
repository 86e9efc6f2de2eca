//! The `campanile-bench` binary.

use std::io::Write as _;
use std::process::ExitCode;

use campanile_benches::cli::{Cli, Command, MeasureArguments, WorkerArguments, list};
use campanile_benches::compare::compare;
use campanile_benches::execute::execute;
use campanile_benches::report::Document;
use campanile_benches::report::progress::Progress;
use campanile_benches::stack::{Stack, StackOptions, guard};
use campanile_benches::{Failure, bare, limits, workers};
use clap::Parser as _;
use mimalloc::MiMalloc;
use tokio::signal::unix::{SignalKind, signal};

// Thousands of clients make many small, short-lived buffers.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    limits::raise_open_files();
    let held = match cli.command {
        Some(Command::List) => print(&list()),
        Some(Command::Stack(arguments)) => with_runtime(keep_up(&arguments.options())),
        Some(Command::Worker(arguments)) => with_runtime(work(arguments)),
        Some(Command::Guard { parent, program }) => Err(guard::become_child(parent, &program)),
        // Alone in its process, without the threads of a runtime.
        Some(Command::Bare(options)) => bare::serve_and_tell(options).map(|()| true),
        Some(Command::Report(report)) => report.output.tell_again(&report.files).map(|()| true),
        None => with_runtime(measure(&cli.measure)),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            // Who has closed standard error does not want to know.
            let _ = writeln!(std::io::stderr(), "campanile-bench: {failure}");
            failure.exit_code().into()
        }
    }
}

fn with_runtime(task: impl Future<Output = Result<bool, Failure>>) -> Result<bool, Failure> {
    tokio::runtime::Runtime::new()?.block_on(Box::pin(task))
}

async fn work(arguments: WorkerArguments) -> Result<bool, Failure> {
    match (arguments.join, arguments.token) {
        (Some(controller), Some(token)) => workers::join(&controller, token).await?,
        _ => workers::over_stdio().await?,
    }
    Ok(true)
}

/// Keeps a stack until the user has had enough.
async fn keep_up(options: &StackOptions) -> Result<bool, Failure> {
    let stack = tokio::select! {
        stack = Stack::start(options) => stack?,
        () = interrupted() => return Err(Failure::Interrupted),
    };
    let target = stack.target();
    let mut text = String::new();
    for (url, api) in target.urls.iter().zip(&target.apis) {
        text.push_str(&format!("--url {url} --api {api}\n"));
    }
    text.push_str(&format!("--api-key {}\n", target.api_key));
    if let Some(certificate) = &target.certificate {
        text.push_str(&format!("--certificate {certificate}\n"));
    }
    for shard in target.shards.iter().chain(&target.spares) {
        text.push_str(&format!("{} {}\n", shard.name, shard.url));
    }
    for process in &target.processes {
        text.push_str(&format!("--pid {}={}\n", process.name, process.pid));
    }
    print(&text)?;
    interrupted().await;
    Ok(true)
}

/// Waits for Ctrl-C or an order to end.
async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(terminate) => terminate.recv().await.unwrap_or_default(),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// Whether every promise was kept.
async fn measure(arguments: &MeasureArguments) -> Result<bool, Failure> {
    let order = arguments.order()?;
    let comparison = arguments.comparison(&order)?;
    let outlet = arguments.output().open()?;
    let mut progress = if arguments.quiet {
        Progress::silent()
    } else {
        Progress::default()
    };
    let measured = async {
        Ok::<_, Failure>(match comparison {
            None => Document::Run(Box::new(Box::pin(execute(&order, &mut progress)).await?)),
            Some((with, rounds)) => {
                let comparison = Box::pin(compare(&order, &with, rounds, &mut progress)).await?;
                Document::Comparison(Box::new(comparison))
            }
        })
    };
    let document = tokio::select! {
        document = measured => document?,
        () = interrupted() => return Err(Failure::Interrupted),
    };
    let held = document.held();
    outlet.tell(document)?;
    Ok(held)
}

fn print(text: &str) -> Result<bool, Failure> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(true)
}
