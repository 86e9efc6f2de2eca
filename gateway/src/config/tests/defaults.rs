//! What counts where nothing is said, and what is made up.

use super::*;

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
