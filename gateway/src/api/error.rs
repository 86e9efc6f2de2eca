//! How a call failed.

use std::borrow::Cow;
use std::fmt::Display;

use axum::http::StatusCode;
use campanile_common::ErrorCode;
use campanile_shard_router::router::RouterError;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use crate::cluster::ClusterError;
use crate::shards::{Refusal, RefusalCode};

/// How a call failed: `{"code", "message"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The number.
    pub code: ApiCode,
    /// In words.
    pub message: Cow<'static, str>,
}

/// The number of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCode {
    /// One of the client protocol's.
    Protocol(ErrorCode),
    /// One of the methods about shards.
    Shards(RefusalCode),
}

impl ApiCode {
    /// Every number, each once.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let protocol = ErrorCode::ALL.into_iter().map(Self::Protocol);
        protocol.chain(RefusalCode::OWN.into_iter().map(Self::Shards))
    }

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Protocol(code) => code.code(),
            Self::Shards(code) => code.code(),
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Protocol(code) => protocol_status(code),
            Self::Shards(code) => shards_status(code),
        }
    }
}

impl ApiError {
    /// The parameters make no sense.
    pub(super) fn bad_request(why: &dyn Display) -> Self {
        tracing::debug!(%why, "an API call makes no sense");
        ErrorCode::BadRequest.into()
    }

    /// The HTTP status that says the same.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }
}

fn protocol_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::UnknownChannel | ErrorCode::MethodNotFound => StatusCode::NOT_FOUND,
        ErrorCode::ConcurrentPagination => StatusCode::CONFLICT,
        ErrorCode::UnrecoverablePosition => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::AlreadySubscribed
        | ErrorCode::LimitExceeded
        | ErrorCode::BadRequest
        | ErrorCode::NotAvailable
        | ErrorCode::TokenExpired
        | ErrorCode::Expired => StatusCode::BAD_REQUEST,
    }
}

fn shards_status(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::UnknownShard => StatusCode::NOT_FOUND,
        RefusalCode::ShardExists
        | RefusalCode::NoShardLeft
        | RefusalCode::MovesUnderWay
        | RefusalCode::WrongState => StatusCode::CONFLICT,
        RefusalCode::UnusableShard => StatusCode::UNPROCESSABLE_ENTITY,
        RefusalCode::ManagedElsewhere => StatusCode::FORBIDDEN,
        RefusalCode::Outdated => StatusCode::PRECONDITION_FAILED,
        RefusalCode::Nonsense => StatusCode::BAD_REQUEST,
        RefusalCode::NotNow => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self {
            code: ApiCode::Protocol(code),
            message: Cow::Borrowed(code.message()),
        }
    }
}

/// What to do is said in the answer: operators read it.
impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        tracing::info!(why = %refusal, "a change of the shards is refused");
        Self {
            code: ApiCode::Shards(refusal.code),
            message: Cow::Owned(refusal.message),
        }
    }
}

impl From<RouterError> for ApiError {
    fn from(error: RouterError) -> Self {
        match error {
            RouterError::UnrecoverablePosition => ErrorCode::UnrecoverablePosition.into(),
            error => {
                tracing::warn!(error = chain(&error), "an API call failed");
                ErrorCode::Internal.into()
            }
        }
    }
}

/// Says which gateways did not answer: whoever called must know where the command may not have been carried out.
impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        let error = chain(&error);
        tracing::warn!(error, "a command was not carried out by the whole cluster");
        Self {
            code: ApiCode::Protocol(ErrorCode::Internal),
            message: Cow::Owned(format!("{}: {error}", ErrorCode::Internal.message())),
        }
    }
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Error", 2)?;
        object.serialize_field("code", &self.code.code())?;
        object.serialize_field("message", &self.message)?;
        object.end()
    }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
