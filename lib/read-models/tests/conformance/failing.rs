//! DynamoDB on a bad day: it leaves things undone, throttles, and its answers get lost.

use crate::world::World;
use crate::{bulk, collections, tallies, versions};

#[tokio::test]
async fn what_is_throttled_left_undone_or_not_answered_is_done_once_all_the_same() {
    versions::a_change_that_comes_again_changes_nothing(&failing().await).await;
    versions::a_change_of_hundreds_of_items_is_kept(&failing().await).await;
    versions::hundreds_of_changes_at_once_are_all_kept(&failing().await).await;
    tallies::many_changes_of_one_batch_add_up(&failing().await).await;
    tallies::a_tallys_version_is_the_newest_of_those_that_changed_it(&failing().await).await;
    tallies::changes_that_count_and_have_other_items_come_whole(&failing().await).await;
    collections::items_are_found_by_their_keys_however_many_and_however_often_asked_for(&failing().await).await;
    bulk::a_generation_is_filled_and_then_written_to(&failing().await).await;
    bulk::tallies_of_parts_are_summed_when_it_is_finished(&failing().await).await;
}

async fn failing() -> World {
    World::of(testkit::failing_dynamodb().await, testkit::plain_dynamodb_client).await
}
