use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn allowed_users(name: &str) -> Option<Vec<String>> {
    let syntax = ChannelSyntax::default();
    syntax
        .allowed_users(name)
        .map(|users| users.map(str::to_owned).collect())
}

#[test]
fn names_are_bounded_in_bytes() {
    assert_eq!(ChannelName::parse("", 5), Err(ChannelNameError::Empty));
    assert_eq!(
        ChannelName::parse("ßßß", 5),
        Err(ChannelNameError::TooLong { length: 6, max: 5 })
    );
    assert_eq!(ChannelName::parse("ßß1", 5).unwrap().as_str(), "ßß1");
    assert!(ChannelSyntax::default().parse(&"x".repeat(256)).is_err());
}

#[test]
fn a_name_is_found_by_its_text() {
    let map = HashMap::from([(ChannelName::from_trusted("a:b"), 1)]);
    assert_eq!(map.get("a:b"), Some(&1));
}

#[test]
fn the_namespace_ends_at_the_first_boundary() {
    let syntax = ChannelSyntax::default();
    for (name, namespace) in [
        ("news", None),
        ("news:a", Some("news")),
        ("news:a:b", Some("news")),
        ("$news:a", Some("news")),
        ("$news", None),
        (":a", Some("")),
        ("a$:b", Some("a$")),
    ] {
        assert_eq!(syntax.namespace(name), namespace, "{name}");
    }
    assert!(syntax.is_private("$a"));
    assert!(!syntax.is_private("a$"));
}

#[test]
fn the_users_stand_after_the_last_boundary() {
    assert_eq!(allowed_users("dialog"), None);
    assert_eq!(allowed_users("dialog#1,22"), Some(vec!["1".into(), "22".into()]));
    assert_eq!(allowed_users("dialog#1#2"), Some(vec!["2".into()]));
    assert_eq!(allowed_users("dialog#"), Some(vec![String::new()]));
    assert_eq!(allowed_users("dialog#1,"), Some(vec!["1".into(), String::new()]));
}

#[test]
fn an_empty_separator_means_nothing() {
    let syntax = ChannelSyntax {
        namespace_boundary: String::new(),
        private_prefix: String::new(),
        user_boundary: String::new(),
        ..ChannelSyntax::default()
    };
    assert_eq!(syntax.namespace("a:b"), None);
    assert!(!syntax.is_private("$a"));
    assert!(syntax.allowed_users("a#1").is_none());
    let one_user = ChannelSyntax {
        user_separator: String::new(),
        ..ChannelSyntax::default()
    };
    assert_eq!(
        one_user.allowed_users("a#1,2").unwrap().collect::<Vec<_>>(),
        ["1,2"]
    );
}

proptest! {
    #[test]
    fn any_text_within_the_limit_is_a_name(text in "\\PC{1,20}") {
        let name = ChannelName::parse(&text, text.len()).unwrap();
        prop_assert_eq!(&*name, &text);
        prop_assert!(ChannelName::parse(&text, text.len() - 1).is_err());
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(serde_json::from_str::<ChannelName>(&json).unwrap(), name);
    }

    #[test]
    fn joined_users_are_told_apart(channel in "[a-z:$#]{0,5}", users in vec("[^#,]{0,4}", 1..4)) {
        let name = format!("{channel}#{}", users.join(","));
        let allowed = allowed_users(&name);
        prop_assert_eq!(allowed, Some(users));
    }
}
