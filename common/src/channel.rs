//! Channel names, and the syntax within them.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a channel. Cloning shares the text.
///
/// Names from outside go through [`ChannelName::parse`]; deserializing does not check them and is meant
/// for what this system has stored itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelName(Arc<str>);

/// Why a text is not a channel name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelNameError {
    /// There is no text.
    #[error("channel name is empty")]
    Empty,
    /// There is too much of it.
    #[error("channel name has {length} bytes, more than the {max} allowed")]
    TooLong {
        /// Bytes in the name.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
}

impl ChannelName {
    /// Takes a name from outside: not empty, and of `max_length` bytes at most.
    pub fn parse(name: &str, max_length: usize) -> Result<Self, ChannelNameError> {
        match name.len() {
            0 => Err(ChannelNameError::Empty),
            length if length > max_length => Err(ChannelNameError::TooLong {
                length,
                max: max_length,
            }),
            _ => Ok(Self(name.into())),
        }
    }

    /// Takes a name that was checked before: from a shard, another gateway, or the source code.
    #[must_use]
    pub fn from_trusted(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for ChannelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which characters mean something in a channel name. An empty separator switches its meaning off.
///
/// The default is Centrifugo's: `$namespace:rest#user1,user2`, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSyntax {
    /// Ends the namespace.
    pub namespace_boundary: String,
    /// Begins the name of a channel that demands a subscription token.
    pub private_prefix: String,
    /// Begins the list of users who may subscribe.
    pub user_boundary: String,
    /// Stands between those users.
    pub user_separator: String,
    /// Longest name in bytes.
    pub max_length: usize,
}

impl Default for ChannelSyntax {
    fn default() -> Self {
        Self {
            namespace_boundary: ":".into(),
            private_prefix: "$".into(),
            user_boundary: "#".into(),
            user_separator: ",".into(),
            max_length: 255,
        }
    }
}

impl ChannelSyntax {
    /// Takes a name from outside, within this syntax's length.
    pub fn parse(&self, name: &str) -> Result<ChannelName, ChannelNameError> {
        ChannelName::parse(name, self.max_length)
    }

    /// The namespace that `name` is in: what stands before the first boundary, without the private
    /// prefix. `None` for a channel without a boundary.
    #[must_use]
    pub fn namespace<'a>(&self, name: &'a str) -> Option<&'a str> {
        let name = self.strip_private_prefix(name).unwrap_or(name);
        split_once(name, &self.namespace_boundary).map(|(namespace, _)| namespace)
    }

    /// Whether only a subscription token opens `name`.
    #[must_use]
    pub fn is_private(&self, name: &str) -> bool {
        self.strip_private_prefix(name).is_some()
    }

    /// The users that `name` is limited to, or `None` if it is not limited. They stand after the last
    /// user boundary.
    #[must_use]
    pub fn allowed_users<'a>(&'a self, name: &'a str) -> Option<impl Iterator<Item = &'a str>> {
        if self.user_boundary.is_empty() {
            return None;
        }
        let (_, users) = name.rsplit_once(self.user_boundary.as_str())?;
        Some(Users {
            rest: Some(users),
            separator: &self.user_separator,
        })
    }

    fn strip_private_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.private_prefix.is_empty() {
            return None;
        }
        name.strip_prefix(self.private_prefix.as_str())
    }
}

/// `str::split_once`, for which an empty separator is found nowhere.
fn split_once<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    if separator.is_empty() {
        None
    } else {
        text.split_once(separator)
    }
}

/// The users at the end of a channel's name.
struct Users<'a> {
    rest: Option<&'a str>,
    separator: &'a str,
}

impl<'a> Iterator for Users<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        let Some((user, rest)) = split_once(rest, self.separator) else {
            return Some(rest);
        };
        self.rest = Some(rest);
        Some(user)
    }
}

#[cfg(test)]
mod tests;
