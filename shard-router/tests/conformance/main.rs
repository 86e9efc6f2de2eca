//! What every shard must do, checked on each implementation, with faults; and what only Redis can suffer.
//!
//! A case is written once, against a [`World`](world::World): a server that can be made to fail, and gateways' ways to
//! it. Time is the server's: the memory world moves its clock, the Redis world waits.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod changes;
mod copy_fence;
mod copying;
mod counters;
mod faults;
mod fence;
mod gateway;
mod large;
mod mover;
mod notes;
mod only_memory;
mod only_redis;
mod order;
mod presence;
mod pubsub;
mod redis_scripts;
#[path = "../support/redis_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod redis_server;
mod server;
mod streams;
mod suppression;
mod world;

/// Runs cases on both worlds.
macro_rules! on_both_worlds {
    ($($module:ident :: { $($case:ident),* $(,)? })*) => {
        mod on_memory { $( mod $module { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case(crate::world::MemoryWorld::start()).await;
            }
        )* } )* }
        mod on_redis { $( mod $module { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case(crate::world::RedisWorld::start()).await;
            }
        )* } )* }
    };
}

on_both_worlds! {
    fence::{
        nothing_is_served_without_an_open_record,
        acts_lead_from_state_to_state_on_the_server,
        commands_are_answered_one_by_one_in_order,
        a_repeated_import_passes_to_later_tokens_only,
        records_are_listed_and_probes_remember_the_admission,
        acts_for_another_run_are_not_carried_out,
        a_wipe_takes_what_this_coordinator_fills_and_nothing_else,
        every_partition_can_be_fenced_at_once,
        sealing_what_was_open_is_announced,
    }
    streams::{
        offsets_are_dense_and_pages_say_where_they_end,
        a_stream_is_trimmed_to_its_size,
        ranges_go_both_ways_from_any_offset,
        content_expires_and_the_position_stays,
        a_forgotten_position_begins_a_new_epoch,
        a_position_lives_as_long_as_its_content,
        a_raised_floor_renews_the_epoch_at_the_next_touch_and_offsets_go_on,
        a_kept_floor_keeps_the_epoch,
        removing_history_keeps_the_position,
        positions_are_answered_one_by_one,
        payloads_of_any_bytes_and_size_come_back,
        channel_names_of_any_text_stay_apart,
        a_channel_without_a_stream_keeps_nothing,
    }
    suppression::{
        a_key_is_accepted_once_per_channel,
        a_key_is_forgotten_after_its_time,
        keys_and_channels_do_not_run_together,
        a_key_works_without_a_stream,
        versions_only_grow_within_their_epoch,
        versions_have_all_64_bits,
    }
    presence::{
        members_come_and_go,
        of_a_crowd_some_are_told_and_how_many_there_are,
        members_expire_one_by_one,
        a_refresh_keeps_and_replaces,
        batches_are_answered_one_by_one,
    }
    pubsub::{
        messages_arrive_in_order_with_their_positions,
        what_came_before_an_unsubscription_is_handed_over_before_its_answer,
        only_subscribed_links_hear_and_only_until_unsubscribed,
        a_broken_link_reports_down_then_up_and_has_nothing_subscribed,
        an_inbox_that_overflows_breaks_the_link_and_it_comes_back,
        many_channels_in_one_subscription,
        changes_submitted_together_are_carried_out_in_order,
        several_links_share_the_channels_by_partition,
    }
    faults::{
        an_untrusted_run_is_reported_and_not_used,
        a_restart_with_data_is_another_run_that_still_knows_all,
        a_restart_without_data_owns_nothing,
        a_restart_from_an_old_snapshot_is_behind,
        a_flush_in_the_midst_of_a_run_leaves_no_owner,
        a_paused_server_is_noticed_in_time_and_used_again,
        a_stopped_server_is_unreachable_and_used_again_when_it_returns,
        another_admission_makes_the_links_anew,
        a_closed_shard_answers_nothing_and_reports_its_links_down,
    }
    order::{
        calls_for_one_partition_are_carried_out_in_call_order,
        answers_nobody_waits_for_do_not_take_the_request_back,
        concurrent_publishers_leave_no_gap,
    }
    copying::{
        a_moved_partition_keeps_all_that_it_held,
        what_is_copied_expires_when_it_would_have,
        what_is_gone_is_deleted_at_the_target,
        what_expired_meanwhile_is_deleted_at_the_target,
        a_walk_meets_all_that_the_partitions_hold,
        results_alone_can_be_moved,
    }
    notes::{
        each_change_is_noted_once_under_its_last_number,
        notes_are_read_by_anybody_any_number_of_times,
        a_migration_begins_with_no_notes,
    }
    copy_fence::{
        only_the_move_may_read,
        only_the_attempt_may_write,
        only_what_was_closed_for_good_is_cleaned,
        a_seal_is_announced_and_can_be_asked_for,
        a_copy_for_another_run_is_not_carried_out,
    }
    server::{
        records_are_read_in_order,
        who_admitted_and_who_asks_to_drain_is_told,
        usage_grows_with_what_is_held,
    }
    large::{
        a_large_stream_is_copied_in_parts,
        only_the_end_is_copied_again,
        a_copy_far_behind_starts_over,
        a_removed_history_is_not_continued,
        another_epoch_is_not_continued,
        a_part_that_would_leave_a_gap_is_refused,
        a_large_presence_is_copied_in_parts_and_changes_by_member,
    }
}
