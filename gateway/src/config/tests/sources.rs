//! Where values come from: files, the environment, flags; and what is said of names that set nothing.

use super::*;

#[test]
fn the_three_formats_say_the_same() {
    let files = [
        (
            "c.json",
            r#"{"http_server": {"port": 9001}, "channel": {"namespaces": [{"name": "news", "history_ttl": "1m"}]}}"#,
        ),
        (
            "c.yaml",
            "http_server:\n  port: 9001\nclient:\nchannel:\n  namespaces:\n    - name: news\n      history_ttl: 1m\n",
        ),
        (
            "c.toml",
            "[http_server]\nport = 9001\n[[channel.namespaces]]\nname = \"news\"\nhistory_ttl = \"1m\"\n",
        ),
    ];
    for (name, text) in files {
        let (config, _) = Written::file(name, text).load();
        assert_eq!(config.http.public.port(), 9001, "{name}");
        assert_eq!(
            config.channel.namespaces["news"].history_ttl,
            Duration::from_secs(60),
            "{name}"
        );
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let written = Written::file(
        "c.yaml",
        "http_server: {port: 1, internal_port: '1'}\nnode: {name: file}",
    )
    .variable("CAMPANILE_HTTP_SERVER_PORT", "2")
    .variable("CAMPANILE_HTTP_SERVER_INTERNAL_PORT", "2")
    .flag("http_server.port", "3");
    let (config, _) = written.load();
    assert_eq!(config.http.public.port(), 3);
    assert_eq!(config.http.internal.unwrap().port(), 2);
    assert_eq!(config.node_name.as_deref(), Some("file"));
}

#[test]
fn the_environment_sets_secrets_lists_and_objects() {
    let written = Written::file("c.json", "{}")
        .variable("CAMPANILE_CLIENT_TOKEN_HMAC_SECRET_KEY", "12345678901234567890")
        .variable("CAMPANILE_CLIENT_ALLOWED_ORIGINS", "https://a https://b")
        .variable("CAMPANILE_CLIENT_INSECURE", "true")
        .variable("CAMPANILE_CHANNEL_WITHOUT_NAMESPACE", r#"{"presence": true}"#)
        .variable("CAMPANILE_SHARDS", r#"[{"name": "a", "url": "redis://a"}]"#);
    let (config, _) = written.load();
    let key = config.auth.connection.hmac.unwrap().current;
    assert_eq!(key.expose(), b"12345678901234567890");
    assert_eq!(config.allowed_origins, ["https://a", "https://b"]);
    assert!(config.client.insecure);
    assert!(config.channel.without_namespace.presence);
    assert!(matches!(config.shards, ShardsOptions::Redis(shards) if shards[0].id.as_str() == "a"));
}

#[test]
fn variables_that_set_nothing_are_named_but_for_those_of_kubernetes() {
    let written = Written::file("c.json", "{}")
        .variable("CAMPANILE_CLIENT_TOKEN_HMAC_SECRET", "x")
        .variable("CAMPANILE_GRPC_API_PORT", "1")
        .variable("CAMPANILE_SERVICE_PORT_HTTP", "8000")
        .variable("CAMPANILE_PORT_8000_TCP_ADDR", "10.0.0.1")
        .variable("HOME", "/");
    let warnings = texts(&written.load().1, Severity::Warning);
    let about = |text: &str| warnings.iter().filter(|warning| warning.contains(text)).count();
    assert_eq!(
        about("did you mean CAMPANILE_CLIENT_TOKEN_HMAC_SECRET_KEY?"),
        1,
        "{warnings:?}"
    );
    assert_eq!(
        about("CAMPANILE_GRPC_API_PORT is not supported yet"),
        1,
        "{warnings:?}"
    );
    assert_eq!(about("SERVICE") + about("PORT_8000"), 0, "{warnings:?}");
}

#[test]
fn a_file_that_has_been_read_is_not_looked_at_again() {
    let sources = Sources {
        file: Some("/nowhere/c.yaml".into()),
        ..Sources::default()
    };
    let (config, _) = Config::load_text(&sources, b"http_server:\n  port: 9001\n").unwrap();
    assert_eq!(config.http.public.port(), 9001);
    let Err(Invalid(report)) = Config::load_text(&sources, b"log:\n  level: loud\n") else {
        panic!("it was accepted");
    };
    let place = report.errors().next().and_then(|error| error.place.clone());
    assert_eq!(place, Some(Place::File("/nowhere/c.yaml".into(), 2)));
}
