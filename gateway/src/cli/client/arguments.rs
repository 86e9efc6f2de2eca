//! What can be typed after `campanile sub` and `campanile pub`.

use std::fmt;

use campanile_client::Position;
use campanile_common::{Epoch, HumanDuration};
use clap::Args;

use crate::cli::trust::TrustArguments;

/// Where to connect, and as whom.
#[derive(Args)]
pub(super) struct ServerArguments {
    /// quic://HOST:PORT, ws://HOST:PORT or wss://HOST:PORT, with a path if it is not the usual one; http:// stands for
    /// ws://, and https:// for wss://. Of several, whichever opens first is taken, the first of them preferred
    #[arg(
        long = "url",
        value_name = "URL",
        env = "CAMPANILE_URL",
        value_delimiter = ',',
        default_value = "ws://127.0.0.1:8000"
    )]
    pub(super) urls: Vec<String>,
    /// The connection token; `campanile gentoken` makes one
    #[arg(
        long,
        value_name = "TOKEN",
        env = "CAMPANILE_TOKEN",
        hide_env_values = true,
        default_value = ""
    )]
    pub(super) token: String,
    #[command(flatten)]
    pub(super) trust: TrustArguments,
    /// How long connecting, or an answer, may take
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(super) timeout: HumanDuration,
    /// Print one JSON object a line, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

// The token is nobody's business.
impl fmt::Debug for ServerArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerArguments")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// What to listen to, and for how long.
#[derive(Debug, Args)]
pub struct SubArguments {
    /// The channels
    #[arg(required = true, value_name = "CHANNEL")]
    pub(super) channels: Vec<String>,
    /// Begin after this position of the channel's stream; --json prints positions
    #[arg(long, value_name = "EPOCH:OFFSET", value_parser = position)]
    pub(super) since: Option<Position>,
    /// End after so many publications
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION")]
    pub(super) lasting: Option<HumanDuration>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
}

/// What to publish.
#[derive(Debug, Args)]
pub struct PubArguments {
    /// The channel
    pub(super) channel: String,
    /// JSON; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    pub(super) data: String,
    /// The data is text, and is published as a JSON string
    #[arg(long)]
    pub(super) text: bool,
    #[command(flatten)]
    pub(super) server: ServerArguments,
}

fn position(text: &str) -> Result<Position, String> {
    let parts = text.rsplit_once(':');
    parts
        .filter(|(epoch, _)| !epoch.is_empty())
        .and_then(|(epoch, offset)| {
            Some(Position::new(
                Epoch::from(epoch),
                offset.parse::<u64>().ok()?.into(),
            ))
        })
        .ok_or_else(|| "write the epoch, a colon and the offset".to_owned())
}
