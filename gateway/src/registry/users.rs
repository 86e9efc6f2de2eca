//! Which connections a user has.

use std::collections::{HashMap, HashSet};

use ahash::RandomState;

use super::{ClientId, ShrinkWhenSparse, UserLimit};

/// The connections of users.
#[derive(Debug, Default)]
pub(super) struct Users(HashMap<Box<str>, Connections, RandomState>);

/// Those of one user. Most have one.
#[derive(Debug)]
enum Connections {
    One(ClientId),
    Many(HashSet<ClientId, RandomState>),
}

impl Users {
    /// Adds a connection, unless the user has `limit` already; 0: any number.
    pub(super) fn add(&mut self, user: &str, id: ClientId, limit: u32) -> Result<(), UserLimit> {
        match self.0.get_mut(user) {
            None => {
                self.0.insert(user.into(), Connections::One(id));
            }
            Some(connections) if limit > 0 && connections.len() >= limit as usize => {
                return Err(UserLimit(limit));
            }
            Some(Connections::Many(ids)) => {
                ids.insert(id);
            }
            Some(one @ Connections::One(_)) => {
                *one = Connections::Many(one.to_vec().into_iter().chain([id]).collect());
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, user: &str, id: ClientId) {
        let Some(connections) = self.0.get_mut(user) else {
            return;
        };
        if let Connections::Many(ids) = connections {
            ids.remove(&id);
            ids.shrink_when_sparse();
            if !ids.is_empty() {
                return;
            }
        }
        self.0.remove(user);
        self.0.shrink_when_sparse();
    }

    pub(super) fn connections(&self, user: &str) -> Vec<ClientId> {
        self.0.get(user).map(Connections::to_vec).unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Connections {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(ids) => ids.len(),
        }
    }

    fn to_vec(&self) -> Vec<ClientId> {
        match self {
            Self::One(id) => vec![*id],
            Self::Many(ids) => ids.iter().copied().collect(),
        }
    }
}

impl ShrinkWhenSparse for HashSet<ClientId, RandomState> {
    fn shrink_when_sparse(&mut self) {
        if self.len() < self.capacity() / 4 {
            self.shrink_to(self.len() * 2);
        }
    }
}
