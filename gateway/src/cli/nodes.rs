//! `campanile nodes` and `campanile channels`: the gateways of a deployment, and the channels that have subscribers there.

use std::collections::BTreeMap;

use campanile_common::HumanDuration;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::Exit;
use super::api::ApiArguments;
use super::table::{Side, Table};
use crate::cluster::NodeInfo;

/// Whom to ask about gateways.
#[derive(Debug, Args)]
pub struct NodesArguments {
    #[command(flatten)]
    api: ApiArguments,
}

/// Whom to ask about which channels.
#[derive(Debug, Args)]
pub struct ChannelsArguments {
    /// Only channels whose name is like this: `*` stands for any text, `?` for one character
    #[arg(value_name = "PATTERN", default_value = "")]
    pattern: String,
    #[command(flatten)]
    api: ApiArguments,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nodes {
    nodes: Vec<NodeInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Channels {
    channels: BTreeMap<String, Channel>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Channel {
    num_clients: usize,
}

/// `nodes`: prints the gateways.
#[must_use]
pub fn nodes(arguments: &NodesArguments) -> Exit {
    arguments.api.show("info", &json!({}), node_table)
}

/// `channels`: prints those with subscribers, the largest first.
#[must_use]
pub fn channels(arguments: &ChannelsArguments) -> Exit {
    let params = json!({ "pattern": arguments.pattern });
    arguments.api.show("channels", &params, channel_table)
}

fn node_table(Nodes { mut nodes }: Nodes) -> String {
    nodes.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    let mut table = Table::new(&[
        ("NAME", Side::Left),
        ("VERSION", Side::Left),
        ("UPTIME", Side::Right),
        ("CLIENTS", Side::Right),
        ("USERS", Side::Right),
        ("SUBSCRIPTIONS", Side::Right),
        ("CHANNELS", Side::Right),
        ("TOPOLOGY", Side::Right),
    ]);
    for node in nodes {
        let generation = node.topology.map(|topology| topology.generation.to_string());
        table.row([
            node.name,
            node.version,
            HumanDuration::from_secs(node.uptime).to_string(),
            node.num_clients.to_string(),
            node.num_users.to_string(),
            node.num_subs.to_string(),
            node.num_channels.to_string(),
            generation.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.text()
}

fn channel_table(Channels { channels }: Channels) -> String {
    let mut channels: Vec<(String, usize)> = channels
        .into_iter()
        .map(|(name, channel)| (name, channel.num_clients))
        .collect();
    // The order of those of one size stays that of their names.
    channels.sort_by_key(|(_, subscribers)| std::cmp::Reverse(*subscribers));
    let mut table = Table::new(&[("CHANNEL", Side::Left), ("SUBSCRIBERS", Side::Right)]);
    for (name, subscribers) in channels {
        table.row([name, subscribers.to_string()]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::TopologyInfo;

    #[test]
    fn gateways_are_a_table() {
        let node = |name: &str, topology| NodeInfo {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            num_clients: 1200,
            num_users: 7,
            uptime: 3723,
            topology,
            ..NodeInfo::default()
        };
        let topology = TopologyInfo {
            generation: 12,
            ..TopologyInfo::default()
        };
        let nodes = vec![node("edge-2", None), node("edge-1", Some(topology))];
        assert_eq!(
            node_table(Nodes { nodes }),
            "\
NAME    VERSION  UPTIME  CLIENTS  USERS  SUBSCRIPTIONS  CHANNELS  TOPOLOGY
edge-1  0.1.0    1h2m3s     1200      7              0         0        12
edge-2  0.1.0    1h2m3s     1200      7              0         0         -
"
        );
    }

    #[test]
    fn the_largest_channel_comes_first() {
        let text =
            r#"{"channels": {"a": {"num_clients": 1}, "b": {"num_clients": 20}, "c": {"num_clients": 1}}}"#;
        assert_eq!(
            channel_table(serde_json::from_str(text).unwrap()),
            "CHANNEL  SUBSCRIBERS\nb                 20\na                  1\nc                  1\n"
        );
    }
}
