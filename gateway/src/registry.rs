//! All connections of this gateway: by client, by user, and how many there may be.
//!
//! A connection is in the registry from its handshake to its end; it is found by client and by user once its session
//! has authenticated it. The maps are split by hash so that connections that come and go at once do not wait for each
//! other.

mod admission;
mod client_id;
mod users;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::RandomState;
use parking_lot::Mutex;

pub use admission::{Admission, Leaving, Permit, Refusal};
pub use client_id::ClientId;
use users::Users;

/// Parts that each map is split into.
const PARTS: usize = 32;

/// The connections of a gateway.
#[derive(Debug)]
pub struct Registry<C> {
    connections: Split<HashMap<ClientId, Entry<C>, RandomState>>,
    users: Split<Users>,
    /// Authenticated connections.
    clients: AtomicUsize,
}

#[derive(Debug)]
struct Entry<C> {
    connection: Arc<C>,
    authenticated: bool,
}

/// The user has as many connections as one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user has {0} connections already")]
pub struct UserLimit(pub u32);

impl<C> Default for Registry<C> {
    fn default() -> Self {
        Self {
            connections: Split::default(),
            users: Split::default(),
            clients: AtomicUsize::new(0),
        }
    }
}

impl<C> Registry<C> {
    /// Adds a connection that is not authenticated yet.
    pub fn insert(&self, id: ClientId, connection: Arc<C>) {
        let entry = Entry {
            connection,
            authenticated: false,
        };
        self.connections.part(&id).lock().insert(id, entry);
    }

    /// Notes that a connection belongs to `user`; empty: anonymous, which no limit applies to. `limit`: connections of
    /// one user at most; 0: any number. A connection that is not there (any more) is ignored.
    pub fn authenticate(&self, id: ClientId, user: &str, limit: u32) -> Result<(), UserLimit> {
        let mut connections = self.connections.part(&id).lock();
        let Some(entry) = connections.get_mut(&id).filter(|entry| !entry.authenticated) else {
            return Ok(());
        };
        let limit = if user.is_empty() { 0 } else { limit };
        self.users.part(user).lock().add(user, id, limit)?;
        entry.authenticated = true;
        self.clients.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a connection out. `user` is whose it is, if it was authenticated. Whether it was there.
    pub fn remove(&self, id: ClientId, user: &str) -> bool {
        let mut connections = self.connections.part(&id).lock();
        let Some(entry) = connections.remove(&id) else {
            return false;
        };
        connections.shrink_when_sparse();
        if entry.authenticated {
            self.clients.fetch_sub(1, Ordering::Relaxed);
            self.users.part(user).lock().remove(user, id);
        }
        true
    }

    /// The authenticated connection of that name.
    #[must_use]
    pub fn client(&self, id: ClientId) -> Option<Arc<C>> {
        let connections = self.connections.part(&id).lock();
        let entry = connections.get(&id).filter(|entry| entry.authenticated)?;
        Some(Arc::clone(&entry.connection))
    }

    /// All authenticated connections of a user.
    #[must_use]
    pub fn user(&self, user: &str) -> Vec<Arc<C>> {
        let ids = self.users.part(user).lock().connections(user);
        ids.into_iter().filter_map(|id| self.client(id)).collect()
    }

    /// All connections, authenticated or not.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<C>> {
        let mut all = Vec::new();
        for part in &self.connections.0 {
            all.extend(part.lock().values().map(|entry| Arc::clone(&entry.connection)));
        }
        all
    }

    /// Shows all connections, authenticated or not. Others that come or go may have to wait for `look`, which must not call
    /// this registry.
    pub fn for_each(&self, mut look: impl FnMut(&C)) {
        for part in &self.connections.0 {
            part.lock().values().for_each(|entry| look(&entry.connection));
        }
    }

    /// How many connections are authenticated.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// How many different users they belong to; all anonymous ones count as one.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.0.iter().map(|part| part.lock().count()).sum()
    }
}

/// A map in parts with a lock each.
#[derive(Debug)]
struct Split<M>([Mutex<M>; PARTS]);

impl<M: Default> Default for Split<M> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl<M> Split<M> {
    fn part<K: Hash + ?Sized>(&self, key: &K) -> &Mutex<M> {
        // Fixed, so that a key is in the same part each time; the maps themselves hash with random keys.
        let hash = RandomState::with_seeds(1, 2, 3, 4).hash_one(key);
        &self.0[usize::try_from(hash % PARTS as u64).expect("there are few parts")]
    }
}

/// A map that gives memory back after the connections of a busy hour have gone.
trait ShrinkWhenSparse {
    fn shrink_when_sparse(&mut self);
}

impl<K: Eq + Hash, V, S: BuildHasher> ShrinkWhenSparse for HashMap<K, V, S> {
    fn shrink_when_sparse(&mut self) {
        if self.len() < self.capacity() / 4 {
            self.shrink_to(self.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests;
