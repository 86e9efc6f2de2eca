//! The page at `/`, on which two browser tabs talk to each other.

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::demo::Demo;

const PAGE: &str = include_str!("../page/index.html");

/// The page needs nothing from elsewhere and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, and what its visitors may do without a key, if anything.
pub fn page(demo: Option<Demo>) -> Router {
    let router = Router::new().route("/", get(index));
    match demo {
        Some(demo) => router.merge(demo.routes()),
        None => router,
    }
}

async fn index() -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(PAGE)).into_response()
}
