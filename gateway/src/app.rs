//! The gateway as a program: the parts in the order in which they are made, and their end in the reverse order.
//!
//! Configuration, log, metrics, sockets, topology store and shards, clients, API. The sockets come early, so that a
//! taken address ends the start before anything else has happened.

mod announce;
mod readiness;
mod signals;
mod sockets;

use anyhow::Context as _;
use tokio::runtime;

use crate::cli::{Exit, refuse};
use crate::clock::Clock;
use crate::config::options::SecretKey;
use crate::config::{Config, Sources};
use crate::exporter::Exporter;
use crate::http::{DemoTokens, Endpoints, page, routers};
use crate::logging;

use readiness::Probe;
use signals::Signals;
use sockets::Sockets;

/// Runs a gateway until it is told to end.
#[must_use]
pub fn serve(sources: &Sources) -> Exit {
    let (config, report) = match Config::load(sources) {
        Ok(loaded) => loaded,
        Err(invalid) => return refuse(&invalid),
    };
    logging::start(config.log);
    report.log();
    let ended = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
        .and_then(|runtime| runtime.block_on(run(config)));
    ended.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "cannot go on");
        Exit::Failure
    })
}

async fn run(config: Config) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let exporter = Exporter::install().context("cannot gather metrics")?;
    tokio::spawn(exporter.clone().keep_up());
    let sockets = Sockets::bind(&config.http).await?;
    let endpoints = Endpoints {
        clients: axum::Router::new(),
        api: axum::Router::new(),
        readiness: std::sync::Arc::new(Probe),
        exporter,
        page: demo_page(&config, Clock::start()),
    };
    announce::listening(&sockets);
    if let Some(demo) = &config.demo {
        announce::demo(demo);
    }
    let serving = sockets.serve(routers(&config.http, endpoints));
    signals.next().await;
    serving.stop().await;
    Ok(Exit::Success)
}

/// The page where it is configured; with tokens only for visitors on this machine, to a gateway that is nobody else's.
fn demo_page(config: &Config, clock: Clock) -> axum::Router {
    if !config.http.page {
        return axum::Router::new();
    }
    let is_own = config.http.public.ip().is_loopback();
    let key = config.demo.as_ref().filter(|_| is_own);
    let key = key.and_then(|demo| SecretKey::new(demo.token_secret.as_bytes()));
    page(key.map(|key| DemoTokens { key, clock }))
}
