//! The page itself: files that are compiled in and served as they are.

use std::future::{Ready, ready};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;

/// Stands for the prefix in the one file that names paths.
const PREFIX: &str = "@prefix@";

const INDEX: &str = include_str!("page/index.html");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Everything that the page loads: name, type, content.
const FILES: [(&str, &str, &str); 19] = [
    ("style.css", CSS, include_str!("page/style.css")),
    ("parts.css", CSS, include_str!("page/parts.css")),
    ("bell.svg", SVG, include_str!("page/bell.svg")),
    ("app.js", SCRIPT, include_str!("page/app.js")),
    ("calls.js", SCRIPT, include_str!("page/calls.js")),
    ("changes.js", SCRIPT, include_str!("page/changes.js")),
    ("channels.js", SCRIPT, include_str!("page/channels.js")),
    ("colours.js", SCRIPT, include_str!("page/colours.js")),
    ("decision.js", SCRIPT, include_str!("page/decision.js")),
    ("dom.js", SCRIPT, include_str!("page/dom.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("gateways.js", SCRIPT, include_str!("page/gateways.js")),
    ("inspector.js", SCRIPT, include_str!("page/inspector.js")),
    ("journal.js", SCRIPT, include_str!("page/journal.js")),
    ("login.js", SCRIPT, include_str!("page/login.js")),
    ("moves.js", SCRIPT, include_str!("page/moves.js")),
    ("ring.js", SCRIPT, include_str!("page/ring.js")),
    ("shards.js", SCRIPT, include_str!("page/shards.js")),
    ("summary.js", SCRIPT, include_str!("page/summary.js")),
];

/// Nothing inline, nothing from elsewhere, no frames, no forms that go anywhere, and no text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const PROTECTION: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    ("content-security-policy", POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// Sets what keeps answers out of caches and other sites' pages out of this one.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The routes of the files; the page is at the prefix with and without a slash.
pub(super) fn routes(prefix: &str) -> Router {
    let index = INDEX.replace(PREFIX, prefix);
    let files = FILES
        .iter()
        .map(|(name, kind, content)| (*name, *kind, (*content).to_owned()));
    let mut router = Router::new().route(prefix, get(page(HTML, index.clone())));
    for (name, kind, content) in files.chain([("", HTML, index)]) {
        router = router.route(&format!("{prefix}/{name}"), get(page(kind, content)));
    }
    router
}

/// A handler that answers with this content.
fn page(kind: &'static str, content: String) -> impl Fn() -> Ready<Response> + Clone + Send + Sync + 'static {
    let content = Bytes::from(content);
    move || {
        let mut response = ([(header::CONTENT_TYPE, kind)], content.clone()).into_response();
        protect(response.headers_mut());
        ready(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the policy would refuse, and what would make markup out of text.
    const FORBIDDEN: [&str; 9] = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "<style",
        " style=",
        " onclick=",
    ];

    #[test]
    fn no_text_becomes_markup_and_nothing_is_inline() {
        let index = ("index.html", HTML, INDEX);
        for (name, _, content) in FILES.into_iter().chain([index]) {
            for word in FORBIDDEN {
                assert!(!content.contains(word), "{name} has {word}");
            }
            let comes_from_elsewhere = content.split(['"', '\'', '(']).any(|part| {
                (part.starts_with("http:") || part.starts_with("https:"))
                    && !part.starts_with("http://www.w3.org/")
            });
            assert!(!comes_from_elsewhere, "{name} names another host");
        }
    }

    #[test]
    fn every_module_that_is_imported_is_served_and_every_one_served_is_needed() {
        let scripts = FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT);
        let imported = scripts.flat_map(|(_, _, content)| content.split("from \"./").skip(1));
        let mut imported: Vec<&str> = imported.filter_map(|rest| rest.split('"').next()).collect();
        imported.sort_unstable();
        imported.dedup();
        for (name, _, _) in FILES {
            let is_used = imported.contains(&name) || INDEX.contains(&format!("{PREFIX}/{name}"));
            assert!(is_used, "{name} is served for nobody");
        }
        for name in imported {
            assert!(
                FILES.iter().any(|(served, ..)| *served == name),
                "{name} is not served"
            );
        }
    }

    #[test]
    fn every_element_that_a_module_asks_for_is_on_the_page() {
        for (name, _, content) in FILES {
            for id in content
                .split("$(\"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
            {
                assert!(INDEX.contains(&format!("id=\"{id}\"")), "{name} asks for {id}");
            }
        }
    }
}
