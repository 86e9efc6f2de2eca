//! The log: to standard error, as text or JSON.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, registry};

use crate::config::{LogFormat, LogOptions};

/// What is logged at most, which may change.
#[derive(Clone, Debug)]
pub struct LogLevel(Handle<LevelFilter, Registry>);

impl LogLevel {
    /// Nothing less important than `level` is logged from now on.
    pub fn set(&self, level: LevelFilter) {
        // Only fails where the log goes elsewhere, which has a level of its own.
        let _ = self.0.modify(|present| *present = level);
    }
}

/// Begins to log. Once per process; later calls change nothing.
pub fn start(options: LogOptions) -> LogLevel {
    let text = || {
        fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
    };
    let layer = match options.format {
        LogFormat::Text => text().boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(io::stderr)
            .boxed(),
    };
    let (level, handle) = reload::Layer::new(options.level);
    // Only fails where something logs already: then the log goes there.
    let _ = registry().with(layer.with_filter(level)).try_init();
    LogLevel(handle)
}
