use super::*;

fn parse(url: &str) -> RedisPlace {
    RedisPlace::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[test]
fn a_server_has_a_host_a_port_a_login_and_a_database() {
    let place = parse("rediss://us%40er:p%3Aw@redis.example:6390/7");
    assert!(place.has_tls() && !place.has_sentinels());
    assert_eq!(place.address(), "redis.example:6390");
    let login = place.server_login();
    assert_eq!(login.username(), Some("us@er"));
    assert_eq!(login.password(), Some("p:w"));
    assert_eq!(login.db(), 7);
    for (url, address) in [
        ("redis://host", "host:6379"),
        ("redis://host/", "host:6379"),
        ("redis://127.0.0.1:1", "127.0.0.1:1"),
        ("redis://[::1]:6390/2", "[::1]:6390"),
        ("redis://[fd00::7]", "[fd00::7]:6379"),
    ] {
        assert_eq!(parse(url).address(), address);
    }
    assert_eq!(
        parse("redis://:only-a-password@host").server_login().username(),
        None
    );
}

#[test]
fn sentinels_are_several_hosts_and_a_service() {
    let place = parse(
        "redis+sentinel://app:hush@s1,10.0.0.2:5000,[::1]:26380/main%20one/3?sentinel_user=look&sentinel_password=psst",
    );
    assert!(place.has_sentinels() && !place.has_tls());
    assert_eq!(place.service(), Some("main one"));
    let hosts: Vec<String> = place.hosts().iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["s1:26379", "10.0.0.2:5000", "[::1]:26380"]);
    assert_eq!(place.server_login().db(), 3);
    assert_eq!(place.server_login().password(), Some("hush"));
    assert_eq!(place.sentinel_login().username(), Some("look"));
    assert_eq!(place.sentinel_login().password(), Some("psst"));
    assert!(parse("rediss+sentinel://s/main").has_tls());
    assert_eq!(parse("redis+sentinel://s/main").sentinel_login().password(), None);
}

#[test]
fn nothing_secret_is_shown() {
    let place = parse("redis+sentinel://app:hush@s1,s2/main/3?sentinel_user=look&sentinel_password=p@sst");
    let shown = format!("{place} {place:?} {:#?} {}", place, place.address());
    assert!(
        shown.starts_with("redis+sentinel://s1:26379,s2:26379/main/3 "),
        "{shown}"
    );
    for secret in ["app", "hush", "look", "p@sst"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (url, error) in [
        ("", NotAPlace::Scheme),
        ("host:6379", NotAPlace::Scheme),
        ("http://host", NotAPlace::Scheme),
        ("redis-sentinel://host/main", NotAPlace::Scheme),
        ("redis://", NotAPlace::Host),
        ("redis://:6379", NotAPlace::Host),
        ("redis://user:pw@", NotAPlace::Host),
        ("redis://ho st", NotAPlace::Host),
        ("redis://[::1", NotAPlace::Host),
        ("redis://[redis]:1", NotAPlace::Host),
        ("redis://host#insecure", NotAPlace::Host),
        ("redis+sentinel://a,,b/main", NotAPlace::Host),
        ("redis://a,b", NotAPlace::Hosts),
        ("redis://host:port", NotAPlace::Port),
        ("redis://host:65536", NotAPlace::Port),
        ("redis://host/first", NotAPlace::Database),
        ("redis://host/-1", NotAPlace::Database),
        ("redis+sentinel://a/main/first", NotAPlace::Database),
        ("redis+sentinel://a", NotAPlace::Service),
        ("redis+sentinel://a/", NotAPlace::Service),
        ("redis+sentinel://a/main?password=x", NotAPlace::Query),
        ("redis+sentinel://a/main?sentinel_user", NotAPlace::Query),
        ("redis://host?sentinel_user=x", NotAPlace::Query),
        ("redis://a%zz:b@host", NotAPlace::Encoding),
        ("redis://:%ff@host", NotAPlace::Encoding),
    ] {
        assert_eq!(RedisPlace::parse(url), Err(error), "{url}");
    }
}
