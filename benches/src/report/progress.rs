//! How far a run is: a bar in a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::words;

/// Between two lines about the same thing: logs of long runs stay short.
const PAUSE: Duration = Duration::from_secs(2);

/// So that the spinner of a phase in which nothing is counted shows that the run goes on.
const SPIN: Duration = Duration::from_millis(200);

const STYLE: &str = "{spinner} {elapsed:>4} {prefix:<10} {wide_bar} {pos}/{len} {msg}";
const IDLE_STYLE: &str = "{spinner} {elapsed:>4} {prefix:<10} {msg}";

/// Shows how far a run is. All of it goes to standard error.
#[derive(Debug)]
pub struct Progress {
    how: How,
    /// What the workers do now, and how far each of them is with it.
    what: String,
    workers: BTreeMap<usize, (u64, u64)>,
}

#[derive(Debug)]
enum How {
    Silent,
    Lines {
        /// When the last one about what is done now was written.
        last: Option<Instant>,
    },
    Bar(ProgressBar),
}

impl Progress {
    /// One that says nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self::new(How::Silent)
    }

    const fn new(how: How) -> Self {
        Self {
            how,
            what: String::new(),
            workers: BTreeMap::new(),
        }
    }

    /// A phase or a mark was reached.
    pub fn reached(&mut self, mark: &str) {
        self.forget();
        match &self.how {
            How::Silent => {}
            How::Lines { .. } => line(mark),
            How::Bar(bar) => {
                bar.set_style(style(IDLE_STYLE));
                bar.set_message("");
                bar.set_prefix(mark.to_owned());
                bar.reset_elapsed();
                bar.enable_steady_tick(SPIN);
            }
        }
    }

    /// A worker says how far it is.
    pub fn advance(&mut self, worker: usize, done: u64, of: u64, what: &str) {
        if self.what != what {
            self.forget();
            what.clone_into(&mut self.what);
        }
        self.workers.insert(worker, (done, of));
        let done: u64 = self.workers.values().map(|(done, _)| done).sum();
        let of: u64 = self.workers.values().map(|(_, of)| of).sum();
        match &mut self.how {
            How::Silent => {}
            How::Lines { last } => {
                if done >= of || last.is_none_or(|last| last.elapsed() >= PAUSE) {
                    *last = Some(Instant::now());
                    line(&format!(
                        "  {what}: {} of {}",
                        words::count(done),
                        words::count(of)
                    ));
                }
            }
            How::Bar(bar) => {
                if bar.length().is_none() {
                    bar.set_style(style(STYLE));
                }
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(what.to_owned());
            }
        }
    }

    /// Something that the user should know.
    pub fn note(&mut self, text: &str) {
        match &self.how {
            How::Silent => {}
            How::Lines { .. } => line(text),
            How::Bar(bar) => bar.suspend(|| line(text)),
        }
    }

    /// A run is over; another may follow.
    pub fn finish(&mut self) {
        self.forget();
        if let How::Bar(bar) = &self.how {
            bar.disable_steady_tick();
            bar.finish_and_clear();
            bar.reset();
        }
    }

    fn forget(&mut self) {
        self.what.clear();
        self.workers.clear();
        match &mut self.how {
            How::Silent => {}
            How::Lines { last } => *last = None,
            How::Bar(bar) => bar.unset_length(),
        }
    }
}

impl Default for Progress {
    /// A bar in a terminal, lines where standard error is something else.
    fn default() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::new(How::Lines { last: None });
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(IDLE_STYLE));
        Self::new(How::Bar(bar))
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template)
        .expect("the templates are constants that are known to be right");
    style.progress_chars("=> ")
}

fn line(text: &str) {
    // Who has closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}
