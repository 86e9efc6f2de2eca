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

/// The channel's namespace is not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such namespace")]
pub struct UnknownNamespace;

impl ChannelOptions {
    /// The rules of `channel`.
    pub fn resolve(&self, channel: &ChannelName) -> Result<&NamespaceOptions, UnknownNamespace> {
        match self.syntax.namespace(channel) {
            None => Ok(&self.without_namespace),
            Some(name) => self.namespaces.get(name).ok_or(UnknownNamespace),
        }
    }

    /// Whether the pattern of `channel`'s namespace, if there is one, allows its name. The pattern sees the name
    /// without private prefix and namespace.
    #[must_use]
    pub fn allows_name(&self, channel: &ChannelName, options: &NamespaceOptions) -> bool {
        let Some(pattern) = &options.channel_regex else {
            return true;
        };
        let mut rest = channel.as_str();
        if self.syntax.is_private(rest) {
            rest = &rest[self.syntax.private_prefix.len()..];
        }
        if let Some(namespace) = self.syntax.namespace(channel) {
            rest = &rest[namespace.len() + self.syntax.namespace_boundary.len()..];
        }
        pattern.is_match(rest)
    }
}
