use crate::config::{Config, Invalid, Mistake, Sources};

/// What must not be read anywhere.
const HUSH: &str = "hush-4711";

/// What is said of a configuration that is set by variables.
fn by_variable(name: &str, value: &str) -> String {
    told(&Sources {
        environment: vec![(format!("CAMPANILE_{name}"), value.to_owned())],
        ..Sources::default()
    })
}

fn by_file(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.yaml");
    std::fs::write(&file, text).unwrap();
    told(&Sources {
        file: Some(file),
        ..Sources::default()
    })
}

/// The one error, as it is printed.
fn told(sources: &Sources) -> String {
    let Err(Invalid(report)) = Config::load(sources) else {
        panic!("it was accepted: {sources:?}");
    };
    assert_eq!(report.kind(), Mistake::WrongType, "{report}");
    assert_eq!(report.errors().count(), 1, "{report}");
    report.to_string()
}

#[test]
fn what_should_be_json_is_not_shown_where_it_is_none() {
    let url = format!("redis://:{HUSH}@h");
    for (name, text) in [
        ("SHARDS", format!(r#"[{{"name":"a","url":"{url}"}},]"#)),
        ("SHARDS", url.clone()),
        ("ENGINE_REDIS_ADDRESS", format!("[{url}]")),
        ("CLIENT_TOKEN", HUSH.to_owned()),
        ("ADMIN", HUSH.to_owned()),
    ] {
        let told = by_variable(name, &text);
        assert!(!told.contains(HUSH), "{told}");
        assert!(
            told.contains("is no JSON") && told.contains("not shown"),
            "{told}"
        );
        assert!(
            told.contains(&format!("environment variable CAMPANILE_{name}")),
            "{told}"
        );
    }
    let told = by_variable("SHARDS", &format!(r#"[{{"name":"a","url":"{url}"}},]"#));
    assert!(told.contains("trailing comma at line 1 column"), "{told}");
}

#[test]
fn what_is_found_in_place_of_a_list_or_a_section_is_not_shown() {
    let url = format!("redis://:{HUSH}@h");
    for (text, expected) in [
        (
            format!("shards: ['{url}']"),
            "shards[0]: expected a section, with keys of its own, found a text (its value is not shown)",
        ),
        (
            format!("shards: '{url}'"),
            "shards: expected a list of sections, each with keys of its own, found a text",
        ),
        (
            format!("client: {{token: {HUSH}}}"),
            "client.token: expected a section, with keys of its own, found a text",
        ),
        (
            format!("admin: {HUSH}"),
            "admin: expected a section, with keys of its own, found a text",
        ),
        (
            format!("client: {{token: [[{HUSH}]]}}"),
            "client.token[0]: expected something else, found a list (its value is not shown)",
        ),
        (
            format!("engine: {{redis: {{address: {{url: '{url}'}}}}}}"),
            "engine.redis.address",
        ),
        (
            format!("client: {{token: {{hmac_previous_secret_key_valid_until: {HUSH}}}}}"),
            "client.token.hmac_previous_secret_key_valid_until: expected a whole number, found a text",
        ),
    ] {
        let told = by_file(&text);
        assert!(told.contains(expected) && !told.contains(HUSH), "{text}: {told}");
    }
}

#[test]
fn no_text_of_the_wrong_type_is_shown_and_what_to_write_is_said() {
    let told = by_file("http_api: {key: 47114711}");
    let expected =
        "http_api.key: expected a text, found a number (its value is not shown); put quotes around it";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_file_that_is_not_understood_is_not_quoted() {
    for (name, text) in [
        ("c.json", format!(r#"{{"http_api": {{"key": "{HUSH}" "x"}}}}"#)),
        ("c.json", format!(r#"{{"http_api": {{"key": {HUSH}}}}}"#)),
        ("c.toml", format!("[http_api]\nkey = {HUSH}")),
        ("c.toml", format!("[http_api]\nkey = \"{HUSH}")),
        ("c.toml", HUSH.to_owned()),
        ("c.yaml", format!("http_api: {{key: \"{HUSH}}}")),
        ("c.yaml", format!("http_api: {{key: *{HUSH}}}")),
        ("c.yaml", format!("http_api: {{key: !!int {HUSH}}}")),
        ("c.yaml", format!("http_api:\n  key: {HUSH}: x")),
        ("c.yaml", HUSH.to_owned()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, &text).unwrap();
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        let Err(Invalid(report)) = Config::load(&sources) else {
            panic!("it was accepted: {text}");
        };
        assert_eq!(report.kind(), Mistake::File, "{text}: {report}");
        assert!(!report.to_string().contains(HUSH), "{report}");
    }
}
