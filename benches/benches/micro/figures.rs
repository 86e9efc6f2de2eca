//! All figures: measured, compared, kept.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use campanile_benches::baseline::{Baseline, Comparison, Kept, Machine};

use crate::operation::Operation;
use crate::{counts, times};

/// Compares with the file. 1: something has become worse; 3: could not measure.
pub(crate) fn check(operations: &[Operation], path: &Path) -> ExitCode {
    finish(compare(operations, path))
}

/// Writes the file.
pub(crate) fn keep(operations: &[Operation], path: &Path) -> ExitCode {
    let write = || {
        let figures = measure(operations)?;
        Baseline::new(figures).write(path)?;
        writeln!(io::stdout(), "kept in {}", path.display())?;
        Ok(true)
    };
    finish(write())
}

fn finish(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(io::stderr(), "bench: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// Whether nothing has become worse.
fn compare(operations: &[Operation], path: &Path) -> Result<bool> {
    let baseline =
        Baseline::read(path).context("no figures to compare with; `make bench-baseline` keeps some")?;
    let figures = measure(operations)?;
    let here = Machine::here();
    let (counts, times) = (
        here.compiles_like(&baseline.machine),
        here.runs_like(&baseline.machine),
    );
    let comparison = Comparison::new(&baseline, &figures, |name| {
        if name.starts_with("time ") { times } else { counts }
    });
    let mut out = io::stdout().lock();
    write!(out, "{comparison}")?;
    let bad: Vec<_> = comparison.bad().collect();
    for line in &bad {
        writeln!(out, "{}: {}", line.verdict, line.name)?;
    }
    writeln!(out, "{}", comparison.summary())?;
    Ok(bad.is_empty())
}

fn measure(operations: &[Operation]) -> Result<BTreeMap<String, Kept>> {
    let mut err = io::stderr();
    writeln!(err, "bench: timing {} operations", operations.len())?;
    let mut figures = times::measure(operations);
    writeln!(
        err,
        "bench: counting the instructions of {} operations",
        operations.len()
    )?;
    figures.extend(counts::count(operations)?);
    Ok(figures)
}
