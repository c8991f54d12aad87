//! What every store of read models has to do, whichever it is: one suite, run against each.
//!
//! DynamoDB is an emulator in this process (feature `dynamodb`); and, where `ORDO_TEST_MOTO` names it, one that is none
//! of ours.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

#[cfg(feature = "dynamodb")]
mod alike;
mod bulk;
mod collections;
mod comparing;
#[cfg(feature = "dynamodb")]
mod failing;
mod generations;
mod pages;
mod refusals;
mod tallies;
mod versions;
mod words;
mod world;

use world::World;

/// Each case against each store, with a database of its own.
macro_rules! suite {
    ($($module:ident { $($case:ident)* })*) => {
        mod postgres {
            $($(
                #[tokio::test]
                async fn $case() {
                    crate::$module::$case(&crate::World::postgres().await).await;
                }
            )*)*
        }

        #[cfg(feature = "dynamodb")]
        mod dynamodb {
            $($(
                #[tokio::test]
                async fn $case() {
                    crate::$module::$case(&crate::World::dynamodb().await).await;
                }
            )*)*
        }

        #[cfg(feature = "dynamodb")]
        mod moto {
            $($(
                #[tokio::test]
                #[ignore = "needs moto_server, and its address in ORDO_TEST_MOTO: http://127.0.0.1:5000"]
                async fn $case() {
                    crate::$module::$case(&crate::World::moto().await).await;
                }
            )*)*
        }
    };
}

suite! {
    versions {
        an_older_version_never_replaces_a_newer_one
        a_change_that_comes_again_changes_nothing
        a_change_with_other_items_comes_whole
        a_change_of_hundreds_of_items_is_kept
        hundreds_of_changes_at_once_are_all_kept
    }
    tallies {
        what_is_counted_is_counted_once
        many_changes_of_one_batch_add_up
        numbers_go_down_too_and_new_ones_start_at_nothing
        a_tallys_version_is_the_newest_of_those_that_changed_it
        a_batch_in_which_some_is_done_already_counts_the_rest
        changes_that_count_and_have_other_items_come_whole
    }
    collections {
        a_collection_comes_by_its_sort_keys
        items_are_found_by_their_keys_however_many_and_however_often_asked_for
        what_is_not_there_is_not_found
        a_scan_meets_every_item_once
        what_is_found_is_what_was_written
    }
    pages {
        pages_neither_skip_nor_repeat_while_items_come_in
        items_with_the_same_sort_key_come_in_the_order_of_their_own
        a_range_has_its_first_key_and_not_its_last
        several_partitions_are_merged
        a_collection_is_read_in_pages
        a_page_begins_after_an_item_that_has_moved
        an_item_leaves_the_index_that_it_has_no_key_of_any_more
        a_cursor_is_good_for_its_own_query_only
        a_page_of_big_items_is_full
        what_is_read_at_once_has_few_items_if_they_are_large
    }
    refusals {
        keys_that_no_store_takes_are_refused_and_nothing_is_written
        keys_up_to_the_bound_are_kept
        big_items_are_kept_or_refused_by_name
        what_cannot_be_a_key_is_not_found
    }
    generations {
        a_new_read_model_has_a_live_generation_and_no_other
        a_next_generation_takes_the_place_of_the_live_one_again_and_again
        a_roll_back_brings_the_previous_one_back_and_another_undoes_it
        a_swap_that_is_rolled_back_never_was
        a_generation_that_is_not_there_is_named
        a_discarded_generation_is_gone_and_another_can_begin
        what_is_read_follows_a_swap_at_once
    }
    bulk {
        a_generation_is_filled_and_then_written_to
        a_generation_is_filled_after_a_pause
        tallies_of_parts_are_summed_when_it_is_finished
        a_part_that_was_not_committed_comes_again
    }
    comparing {
        generations_that_are_alike_have_no_differences
        differences_are_counted_and_shown
        what_is_on_the_move_is_left_out
        a_tally_that_was_counted_live_is_like_one_that_was_summed
    }
}
