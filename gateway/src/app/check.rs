//! What can be found wrong before anything is started.

use std::collections::HashSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use crate::config::{Config, Invalid, Mistake, Report, ShardsOptions, Sources};
use crate::tls::{PortCertificates, fingerprint_of_file};

/// How long the system may take to look a name up. Its own patience is some ten seconds for each name server.
const LOOKUP: Duration = Duration::from_secs(5);

/// A configuration that can be used, as far as that is known on this machine.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// What there is to say about it.
    pub report: Report,
    /// The certificates that it names.
    pub certificates: PortCertificates,
}

/// Reads the configuration and every certificate that it names.
///
/// # Errors
///
/// If something must be changed; then all of it is told.
pub fn check(sources: &Sources) -> Result<Checked, Invalid> {
    let (config, mut report) = Config::load(sources)?;
    let certificates = PortCertificates::open(&config.tls);
    if let Err(error) = &certificates {
        report.mistake(Mistake::Certificate, error.to_string());
    }
    check_authorities(&config, &mut report);
    sources.locate(&mut report);
    match certificates {
        Ok(certificates) if !report.has_errors() => Ok(Checked {
            config,
            report,
            certificates,
        }),
        _ => Err(Invalid(report)),
    }
}

/// Reads the certificates that sign those of Redis servers, and what is shown to these.
fn check_authorities(config: &Config, report: &mut Report) {
    let mut named: Vec<(String, &Path)> = Vec::new();
    if let ShardsOptions::Redis(shards) = &config.shards {
        if let Err(error) = config.cluster.redis_tls.check() {
            report.mistake(Mistake::Certificate, format!("redis.tls: {error}"));
        }
        let files = shards.iter().enumerate();
        named.extend(files.filter_map(|(index, shard)| {
            Some((format!("shards[{index}].ca_file"), shard.ca_file.as_deref()?))
        }));
    }
    let cluster = &config.cluster;
    let store = cluster.store.as_ref().and_then(|store| store.ca_file.as_deref());
    named.extend(store.map(|file| ("cluster.store_ca_file".to_owned(), file)));
    let others = cluster.shards_ca_file.as_deref();
    named.extend(others.map(|file| ("cluster.shards_ca_file".to_owned(), file)));
    // A file that several name is one mistake.
    let mut seen = HashSet::new();
    for (key, file) in named {
        if seen.insert(file)
            && let Err(error) = fingerprint_of_file(file)
        {
            report.mistake(Mistake::Certificate, format!("{key}: {error}"));
        }
    }
}

/// Looks for the host of the topology store. One that does not answer may come; one that has no address is a typing
/// mistake, or this is the wrong network.
///
/// # Errors
///
/// If there is no such host.
pub(super) fn find_store(config: &Config, sources: &Sources) -> Result<(), Invalid> {
    let Some(store) = &config.cluster.store else {
        return Ok(());
    };
    let hosts = store.url.hosts();
    let mut problems = Vec::new();
    for host in &hosts {
        match look_up(host) {
            Ok(()) => return Ok(()),
            Err(problem) => problems.push(format!("the host {host} cannot be found: {problem}")),
        }
    }
    let text = format!(
        "cluster.store: {}; write the name or the address of a Redis that this machine reaches",
        problems.join("; ")
    );
    Err(mistake(Mistake::Store, text, sources))
}

/// The one thing that must be changed.
pub(super) fn mistake(mistake: Mistake, text: impl Into<String>, sources: &Sources) -> Invalid {
    let mut report = Report::default();
    report.mistake(mistake, text);
    sources.locate(&mut report);
    Invalid(report)
}

/// Whether the host has an address. Asked on a thread of its own, because the system cannot be hurried.
fn look_up(host: &str) -> Result<(), String> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let (sender, receiver) = sync_channel(1);
    let name = host.to_owned();
    thread::spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        // Nobody waits for a late answer.
        let _ = sender.send(found.map(|mut addresses| addresses.next().is_some()));
    });
    match receiver.recv_timeout(LOOKUP) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("it has no address".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no name server answers".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::look_up;

    #[test]
    fn addresses_need_no_looking_up_and_names_do() {
        for host in ["10.0.0.1", "::1", "localhost"] {
            assert_eq!(look_up(host), Ok(()), "{host}");
        }
        // Longer than a name can be: no name server is asked.
        assert!(look_up(&"a".repeat(300)).is_err());
    }
}
