//! Instruction counts of operations.

use std::collections::BTreeMap;
use std::env;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use campanile_benches::baseline::Kept;
use campanile_benches::callgrind;

use crate::operation::{Operation, Run};

/// Runs that are counted, in one process and in another: what the second does more is what is kept.
const RUNS: [u32; 2] = [4, 24];

/// The same for what is large, of which a few runs say as much.
const FEW: [u32; 2] = [1, 3];

/// Runs before, after which what is made once has been made.
const WARM_UP: u32 = 3;

/// Two counts of the same binary differ by less than half of this: hash tables have random keys.
const TOLERANCE: f64 = 0.02;

/// The function that Callgrind watches. One name, whatever the operation.
#[inline(never)]
fn campanile_counted(run: &mut Run, runs: u32) {
    for _ in 0..runs {
        run();
    }
}

/// What runs under Callgrind.
pub(crate) fn carry_out(operations: &[Operation], name: &str, runs: &str) -> ExitCode {
    let operation = operations.iter().find(|operation| operation.name == name);
    let Some((operation, runs)) = operation.zip(runs.parse().ok()) else {
        return ExitCode::from(2);
    };
    let mut run = operation.prepare();
    for _ in 0..WARM_UP {
        run();
    }
    campanile_counted(&mut run, runs);
    ExitCode::SUCCESS
}

/// Counts all of them, as many at once as there are processors: counts do not mind.
pub(crate) fn count(operations: &[Operation]) -> Result<BTreeMap<String, Kept>> {
    let (next, figures) = (AtomicUsize::new(0), Mutex::new(Ok(BTreeMap::new())));
    let work = || {
        while let Some(operation) = operations.get(next.fetch_add(1, Ordering::Relaxed)) {
            let counted = count_one(operation);
            let mut figures = figures.lock().expect("no thread panics with the lock");
            match (&mut *figures, counted) {
                (Ok(figures), Ok(counted)) => figures.extend(counted),
                (_, Err(error)) => *figures = Err(error),
                (Err(_), _) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    figures.into_inner().expect("no thread panics with the lock")
}

fn count_one(operation: &Operation) -> Result<[(String, Kept); 2]> {
    let program = env::current_exe().context("where this program is")?;
    let name = operation.name.as_str();
    let count = |runs: u32| {
        callgrind::count(&program, &["count", name, &runs.to_string()], "campanile_counted")
            .with_context(|| format!("counting {name}"))
    };
    let [less, more] = if operation.is_large() { FEW } else { RUNS };
    let count = count(more)?.beyond(count(less)?);
    let of_one = |count: u64| {
        let value = count as f64 / f64::from(more - less) / f64::from(operation.elements);
        Kept {
            value: (value * 100.0).round() / 100.0,
            tolerance: TOLERANCE,
        }
    };
    Ok([
        (format!("instructions {name}"), of_one(count.instructions)),
        (format!("allocations {name}"), of_one(count.allocations)),
    ])
}
