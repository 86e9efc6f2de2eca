//! A report that tests show: made up, the same each time.

use std::time::Duration;

use super::Report;
use crate::measure::processes::{ProcessUse, Sample, Usage};
use crate::measure::{Counters, Machine, Mark, Outcome, Recording};
use crate::plan::{Load, Plan};
use crate::run::{Phase, Stamp};
use crate::scenario::{Better, Figure, Unit};
use crate::target::Target;
use crate::{Promise, Violation};

const BEGIN: Stamp = Stamp::from_nanoseconds(1_750_000_000_000_000_000);
const MIB: u64 = 1024 * 1024;

/// Of a run in which everything took `factor` times as long.
pub(crate) fn report(factor: f64) -> Report {
    Report {
        about: "one channel with many subscribers".to_owned(),
        program: "0.1.0".to_owned(),
        made: 1_750_000_060,
        command: ["campanile-bench", "fanout", "-c", "1000"]
            .map(str::to_owned)
            .to_vec(),
        figures: figures(factor),
        outcome: outcome(factor),
    }
}

/// Names that would break a page if they got onto it as they are.
pub(crate) fn hostile() -> Report {
    let mut report = report(1.0);
    let evil = "</script><img src=\"http://evil.example/x\" onerror='x'>&";
    report.about = evil.to_owned();
    report.figures[0].name = evil.to_owned();
    report.outcome.processes[0].name = evil.to_owned();
    report.outcome.unseen.push(evil.to_owned());
    report.outcome.recording.count(evil, 1);
    report.outcome.recording.latency(evil, Duration::from_millis(1));
    report.outcome.recording.series(evil, 1, 1);
    report.command.push(evil.to_owned());
    report
        .outcome
        .recording
        .violation(Violation::new(Promise::InOrder, evil));
    report
}

fn figures(factor: f64) -> Vec<Figure> {
    vec![
        Figure::new(
            "deliveries a CPU second",
            1_612_345.0 / factor,
            Unit::PerCpuSecond,
            Better::Higher,
        ),
        Figure::new(
            "CPU time of a delivery",
            8.25e-6 * factor,
            Unit::Seconds,
            Better::Lower,
        ),
        Figure::new("memory of a connection", 2_355.2, Unit::Bytes, Better::Lower),
        Figure::new("subscribers", 1_000.0, Unit::Count, Better::Neither),
    ]
}

fn outcome(factor: f64) -> Outcome {
    let target = Target {
        urls: vec!["ws://127.0.0.1:8000/connection/websocket".to_owned()],
        ..Target::default()
    };
    Outcome {
        plan: Plan {
            scenario: "fanout".to_owned(),
            load: Load::default(),
            seed: 1,
            prefix: "bench-".to_owned(),
        },
        target,
        workers: 2,
        recording: recording(factor),
        marks: marks(),
        processes: vec![
            process("gateway-0", 101, factor),
            process("shard-0", 102, factor / 4.0),
        ],
        counted: [Phase::Measure, Phase::Settle]
            .map(|phase| (phase.name().to_owned(), counted(phase)))
            .to_vec(),
        unseen: Vec::new(),
        notes: Vec::new(),
        machine: Machine {
            cores: 2,
            processor: "Example CPU".to_owned(),
            memory_bytes: 8_192 * MIB,
            kernel: "Linux 6.12".to_owned(),
        },
    }
}

fn recording(factor: f64) -> Recording {
    let mut recording = Recording::default();
    recording.count("publications", 100);
    recording.count("deliveries", 100_000);
    for step in 1..=1_000_u32 {
        // Most are quick, few take long.
        let part = f64::from(step) / 1_000.0;
        let time = 0.0004 * factor / (1.0005 - part).powf(0.6);
        recording.latency("delivery", Duration::from_secs_f64(time));
    }
    for second in 0..10 {
        recording.series("deliveries", second, 10_000 - second * 37 % 400);
    }
    recording
}

fn marks() -> Vec<Mark> {
    let mark = |(phase, seconds): (Phase, u64)| Mark {
        name: phase.name().to_owned(),
        at: at(seconds * 1_000),
    };
    [
        (Phase::Setup, 0),
        (Phase::WarmUp, 2),
        (Phase::Measure, 4),
        (Phase::Settle, 14),
        (Phase::Done, 15),
    ]
    .map(mark)
    .to_vec()
}

fn counted(phase: Phase) -> Counters {
    let writes = if phase == Phase::Measure { 500 } else { 100_500 };
    Counters::parse(&format!(
        "# TYPE campanile_writes_total counter\ncampanile_writes_total{{codec=\"protobuf\"}} {writes}\n"
    ))
}

fn process(name: &str, pid: u32, busy: f64) -> ProcessUse {
    let marks = marks().into_iter().map(|mark| {
        let seconds = mark.at.since(BEGIN).as_secs();
        (mark.name, sample(seconds * 1_000, busy))
    });
    ProcessUse {
        name: name.to_owned(),
        pid,
        command: format!("./{name}"),
        marks: marks.collect(),
        samples: (0..30).map(|half| sample(half * 500, busy)).collect(),
        ended: None,
    }
}

/// Idle for four seconds, then busy for ten.
fn sample(milliseconds: u64, busy: f64) -> Sample {
    #[expect(clippy::cast_precision_loss)]
    let worked = milliseconds.saturating_sub(4_000).min(10_000) as f64 / 1_000.0;
    Sample {
        at: at(milliseconds),
        usage: Usage {
            user_seconds: 0.25 + worked * busy * 0.15,
            system_seconds: 0.5 + worked * busy * 0.3,
            resident_bytes: 24 * MIB + milliseconds.min(2_000) * 1_200,
            threads: 3,
        },
    }
}

fn at(milliseconds: u64) -> Stamp {
    BEGIN.plus(Duration::from_millis(milliseconds))
}
