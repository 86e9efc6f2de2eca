use super::super::tests::primary;
use super::*;

/// Three Sentinels.
struct World {
    council: Council,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self {
            council: Council::of(3),
            now: Instant::now(),
        }
    }

    fn says(&mut self, sentinel: usize, epoch: u64, name: &str) -> Option<Primary> {
        self.council.hear(sentinel, primary(epoch, name), self.now);
        self.council.doubt(self.now)
    }

    /// Those of this number say the same for as long as it takes, once a second: what is to be examined at the end.
    fn insist(&mut self, sentinels: &[usize], epoch: u64, name: &str) -> Option<Primary> {
        let end = self.now + AGREED_FOR;
        loop {
            let found = sentinels
                .iter()
                .filter_map(|sentinel| self.says(*sentinel, epoch, name))
                .collect::<Vec<_>>();
            if self.now >= end {
                return found.into_iter().next();
            }
            assert!(found.is_empty(), "not yet: {found:?}");
            self.now += Duration::from_secs(1);
        }
    }

    fn believes(&self) -> (u64, &str) {
        let believed = self.council.believed().unwrap();
        (believed.epoch, &believed.host.name)
    }
}

#[test]
fn the_latest_failover_is_believed_at_once_and_nothing_older() {
    let mut world = World::new();
    world.says(0, 3, "a");
    world.says(1, 3, "b");
    world.says(2, 2, "c");
    assert_eq!(world.believes(), (3, "a"));
    world.says(2, 4, "b");
    assert_eq!(world.believes(), (4, "b"));
    assert_eq!(world.insist(&[0], 3, "a"), None, "one of three");
    assert_eq!(world.believes(), (4, "b"));
}

#[test]
fn a_majority_that_insists_on_another_server_has_it_examined() {
    for epoch in [0, 4] {
        let mut world = World::new();
        world.says(2, 4, "b");
        let rival = world.insist(&[0, 1], epoch, "c");
        assert_eq!(rival, Some(primary(epoch, "c")));
        assert_eq!(world.believes(), (4, "b"), "it may be none");
        assert_eq!(world.says(0, epoch, "c"), None, "not again at once");
        assert_eq!(world.insist(&[0, 1], epoch, "c"), rival, "but later");
        world.council.accept(&rival.unwrap());
        assert_eq!(world.believes(), (epoch, "c"));
        world.says(2, 4, "b");
        assert_eq!(world.believes(), (epoch, "c"), "that was overruled");
        world.says(0, epoch + 1, "d");
        assert_eq!(world.believes(), (epoch + 1, "d"), "epochs count from there on");
    }
}

#[test]
fn a_majority_must_agree_all_the_time() {
    let mut world = World::new();
    world.says(2, 4, "b");
    world.says(0, 3, "a");
    world.says(1, 3, "a");
    world.now += AGREED_FOR;
    world.says(1, 4, "b");
    assert_eq!(world.says(0, 3, "a"), None, "it had not heard of it, now it has");
    world.says(1, 3, "c");
    assert_eq!(world.says(0, 3, "c"), None, "from here on");
    world.now += AGREED_FOR;
    world.council.miss(1);
    assert_eq!(world.says(0, 3, "c"), None, "one of them is gone");
    world.now += AGREED_FOR;
    world.council.adjourn();
    assert_eq!(world.says(0, 3, "c"), None, "what was said before is forgotten");
}

#[test]
fn what_was_examined_is_accepted_only_while_most_say_so() {
    let mut world = World::new();
    world.says(2, 4, "b");
    let rival = world.insist(&[0, 1], 0, "c").unwrap();
    world.says(1, 4, "b");
    world.council.accept(&rival);
    assert_eq!(world.believes(), (4, "b"));
}

#[test]
fn who_was_overruled_may_convince_the_others() {
    let mut world = World::new();
    world.says(2, 4, "b");
    let rival = world.insist(&[0, 1], 3, "a").unwrap();
    world.council.accept(&rival);
    world.says(2, 4, "b");
    assert_eq!(world.believes(), (3, "a"));
    world.says(1, 4, "b");
    assert_eq!(world.believes(), (4, "b"));
}

#[test]
fn the_same_server_may_be_watched_anew() {
    let mut world = World::new();
    world.says(0, 4, "b");
    world.says(2, 4, "b");
    assert_eq!(world.insist(&[0, 1], 0, "b"), None);
    assert_eq!(world.believes(), (4, "b"), "one still knows of the last failover");
    world.council.miss(2);
    assert_eq!(world.insist(&[0, 1], 0, "b"), None, "there is nothing to examine");
    assert_eq!(world.believes(), (0, "b"));
    world.says(1, 1, "c");
    assert_eq!(world.believes(), (1, "c"), "and fails over");
}

#[test]
fn one_that_is_alone_is_a_majority() {
    let mut council = Council::of(1);
    let now = Instant::now();
    council.hear(0, primary(4, "b"), now);
    council.hear(0, primary(0, "c"), now);
    // Whoever asks in between leaves the doubt to those who examine.
    council.hear(0, primary(0, "c"), now + AGREED_FOR);
    let rival = council.doubt(now + AGREED_FOR);
    assert_eq!(rival, Some(primary(0, "c")));
    // Two are not.
    let mut council = Council::of(2);
    council.hear(1, primary(4, "b"), now);
    council.hear(0, primary(0, "c"), now);
    assert_eq!(council.doubt(now + AGREED_FOR), None);
}
