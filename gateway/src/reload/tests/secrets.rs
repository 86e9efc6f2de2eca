//! What is said of a file that is not used shows nothing that is in it: `/ready` says it to everybody.

use super::*;

#[test]
fn a_bad_file_is_noted_without_the_secrets_in_it() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    for bad in [
        "shards: ['redis://:hush@h']",
        "shards: 'redis://:hush@h'",
        "shards: [{name: a, url: 'nowhere://:hush@h'}]",
        "client: {token: hush}",
        "admin: hush",
        "http_api: {key: [hush]}",
        "engine: {redis: {password: {hush: 1}}}",
    ] {
        world.write(bad);
        let notes = world.notes.texts();
        assert_eq!(notes.len(), 1, "{bad}");
        assert!(
            notes[0].starts_with("the configuration file is not used: ") && !notes[0].contains("hush"),
            "{notes:?}"
        );
    }
}
