//! Micro-benchmarks of Campanile's inner loops, in three ways.
//!
//! * `micro --bench [FILTER]`: criterion, for a close look at times on a quiet machine. What `cargo bench` runs.
//! * `micro check BASELINE`: instruction counts, and times as multiples of reference loops, compared with those that are
//!   kept. What `make bench` runs. Exits with 1 if one has become worse.
//! * `micro keep BASELINE`: the same, and writes the figures to the file.
//!
//! `micro count NAME RUNS` carries out one operation so often in a function that Callgrind is told to watch.

mod codec;
mod counts;
mod figures;
mod hub;
mod operation;
mod placement;
mod redis;
mod session;
mod times;
mod websocket;

use std::path::Path;
use std::process::ExitCode;

use criterion::{Criterion, Throughput};
use mimalloc::MiMalloc;

use operation::Operation;

// The gateway's: what memory costs is part of what is measured.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "--bench")
        .collect();
    match words.as_slice() {
        ["count", name, runs] => counts::carry_out(&operations(), name, runs),
        ["check", baseline] => figures::check(&operations(), Path::new(baseline)),
        ["keep", baseline] => figures::keep(&operations(), Path::new(baseline)),
        _ => {
            look_closely(&operations());
            ExitCode::SUCCESS
        }
    }
}

fn operations() -> Vec<Operation> {
    let parts = [
        codec::operations(),
        hub::operations(),
        placement::operations(),
        redis::operations(),
        session::operations(),
        websocket::operations(),
    ];
    parts.into_iter().flatten().collect()
}

/// All of them with criterion, as its arguments say.
fn look_closely(operations: &[Operation]) {
    let mut criterion = Criterion::default().configure_from_args();
    for operation in operations {
        let (group, name) = operation.name.rsplit_once('/').unwrap_or(("", &operation.name));
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(operation.elements.into()));
        group.bench_function(name, |bencher| {
            let mut run = operation.prepare();
            bencher.iter(&mut run);
        });
        group.finish();
    }
    criterion.final_summary();
}
