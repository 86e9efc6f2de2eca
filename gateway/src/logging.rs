//! The log: to standard error, as text or JSON.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

use crate::config::{LogFormat, LogOptions};

/// Begins to log. Once per process; later calls change nothing.
pub fn start(options: LogOptions) {
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
    // Only fails where something logs already: then the log goes there.
    let _ = registry().with(layer.with_filter(options.level)).try_init();
}
