//! The page at `/`, on which two browser tabs talk to each other.

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::demo::Demo;
use crate::tls::Certificates;

const PAGE: &str = include_str!("../page/index.html");

/// The page needs nothing from elsewhere and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, what its visitors may do without a key, if anything, and the certificate for which no authority vouches.
pub fn page(demo: Option<Demo>, generated: Option<Certificates>) -> Router {
    let mut router = Router::new().route("/", get(index));
    if let Some(demo) = demo {
        router = router.merge(demo.routes());
    }
    if let Some(generated) = generated {
        router = router.route("/demo/certificate", get(certificate).with_state(generated));
    }
    router
}

/// What to pin: the certificate now in use, which is another one after some days.
async fn certificate(State(generated): State<Certificates>) -> Response {
    let fingerprint = generated.fingerprint();
    let body = json!({ "sha256": fingerprint.to_string(), "base64": fingerprint.base64() });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
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
