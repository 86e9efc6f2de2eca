use std::fs;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tracing::level_filters::LevelFilter;

use super::*;

mod gauges;
mod secrets;

const SHARDS: &str = "shards: [{name: a, url: 'redis://a'}, {name: b, url: 'redis://b'}]\n";
const STORE: &str = "cluster: {store: 'redis://store'}\n";

/// The names of the namespaces, and the level of the log.
type Ruled = (Vec<String>, LevelFilter);

/// A running gateway's file.
struct World {
    dir: TempDir,
    reload: Reload,
    notes: Notes,
    /// The names of each list that was applied.
    applied: Arc<Mutex<Vec<Vec<String>>>>,
    /// What rules were applied, each time.
    rules: Arc<Mutex<Vec<Ruled>>>,
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
        let shards: ApplyShards = Box::new(move |list| {
            let names: Vec<String> = list.iter().map(|shard| shard.id.to_string()).collect();
            anyhow::ensure!(!names.contains(&"bad".to_owned()), "bad is no good");
            seen.lock().push(names);
            Ok(())
        });
        let rules = Arc::new(Mutex::new(Vec::new()));
        let ruled = Arc::clone(&rules);
        let apply = Apply {
            shards,
            rules: Box::new(move |config| {
                let mut names: Vec<String> = config.channel.namespaces.keys().cloned().collect();
                names.sort();
                ruled.lock().push((names, config.log.level));
            }),
        };
        let notes = Notes::default();
        let meters = ReloadMeters::register();
        let reload = Reload::new(&sources, &config, apply, notes.clone(), meters).unwrap();
        Self {
            dir,
            reload,
            notes,
            applied,
            rules,
        }
    }

    fn write(&mut self, text: &str) {
        fs::write(self.dir.path().join("c.yaml"), text).unwrap();
        self.reload.look(true);
    }

    fn applied(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut *self.applied.lock())
    }

    fn ruled(&self) -> Vec<Ruled> {
        std::mem::take(&mut *self.rules.lock())
    }
}

#[test]
fn a_file_that_stays_as_it_was_is_no_news() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    for insist in [false, false, false, true] {
        world.reload.look(insist);
    }
    assert!(world.applied().is_empty() && world.ruled().is_empty());
    assert!(world.notes.texts().is_empty());
}

#[test]
fn a_version_is_read_once_and_what_was_checked_of_it_is_what_counts() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    let (path, pipe) = (world.dir.path().join("c.yaml"), world.dir.path().join("pipe"));
    // It says what it has to say once: whoever read it a second time would wait for ever.
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::rename(pipe, &path).unwrap();
    let writing =
        thread::spawn(move || fs::write(path, format!("shards: [{{name: b, url: 'redis://b'}}]\n{STORE}")));
    let (done, looked) = mpsc::sync_channel(1);
    thread::spawn(move || {
        world.reload.look(true);
        done.send(Box::new(world))
    });
    let world = looked.recv_timeout(Duration::from_secs(60)).expect("read once");
    writing.join().unwrap().unwrap();
    assert_eq!(world.applied(), [["b"]]);
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
        "shards: [{{name: a, url: 'redis://a'}}]\n{STORE}log: {{format: json}}\nclient: {{channel_limit: 5}}\n"
    ));
    assert_eq!(world.applied(), [["a"]], "the list is taken over all the same");
    assert_eq!(
        world.notes.texts(),
        ["the configuration file has changed; needs a restart: client.channel_limit, log.format"]
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

#[test]
fn rules_are_taken_over_together_and_once() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    let text = format!("{SHARDS}{STORE}log: {{level: warn}}\nchannel: {{namespaces: [{{name: chat}}]}}\n");
    world.write(&text);
    assert_eq!(world.ruled(), [(vec!["chat".to_owned()], LevelFilter::WARN)]);
    assert!(world.notes.texts().is_empty(), "nothing of it needs a restart");
    world.write(&format!("# The same.\n{text}"));
    assert!(world.ruled().is_empty());
    // Back to what it was at the start is a change as well.
    world.write(&format!("{SHARDS}{STORE}"));
    assert_eq!(world.ruled(), [(vec![], LevelFilter::INFO)]);
    assert!(world.applied().is_empty());
}

#[test]
fn of_a_bad_file_nothing_is_taken_over_however_good_the_rest() {
    let mut world = World::start(&format!("{SHARDS}{STORE}"));
    for bad in [
        "shards: [{name: bad, url: 'redis://a'}]\n",
        "shards: []\n",
        "shards: [{name: a, url: 'redis://a'}]\nzebra: 1\n",
    ] {
        world.write(&format!("{bad}{STORE}log: {{level: warn}}\n"));
        assert!(world.ruled().is_empty() && world.applied().is_empty(), "{bad}");
        assert_eq!(world.notes.texts().len(), 1, "{bad}");
    }
    world.write(&format!("{SHARDS}{STORE}log: {{level: warn}}\n"));
    assert_eq!(world.ruled(), [(vec![], LevelFilter::WARN)]);
    assert!(world.notes.texts().is_empty());
}

#[test]
fn what_shards_of_this_process_go_by_is_taken_over_as_well() {
    let mut world = World::start("{}");
    world.write("log: {level: error}");
    assert_eq!(world.ruled(), [(vec![], LevelFilter::ERROR)]);
}
