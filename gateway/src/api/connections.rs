//! The methods about connections, which concern every gateway: `disconnect`, `unsubscribe`, `subscribe`, `refresh`,
//! `channels` and `info`.

use std::collections::BTreeMap;

use campanile_common::{Disconnect, DisconnectCode, ErrorCode, Timestamp, UnsubscribeCode};
use campanile_shard_router::audience::Audience;

use super::method::payload;
use super::params::target;
use super::results::{ChannelInfo, Channels, Done, Info};
use super::{Api, ApiError, channel, params};
use crate::cluster::{Answer, Command, Refresh, Subscription, Target};

/// What fits the close frame of a WebSocket beside the code, in bytes.
const MAX_REASON: usize = 123;

impl<A: Audience> Api<A> {
    pub(super) async fn disconnect(&self, params: params::Disconnect) -> Result<Done, ApiError> {
        let farewell = match params.disconnect {
            None => DisconnectCode::ForceDisconnect.into(),
            Some(farewell) => Disconnect::new(farewell.code, farewell.reason),
        };
        if !(3000..=4999).contains(&farewell.code) || farewell.reason.len() > MAX_REASON {
            return Err(ApiError::bad_request(
                &"codes are 3000 to 4999, reasons 123 bytes at most",
            ));
        }
        let target = Target {
            whitelist: params.whitelist,
            ..target(params.user, params.client, params.session)
        };
        self.command(target, |target| Command::Disconnect {
            target,
            code: farewell.code,
            reason: farewell.reason.into_owned(),
        })
        .await
    }

    pub(super) async fn unsubscribe(&self, params: params::Unsubscribe) -> Result<Done, ApiError> {
        let (channel, _) = channel(&self.channels.get(), &params.channel)?;
        let target = target(params.user, params.client, params.session);
        self.command(target, |target| Command::Unsubscribe {
            target,
            channel,
            code: UnsubscribeCode::Server.code(),
            reason: UnsubscribeCode::Server.reason().to_owned(),
        })
        .await
    }

    pub(super) async fn subscribe(&self, params: params::Subscribe) -> Result<Done, ApiError> {
        let (channel, _) = channel(&self.channels.get(), &params.channel)?;
        let subscription = Subscription {
            channel,
            info: payload(params.info, &params.b64info)?,
            data: payload(params.data, &params.b64data)?,
            expires_at: expiry(params.expire_at),
            overrides: params.overrides.unwrap_or_default(),
            recover_since: params.recover_since.map(Into::into),
        };
        let target = target(params.user, params.client, params.session);
        self.command(target, |target| Command::Subscribe { target, subscription })
            .await
    }

    pub(super) async fn refresh(&self, params: params::Refresh) -> Result<Done, ApiError> {
        let refresh = Refresh {
            expired: params.expired,
            expires_at: expiry(params.expire_at),
            info: Some(params.info).filter(|info| !info.is_empty()),
        };
        let target = target(params.user, params.client, params.session);
        self.command(target, |target| Command::Refresh { target, refresh })
            .await
    }

    pub(super) async fn list_channels(&self, params: params::Channels) -> Result<Channels, ApiError> {
        let pattern = params.pattern;
        let mut channels: BTreeMap<String, ChannelInfo> = BTreeMap::new();
        for answer in self
            .cluster
            .ask(Command::Channels { pattern, largest: 0 })
            .await?
            .into_values()
        {
            match answer {
                Answer::Channels(counts) => {
                    for (channel, count) in counts {
                        channels.entry(channel).or_default().num_clients += count;
                    }
                }
                Answer::TooMuch => return Err(ErrorCode::LimitExceeded.into()),
                Answer::Survey(_) | Answer::Done { .. } | Answer::Info(_) | Answer::Lead(_) => {}
            }
        }
        Ok(Channels { channels })
    }

    pub(super) async fn info(&self) -> Result<Info, ApiError> {
        let answers = self.cluster.ask(Command::Info).await?;
        let nodes = answers.into_values().filter_map(|answer| match answer {
            Answer::Info(node) => Some(node),
            _ => None,
        });
        Ok(Info {
            nodes: nodes.collect(),
        })
    }

    /// Has a command about connections carried out everywhere. Which are meant must be said: all is never meant.
    async fn command(
        &self,
        target: Target,
        command: impl FnOnce(Target) -> Command,
    ) -> Result<Done, ApiError> {
        if target.user.is_empty() && target.client.is_empty() && target.session.is_empty() {
            return Err(ApiError::bad_request(
                &"neither user nor client nor session is given",
            ));
        }
        self.cluster.ask(command(target)).await?;
        Ok(Done {})
    }
}

/// Seconds since the Unix epoch; 0 is never.
fn expiry(seconds: i64) -> Option<Timestamp> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    seconds.map(Timestamp::from_secs)
}
