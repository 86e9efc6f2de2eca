use std::time::Duration;

use campanile_common::ChannelName;
use regex::Regex;

use super::{ChannelOptions, Expected, NamespaceOptions, SecretKey, UnknownNamespace};

fn numbers_only() -> ChannelOptions {
    let mut options = ChannelOptions::default();
    options.namespaces.insert(
        "news".into(),
        NamespaceOptions {
            presence: true,
            channel_regex: Some(Regex::new("^[0-9]+$").unwrap()),
            ..NamespaceOptions::default()
        },
    );
    options
}

#[test]
fn a_channel_is_resolved_by_its_namespace() {
    let options = numbers_only();
    let resolve = |name: &str| {
        options
            .resolve(&ChannelName::from_trusted(name))
            .map(|found| found.presence)
    };
    assert_eq!(resolve("plain"), Ok(false));
    assert_eq!(resolve("news:7"), Ok(true));
    assert_eq!(
        resolve("$news:7"),
        Ok(true),
        "the private prefix is not part of the namespace"
    );
    assert_eq!(resolve("sports:7"), Err(UnknownNamespace));
    assert_eq!(resolve(":7"), Err(UnknownNamespace));
}

#[test]
fn a_pattern_sees_the_name_without_its_namespace() {
    let options = numbers_only();
    for (name, matches) in [
        ("news:7", true),
        ("$news:7", true),
        ("news:x", false),
        ("news:", false),
    ] {
        let channel = ChannelName::from_trusted(name);
        let found = options.resolve(&channel).unwrap();
        assert_eq!(options.allows_name(&channel, found), matches, "{name}");
    }
}

#[test]
fn a_stream_needs_a_size_and_a_time() {
    let mut options = NamespaceOptions {
        history_size: 10,
        ..NamespaceOptions::default()
    };
    assert_eq!(options.stream(), None);
    options.history_ttl = Duration::from_secs(60);
    options.history_meta_ttl = Duration::from_secs(1);
    let stream = options.stream().unwrap();
    assert_eq!(stream.size, 10);
    assert_eq!(
        stream.meta_ttl, stream.ttl,
        "a position never expires before its content"
    );
}

#[test]
fn keys_do_not_show() {
    let key = SecretKey::new(b"hush").unwrap();
    assert!(!format!("{key:?}").contains("hush"));
    assert_eq!(SecretKey::new(b""), None);
}

#[test]
fn patterns_are_searched_for() {
    let expected = Expected::Matching(Regex::new("^app-").unwrap());
    assert!(expected.accepts("app-1"));
    assert!(!expected.accepts("my-app-1"));
    assert!(!Expected::Exactly("app".into()).accepts("app-1"));
}
