//! The configuration file while the gateway runs.
//!
//! A new version is read like the first: with variables and flags, and checked whole. What is taken over of a good one is
//! the list of shards; what else differs needs a restart and is named. A bad one changes nothing.

use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::notes::{Notes, Subject};
use crate::config::{Config, Invalid, ManagedBy, RedisShard, Settings, Severity, ShardsOptions, Sources};
use crate::watched_file::{Look, WatchedFile};

/// How often the file is looked at. That is one look at its metadata.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes the parts of the gateway go by a list of shards; or says why it cannot be used.
pub type Apply = Box<dyn Fn(&[RedisShard]) -> anyhow::Result<()> + Send>;

/// Watches the configuration file.
pub struct Reload {
    sources: Sources,
    file: WatchedFile,
    /// The configuration that this process was started with.
    started: Config,
    /// What the last usable version of the file says.
    latest: Settings,
    /// The list that counts.
    list: Vec<RedisShard>,
    apply: Apply,
    notes: Notes,
}

impl Reload {
    /// Watches the file of `sources`, which made `started`; `None`: there is none.
    #[must_use]
    pub fn new(sources: &Sources, started: &Config, apply: Apply, notes: Notes) -> Option<Self> {
        let list = match &started.shards {
            ShardsOptions::Redis(list) => list.clone(),
            ShardsOptions::Embedded(_) => Vec::new(),
        };
        Some(Self {
            sources: sources.clone(),
            file: WatchedFile::new(sources.file.clone()?),
            latest: started.settings.clone(),
            started: started.clone(),
            list,
            apply,
            notes,
        })
    }

    /// Looks every second, and at once when told to by the signal; ends only by being aborted.
    pub async fn run(mut self, mut hangups: Signal) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let insist = tokio::select! {
                _ = ticks.tick() => false,
                Some(()) = hangups.recv() => true,
            };
            let looked = tokio::task::spawn_blocking(move || {
                self.look(insist);
                self
            });
            match looked.await {
                Ok(this) => self = this,
                Err(error) => {
                    tracing::error!(%error, "the configuration file is not watched any more");
                    return;
                }
            }
        }
    }

    /// Looks at the file once and acts on what has changed. With `insist` what is found counts at once.
    pub fn look(&mut self, insist: bool) {
        let looked = if insist {
            self.file.insist()
        } else {
            self.file.look()
        };
        match looked {
            Ok(Look::Changed) => self.read(),
            Ok(Look::Same) if insist => tracing::info!("the configuration file has not changed"),
            Ok(Look::Same | Look::Unsettled) => {}
            Err(error) => {
                // Once it can be read again, what it says is looked at afresh, which also takes the note off.
                self.file.forget();
                self.refuse(&format!("cannot read {}: {error}", self.file.path().display()));
            }
        }
    }

    fn read(&mut self) {
        match Config::load(&self.sources) {
            Err(Invalid(report)) => {
                let errors = report.findings().iter();
                let errors = errors.filter(|finding| finding.severity == Severity::Error);
                let errors: Vec<&str> = errors.map(|finding| finding.text.as_str()).collect();
                self.refuse(&errors.join("; "));
            }
            Ok((config, report)) => {
                let is_news = config.settings != self.latest;
                match self.take_over(&config) {
                    Err(problem) => self.refuse(&problem),
                    Ok(()) if is_news => report.log(),
                    Ok(()) => {}
                }
            }
        }
    }

    /// Takes over what can be.
    fn take_over(&mut self, config: &Config) -> Result<(), String> {
        let mut restart = self.started.settings.differences(&config.settings);
        if config.cluster.store != self.started.cluster.store {
            // Where it is not set, it follows the list of shards.
            restart.push("cluster.store".to_owned());
        }
        match (&self.started.shards, &config.shards) {
            (ShardsOptions::Redis(_), ShardsOptions::Redis(list)) if !self.has_lost_its_list(config) => {
                self.adopt(list)?;
            }
            (ShardsOptions::Redis(_), _) => {
                return Err("shards: the list is empty; a deployment that uses Redis needs one".to_owned());
            }
            (ShardsOptions::Embedded(_), ShardsOptions::Redis(_)) => restart.push("shards".to_owned()),
            (ShardsOptions::Embedded(_), ShardsOptions::Embedded(_)) => {}
        }
        self.latest = config.settings.clone();
        self.notes.clear(Subject::File);
        self.note_restart(restart);
        Ok(())
    }

    /// Whether shards were listed, must be, and are not any more: then defaults would make up a list.
    fn has_lost_its_list(&self, config: &Config) -> bool {
        self.started.cluster.managed_by == ManagedBy::File
            && self.started.settings.lists_shards()
            && !config.settings.lists_shards()
    }

    fn adopt(&mut self, list: &[RedisShard]) -> Result<(), String> {
        if self.list == list {
            return Ok(());
        }
        (self.apply)(list).map_err(|error| format!("{error:#}"))?;
        let names: Vec<&str> = list.iter().map(|shard| shard.id.as_str()).collect();
        tracing::info!(shards = names.join(", "), "the file has another list of shards");
        self.list = list.to_vec();
        Ok(())
    }

    fn note_restart(&self, mut keys: Vec<String>) {
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            self.notes.clear(Subject::Restart);
            return;
        }
        let keys = keys.join(", ");
        if self.notes.set(
            Subject::Restart,
            format!("the configuration file has changed; needs a restart: {keys}"),
        ) {
            tracing::warn!(keys, "the configuration file has changed; needs a restart");
        }
    }

    fn refuse(&self, problem: &str) {
        let note = format!("the configuration file is not used: {problem}");
        if self.notes.set(Subject::File, note) {
            tracing::error!(problem, "the configuration file has changed and is not used");
        }
    }
}

#[cfg(test)]
mod tests;
