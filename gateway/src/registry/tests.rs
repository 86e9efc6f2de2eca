use super::*;

struct Named(u32);

fn registry(count: u32) -> (Registry<Named>, Vec<ClientId>) {
    let registry = Registry::default();
    let ids: Vec<_> = (0..count).map(|_| ClientId::random()).collect();
    for (name, id) in (0..).zip(&ids) {
        registry.insert(*id, Arc::new(Named(name)));
    }
    (registry, ids)
}

fn names(connections: &[Arc<Named>]) -> Vec<u32> {
    let mut names: Vec<_> = connections.iter().map(|connection| connection.0).collect();
    names.sort_unstable();
    names
}

#[test]
fn connections_are_found_once_they_are_authenticated() {
    let (registry, ids) = registry(3);
    assert!(registry.client(ids[0]).is_none());
    registry.authenticate(ids[0], "ann", 0).unwrap();
    registry.authenticate(ids[1], "ann", 0).unwrap();
    registry.authenticate(ids[2], "", 0).unwrap();
    assert_eq!(registry.client(ids[1]).unwrap().0, 1);
    assert_eq!(names(&registry.user("ann")), [0, 1]);
    assert_eq!(names(&registry.user("")), [2]);
    assert!(registry.user("bob").is_empty());
    assert_eq!((registry.client_count(), registry.user_count()), (3, 2));
}

#[test]
fn all_connections_can_be_listed_authenticated_or_not() {
    let (registry, ids) = registry(100);
    registry.authenticate(ids[5], "ann", 0).unwrap();
    assert_eq!(names(&registry.all()), (0..100).collect::<Vec<_>>());
    assert_eq!(registry.client_count(), 1);
}

#[test]
fn nothing_remains_of_connections_that_have_gone() {
    let (registry, ids) = registry(50);
    for id in &ids[..40] {
        registry.authenticate(*id, "ann", 0).unwrap();
    }
    for id in &ids[..40] {
        assert!(registry.remove(*id, "ann"));
        assert!(!registry.remove(*id, "ann"));
    }
    for id in &ids[40..] {
        registry.remove(*id, "");
    }
    assert!(registry.all().is_empty() && registry.user("ann").is_empty());
    assert_eq!((registry.client_count(), registry.user_count()), (0, 0));
    let room: usize = registry
        .connections
        .0
        .iter()
        .map(|part| part.lock().capacity())
        .sum();
    assert!(room <= 4 * PARTS, "room for {room} connections is kept");
}

#[test]
fn a_user_has_no_more_connections_than_allowed() {
    let (registry, ids) = registry(5);
    registry.authenticate(ids[0], "ann", 2).unwrap();
    registry.authenticate(ids[1], "ann", 2).unwrap();
    assert_eq!(registry.authenticate(ids[2], "ann", 2), Err(UserLimit(2)));
    registry.remove(ids[0], "ann");
    assert_eq!(registry.authenticate(ids[2], "ann", 2), Ok(()));
    assert_eq!(registry.authenticate(ids[3], "", 1), Ok(()));
    assert_eq!(
        registry.authenticate(ids[4], "", 1),
        Ok(()),
        "anonymous connections are no one user's"
    );
}

#[test]
fn a_connection_that_has_gone_is_not_authenticated() {
    let (registry, ids) = registry(1);
    registry.remove(ids[0], "");
    registry.authenticate(ids[0], "ann", 0).unwrap();
    assert_eq!((registry.client_count(), registry.user_count()), (0, 0));
}
