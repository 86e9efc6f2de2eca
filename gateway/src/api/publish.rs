//! `publish` and `broadcast`.

use std::time::Duration;

use bytes::Bytes;
use campanile_common::ErrorCode;
use campanile_common::Offset;
use campanile_shard_router::audience::Audience;
use campanile_shard_router::publication::Publication;
use campanile_shard_router::router::Publish;
use campanile_shard_router::shard::{IdempotencyKey, Version};
use futures_util::stream::{self, StreamExt as _};

use super::method::payload;
use super::results::{Broadcasted, Published, Response};
use super::{Api, ApiError, params};
use crate::session::payload_fits;

/// How long an idempotency key is remembered: as long as callers retry. Centrifugo's value.
const IDEMPOTENCY_TTL: Duration = Duration::from_secs(5 * 60);

/// Publications of one broadcast under way at a time: enough to keep every shard busy.
const BROADCAST_CONCURRENCY: usize = 1024;

impl<A: Audience> Api<A> {
    pub(super) async fn publish(&self, mut params: params::Publish) -> Result<Published, ApiError> {
        let data = payload(std::mem::take(&mut params.data), &params.b64data)?;
        self.publish_to(&params.channel, &data, &params).await
    }

    pub(super) async fn broadcast(&self, mut params: params::Publish) -> Result<Broadcasted, ApiError> {
        if params.channels.is_empty() {
            return Err(ApiError::bad_request(&"a broadcast needs channels"));
        }
        let data = payload(std::mem::take(&mut params.data), &params.b64data)?;
        let channels = std::mem::take(&mut params.channels);
        let (data, params) = (&data, &params);
        let publishing = channels
            .into_iter()
            .map(|channel| async move { self.publish_to(&channel, data, params).await });
        let responses = stream::iter(publishing)
            .buffered(BROADCAST_CONCURRENCY)
            .map(Response::from);
        Ok(Broadcasted {
            responses: responses.collect().await,
        })
    }

    async fn publish_to(
        &self,
        channel: &str,
        data: &Bytes,
        params: &params::Publish,
    ) -> Result<Published, ApiError> {
        let channels = self.channels.get();
        let (channel, options) = super::channel(&channels, channel)?;
        if !payload_fits(options.publication_format, data) {
            return Err(ErrorCode::BadRequest.into());
        }
        let publication = Publication {
            offset: Offset::ZERO,
            data: data.clone(),
            info: None,
            tags: params.tags.clone(),
            time: self.clock.now(),
        };
        let outcome = self.router.publish(Publish {
            channel,
            publication,
            stream: options.stream().filter(|_| !params.skip_history),
            idempotency: (!params.idempotency_key.is_empty()).then(|| IdempotencyKey {
                key: params.idempotency_key.clone(),
                ttl: IDEMPOTENCY_TTL,
            }),
            version: (params.version > 0).then(|| Version {
                number: params.version,
                epoch: params.version_epoch.clone(),
            }),
        });
        Ok(outcome.await?.position.into())
    }
}
