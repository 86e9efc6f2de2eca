//! What channels are: validated.

use std::collections::HashMap;

use campanile_common::ChannelSyntax;

use super::clients::regex;
use super::options::{Allow, ChannelOptions, NamespaceOptions, PublicationFormat, RecoveryMode};
use super::raw::{Channel, Namespace};
use super::report::{Mistake, Report};

pub(super) fn channel(raw: &Channel, report: &mut Report) -> ChannelOptions {
    if raw.max_length == 0 {
        report.error("channel.max_length: 0 allows no channel; write bytes, such as 255");
    }
    let syntax = ChannelSyntax {
        namespace_boundary: raw.namespace_boundary.clone(),
        private_prefix: raw.private_prefix.clone(),
        user_boundary: raw.user_boundary.clone(),
        user_separator: raw.user_separator.clone(),
        max_length: usize::from(raw.max_length),
    };
    if !raw.without_namespace.name.is_empty() {
        report.error("channel.without_namespace.name: it has none; move it to channel.namespaces");
    }
    let mut namespaces = HashMap::new();
    for (index, namespace) in raw.namespaces.iter().enumerate() {
        let section = format!("channel.namespaces[{index}]");
        check_name(&section, namespace, raw, report);
        let options = namespace_options(&section, namespace, raw, report);
        if namespaces.insert(namespace.name.clone(), options).is_some() {
            let text = format!("{section}.name: {:?} is taken; write another one", namespace.name);
            report.mistake(Mistake::NameTaken, text);
        }
    }
    ChannelOptions {
        without_namespace: namespace_options(
            "channel.without_namespace",
            &raw.without_namespace,
            raw,
            report,
        ),
        syntax,
        namespaces,
    }
}

fn check_name(section: &str, raw: &Namespace, channel: &Channel, report: &mut Report) {
    let boundary = &channel.namespace_boundary;
    if raw.name.is_empty() {
        report.error(format!(
            "{section}.name: not set; write what stands before the first {boundary:?}"
        ));
    } else if !boundary.is_empty() && raw.name.contains(boundary.as_str()) {
        report.error(format!(
            "{section}.name: {:?} contains the boundary {boundary:?}; leave that out",
            raw.name
        ));
    }
}

fn namespace_options(
    section: &str,
    raw: &Namespace,
    channel: &Channel,
    report: &mut Report,
) -> NamespaceOptions {
    let mut options = NamespaceOptions {
        presence: raw.presence,
        join_leave: raw.join_leave,
        force_push_join_leave: raw.force_push_join_leave,
        history_size: raw.history_size,
        history_ttl: raw.history_ttl.get(),
        history_meta_ttl: if raw.history_meta_ttl.is_zero() {
            channel.history_meta_ttl.get()
        } else {
            raw.history_meta_ttl.get()
        },
        force_positioning: raw.force_positioning,
        allow_positioning: raw.allow_positioning,
        force_recovery: raw.force_recovery,
        allow_recovery: raw.allow_recovery,
        recovery_mode: recovery_mode(section, &raw.force_recovery_mode, report),
        allow_subscribe: Allow {
            client: raw.allow_subscribe_for_client,
            subscriber: false,
            anonymous: raw.allow_subscribe_for_anonymous,
        },
        allow_publish: Allow {
            client: raw.allow_publish_for_client,
            subscriber: raw.allow_publish_for_subscriber,
            anonymous: raw.allow_publish_for_anonymous,
        },
        allow_presence: Allow {
            client: raw.allow_presence_for_client,
            subscriber: raw.allow_presence_for_subscriber,
            anonymous: raw.allow_presence_for_anonymous,
        },
        allow_history: Allow {
            client: raw.allow_history_for_client,
            subscriber: raw.allow_history_for_subscriber,
            anonymous: raw.allow_history_for_anonymous,
        },
        allow_user_limited_channels: raw.allow_user_limited_channels,
        channel_regex: match raw.channel_regex.as_str() {
            "" => None,
            pattern => regex(&format!("{section}.channel_regex"), pattern, report),
        },
        publication_format: format(section, raw, channel, report),
        quic_datagrams: raw.quic_datagrams,
    };
    check_stream(section, &mut options, report);
    options
}

/// Half a stream is none, and without a stream there is no position to watch over or to recover from.
fn check_stream(section: &str, options: &mut NamespaceOptions, report: &mut Report) {
    if options.stream().is_some() {
        if options.quic_datagrams {
            report.error(format!(
                "{section}.quic_datagrams: datagrams may be lost, which a stream promises not to; leave out either this or \
                 history_size and history_ttl"
            ));
        }
        return;
    }
    if options.history_size > 0 || !options.history_ttl.is_zero() {
        report.warning(format!(
            "{section}: history_size and history_ttl make a stream together; one alone does nothing"
        ));
    }
    if options.force_recovery {
        report.error(format!(
            "{section}.force_recovery: nothing can be recovered without a stream; set history_size and history_ttl"
        ));
    }
    for (key, on) in [
        ("force_positioning", &mut options.force_positioning),
        ("allow_positioning", &mut options.allow_positioning),
        ("allow_recovery", &mut options.allow_recovery),
    ] {
        if std::mem::take(on) {
            report.warning(format!(
                "{section}.{key}: does nothing without a stream; set history_size and history_ttl"
            ));
        }
    }
}

fn recovery_mode(section: &str, text: &str, report: &mut Report) -> RecoveryMode {
    match text {
        "" | "stream" => RecoveryMode::Stream,
        "cache" => RecoveryMode::Cache,
        other => {
            report.error(format!(
                "{section}.force_recovery_mode: {other:?} is none; write stream or cache"
            ));
            RecoveryMode::Stream
        }
    }
}

fn format(section: &str, raw: &Namespace, channel: &Channel, report: &mut Report) -> PublicationFormat {
    let (key, text) = match raw.publication_data_format.as_str() {
        "" => ("channel".to_owned(), channel.publication_data_format.as_str()),
        own => (section.to_owned(), own),
    };
    match text {
        "" => PublicationFormat::NotEmpty,
        "json" => PublicationFormat::Json,
        "json_object" => PublicationFormat::JsonObject,
        "binary" => PublicationFormat::Binary,
        other => {
            report.error(format!(
                "{key}.publication_data_format: {other:?} is none; write json, json_object or binary"
            ));
            PublicationFormat::NotEmpty
        }
    }
}
