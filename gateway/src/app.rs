//! The gateway as a program: the parts in the order in which they are made, and their end in the reverse order.
//!
//! Configuration (`check`), log, metrics, sockets; topology store and ways to the shards (`shards`); router, connections, cluster,
//! coordinator (`gateway`); what keeps the list of shards (`lists`); HTTP. The sockets come early, so that a taken address ends the start before anything
//! else has happened; they are announced last, when there is somebody to answer.

mod admin;
mod announce;
mod check;
mod files;
mod gateway;
mod gauges;
mod lists;
mod page;
mod readiness;
mod requests;
mod rules;
mod shards;
mod signals;
mod sockets;

use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::{self, Runtime};
use tokio::time::{Instant, timeout_at};

use crate::cli::{Exit, give_up, refuse, tell_scripts};
use crate::config::{Config, Invalid, Mistake, ShutdownOptions, Sources};
use crate::connection::shutdown::Departure;
use crate::exporter::Exporter;
use crate::http::{Endpoints, routers};
use crate::logging::{self, LogLevel};
use crate::lookout::keep_looking;
use crate::tls::Certificates;
use crate::udp::{self, Patience, UdpPort};

pub use check::{Checked, check};

use announce::Announcement;
use gateway::Gateway;
use lists::Origin;
use rules::Rules;
use signals::Signals;
use sockets::{Serving, Sockets};

/// Runs a gateway until it is told to end; says where it listens in words, or as an object with `json`.
#[must_use]
pub fn serve(sources: &Sources, json: bool) -> Exit {
    let checked = match check(sources) {
        Ok(checked) => checked,
        Err(invalid) => return refuse(&invalid, json),
    };
    if let Err(invalid) = check::find_store(&checked.config, sources) {
        return refuse(&invalid, json);
    }
    let level = logging::start(checked.config.log);
    files::raise_limit();
    let ended = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
        .and_then(|runtime| finish(runtime, run(sources, checked, level, json)));
    ended.unwrap_or_else(|error| fail(&error, json))
}

/// Runs `main`, and leaves behind whatever else is under way when it ends: that may be a thread which waits for the system, such as
/// for a name to be looked up, and which nobody can hurry.
fn finish<T>(runtime: Runtime, main: impl Future<Output = T>) -> T {
    let ended = runtime.block_on(main);
    runtime.shutdown_background();
    ended
}

/// Says why it could not go on: as of any other mistake in the configuration; else in the log, or where nothing is logged,
/// by itself.
fn fail(error: &anyhow::Error, json: bool) -> Exit {
    if let Some(invalid) = error.downcast_ref::<Invalid>() {
        return refuse(invalid, json);
    }
    let why = format!("cannot go on: {error:#}");
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(error = format!("{error:#}"), "cannot go on");
        tell_scripts(json, None, &why);
        Exit::Failure
    } else {
        give_up(&why, json)
    }
}

async fn run(sources: &Sources, checked: Checked, level: LogLevel, json: bool) -> anyhow::Result<Exit> {
    let Checked {
        config,
        report,
        certificates,
    } = checked;
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let rules = Rules::of(&config, level);
    let origin = Origin {
        sources: sources.clone(),
        hangups: signals::hangups().context("cannot listen for signals")?,
        rules: rules.clone(),
    };
    let exporter = Exporter::install().context("cannot gather metrics")?;
    tokio::spawn(exporter.clone().keep_up());
    let hangups = signals::hangups().context("cannot listen for signals")?;
    tokio::spawn(keep_looking(certificates.keeper(), hangups));
    let tls = certificates.acceptors().context("cannot speak TLS")?;
    let sockets = Sockets::bind(&config.http, config.quic.as_ref()).await;
    let mut sockets =
        sockets.map_err(|error| check::mistake(Mistake::Address, error.to_string(), sources))?;
    report.log();
    let (gateway, api) = Gateway::start(&config, origin, sockets.public())?;
    let endpoints = Endpoints {
        clients: gateway.clients(&config),
        api: config
            .api
            .as_ref()
            .map(|options| api.routes(options, rules.access))
            .unwrap_or_default(),
        readiness: gateway.readiness(),
        exporter: exporter.with(gateway.gauges()),
        page: page::routes(&config, &gateway, certificates.clients()),
        admin: admin::routers(&config, &gateway, &api),
    };
    let generated = certificates.clients().filter(|it| it.is_generated());
    let announcement = Announcement {
        listening: announce::addresses(&sockets, &tls),
        demo: config.demo.as_ref(),
        certificate: generated.map(Certificates::fingerprint),
    };
    announcement.say(json);
    let udp = serve_udp(&mut sockets, &gateway, &config, certificates.clients());
    let udp = udp.context("cannot serve QUIC")?;
    let clients = config.websocket.as_ref().map(|options| options.path.clone());
    let serving = sockets.serve(routers(&config.http, endpoints), tls, clients);
    signals.next().await;
    tracing::info!("told to end: clients are sent elsewhere; told again, it ends at once");
    tokio::select! {
        () = end(gateway, (serving, udp), &config) => Ok(Exit::Success),
        () = signals.next() => Ok(Exit::Forced),
    }
}

/// Serves QUIC, where it is configured, with the certificate that it cannot do without.
fn serve_udp(
    sockets: &mut Sockets,
    gateway: &Gateway,
    config: &Config,
    certificates: Option<&Certificates>,
) -> anyhow::Result<Option<UdpPort>> {
    let socket = sockets.take_udp().zip(config.quic.clone()).zip(certificates);
    let Some(((socket, options), certificates)) = socket else {
        return Ok(None);
    };
    let settings = udp::Settings::new(options, Patience::of(&config.client), certificates.clone())
        .with_webtransport(config.webtransport.clone());
    Ok(Some(UdpPort::serve(socket, &settings, gateway.entrance())?))
}

/// How much of the time for the end is kept for leaving the cluster: a quarter, but not more than this, which lets a store
/// that is slow answer.
const LEAVING: Duration = Duration::from_secs(5);

/// Ends in the reverse order: clients first, while everything that they need is still there.
async fn end(gateway: Gateway, (serving, udp): (Serving, Option<UdpPort>), config: &Config) {
    let ShutdownOptions {
        timeout,
        delay,
        spread,
    } = config.shutdown;
    let latest = Instant::now() + timeout;
    let for_clients = timeout - LEAVING.min(timeout / 4);
    let clients_latest = Instant::now() + for_clients;
    let delay = delay.min(for_clients);
    gateway.be_avoided(delay).await;
    let for_farewells = for_clients - delay;
    gateway
        .send_clients_away(Departure {
            timeout: for_farewells,
            spread: spread.min(for_farewells),
        })
        .await;
    let closed = async {
        if let Some(udp) = udp {
            udp.stop().await;
        }
    };
    let stopped = async { tokio::join!(closed, serving.stop()) };
    if timeout_at(clients_latest, stopped).await.is_err() {
        tracing::warn!("not all requests were answered in time");
    }
    if timeout_at(latest, gateway.leave()).await.is_err() {
        tracing::warn!("could not leave the cluster in time; others notice when the registration expires");
    }
    tracing::info!("the end");
}
