//! What a configuration that cannot be used is answered with.

use super::*;

#[test]
fn a_key_that_nobody_knows_is_an_error_with_a_guess() {
    let text = "token_hmac_secret_key: x\nzebra: 1\nchannel:\n  namespaces:\n    - {name: a}\n    - {name: b, histroy_size: 1}\n";
    assert_eq!(
        Written::file("c.yml", text).errors(),
        [
            "channel.namespaces[1].histroy_size: there is no such key; did you mean channel.namespaces[].history_size?",
            "token_hmac_secret_key: there is no such key; did you mean client.token.hmac_secret_key?",
            "zebra: there is no such key",
        ]
    );
}

#[test]
fn an_error_names_the_key_the_value_and_what_to_write() {
    let cases = [
        (
            "client: {channel_limit: many}",
            "client.channel_limit: invalid type: string \"many\", expected a whole number from 0 to 4294967295",
        ),
        (
            "client: {channel_limit: -1}",
            "client.channel_limit: invalid value: integer `-1`, expected a whole number from 0",
        ),
        (
            "client: {ping_interval: 25}",
            "client.ping_interval: invalid type: integer `25`, expected a duration with a unit",
        ),
        (
            "client: {ping_interval: 5s}",
            "client.pong_timeout: 8s is not shorter than client.ping_interval, 5s",
        ),
        (
            "http_server: {address: here}",
            "http_server.address: \"here\" is not an IP address",
        ),
        (
            "webtransport: {enabled: true}",
            "webtransport.enabled: it is served on the port of QUIC",
        ),
        (
            "webtransport: {enabled: true, handler_prefix: here}",
            "webtransport.handler_prefix: \"here\" is not a path",
        ),
        (
            "http_server: {tls: {enabled: true}}",
            "http_server.tls.cert_pem: not set; TLS needs a certificate",
        ),
        (
            "http_server: {tls: {cert_pem: c.pem}}",
            "http_server.tls.key_pem: not set; a certificate needs both",
        ),
        (
            "http_server: {internal_tls: {enabled: true, key_pem: k.pem}}",
            "http_server.internal_tls.cert_pem: not set; a certificate needs both",
        ),
        (
            "quic: {enabled: true}",
            "quic.enabled: QUIC needs a certificate: write",
        ),
        ("log: {level: loud}", "log.level: \"loud\" is none; write trace,"),
        (
            "health: {handler_prefix: /metrics}",
            "health.handler_prefix: \"/metrics\" is the path of another endpoint",
        ),
        (
            "shards: [{name: a, url: 'redis://a'}, {name: a, url: nowhere}]",
            "shards[1].name: \"a\" is taken",
        ),
        (
            "shards: [{name: a, url: nowhere}]",
            "shards[0].url: not the URL of a Redis; write redis://",
        ),
        (
            "engine: {type: nats}",
            "engine.type: \"nats\" is none; write memory or redis",
        ),
        (
            "shards: [{name: a, url: 'redis://a', ca_file: ca.pem}]",
            "shards[0].ca_file: redis://a:6379 is no TLS connection; write rediss for redis in the URL",
        ),
        (
            "shards: [{name: a, url: 'redis+sentinel://s/main', durable: true}]",
            "shards[0].durable: a shard behind Sentinel is not durable",
        ),
        (
            "cluster: {store: 'redis://s', shards_managed_by: dns, dns: {name: n, durable: true, url: 'redis+sentinel://s/{name}'}}",
            "cluster.dns.durable: a shard behind Sentinel is not durable",
        ),
        (
            "cluster: {store: 'redis://s', shards_managed_by: dns, dns: {name: n, replica_mark: -b}}",
            "cluster.dns.replica_mark: several hosts are one shard only behind Sentinels",
        ),
        (
            "shards: [{name: a, url: 'redis://a'}]\ncluster: {store: 'redis://a', store_ca_file: ca.pem}",
            "cluster.store_ca_file: redis://a:6379 is no TLS",
        ),
        (
            "shards: [{name: a, url: 'redis://a'}]\ncluster: {shards_managed_by: me}",
            "cluster.shards_managed_by: \"me\" is none; write file, api or dns",
        ),
        (
            "cluster: {shards_managed_by: dns}",
            "cluster.store: not set; shards that the DNS names need one",
        ),
        (
            "cluster: {shards_managed_by: dns, store: 'redis://a'}",
            "cluster.dns.name: not set; write the name",
        ),
        (
            "cluster: {shards_managed_by: dns, store: 'redis://a', dns: {name: a, kind: mx}}",
            "cluster.dns.kind: \"mx\" is none; write srv or a",
        ),
        (
            "cluster: {shards_managed_by: dns, store: 'redis://a', dns: {name: a, url: 'redis://a'}}",
            "cluster.dns.url: makes no URL of a Redis",
        ),
        (
            "cluster: {history_on_move: burn}",
            "cluster.history_on_move: \"burn\" is none; write keep or drop",
        ),
        ("cluster: {max_moving: 0}", "cluster.max_moving: 0 moves nothing"),
        (
            "cluster: {barrier_timeout: 0s}",
            "cluster.barrier_timeout: 0s lets",
        ),
        (
            "cluster: {move_rate: fast}",
            "cluster.move_rate: invalid value: string \"fast\", expected a number of bytes",
        ),
        (
            "channel: {namespaces: [{name: a, quic_datagrams: true, history_size: 1, history_ttl: 1s}]}",
            "channel.namespaces[0].quic_datagrams: datagrams may be lost",
        ),
        (
            "channel: {namespaces: [{name: a, force_recovery: true}]}",
            "channel.namespaces[0].force_recovery: nothing can be",
        ),
        (
            "channel: {namespaces: [{name: a, channel_regex: '('}]}",
            "channel.namespaces[0].channel_regex: not a regular",
        ),
    ];
    for (text, expected) in cases {
        let errors = Written::file("c.yaml", text).errors();
        assert!(
            errors.iter().any(|error| error.starts_with(expected)),
            "{text}: {errors:?}"
        );
    }
}

#[test]
fn a_secret_of_the_wrong_type_is_not_shown() {
    let errors = Written::file("c.yaml", "client: {token: {hmac_secret_key: 42424242}}").errors();
    assert!(
        errors[0].starts_with("client.token.hmac_secret_key: expected a text"),
        "{errors:?}"
    );
    assert!(!errors[0].contains("42424242"), "{errors:?}");
}

#[test]
fn all_errors_are_told_at_once() {
    assert_eq!(
        Written::file("c.yaml", "log: {level: loud}\nshards: [{}]\nzebra: 1")
            .errors()
            .len(),
        4
    );
}

#[test]
fn a_file_of_another_kind_or_of_nonsense_is_refused() {
    for (name, text) in [
        ("c.ini", "a=b"),
        ("c.json", "{"),
        ("c.yaml", "- a"),
        ("c.toml", "a"),
    ] {
        let Err(Invalid(report)) = Config::load(&Written::file(name, text).sources) else {
            panic!("{name} was accepted");
        };
        assert_eq!(
            report.findings().len(),
            1,
            "{name}: what it would have said is not missing: {report}"
        );
    }
    let mut sources = without_file();
    sources.file = Some("/nowhere/c.yaml".into());
    let Err(Invalid(report)) = Config::load(&sources) else {
        panic!("it was accepted");
    };
    assert_eq!(report.findings().len(), 1, "{report}");
}

#[test]
fn mistakes_of_one_kind_are_told_apart_from_mixed_ones() {
    let kind = |text: &str| {
        let Err(Invalid(report)) = Config::load(&Written::file("c.yaml", text).sources) else {
            panic!("it was accepted: {text}");
        };
        report.kind()
    };
    assert_eq!(kind("zebra: 1\nlion: 2"), Mistake::UnknownKey);
    assert_eq!(kind("client: {ping_interval: 25}"), Mistake::WrongType);
    assert_eq!(kind("client: 25"), Mistake::WrongType);
    let shards = "shards: [{name: a, url: 'redis://a'}, {name: a, url: 'redis://b'}]";
    assert_eq!(kind(shards), Mistake::NameTaken);
    assert_eq!(
        kind("channel: {namespaces: [{name: a}, {name: a}]}"),
        Mistake::NameTaken
    );
    assert_eq!(kind("log: {level: loud}"), Mistake::Other);
    assert_eq!(kind(&format!("{shards}\nzebra: 1")), Mistake::Other);
    assert_eq!(kind("- a"), Mistake::File);
}

#[test]
fn an_error_says_where_its_key_is_set() {
    let text = "log:\n  level: loud\nclient:\n  channel_limit: 1\n  ping_interval: 25\n";
    let place = |written: &Written| {
        let Err(Invalid(report)) = Config::load(&written.sources) else {
            panic!("it was accepted");
        };
        let places = report.errors().filter_map(|error| error.place.as_ref());
        places.map(ToString::to_string).collect::<Vec<_>>()
    };
    let written = Written::file("c.yaml", text);
    let file = written.sources.file.as_ref().unwrap().display().to_string();
    assert_eq!(place(&written), [format!("{file}:5")]);
    let written = written.variable("CAMPANILE_CLIENT_PING_INTERVAL", "5 parsecs");
    assert_eq!(
        place(&written),
        ["environment variable CAMPANILE_CLIENT_PING_INTERVAL"]
    );
    let written = written.flag("client.ping_interval", "25");
    assert_eq!(place(&written), ["command line"]);
    let written = Written::file("c.yaml", "{}").variable("CAMPANILE_SHARDS", "[{\"name\": \"a\"}]");
    assert_eq!(place(&written), ["environment variable CAMPANILE_SHARDS"]);
}

#[test]
fn an_error_is_one_line() {
    for (name, text) in [
        ("c.toml", "a = 'b\nc = 1"),
        ("c.toml", "[a]\nb = 1\n[a]"),
        ("c.yaml", "a: b: c"),
        ("c.json", "{\n\"a\": }"),
        (
            "c.yaml",
            "channel: {namespaces: [{name: a, channel_regex: '(a\n\n(b'}]}",
        ),
    ] {
        let errors = Written::file(name, text).errors();
        assert!(errors.len() == 1 && !errors[0].contains('\n'), "{errors:?}");
    }
}
