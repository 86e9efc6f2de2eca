//! The configuration file while the gateway runs.
//!
//! A new version is read like the first: with variables and flags, and checked whole. Of a good one everything is taken over
//! that can be, or nothing; what else differs needs a restart and is named. A bad one changes nothing.
//!
//! Certificates are no part of this: [their files](crate::tls) are watched one by one.

mod meters;

pub use meters::ReloadMeters;

use crate::config::{Config, Invalid, ManagedBy, RedisShard, Settings, Severity, ShardsOptions, Sources};
use crate::lookout::Lookout;
use crate::shard_list::notes::{Notes, Subject};
use crate::watched_file::{Look, WatchedFile};

/// Makes the parts of the gateway go by a list of shards; or says why it cannot be used, and changes nothing.
pub type ApplyShards = Box<dyn Fn(&[RedisShard]) -> anyhow::Result<()> + Send>;

/// Makes the parts of the gateway go by the rest of a configuration, as far as they can while they run. It was checked before.
pub type ApplyRules = Box<dyn Fn(&Config) + Send>;

/// Makes the parts of the gateway go by another configuration.
pub struct Apply {
    /// Its shards. They come first, because they may be refused.
    pub shards: ApplyShards,
    /// The rest.
    pub rules: ApplyRules,
}

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
    /// What keeps the version that was last found from being used.
    problem: Option<String>,
    apply: Apply,
    notes: Notes,
    meters: ReloadMeters,
}

impl Reload {
    /// Watches the file of `sources`, which made `started`; `None`: there is none.
    #[must_use]
    pub fn new(
        sources: &Sources,
        started: &Config,
        apply: Apply,
        notes: Notes,
        meters: ReloadMeters,
    ) -> Option<Self> {
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
            problem: None,
            apply,
            notes,
            meters,
        })
    }

    fn read(&mut self) {
        // What was found, not what the file may say by now.
        match Config::load_text(&self.sources, self.file.content()) {
            Err(Invalid(report)) => {
                let errors = report.findings().iter();
                let errors = errors.filter(|finding| finding.severity == Severity::Error);
                let errors: Vec<&str> = errors.map(|finding| finding.text.as_str()).collect();
                self.refuse(errors.join("; "));
            }
            Ok((config, report)) => {
                let is_news = config.settings != self.latest;
                match self.take_over(&config) {
                    Err(problem) => self.refuse(problem),
                    Ok(()) if is_news => report.log(),
                    Ok(()) => {}
                }
            }
        }
    }

    /// Takes over what can be, all of it or nothing.
    fn take_over(&mut self, config: &Config) -> Result<(), String> {
        let mut reloaded = self.latest.differences(&config.settings).reloaded;
        let mut restart = self.started.settings.differences(&config.settings).restart;
        if config.cluster.store != self.started.cluster.store {
            // Where it is not set, it follows the list of shards.
            restart.push("cluster.store".to_owned());
        }
        match (&self.started.shards, &config.shards) {
            (ShardsOptions::Redis(_), ShardsOptions::Redis(list)) if !self.has_lost_its_list(config) => {
                reloaded.extend(self.adopt(list)?.then(|| "shards".to_owned()));
            }
            (ShardsOptions::Redis(_), _) => {
                return Err("shards: the list is empty; a deployment that uses Redis needs one".to_owned());
            }
            (ShardsOptions::Embedded(_), ShardsOptions::Redis(_)) => restart.push("shards".to_owned()),
            (ShardsOptions::Embedded(_), ShardsOptions::Embedded(_)) => {}
        }
        if !reloaded.is_empty() {
            (self.apply.rules)(config);
        }
        self.latest = config.settings.clone();
        if self.problem.take().is_some() {
            tracing::info!("the configuration file can be used again");
        }
        self.meters.is_refused(false);
        self.notes.clear(Subject::File);
        self.tell(&reloaded, restart);
        Ok(())
    }

    /// Whether shards were listed, must be, and are not any more: then defaults would make up a list.
    fn has_lost_its_list(&self, config: &Config) -> bool {
        self.started.cluster.managed_by == ManagedBy::File
            && self.started.settings.lists_shards()
            && !config.settings.lists_shards()
    }

    /// Whether that is another list.
    fn adopt(&mut self, list: &[RedisShard]) -> Result<bool, String> {
        if self.list == list {
            return Ok(false);
        }
        (self.apply.shards)(list).map_err(|error| format!("{error:#}"))?;
        self.list = list.to_vec();
        Ok(true)
    }

    /// Tells what has been taken over, and what needs a restart; once.
    fn tell(&self, reloaded: &[String], mut restart: Vec<String>) {
        restart.sort();
        restart.dedup();
        let (reloaded, restart) = (reloaded.join(", "), restart.join(", "));
        self.meters.waits_for_restart(!restart.is_empty());
        let is_news = if restart.is_empty() {
            self.notes.clear(Subject::Restart)
        } else {
            let note = format!("the configuration file has changed; needs a restart: {restart}");
            self.notes.set(Subject::Restart, note)
        };
        if reloaded.is_empty() && !is_news {
            return;
        }
        if restart.is_empty() {
            tracing::info!(reloaded, "the configuration file has changed");
        } else {
            tracing::warn!(
                reloaded,
                needs_restart = restart,
                "the configuration file has changed"
            );
        }
        self.meters.applied();
    }

    fn tell_that_nothing_has_changed(&self) {
        match &self.problem {
            None => tracing::info!("the configuration file has not changed"),
            Some(problem) => tracing::error!(problem, "the configuration file is still not used"),
        }
    }

    fn refuse(&mut self, problem: String) {
        let note = format!("the configuration file is not used: {problem}");
        if self.notes.set(Subject::File, note) {
            tracing::error!(
                problem,
                "the configuration file has changed and is not used, what counted before still does"
            );
            self.meters.refused();
        }
        self.meters.is_refused(true);
        self.problem = Some(problem);
    }
}

impl Lookout for Reload {
    const GIVEN_UP: &'static str = "the configuration file is not watched any more";

    fn look(&mut self, insist: bool) {
        let looked = if insist {
            self.file.insist()
        } else {
            self.file.look()
        };
        match looked {
            Ok(Look::Changed) => self.read(),
            Ok(Look::Same) if insist => self.tell_that_nothing_has_changed(),
            Ok(Look::Same | Look::Unsettled) => {}
            Err(error) => {
                // Once it can be read again, what it says is looked at afresh, which also takes the note off.
                self.file.forget();
                self.refuse(format!("cannot read {}: {error}", self.file.path().display()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
