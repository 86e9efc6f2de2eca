//! Answers as tables, for people.

use std::fmt::Write as _;

use super::progress;
use crate::cli::table::{Side, Table};
use crate::shards::report::{MoveGroup, PlanReport, ShardList, Status};

/// How many partitions there are.
const PARTITIONS: u16 = campanile_shard_router::partition::Partition::COUNT;

/// The shards.
pub(super) fn list(list: &ShardList) -> String {
    let mut table = Table::new(&[
        ("NAME", Side::Left),
        ("ADDRESS", Side::Left),
        ("STATE", Side::Left),
        ("WEIGHT", Side::Right),
        ("PARTITIONS", Side::Right),
        ("SHARE", Side::Right),
        ("REACHABLE", Side::Left),
        ("INCARNATION", Side::Left),
    ]);
    for shard in &list.shards {
        table.row([
            shard.name.clone(),
            shard.address.clone(),
            shard.state.clone(),
            shard.weight.to_string(),
            shard.partitions.to_string(),
            percent(shard.share),
            if shard.reachable { "yes" } else { "no" }.to_owned(),
            shard.incarnation.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let mut text = table.text();
    for shard in &list.shards {
        if let Some(trouble) = &shard.trouble {
            // Writing to a string does not fail.
            let _ = write!(text, "\n{}: {trouble}", shard.name);
        }
    }
    let _ = write!(
        text,
        "\ntopology {}; the list is managed by: {}\n",
        list.generation, list.managed_by
    );
    text
}

/// What is to move.
pub(super) fn plan(plan: &PlanReport) -> String {
    if plan.partitions == 0 {
        return "nothing moves\n".to_owned();
    }
    let mut text = format!(
        "{} of {PARTITIONS} partitions move ({}), {}; the minimum is {}\n\n",
        plan.partitions,
        percent(plan.share),
        about(plan.bytes),
        plan.minimum
    );
    text.push_str(&groups(&plan.moves));
    let mut loads = Table::new(&[
        ("SHARD", Side::Left),
        ("BEFORE", Side::Right),
        ("AFTER", Side::Right),
        ("SHARE", Side::Right),
    ]);
    for load in &plan.shards {
        loads.row([
            load.name.clone(),
            load.before.to_string(),
            load.after.to_string(),
            percent(load.share),
        ]);
    }
    text.push('\n');
    text.push_str(&loads.text());
    text
}

/// How far the moves are.
pub(super) fn status(status: &Status) -> String {
    let mut text = list(&status.list);
    match &status.moves {
        None => text.push_str("\nnothing moves\n"),
        Some(moves) => {
            let _ = write!(text, "\n{}\n\n", progress::line(moves));
            text.push_str(&ahead(&moves.groups));
        }
    }
    text
}

/// What has yet to arrive.
fn ahead(moves: &[MoveGroup]) -> String {
    let mut table = Table::new(&[
        ("FROM", Side::Left),
        ("TO", Side::Left),
        ("PARTITIONS", Side::Right),
    ]);
    for group in moves {
        table.row([group.from.clone(), group.to.clone(), group.partitions.to_string()]);
    }
    table.text()
}

/// What is to move, and how much that is.
fn groups(moves: &[MoveGroup]) -> String {
    let mut table = Table::new(&[
        ("FROM", Side::Left),
        ("TO", Side::Left),
        ("PARTITIONS", Side::Right),
        ("SHARE", Side::Right),
        ("BYTES", Side::Right),
    ]);
    for group in moves {
        table.row([
            group.from.clone(),
            group.to.clone(),
            group.partitions.to_string(),
            percent(group.share),
            group.bytes.map_or_else(|| "?".to_owned(), bytes),
        ]);
    }
    table.text()
}

fn about(size: Option<u64>) -> String {
    match size {
        Some(size) => format!("about {}", bytes(size)),
        None => "of unknown size".to_owned(),
    }
}

/// A part of 1 in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number of bytes with three digits.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = count as f64;
    let mut unit = "B";
    for larger in UNITS {
        if size < 1000.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    let digits = if size < 10.0 { 2 } else { usize::from(size < 100.0) };
    format!("{size:.digits$} {unit}")
}
