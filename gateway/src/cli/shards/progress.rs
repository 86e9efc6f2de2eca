//! How far a plan has come: a bar on a terminal, lines elsewhere, JSON for scripts.

use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::json;

use super::show::{bytes, percent};
use crate::shards::report::{Moves, Status};

/// Width of the bar in characters. With what stands beside it, it fits 80 columns.
const WIDTH: usize = 24;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// On one line that is written over.
    Bar,
    /// A line when something has changed.
    Lines,
    /// A JSON object a second.
    Json,
}

impl Style {
    pub(super) fn of_output(json: bool, is_terminal: bool) -> Self {
        match (json, is_terminal) {
            (true, _) => Self::Json,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// Shows progress as it comes in.
pub(super) struct Progress {
    style: Style,
    last: String,
}

impl Progress {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            last: String::new(),
        }
    }

    /// How often to look.
    pub(super) fn interval(&self) -> Duration {
        match self.style {
            Style::Bar => Duration::from_millis(250),
            Style::Lines | Style::Json => Duration::from_secs(1),
        }
    }

    /// Shows how far it is.
    pub(super) fn update(&mut self, status: &Status) {
        let text = match (self.style, &status.moves) {
            (Style::Json, moves) => {
                let generation = status.list.generation;
                json!({ "done": false, "generation": generation, "moves": moves }).to_string()
            }
            (Style::Bar, Some(moves)) => bar(moves),
            (Style::Lines, Some(moves)) => line(moves),
            (Style::Bar | Style::Lines, None) => "the last steps".to_owned(),
        };
        if self.style == Style::Json || text != self.last {
            self.write(&text);
        }
        self.last = text;
    }

    /// Says that it is done.
    pub(super) fn done(&mut self, status: &Status) {
        let generation = status.list.generation;
        let text = match self.style {
            Style::Json => json!({ "done": true, "generation": generation, "moves": null }).to_string(),
            Style::Bar | Style::Lines => format!("done; topology {generation}"),
        };
        self.write(&text);
        self.end();
    }

    /// Leaves the line, so that what follows begins on one of its own.
    pub(super) fn end(&self) {
        if self.style == Style::Bar && !self.last.is_empty() {
            let _ = writeln!(io::stdout());
        }
    }

    /// Whoever closed the output does not want it.
    fn write(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = match self.style {
            Style::Bar => write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()),
            Style::Lines | Style::Json => writeln!(out, "{text}"),
        };
    }
}

/// One line with a bar.
pub(super) fn bar(moves: &Moves) -> String {
    let planned = moves.planned.max(1);
    let full = (moves.done * WIDTH / planned).min(WIDTH);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full));
    let mut parts = vec![bar, format!("{}/{}", moves.done, moves.planned)];
    parts.extend(speed(moves));
    if let Some(trouble) = &moves.trouble {
        parts.push(trouble.clone());
    } else if let Some(stage) = &moves.stage {
        parts.push(stage.clone());
    }
    parts.join("  ")
}

/// The same in words.
pub(super) fn line(moves: &Moves) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let share = moves.done as f64 / moves.planned.max(1) as f64;
    let mut parts = vec![format!(
        "{} of {} partitions moved ({}), {} on the way",
        moves.done,
        moves.planned,
        percent(share),
        moves.moving
    )];
    parts.extend(speed(moves));
    parts.extend(moves.stage.clone());
    parts.extend(
        moves
            .trouble
            .as_ref()
            .map(|trouble| format!("trouble: {trouble}")),
    );
    parts.join(", ")
}

fn speed(moves: &Moves) -> Vec<String> {
    let rate = moves.rate.map(|rate| format!("{rate:.1}/s"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is not negative, and the cast saturates"
    )]
    let byte_rate = moves.byte_rate.map(|rate| format!("{}/s", bytes(rate as u64)));
    let remaining = moves.remaining.map(|seconds| format!("{} left", time(seconds)));
    [rate, byte_rate, remaining].into_iter().flatten().collect()
}

/// Seconds, as people say them.
fn time(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time left is not negative, and the cast saturates"
    )]
    let seconds = seconds.ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}
