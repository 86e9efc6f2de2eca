use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A file written for Centrifugo v6, with most of what people set there.
const CENTRIFUGO: &str = include_str!("tests/centrifugo.yaml");

/// A configuration being written.
struct Written {
    dir: TempDir,
    sources: Sources,
}

impl Written {
    fn file(name: &str, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        Self { dir, sources }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> (Config, Report) {
        assert!(self.dir.path().exists());
        Config::load(&self.sources).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    fn errors(&self) -> Vec<String> {
        let Err(Invalid(report)) = Config::load(&self.sources) else {
            panic!("it was accepted");
        };
        texts(&report, Severity::Error)
    }
}

fn texts(report: &Report, severity: Severity) -> Vec<String> {
    let findings = report.findings().iter();
    findings
        .filter(|finding| finding.severity == severity)
        .map(|finding| finding.text.clone())
        .collect()
}

fn without_file() -> Sources {
    Sources::default()
}

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
fn a_file_of_centrifugo_starts_and_says_what_it_ignores() {
    let (config, report) = Written::file("config.yaml", CENTRIFUGO).load();
    let ShardsOptions::Redis(shards) = &config.shards else {
        panic!("two Redis addresses make two shards");
    };
    let urls: Vec<&str> = shards.iter().map(|shard| shard.url.expose()).collect();
    assert_eq!(
        urls,
        [
            "redis://:redis-password@10.0.0.11:6379/2",
            "redis://:redis-password@10.0.0.12:6379/2"
        ]
    );
    assert_eq!(shards[1].id.as_str(), "redis-2");
    assert_eq!(
        config.cluster.store.unwrap().url.to_string(),
        "redis://10.0.0.11:6379/2"
    );
    assert_eq!(config.cluster.prefix, "realtime");
    assert_eq!(config.http.internal.unwrap().port(), 9000);
    assert_eq!(config.client.ping_interval, Duration::from_secs(20));
    assert_eq!(
        config.channel.namespaces["chat"].history_ttl,
        Duration::from_secs(24 * 3600)
    );
    assert!(config.channel.namespaces["chat"].allow_publish.subscriber);
    assert!(config.channel.without_namespace.allow_user_limited_channels);

    let (warnings, security) = (
        texts(&report, Severity::Warning),
        texts(&report, Severity::Security),
    );
    for key in [
        "client.token.jwks_public_endpoint",
        "client.proxy.connect.endpoint",
        "rpc.ping.method",
        "channel.namespaces[0].delta_publish",
        "websocket.compression",
        "uni_sse.enabled",
        "engine.redis.io_timeout",
    ] {
        assert!(
            warnings.iter().any(|warning| warning.starts_with(key)),
            "{key}: {warnings:#?}"
        );
    }
    for key in [
        "http_server.tls.client_ca_pem",
        "channel.namespaces[1].subscribe_proxy_enabled",
    ] {
        assert!(
            security.iter().any(|warning| warning.starts_with(key)),
            "{key}: {security:#?}"
        );
    }
    assert!(
        texts(&report, Severity::Note)
            .iter()
            .any(|note| note.starts_with("swagger.enabled"))
    );
}

#[test]
fn a_section_of_centrifugo_that_is_off_is_only_noted() {
    let text = "http_server: {tls_autocert: {enabled: false}}\nclient: {token: {hmac_secret_key: a-long-enough-secret-key}}\nhttp_api: {key: k}";
    let (_, report) = Written::file("c.yaml", text).load();
    assert_eq!(texts(&report, Severity::Note).len(), 1);
    assert_eq!(report.findings().len(), 1, "{report}");
}

#[test]
fn without_anything_secrets_are_made_up_on_the_loopback_interface() {
    let (config, report) = Config::load(&without_file()).unwrap();
    let demo = config.demo.unwrap();
    assert_eq!(demo.api_key.len(), 32);
    assert_ne!(demo.api_key, demo.token_secret);
    assert!(config.http.public.ip().is_loopback() && config.http.page);
    assert!(matches!(config.shards, ShardsOptions::Embedded(shards) if shards.count == 4));
    assert!(config.channel.namespaces["demo"].stream().is_some());
    assert_eq!(report.findings(), []);
}

#[test]
fn secrets_are_made_up_only_where_nothing_is_configured() {
    let (config, _) = Written::file("c.json", "{}").load();
    assert!(config.demo.is_none() && !config.http.page, "a file is a decision");
    let mut sources = without_file();
    sources
        .environment
        .push(("CAMPANILE_HTTP_API_KEY".into(), "mine".into()));
    assert!(Config::load(&sources).unwrap().0.demo.is_none(), "so is a key");
}

#[test]
fn the_starter_file_is_valid_and_its_secrets_differ_each_time() {
    let starter = generate::starter();
    assert_ne!(starter, generate::starter());
    assert!(!starter.contains('@') || !starter.contains("_secret@"));
    let (config, report) = Written::file("c.yaml", &starter).load();
    assert_eq!(report.findings(), [], "{report}");
    assert!(config.auth.connection.hmac.is_some());
}

#[test]
fn secrets_do_not_show_in_what_is_logged() {
    let (config, report) = Written::file("config.yaml", CENTRIFUGO).load();
    let shown = format!("{config:?}{report}");
    for secret in [
        "redis-password",
        "centrifugo-secret",
        "centrifugo-api-key",
        "centrifugo-admin-password",
        "centrifugo-admin-secret",
    ] {
        assert!(
            CENTRIFUGO.contains(secret) && !shown.contains(secret),
            "{secret} shows"
        );
    }
}

#[test]
fn tls_is_for_both_ports_unless_said_otherwise() {
    let tls = |more: &str| {
        let pem = "cert_pem: c.pem, key_pem: k.pem";
        let text = format!("http_server: {{tls: {{enabled: true, {pem}}}{more}}}");
        Written::file("c.yaml", &text).load().0.tls
    };
    let both = tls("");
    assert!(both.public && both.internal == InternalTls::Shared);
    let Some(CertificateSource::Given { certificate, .. }) = both.certificate else {
        panic!("a certificate is given");
    };
    assert_eq!(certificate, PemSource::File("c.pem".into()));
    assert_eq!(tls(", tls_external: true").internal, InternalTls::Off);
    let own = tls(", tls_external: true, internal_tls: {enabled: true, cert_pem: i.pem, key_pem: j.pem}");
    assert!(
        matches!(
            own.internal,
            InternalTls::Own(CertificateSource::Given {
                section: "http_server.internal_tls",
                ..
            })
        ),
        "{:?}",
        own.internal
    );
}

#[test]
fn a_certificate_is_there_for_quic_although_tcp_is_plain() {
    let given = "http_server: {tls: {cert_pem: c.pem, key_pem: k.pem}}\n";
    for (text, is_given) in [
        ("quic: {enabled: true}", true),
        ("quic: {enabled: true, generated_certificate: true}", true),
        ("", false),
    ] {
        let tls = Written::file("c.yaml", &format!("{given}{text}")).load().0.tls;
        assert!(!tls.public && tls.internal == InternalTls::Off, "{text}");
        assert_ne!(tls.certificate, Some(CertificateSource::Generated), "{text}");
        assert_eq!(tls.certificate.is_some(), is_given, "{text}");
    }
    let generated = "http_server: {tls: {enabled: true}}\nquic: {generated_certificate: true}";
    let generated = Written::file("c.yaml", generated).load().0.tls;
    assert_eq!(generated.certificate, Some(CertificateSource::Generated));
    assert!(generated.public);
    let without = Config::load(&without_file()).unwrap().0.tls;
    assert_eq!(without.certificate, Some(CertificateSource::Generated));
    assert!(!without.public);
}

#[test]
fn moves_are_configured_and_have_defaults() {
    let (config, _) = Written::file("c.yaml", "{}").load();
    let defaults = MoveOptions {
        evict_after: Some(Duration::from_secs(30)),
        keeps_history: true,
        max_moving: 64,
        rate: Some(32 << 20),
        barrier_timeout: Duration::from_secs(10),
    };
    assert_eq!(config.cluster.moves, defaults);
    let text =
        "cluster: {evict_after: 0s, history_on_move: drop, max_moving: 8, move_rate: 0, barrier_timeout: 5s}";
    let (config, _) = Written::file("c.yaml", text).load();
    let changed = MoveOptions {
        evict_after: None,
        keeps_history: false,
        max_moving: 8,
        rate: None,
        barrier_timeout: Duration::from_secs(5),
    };
    assert_eq!(config.cluster.moves, changed);
    let (config, _) = Written::file("c.json", "{}")
        .variable("CAMPANILE_CLUSTER_MOVE_RATE", "1.5MB/s")
        .load();
    assert_eq!(config.cluster.moves.rate, Some(1_500_000));
}

#[test]
fn shards_are_managed_by_the_file_unless_they_are_in_this_process() {
    let managed = |text| Written::file("c.yaml", text).load().0.cluster.managed_by;
    assert_eq!(managed("{}"), ManagedBy::Api);
    assert_eq!(managed("shards: [{name: a, url: 'redis://a'}]"), ManagedBy::File);
    assert_eq!(managed("engine: {type: redis}"), ManagedBy::File);
    let (config, report) = Written::file("c.yaml", "cluster: {shards_managed_by: file}").load();
    assert_eq!(config.cluster.managed_by, ManagedBy::Api);
    assert!(report.to_string().contains("are managed by api"), "{report}");
}

#[test]
fn who_asks_the_topology_or_the_dns_need_not_list_shards() {
    let text = "cluster: {shards_managed_by: api, store: 'redis://a'}";
    let (config, _) = Written::file("c.yaml", text).load();
    assert!(matches!(config.shards, ShardsOptions::Redis(shards) if shards.is_empty()));
    let text = "cluster: {shards_managed_by: dns, store: 'redis://a', dns: {name: redis, kind: a, port: 7, interval: 1ms}}";
    let (config, report) = Written::file("c.yaml", text).load();
    assert!(matches!(config.shards, ShardsOptions::Redis(shards) if shards.is_empty()));
    let ManagedBy::Dns(dns) = config.cluster.managed_by else {
        panic!("it was said to be");
    };
    assert_eq!(
        (dns.kind, dns.interval),
        (RecordKind::Addresses(7), LEAST_INTERVAL)
    );
    assert!(
        report
            .to_string()
            .contains("cluster.dns.interval: 1ms is too often"),
        "{report}"
    );
}

#[test]
fn a_list_of_shards_needs_no_secrets_in_it() {
    let text = "shards: [{name: a, url: 'redis://a'}, {name: b, url: 'redis://own:word@b/3'}, \
         {name: c, url: 'redis+sentinel://s:1,t:2/c'}]";
    let file = Written::file("c.yaml", text).variable("CAMPANILE_ENGINE_REDIS_PASSWORD", "hush");
    let ShardsOptions::Redis(shards) = file.load().0.shards else {
        panic!("they are on Redis");
    };
    let urls: Vec<_> = shards.iter().map(|shard| shard.url.expose()).collect();
    let expected = [
        "redis://:hush@a",
        "redis://own:word@b/3",
        "redis+sentinel://:hush@s:1,t:2/c",
    ];
    assert_eq!(urls, expected);
}

#[test]
fn a_store_on_the_first_shard_believes_the_certificates_that_the_shard_believes() {
    let text = "shards: [{name: a, url: 'rediss://a', ca_file: ca.pem}]";
    let store = Written::file("c.yaml", text).load().0.cluster.store.unwrap();
    assert_eq!(store.ca_file, Some("ca.pem".into()));
}

#[test]
fn quic_needs_a_certificate_and_listens_beside_tcp() {
    let off = Written::file("c.yaml", "{}").load().0;
    assert!(off.quic.is_none(), "with a file it is off unless it is asked for");
    let text =
        "http_server: {address: 127.0.0.1, port: 9001}\nquic: {enabled: true, generated_certificate: true}";
    let quic = Written::file("c.yaml", text).load().0.quic.unwrap();
    assert_eq!(quic.address.to_string(), "127.0.0.1:9001");
    let text = "quic: {enabled: true, generated_certificate: true, address: '::1', port: 9002}";
    let quic = Written::file("c.yaml", text).load().0.quic.unwrap();
    assert_eq!(quic.address.to_string(), "[::1]:9002");
    let errors = Written::file("c.yaml", "quic: {enabled: true}").errors();
    assert!(errors[0].contains("QUIC needs a certificate"), "{errors:?}");
    let text = "quic: {enabled: true, generated_certificate: true, message_size_limit: 0, max_handshakes: 0}";
    assert_eq!(Written::file("c.yaml", text).errors().len(), 2);
    let webtransport = Written::file("c.yaml", "webtransport: {enabled: true}").errors();
    assert!(webtransport[0].contains("set quic.enabled"), "{webtransport:?}");
}

#[test]
fn without_any_configuration_quic_is_there_unless_it_is_refused() {
    let (config, _) = Config::load(&without_file()).unwrap();
    let quic = config.quic.unwrap();
    assert_eq!(quic.address.to_string(), "127.0.0.1:8000");
    assert!(config.webtransport.is_some());
    let refused = Sources {
        flags: vec![("quic.enabled".to_owned(), "false".to_owned())],
        ..without_file()
    };
    let (config, _) = Config::load(&refused).unwrap();
    assert!(config.quic.is_none() && config.webtransport.is_none());
}

#[test]
fn the_administration_page_needs_a_password_and_a_place_of_its_own() {
    let admin = |text: &str| Written::file("c.yaml", text).load().0.admin;
    for off in [
        "{}",
        "admin: {enabled: true, secret: a-long-enough-secret}",
        "admin: {enabled: false, password: a-long-enough-password}",
    ] {
        assert!(admin(off).is_none(), "{off}");
    }
    let on = admin("admin: {password: a-long-enough-password}").unwrap();
    assert_eq!(
        (on.prefix.as_str(), on.session_ttl),
        ("/admin", Duration::from_secs(12 * 3600))
    );
    assert!(on.secret.is_none());
    let moved = admin("admin: {password: a-long-enough-password, handler_prefix: /ops/}").unwrap();
    assert_eq!(moved.prefix, "/ops");
    for taken in ["/api", "/ready", "/demo", "/connection", "ops"] {
        let text = format!("admin: {{password: a-long-enough-password, handler_prefix: {taken}}}");
        let errors = Written::file("c.yaml", &text).errors();
        assert!(errors[0].starts_with("admin.handler_prefix: "), "{errors:?}");
    }
    let (_, report) = Written::file("c.yaml", "admin: {password: short, secret: short}").load();
    let warnings = texts(&report, Severity::Security);
    for key in ["admin.password", "admin.secret"] {
        assert!(
            warnings.iter().any(|warning| warning.starts_with(key)),
            "{warnings:?}"
        );
    }
    let text = "admin: {password: a-long-enough-password, session_ttl: 0s}";
    assert_eq!(Written::file("c.yaml", text).errors().len(), 1);
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
