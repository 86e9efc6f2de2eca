//! Channels as the administration page sees them: one of them in detail, whatever its namespace keeps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use campanile_common::ChannelName;
use campanile_common::message::ClientInfo;
use campanile_shard_router::audience::Audience;
use campanile_shard_router::partition::Partition;
use campanile_shard_router::publication::Publication;
use campanile_shard_router::router::{HistoryQuery, RouterError};
use campanile_shard_router::shard::{HistoryPage, PresencePage, StreamLimits};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::chain;
use super::{Api, ApiError, Method};

/// Publications shown at most.
const SHOWN_PUBLICATIONS: u32 = 20;

/// Clients read and shown at most: a channel may have a million.
const SHOWN_CLIENTS: usize = 100;

/// Bytes shown of a payload at most.
const SHOWN_BYTES: usize = 2048;

/// What may be done to channels, whoever the router delivers to.
pub trait ChannelCalls: Send + Sync + 'static {
    /// Looks at one.
    fn inspect(&self, channel: String) -> BoxFuture<'_, Result<ChannelReport, ApiError>>;

    /// Publishes with the parameters of `publish`; its result.
    fn publish(&self, params: Bytes) -> BoxFuture<'_, Result<Box<RawValue>, ApiError>>;
}

/// One channel.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelReport {
    /// Its name.
    pub channel: String,
    /// Its partition's number.
    pub partition: usize,
    /// Its stream; nothing where it keeps none.
    pub stream: Option<Known<StreamReport>>,
    /// Who is subscribed; nothing where that is not kept.
    pub presence: Option<Known<PresenceReport>>,
}

/// What could be read, or why it could not, in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// It was read.
    Read(T),
    /// It was not.
    Unknown(String),
}

/// A stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    epoch: String,
    offset: u64,
    /// How many publications it keeps at most.
    size: u32,
    /// For how many seconds after the last one.
    ttl: u64,
    /// The latest, newest first.
    publications: Vec<PublicationReport>,
}

/// A publication.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PublicationReport {
    offset: u64,
    /// Milliseconds since 1970.
    time: u64,
    /// The length of the payload.
    bytes: usize,
    /// The payload or its beginning, as text.
    text: String,
    /// Whether that is not all.
    is_cut: bool,
    /// The user who published; empty: it was the application, or somebody anonymous.
    user: String,
    tags: BTreeMap<String, String>,
}

/// Who is subscribed.
#[derive(Clone, Debug, Serialize)]
pub struct PresenceReport {
    clients: usize,
    /// Different users among them; nothing where not all clients were read.
    users: Option<usize>,
    /// How many clients are read and shown at most.
    most: usize,
    /// Those that were read.
    shown: Vec<ClientReport>,
}

/// A subscriber.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClientReport {
    client: String,
    user: String,
}

impl<A: Audience> ChannelCalls for Api<A> {
    fn inspect(&self, channel: String) -> BoxFuture<'_, Result<ChannelReport, ApiError>> {
        async move {
            let channels = self.channels.get();
            let (channel, options) = super::channel(&channels, &channel)?;
            let stream = options.stream().map(|limits| self.read_stream(&channel, limits));
            let presence = options
                .presence
                .then(|| self.router.presence_page(&channel, SHOWN_CLIENTS));
            let (stream, presence) = tokio::join!(OptionFuture::from(stream), OptionFuture::from(presence));
            Ok(ChannelReport {
                partition: Partition::of(&channel).index(),
                channel: channel.as_str().to_owned(),
                stream: stream.map(Into::into),
                presence: presence.map(|presence| presence.map(PresenceReport::from).into()),
            })
        }
        .boxed()
    }

    fn publish(&self, params: Bytes) -> BoxFuture<'_, Result<Box<RawValue>, ApiError>> {
        async move { self.call(Method::Publish, &params).await }.boxed()
    }
}

impl<A: Audience> Api<A> {
    async fn read_stream(
        &self,
        channel: &ChannelName,
        limits: StreamLimits,
    ) -> Result<StreamReport, RouterError> {
        let query = HistoryQuery {
            since: None,
            limit: Some(SHOWN_PUBLICATIONS),
            reverse: true,
            meta_ttl: limits.meta_ttl,
        };
        let page = self.router.history(channel, query).await?;
        Ok(StreamReport::new(&page, limits))
    }
}

impl<T, E: std::error::Error> From<Result<T, E>> for Known<T> {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Unknown(chain(&error)), Self::Read)
    }
}

impl StreamReport {
    fn new(page: &HistoryPage, limits: StreamLimits) -> Self {
        Self {
            epoch: page.position.epoch.as_str().to_owned(),
            offset: page.position.offset.get(),
            size: limits.size,
            ttl: limits.ttl.as_secs(),
            publications: page.publications.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Publication> for PublicationReport {
    fn from(publication: &Publication) -> Self {
        let data = &publication.data;
        let shown = &data[..data.len().min(SHOWN_BYTES)];
        let info = publication.info.as_ref();
        Self {
            offset: publication.offset.get(),
            time: publication.time.as_millis(),
            bytes: data.len(),
            text: text(shown),
            is_cut: shown.len() < data.len(),
            user: info.map(|info| info.user.clone()).unwrap_or_default(),
            tags: publication.tags.clone(),
        }
    }
}

/// Bytes as text; those of a letter that is cut in two are left out, others that are none are shown as such.
fn text(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).into_owned()
}

impl From<PresencePage> for PresenceReport {
    fn from(page: PresencePage) -> Self {
        let users: BTreeSet<&str> = page.members.values().map(|info| info.user.as_str()).collect();
        let all_are_read = page.members.len() >= page.total;
        let users = all_are_read.then_some(users.len());
        let client = |(client, info): (String, ClientInfo)| ClientReport {
            client,
            user: info.user,
        };
        Self {
            clients: page.total,
            users,
            most: SHOWN_CLIENTS,
            shown: page.members.into_iter().map(client).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_cut_between_letters() {
        assert_eq!(text("süß".as_bytes()), "süß");
        assert_eq!(text(&"süß".as_bytes()[..2]), "s");
        assert_eq!(text(b"\xff{}"), "\u{fffd}{}");
        let long = Publication {
            offset: 1.into(),
            data: Bytes::from("ü".repeat(2000)),
            info: None,
            tags: BTreeMap::new(),
            time: campanile_common::Timestamp::ZERO,
        };
        let report = PublicationReport::from(&long);
        assert!(report.is_cut && report.bytes == 4000);
        assert_eq!(report.text.len(), SHOWN_BYTES);
    }
}
