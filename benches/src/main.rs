//! The `campanile-bench` binary.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use campanile_benches::cli::{Cli, Command, MeasureArguments, list};
use campanile_benches::execute::execute;
use campanile_benches::report::progress::Progress;
use campanile_benches::report::{Report, html, json, table};
use campanile_benches::{Failure, bare, compare};
use clap::Parser as _;
use mimalloc::MiMalloc;

// Thousands of clients make many small, short-lived buffers.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let held = match cli.command {
        Some(Command::List) => print(&list()),
        Some(Command::Bare) => bare::serve().await.map(|()| true),
        None => Box::pin(measure(&cli.measure)).await,
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

/// Whether every promise was kept.
async fn measure(arguments: &MeasureArguments) -> Result<bool, Failure> {
    let order = arguments.order()?;
    if let Some(with) = &arguments.compare {
        return compare::compare(&order, with).await;
    }
    let mut progress = if arguments.quiet {
        Progress::silent()
    } else {
        Progress::default()
    };
    let report = Box::pin(execute(&order, &mut progress)).await?;
    tell(&report, arguments)?;
    Ok(report.outcome.held())
}

fn tell(report: &Report, arguments: &MeasureArguments) -> Result<(), Failure> {
    if let Some(file) = &arguments.html {
        write(file, &html::page(report))?;
    }
    match &arguments.json {
        Some(file) if file == Path::new("-") => print(&json::text(report)).map(drop),
        Some(file) => {
            write(file, &json::text(report))?;
            print(&table::text(report)).map(drop)
        }
        None => print(&table::text(report)).map(drop),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| Failure::run(format!("{}: {error}", file.display())))
}

fn print(text: &str) -> Result<bool, Failure> {
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(true)
}
