//! HTTP: who may call, the body and its limits, how errors are answered.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use campanile_common::ErrorCode;
use campanile_shard_router::audience::Audience;
use serde::Serialize;
use tokio::time::timeout;

use super::error::ApiCode;
use super::results::Response as Outcome;
use super::{Api, ApiError, Method};
use crate::auth::keys_match;
use crate::config::{ApiAccess, ApiOptions, ErrorMode};
use crate::live::Live;

/// How long a caller may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

struct Endpoint<A: Audience> {
    api: Arc<Api<A>>,
    access: Live<ApiAccess>,
    error_mode: ErrorMode,
    body_limit: usize,
}

pub(super) fn routes<A: Audience>(api: Arc<Api<A>>, options: &ApiOptions, access: Live<ApiAccess>) -> Router {
    let endpoint = Endpoint {
        api,
        access,
        error_mode: options.error_mode,
        body_limit: options.body_limit,
    };
    let endpoint = Arc::new(endpoint);
    let prefix = &options.prefix;
    Router::new()
        .route(
            &format!("{prefix}/{{method}}"),
            post(answer::<A>).with_state(Arc::clone(&endpoint)),
        )
        .route(
            &format!("{prefix}/shards/{{method}}"),
            post(answer_about_shards::<A>).with_state(endpoint),
        )
}

async fn answer_about_shards<A: Audience>(
    state: State<Arc<Endpoint<A>>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    answer(state, Path(format!("shards/{method}")), request).await
}

async fn answer<A: Audience>(
    State(endpoint): State<Arc<Endpoint<A>>>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    if !endpoint.access.look().allows(&head.headers) {
        endpoint.api.meters.unauthorized();
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = match read(body, endpoint.body_limit).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let mode = error_mode(&head.headers, endpoint.error_mode);
    match Method::named(&method) {
        None => {
            endpoint
                .api
                .meters
                .failed(ApiCode::Protocol(ErrorCode::MethodNotFound));
            failure(ErrorCode::MethodNotFound.into(), mode)
        }
        Some(Method::Batch) => match endpoint.api.batch(&body).await {
            Ok(replies) => json(StatusCode::OK, &Batch { replies }),
            Err(error) => failure(error, mode),
        },
        Some(method) => match endpoint.api.call(method, &body).await {
            Ok(result) => json(StatusCode::OK, &Outcome::Result(result)),
            Err(error) => failure(error, mode),
        },
    }
}

impl ApiAccess {
    fn allows(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Anybody => true,
            Self::Nobody => false,
            Self::Key(key) => presented(headers).is_some_and(|presented| keys_match(key.expose(), presented)),
        }
    }
}

/// The key in `X-API-Key`, or behind `apikey` in `Authorization`.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("apikey")
        .then(|| key.trim().as_bytes())
}

async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, StatusCode> {
    match timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        // The body is too long, or the caller went away, who then does not see the answer.
        Ok(Err(_)) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn error_mode(headers: &HeaderMap, default: ErrorMode) -> ErrorMode {
    match headers.get("x-centrifugo-error-mode") {
        Some(mode) if mode == "transport" => ErrorMode::Transport,
        _ => default,
    }
}

fn failure(error: ApiError, mode: ErrorMode) -> Response {
    let status = match mode {
        ErrorMode::Body => StatusCode::OK,
        ErrorMode::Transport => error.status(),
    };
    json(status, &Outcome::<()>::Error(error))
}

#[derive(Serialize)]
struct Batch<R> {
    replies: R,
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    (status, axum::Json(value)).into_response()
}
