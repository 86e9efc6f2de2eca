//! What every call has to pass before anything is looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::error::Failure;
use super::session::Session;
use super::{Admin, cookie};
use crate::transport::origin::AllowedOrigins;

/// The header with the token that only who may read answers of this origin knows.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

/// Longest body of a call in bytes: a publication's payload, for the most part.
const MAX_BODY: usize = 256 * 1024;

/// The same of a call by somebody unknown.
const MAX_STRANGER_BODY: usize = 4 * 1024;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Lets through who has no session yet, or none any more, but only from the page.
pub(super) async fn stranger(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let checked = async {
        admin.check_origin(&request)?;
        with_body(request, MAX_STRANGER_BODY).await
    };
    pass(checked.await, next).await
}

/// Lets through who has a session, and where something may change, only from the page.
pub(super) async fn operator(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let checked = async {
        admin.check_origin(&request)?;
        let session = admin.check_session(&request)?;
        admin.check_token(&request, &session)?;
        let mut request = with_body(request, MAX_BODY).await?;
        let operator = admin.operator(&session, peer.ip());
        request.extensions_mut().insert(operator);
        Ok(request)
    };
    pass(checked.await, next).await
}

async fn pass(checked: Result<Request, Failure>, next: Next) -> Response {
    let mut response = match checked {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    super::files::protect(response.headers_mut());
    response
}

impl Admin {
    /// Refuses what another site's page may have asked for, and what is not JSON, which a form cannot send.
    fn check_origin(&self, request: &Request) -> Result<(), Failure> {
        if is_safe(request.method()) {
            return Ok(());
        }
        if !is_same_origin(request.headers()) {
            self.meters.cross_site.increment(1);
            // Anybody can have this said as often as they like: it is counted, not told.
            tracing::debug!(origin = ?request.headers().get(header::ORIGIN), "a call of another site is refused");
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                "this call does not come from the administration page",
            ));
        }
        if !is_json(request.headers()) {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be JSON",
            ));
        }
        Ok(())
    }

    /// The session of a request, if there is one and it is not over.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let now = self.parts.clock.now();
        let mut tokens = cookie::values(headers, cookie::SESSION);
        tokens.find_map(|token| self.sessions.recognise(token, now))
    }

    fn check_session(&self, request: &Request) -> Result<Session, Failure> {
        self.session(request.headers()).ok_or_else(|| {
            self.meters.no_session.increment(1);
            Failure::new(
                StatusCode::UNAUTHORIZED,
                "log in: there is no session, or it is over",
            )
        })
    }

    fn check_token(&self, request: &Request, session: &Session) -> Result<(), Failure> {
        if is_safe(request.method()) {
            return Ok(());
        }
        let presented = request.headers().get(CSRF_HEADER);
        if presented.is_some_and(|presented| self.sessions.is_csrf(session, presented.as_bytes())) {
            return Ok(());
        }
        self.meters.cross_site.increment(1);
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "the page's token is missing; load the page again",
        ))
    }
}

/// Whether the method never changes anything here.
fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether the browser says that a page of this very origin asks. A browser says one of the two; where a proxy has given the request
/// another host, the first, which pages cannot forge.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => AllowedOrigins::default().allow(Some(origin), text("host")),
        (None, None) => false,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// The request with its body at hand, which is neither too long nor too slow.
async fn with_body(request: Request, limit: usize) -> Result<Request, Failure> {
    let (head, body) = request.into_parts();
    match timeout(BODY_TIMEOUT, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body))),
        // Or the caller went away, who then does not see the answer.
        Ok(Err(_)) => Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("more than {limit} bytes are not taken here"),
        )),
        Err(_) => Err(Failure::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request took too long",
        )),
    }
}
