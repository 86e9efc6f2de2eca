//! How much of what.

use std::time::Duration;

use campanile_common::HumanDuration;
use clap::Args;

use super::target::pair;
use crate::Failure;
use crate::payload::MIN_SIZE;
use crate::plan::{Load, Plan, PublishVia};
use crate::scenario::{self, Scenario};

/// In front of the names of channels, unless the user says otherwise.
const PREFIX: &str = "bench-";

/// How much of what; what is not given is the scenario's default.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArguments {
    /// Clients that connect, over all workers
    #[arg(long, short = 'c', value_name = "N")]
    connections: Option<usize>,
    /// Channels in use
    #[arg(long, value_name = "N")]
    channels: Option<usize>,
    /// Publications a second, over all workers; 0: none, or in `publish` as many as there can be
    #[arg(long, short = 'r', value_name = "RATE")]
    rate: Option<f64>,
    /// Publications that are meant for the same instant, at the same rate
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Bytes of a payload, at least 61
    #[arg(long, short = 's', value_name = "BYTES")]
    size: Option<usize>,
    /// Clients that begin to connect, a second
    #[arg(long, value_name = "RATE")]
    connect_rate: Option<f64>,
    /// How long there is load before measuring begins, as in `2s`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    warm_up: Option<Duration>,
    /// How long is measured, as in `10s`
    #[arg(long, short = 'd', value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// How long stragglers are waited for, at most, as in `10s`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    /// Use channels that keep a stream
    #[arg(long, value_name = "YES", num_args = 0..=1, default_missing_value = "true")]
    stream: Option<bool>,
    /// How to publish: through the HTTP API, where there is one, or as clients do
    #[arg(long, value_name = "HOW")]
    publish_via: Option<PublishVia>,
    /// Connections of each worker to publish through
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Publications in one request, at most
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// An option of the scenario's own: `campanile-bench list` has them with their defaults
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    /// Seed of everything that is random, the channels' names among it: the same one makes the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Text in front of the channels' names [default: `bench-`, and with a server that runs a random number behind it, because
    /// streams of an earlier run may be there]
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
}

impl LoadArguments {
    /// What is to be done. `lasting`: on a server that runs already, and that remembers earlier runs.
    pub(super) fn plan(&self, scenario: &dyn Scenario, lasting: bool) -> Result<Plan, Failure> {
        let load = self.load(scenario);
        check(&load)?;
        scenario::check(scenario, &load)?;
        let prefix = match (&self.prefix, lasting) {
            (Some(prefix), _) => prefix.clone(),
            (None, false) => PREFIX.to_owned(),
            (None, true) => format!("{PREFIX}{:08x}-", rand::random::<u32>()),
        };
        Ok(Plan {
            scenario: scenario.name().to_owned(),
            load,
            seed: self.seed,
            prefix,
        })
    }

    /// How publications are to go, if the user says so.
    pub(super) const fn publish_via(&self) -> Option<PublishVia> {
        self.publish_via
    }

    /// The scenario's defaults, with what the user says instead.
    fn load(&self, scenario: &dyn Scenario) -> Load {
        let mut load = scenario.defaults();
        take(&mut load.connections, self.connections);
        take(&mut load.channels, self.channels);
        take(&mut load.rate, self.rate);
        take(&mut load.burst, self.burst);
        take(&mut load.size, self.size);
        take(&mut load.connect_rate, self.connect_rate);
        take(&mut load.warm_up, self.warm_up);
        take(&mut load.duration, self.duration);
        take(&mut load.settle, self.settle);
        take(&mut load.stream, self.stream);
        take(&mut load.publish_via, self.publish_via);
        take(&mut load.publishers, self.publishers);
        take(&mut load.batch, self.batch);
        load.options.extend(self.options.iter().cloned());
        load
    }
}

/// More in a second cannot be told apart by the nanoseconds that they are meant for.
const FASTEST: f64 = 1e9;

fn check(load: &Load) -> Result<(), Failure> {
    let right = |name: &str, is: bool, must: &str| match is {
        true => Ok(()),
        false => Err(Failure::usage(format!("--{name} must {must}"))),
    };
    let positive = |name: &str, is: bool| right(name, is, "be more than 0");
    let fastest = format!("be at most {FASTEST}");
    for (name, rate) in [("rate", load.rate), ("connect-rate", load.connect_rate)] {
        right(name, rate.is_finite(), "be a number")?;
        right(name, rate <= FASTEST, &fastest)?;
    }
    right("rate", load.rate >= 0.0, "not be negative")?;
    positive("connect-rate", load.connect_rate > 0.0)?;
    positive("burst", load.burst > 0)?;
    positive("channels", load.channels > 0)?;
    positive("publishers", load.publishers > 0)?;
    positive("batch", load.batch > 0)?;
    positive("duration", !load.duration.is_zero())?;
    let least = format!("be at least {MIN_SIZE}: less cannot be checked");
    right("size", load.size >= MIN_SIZE, &least)
}

fn take<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<HumanDuration, _> = text.parse();
    parsed.map(Into::into).map_err(|error| error.to_string())
}
