use std::fs;
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;

const SHARDS: &str = "shards: [{name: a, url: 'redis://a'}, {name: b, url: 'redis://b'}]\n";
const STORE: &str = "cluster: {store: 'redis://store'}\n";

/// A running gateway's file.
struct World {
    dir: TempDir,
    reload: Reload,
    notes: Notes,
    /// The names of each list that was applied.
    applied: Arc<Mutex<Vec<Vec<String>>>>,
}

impl World {
    fn start(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        let (config, _) = Config::load(&sources).unwrap();
        let applied = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&applied);
        let apply: Apply = Box::new(move |list| {
            let names: Vec<String> = list.iter().map(|shard| shard.id.to_string()).collect();
            anyhow::ensure!(!names.contains(&"bad".to_owned()), "bad is no good");
            seen.lock().push(names);
            Ok(())
        });
        let notes = Notes::default();
        let reload = Reload::new(&sources, &config, apply, notes.clone()).unwrap();
        Self {
            dir,
            reload,
            notes,
            applied,
        }
    }

    fn write(&mut self, text: &str) {
        fs::write(self.dir.path().join("c.yaml"), text).unwrap();
        self.reload.look(true);
    }

    fn applied(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.applied.lock())
    }
}

#[test]
fn a_file_that_stays_as_it_was_is_no_news() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    for insist in [false, false, false, true] {
        world.reload.look(insist);
    }
    assert!(world.applied().is_empty());
    assert!(world.notes.texts().is_empty());
}

#[test]
fn another_list_of_shards_is_taken_over() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    world.write(&format!("shards: [{{name: b, url: 'redis://b'}}]\n{STORE}"));
    assert_eq!(world.applied(), [["b"]]);
    // The same list in other words.
    world.write(&format!(
        "# b alone\nshards:\n  - name: b\n    url: redis://b\n{STORE}"
    ));
    assert!(world.applied().is_empty());
    world.write(&format!(
        "shards: [{{name: b, url: 'redis://b', weight: 2}}]\n{STORE}"
    ));
    assert_eq!(world.applied(), [["b"]]);
    assert!(world.notes.texts().is_empty());
}

#[test]
fn what_else_has_changed_is_named_until_it_is_taken_back() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    world.write(&format!(
        "shards: [{{name: a, url: 'redis://a'}}]\n{STORE}log: {{level: debug}}\nclient: {{channel_limit: 5}}\n"
    ));
    assert_eq!(world.applied(), [["a"]], "the list is taken over all the same");
    assert_eq!(
        world.notes.texts(),
        ["the configuration file has changed; needs a restart: client.channel_limit, log.level"]
    );
    world.write(&format!("{SHARDS}{STORE}"));
    assert!(world.notes.texts().is_empty());
}

#[test]
fn a_store_that_follows_the_list_needs_a_restart() {
    let mut world = World::start(SHARDS);
    world.write("shards: [{name: b, url: 'redis://b'}]");
    assert_eq!(
        world.notes.texts(),
        ["the configuration file has changed; needs a restart: cluster.store"]
    );
}

#[test]
fn a_bad_file_changes_nothing_and_is_noted_until_it_is_mended() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    let bad = [
        ("shards: [", "is not understood"),
        (
            "shards: [{name: a, url: nowhere}]",
            "shards[0].url: not the URL of a Redis",
        ),
        ("zebra: 1", "zebra: there is no such key"),
        ("", "shards: the list is empty"),
        ("engine: {type: redis}", "shards: the list is empty"),
        ("shards: [{name: bad, url: 'redis://a'}]", "bad is no good"),
    ];
    for (text, expected) in bad {
        world.write(text);
        let notes = world.notes.texts();
        assert!(
            notes.len() == 1
                && notes[0].starts_with("the configuration file is not used: ")
                && notes[0].contains(expected),
            "{text}: {notes:?}"
        );
        assert!(world.applied().is_empty(), "{text}");
    }
    world.write(&format!("{SHARDS}{STORE}"));
    assert!(world.notes.texts().is_empty());
    assert!(world.applied().is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_noted_until_it_can() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    let path = world.dir.path().join("c.yaml");
    let elsewhere = world.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    world.reload.look(false);
    assert!(
        world.notes.texts()[0].contains("cannot read"),
        "{:?}",
        world.notes
    );
    fs::rename(&elsewhere, &path).unwrap();
    world.reload.look(false);
    world.reload.look(false);
    assert!(world.notes.texts().is_empty());
}

#[test]
fn shards_in_this_process_do_not_become_others_without_a_restart() {
    let mut world = World::start("{}");
    world.write(&format!("{SHARDS}{STORE}"));
    assert!(world.applied().is_empty());
    assert_eq!(
        world.notes.texts(),
        ["the configuration file has changed; needs a restart: cluster.store, shards"]
    );
}
