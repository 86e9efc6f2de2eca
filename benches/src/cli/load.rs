//! How much of what.

use std::time::Duration;

use campanile_common::HumanDuration;
use clap::Args;

use crate::Failure;
use crate::plan::{Load, Plan, PublishVia};
use crate::scenario::Scenario;

/// How much of what; what is not given is the scenario's default.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArguments {
    /// Clients that connect
    #[arg(long, short = 'c', value_name = "N")]
    connections: Option<usize>,
    /// Channels in use
    #[arg(long, value_name = "N")]
    channels: Option<usize>,
    /// Publications a second
    #[arg(long, short = 'r', value_name = "RATE")]
    rate: Option<f64>,
    /// Publications that are meant for the same instant, at the same rate
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Bytes of a payload
    #[arg(long, short = 's', value_name = "BYTES")]
    size: Option<usize>,
    /// Clients that begin to connect, a second
    #[arg(long, value_name = "RATE")]
    connect_rate: Option<f64>,
    /// Load before measuring begins
    #[arg(long, value_name = "TIME", value_parser = duration)]
    warm_up: Option<Duration>,
    /// How long is measured
    #[arg(long, short = 'd', value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// How long stragglers are waited for
    #[arg(long, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    /// Use channels that keep a stream
    #[arg(long, value_name = "YES", num_args = 0..=1, default_missing_value = "true")]
    stream: Option<bool>,
    /// How to publish
    #[arg(long, value_name = "HOW")]
    publish_via: Option<PublishVia>,
    /// Connections of each worker to publish through
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Publications in one request, at most
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// What only one scenario knows
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    /// Of all randomness
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// In front of the channels' names
    #[arg(long, default_value = "bench-")]
    prefix: String,
}

impl LoadArguments {
    pub(super) fn plan(&self, scenario: &dyn Scenario) -> Result<Plan, Failure> {
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
        check(&load)?;
        Ok(Plan {
            scenario: scenario.name().to_owned(),
            load,
            seed: self.seed,
            prefix: self.prefix.clone(),
        })
    }
}

/// More in a second cannot be told apart by the nanoseconds that they are meant for.
const FASTEST: f64 = 1e9;

fn check(load: &Load) -> Result<(), Failure> {
    let positive = |name: &str, is: bool| match is {
        true => Ok(()),
        false => Err(Failure::usage(format!("--{name} must be more than 0"))),
    };
    positive("rate", load.rate >= 0.0 && load.rate.is_finite())?;
    positive("connect-rate", load.connect_rate > 0.0)?;
    for (name, rate) in [("rate", load.rate), ("connect-rate", load.connect_rate)] {
        if rate > FASTEST {
            return Err(Failure::usage(format!(
                "--{name} {rate}: at most {FASTEST} a second"
            )));
        }
    }
    positive("burst", load.burst > 0)?;
    positive("channels", load.channels > 0)?;
    positive("publishers", load.publishers > 0)?;
    positive("batch", load.batch > 0)?;
    positive("duration", !load.duration.is_zero())
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

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}
