//! Where a URL leads.

use std::net::IpAddr;

use url::Url;

/// Host and port of a URL of any kind that is used here. An IPv6 address is without brackets.
pub(crate) fn of(url: &str) -> Option<(String, u16)> {
    let parsed = Url::parse(url).ok()?;
    let port = parsed.port().or_else(|| match parsed.scheme() {
        "redis" | "rediss" => Some(6379),
        "quic" => Some(443),
        _ => parsed.port_or_known_default(),
    });
    let host = parsed.host_str()?.trim_matches(['[', ']']);
    Some((host.to_owned(), port?))
}

/// The address of this machine that a URL leads to, if it is one that only this machine has.
pub(super) fn loopback(url: &str) -> Option<IpAddr> {
    let (host, _) = of(url)?;
    if host == "localhost" {
        return Some(std::net::Ipv4Addr::LOCALHOST.into());
    }
    host.parse().ok().filter(IpAddr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_however_a_url_is_written() {
        for url in [
            "ws://127.0.0.1/connection/websocket",
            "ws://127.0.0.1:8000/connection/websocket",
            "quic://127.1.2.3:8000",
            "wss://localhost",
            "ws://[::1]:8000/ws",
            "ws://[::1]",
        ] {
            assert!(loopback(url).is_some(), "{url}");
        }
        for url in [
            "ws://10.0.0.1/127.0.0.1",
            "ws://127.0.0.1.example/",
            "127.0.0.1",
            "ws://[fe80::1]/",
        ] {
            assert_eq!(loopback(url), None, "{url}");
        }
    }

    #[test]
    fn every_kind_of_url_has_its_port() {
        let port = |url| of(url).map(|(_, port)| port);
        assert_eq!(
            [
                "ws://a",
                "wss://a",
                "quic://a",
                "redis://a",
                "redis://a:7",
                "http://[::1]:9/x"
            ]
            .map(port),
            [80, 443, 443, 6379, 7, 9].map(Some)
        );
    }
}
