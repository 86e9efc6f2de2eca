//! `channel.*`: the namespaces, and which of them a channel is in.

use std::collections::HashMap;

use campanile_common::{ChannelName, ChannelSyntax};

use super::NamespaceOptions;

/// All channels' rules.
#[derive(Clone, Debug, Default)]
pub struct ChannelOptions {
    /// How names are read.
    pub syntax: ChannelSyntax,
    /// For channels whose name has no namespace.
    pub without_namespace: NamespaceOptions,
    /// For the others, by the namespace's name.
    pub namespaces: HashMap<String, NamespaceOptions>,
}

/// The channel's namespace is not configured, or its name is not one that the namespace allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no namespace has such a channel")]
pub struct UnknownNamespace;

impl ChannelOptions {
    /// The rules of `channel`.
    pub fn resolve(&self, channel: &ChannelName) -> Result<&NamespaceOptions, UnknownNamespace> {
        let namespace = self.syntax.namespace(channel);
        let options = match namespace {
            None => &self.without_namespace,
            Some(name) => self.namespaces.get(name).ok_or(UnknownNamespace)?,
        };
        match &options.channel_regex {
            Some(pattern) if !pattern.is_match(self.rest(channel, namespace)) => Err(UnknownNamespace),
            _ => Ok(options),
        }
    }

    /// What a namespace's pattern is matched against: the name without namespace and private prefix.
    fn rest<'a>(&self, channel: &'a str, namespace: Option<&str>) -> &'a str {
        let name = if self.syntax.is_private(channel) {
            &channel[self.syntax.private_prefix.len()..]
        } else {
            channel
        };
        match namespace {
            None => name,
            Some(namespace) => &name[namespace.len() + self.syntax.namespace_boundary.len()..],
        }
    }
}
