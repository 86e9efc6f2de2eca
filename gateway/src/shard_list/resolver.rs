//! Asking the DNS.

use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{RData, Record};
use hickory_resolver::{Resolver, TokioResolver};

use super::dns::Found;
use crate::config::{DnsOptions, RecordKind};

/// How long a name server may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How often a question is repeated at once; the next one comes soon anyway.
const RETRIES: usize = 1;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No name server knows the name, or none answered.
    #[error("{0}")]
    Lookup(#[from] NetError),
    /// The answer was too long and could not be had whole.
    #[error("the answer is not complete")]
    Truncated,
}

/// Asks for the configured name. A resolver of its own for each question: what it would remember is what is asked for, and
/// the system's name servers may be others by now.
///
/// # Errors
///
/// If there is no answer, or no whole one.
pub async fn resolve(options: &DnsOptions) -> Result<Vec<Found>, Failed> {
    let resolver = resolver(options)?;
    match options.kind {
        RecordKind::Service => {
            let answer = resolver.srv_lookup(options.name.as_str()).await?;
            whole(answer.message())?;
            Ok(answer.answers().iter().filter_map(service).collect())
        }
        RecordKind::Addresses(port) => {
            let answer = resolver.lookup_ip(options.name.as_str()).await?;
            whole(answer.as_lookup().message())?;
            Ok(answer.iter().map(|ip| Found::Address { ip, port }).collect())
        }
    }
}

fn resolver(options: &DnsOptions) -> Result<TokioResolver, NetError> {
    let mut builder = match options.server {
        None => Resolver::builder_tokio()?,
        Some(server) => {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            let server = NameServerConfig::new(server.ip(), true, connections);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            Resolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let resolving = builder.options_mut();
    resolving.timeout = TIMEOUT;
    resolving.attempts = RETRIES;
    resolving.cache_size = 0;
    // A host with addresses of both kinds is one shard.
    resolving.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    resolving.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

fn whole(answer: &Message) -> Result<(), Failed> {
    if answer.truncation {
        return Err(Failed::Truncated);
    }
    Ok(())
}

fn service(record: &Record) -> Option<Found> {
    match &record.data {
        RData::SRV(service) => Some(Found::Service {
            target: service.target.to_ascii(),
            port: service.port,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
