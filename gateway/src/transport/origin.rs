//! Which web pages may connect.
//!
//! Browsers let any page open a WebSocket to any server and send the user's cookies along; the `Origin` header is
//! how the server learns which page it is. The rules, those of Centrifugo where it has any:
//!
//! * no `Origin`: no browser, so no page to protect the user from; allowed;
//! * a page from the host that it connects to: allowed, also where nothing is configured, so that a gateway's own
//!   pages work;
//! * else one of the patterns of `client.allowed_origins` must match, in which `*` stands for any text. An empty
//!   list allows no other page.

/// `client.allowed_origins`, ready for use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    patterns: Vec<String>,
}

impl AllowedOrigins {
    /// The policy of these patterns, such as `https://*.example.com`. Case does not matter.
    pub fn new<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Self {
        let lowercase = |pattern: P| pattern.as_ref().to_ascii_lowercase();
        Self {
            patterns: patterns.into_iter().map(lowercase).collect(),
        }
    }

    /// Whether a page from `origin` may connect to `host`; both as the headers say.
    #[must_use]
    pub fn allow(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let origin = origin.to_ascii_lowercase();
        let own = |host: &str| {
            let (_, authority) = origin.split_once("://").unwrap_or_default();
            !host.is_empty() && authority.eq_ignore_ascii_case(host)
        };
        host.is_some_and(own) || self.patterns.iter().any(|pattern| matches(pattern, &origin))
    }
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The leftmost place for each part leaves the most for those after it.
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_allows_the_own_host_and_what_is_no_browser() {
        let nobody = AllowedOrigins::default();
        assert!(nobody.allow(None, Some("a.example")));
        assert!(nobody.allow(Some("http://A.example:8000"), Some("a.example:8000")));
        assert!(!nobody.allow(Some("http://a.example:8001"), Some("a.example:8000")));
        assert!(!nobody.allow(Some("https://evil.example"), Some("a.example")));
        assert!(!nobody.allow(Some("https://evil.example"), None));
        assert!(!nobody.allow(Some("null"), Some("")));
    }

    #[test]
    fn patterns_match_whole_origins() {
        let allowed = AllowedOrigins::new([
            "https://App.example",
            "https://*.example.com",
            "http://localhost:*",
        ]);
        let from = |origin| allowed.allow(Some(origin), Some("gateway"));
        assert!(from("https://app.example"));
        assert!(from("HTTPS://APP.EXAMPLE"));
        assert!(from("https://a.b.example.com"));
        assert!(from("http://localhost:3000"));
        assert!(!from("https://app.example.evil.org"));
        assert!(!from("http://app.example"));
        assert!(!from("https://example.com"));
        assert!(!from("https://a.example.com.evil.org"));
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*", "abc", true),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "acb", false),
            ("a**c", "abc", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
