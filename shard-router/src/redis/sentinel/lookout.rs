//! Being told when another server becomes the primary.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{AsyncConnectionConfig, PushInfo};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::council::Council;
use super::{Primary, query};
use crate::redis::connection::Backoff;
use crate::redis::dialer::{Dialer, in_time};
use crate::redis::place::Host;
use crate::redis::replication::Replication;

/// How often a Sentinel is asked although it tells of changes: notices that it is gone, and what it did not tell.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// The Pub/Sub channel in which Sentinels tell that another server has become the primary.
const SWITCHED: &str = "+switch-master";

/// Follows what each Sentinel says, as long as this lives.
pub(in crate::redis) struct Lookout {
    council: watch::Receiver<Council>,
    /// The primary, as far as is known here.
    last: Option<Host>,
    _followers: JoinSet<()>,
}

impl Lookout {
    /// Begins; needs a runtime. `limit` is how long a Sentinel may take to answer. Where there are no Sentinels, there is
    /// nothing to follow.
    pub(in crate::redis) fn begin(dialer: &Dialer, limit: Duration) -> Self {
        dialer.adjourn();
        let mut council = dialer.council();
        let last = council.borrow_and_update().believed().map(|it| it.host.clone());
        let mut followers = JoinSet::new();
        let hosts = dialer.place().hosts().iter().enumerate();
        for (sentinel, host) in hosts.filter(|_| dialer.has_sentinels()) {
            let follower = Follower {
                dialer: dialer.clone(),
                sentinel,
                host: host.clone(),
                limit,
            };
            followers.spawn(follower.run());
        }
        Self {
            council,
            last,
            _followers: followers,
        }
    }

    /// Waits until another server than before is the primary: its address. Cancel safe.
    pub(in crate::redis) async fn takeover(&mut self) -> String {
        while self.council.changed().await.is_ok() {
            let believed = self.council.borrow_and_update().believed().cloned();
            let Some(Primary { host, .. }) = believed else {
                continue;
            };
            let before = self.last.replace(host.clone());
            if before.is_some_and(|before| before != host) {
                return host.to_string();
            }
        }
        // Nobody is followed.
        pending().await
    }
}

/// Counts takeovers until aborted.
pub(crate) async fn count_takeovers(dialer: Dialer, limit: Duration, count: watch::Sender<u64>) {
    let mut lookout = Lookout::begin(&dialer, limit);
    loop {
        let primary = lookout.takeover().await;
        tracing::info!(place = %dialer.place(), primary, "Sentinel names another primary");
        count.send_modify(|count| *count += 1);
    }
}

/// Follows one Sentinel.
struct Follower {
    dialer: Dialer,
    /// Its place in the URL.
    sentinel: usize,
    host: Host,
    limit: Duration,
}

impl Follower {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.attend(&mut backoff).await;
            self.dialer.miss(self.sentinel);
            tracing::debug!(sentinel = %self.host, error, "a Sentinel cannot be followed");
            sleep(backoff.failed()).await;
        }
    }

    /// Follows it over one connection, until that breaks.
    async fn attend(&self, backoff: &mut Backoff) -> Result<Infallible, String> {
        let told = Arc::new(Notify::new());
        let tell = Arc::clone(&told);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_push_sender(move |_: PushInfo| {
                tell.notify_one();
                Ok::<(), Infallible>(())
            });
        let login = self.dialer.place().sentinel_login();
        let connecting = self.dialer.connect_to(&self.host, &login, config);
        let mut dialed = in_time(self.limit, connecting).await?;
        in_time(self.limit, dialed.redis.subscribe(SWITCHED)).await?;
        backoff.succeeded();
        loop {
            let word = in_time(self.limit, query(&self.dialer, &mut dialed.redis)).await?;
            self.dialer.hear(self.sentinel, word);
            if let Some(doubtful) = self.dialer.doubt() {
                self.examine(&doubtful).await;
            }
            tokio::select! {
                () = told.notified() => {}
                () = sleep(ASK_EVERY) => {}
            }
        }
    }

    /// Has a server believed that most Sentinels name, though not by the latest failover, if it takes itself for a primary.
    async fn examine(&self, doubtful: &Primary) {
        let (place, primary) = (self.dialer.place(), &doubtful.host);
        match in_time(self.limit, self.is_primary(primary)).await {
            Ok(true) => {
                tracing::info!(%place, %primary, "most Sentinels watch another primary anew");
                self.dialer.accept(doubtful);
            }
            Ok(false) => tracing::debug!(%place, %primary, "most Sentinels name a server that is no primary"),
            Err(error) => {
                tracing::debug!(%place, %primary, error, "the server that most Sentinels name cannot be asked");
            }
        }
    }

    async fn is_primary(&self, host: &Host) -> Result<bool, String> {
        let login = self.dialer.place().server_login();
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut dialed = self.dialer.connect_to(host, &login, config).await?;
        Ok(Replication::ask(&mut dialed.redis).await?.is_primary)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::primary;
    use super::*;
    use crate::redis::RedisTls;

    /// A lookout that follows nobody.
    fn lookout(dialer: &Dialer) -> Lookout {
        let mut lookout = Lookout {
            council: dialer.council(),
            last: None,
            _followers: JoinSet::new(),
        };
        lookout.last = lookout
            .council
            .borrow_and_update()
            .believed()
            .map(|it| it.host.clone());
        lookout
    }

    fn dialer(url: &str) -> Dialer {
        Dialer::new(url, &RedisTls::default()).unwrap()
    }

    /// What there is to be told.
    async fn told(lookout: &mut Lookout) -> Option<String> {
        tokio::time::timeout(Duration::from_millis(1), lookout.takeover())
            .await
            .ok()
    }

    #[tokio::test(start_paused = true)]
    async fn another_primary_is_told_and_the_first_is_none() {
        let dialer = dialer("redis+sentinel://s,t/main");
        let mut lookout = lookout(&dialer);
        dialer.hear(0, primary(3, "a"));
        dialer.hear(1, primary(2, "c"));
        dialer.hear(1, primary(4, "a"));
        assert_eq!(told(&mut lookout).await, None);
        dialer.hear(0, primary(5, "b"));
        assert_eq!(told(&mut lookout).await, Some("b:7000".to_owned()));
        assert_eq!(dialer.down_after(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_a_service_survives_a_change_of_its_configuration() {
        let before = dialer("redis+sentinel://s,t/main");
        before.hear(1, primary(3, "a"));
        let after = dialer("redis+sentinel://:secret@r,s:26379/main/1");
        after.inherit(&before);
        assert_eq!(after.down_after(), Duration::from_secs(5));
        let mut lookout = lookout(&after);
        after.hear(0, primary(2, "c"));
        assert_eq!(after.believed(), Some(primary(3, "a")));
        assert_eq!(told(&mut lookout).await, None);
        after.hear(0, primary(4, "b"));
        assert_eq!(told(&mut lookout).await, Some("b:7000".to_owned()));
        for other in [
            "redis+sentinel://s,t/other",
            "redis+sentinel://r/main",
            "redis://s",
        ] {
            let other = dialer(other);
            other.inherit(&before);
            assert_eq!(other.believed(), None, "{other:?} is another service");
        }
    }
}
