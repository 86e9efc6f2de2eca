//! Where the configuration comes from.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::Sources;

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// A .json, .yaml or .toml file; a file of Centrifugo v6 will do
    #[arg(short, long, value_name = "FILE", env = "CAMPANILE_CONFIG")]
    config: Option<PathBuf>,
    /// IP address to listen on
    #[arg(long = "http.address", alias = "http_server.address", value_name = "IP")]
    address: Option<IpAddr>,
    /// TCP port to listen on; 0 for any free one
    #[arg(long = "http.port", alias = "http_server.port", value_name = "PORT")]
    port: Option<u16>,
    /// trace, debug, info, warn, error or none
    #[arg(long = "log.level", value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json
    #[arg(long = "log.format", value_name = "FORMAT")]
    log_format: Option<String>,
    /// Set any key of the configuration, for example --set client.channel_limit=64
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl ConfigArguments {
    /// The configuration's sources. Keys set one by one come last and win.
    #[must_use]
    pub fn sources(self) -> Sources {
        let named = [
            (
                "http_server.address",
                self.address.map(|address| address.to_string()),
            ),
            ("http_server.port", self.port.map(|port| port.to_string())),
            ("log.level", self.log_level),
            ("log.format", self.log_format),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Sources::of_process(self.config, named.chain(self.set).collect())
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write a key, an equals sign and a value")?;
    Ok((key.to_owned(), value.to_owned()))
}
