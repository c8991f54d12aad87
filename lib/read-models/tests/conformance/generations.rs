//! Generations beside each other, and how they change places.

use read_models::{Generation, ReadModelStoreError};
use sqlx::{Connection, PgConnection};

use crate::world::{THINGS, World, change, item, json, key};

async fn there(world: &World) -> [bool; 3] {
    let mut there = [false; 3];
    for (nth, generation) in [Generation::Live, Generation::Next, Generation::Previous].into_iter().enumerate() {
        there[nth] = world.read_models.exists(THINGS, generation).await.unwrap();
    }
    there
}

/// Fills a next generation with one item.
async fn build(world: &World, connection: &mut PgConnection, version: i64, body: &str) {
    let mut bulk = world.read_models.begin_next(THINGS, connection).await.unwrap();
    bulk.add(connection, &[item("a", "1", version, body)], &[]).await.unwrap();
    bulk.finish(connection).await.unwrap();
}

async fn swap(world: &World, connection: &mut PgConnection) {
    let mut transaction = connection.begin().await.unwrap();
    world.read_models.promote(THINGS, &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn body_in(world: &World, generation: Generation) -> String {
    world.table(generation).find(&[key("a")]).await.unwrap().pop().unwrap().body.get().to_owned()
}

pub(crate) async fn a_new_read_model_has_a_live_generation_and_no_other(world: &World) {
    assert_eq!(there(world).await, [true, false, false]);
    // Made again, it is the same.
    world.put(&[item("a", "1", 1, "kept")]).await;
    world.read_models.create(THINGS).await.unwrap();
    assert_eq!(world.body(&key("a")).await.unwrap(), json("kept").get());
    assert!(!world.read_models.exists("others", Generation::Live).await.unwrap());
    let (one, other) = tokio::join!(world.read_models.create("others"), world.read_models.create("others"));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert!(world.read_models.table("others", Generation::Live).find(&[key("a")]).await.unwrap().is_empty());
}

pub(crate) async fn a_next_generation_takes_the_place_of_the_live_one_again_and_again(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    world.put(&[item("a", "1", 1, "round 1")]).await;
    let live = world.live();
    for round in 2..5 {
        build(world, &mut connection, round, &format!("round {round}")).await;
        assert_eq!(body_in(world, Generation::Live).await, json(&format!("round {}", round - 1)).get());
        assert_eq!(body_in(world, Generation::Next).await, json(&format!("round {round}")).get());
        swap(world, &mut connection).await;
        // Whoever had the table before has the new one.
        let seen = live.find(&[key("a")]).await.unwrap().pop().unwrap();
        assert_eq!(seen.body.get(), json(&format!("round {round}")).get());
        assert_eq!(body_in(world, Generation::Previous).await, json(&format!("round {}", round - 1)).get());
        assert_eq!(there(world).await, [true, false, true]);
        world.write(&[change(item("a", "1", round, "no news"), None)]).await.unwrap();
    }
}

pub(crate) async fn a_roll_back_brings_the_previous_one_back_and_another_undoes_it(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    world.put(&[item("a", "1", 1, "old")]).await;
    build(world, &mut connection, 2, "new").await;
    swap(world, &mut connection).await;
    for (live, previous) in [("old", "new"), ("new", "old"), ("old", "new")] {
        let mut transaction = connection.begin().await.unwrap();
        world.read_models.roll_back(THINGS, &mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(body_in(world, Generation::Live).await, json(live).get());
        assert_eq!(body_in(world, Generation::Previous).await, json(previous).get());
    }
    // And on from there.
    build(world, &mut connection, 3, "newer").await;
    swap(world, &mut connection).await;
    assert_eq!(body_in(world, Generation::Live).await, json("newer").get());
    assert_eq!(body_in(world, Generation::Previous).await, json("old").get());
}

pub(crate) async fn a_swap_that_is_rolled_back_never_was(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    world.put(&[item("a", "1", 1, "first")]).await;
    build(world, &mut connection, 2, "second").await;
    swap(world, &mut connection).await;
    build(world, &mut connection, 3, "third").await;
    let mut transaction = connection.begin().await.unwrap();
    world.read_models.promote(THINGS, &mut transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(there(world).await, [true, true, true]);
    for (generation, body) in
        [(Generation::Live, "second"), (Generation::Next, "third"), (Generation::Previous, "first")]
    {
        assert_eq!(body_in(world, generation).await, json(body).get());
    }
    swap(world, &mut connection).await;
    assert_eq!(body_in(world, Generation::Live).await, json("third").get());
}

pub(crate) async fn a_generation_that_is_not_there_is_named(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let missing = |refused: Result<(), ReadModelStoreError>, wanted: Generation| {
        let refused = refused.unwrap_err();
        let named = matches!(&refused, ReadModelStoreError::NoGeneration { read_model, generation }
            if read_model == THINGS && *generation == wanted);
        assert!(named, "{refused:?}");
    };
    missing(world.read_models.promote(THINGS, &mut transaction).await, Generation::Next);
    missing(world.read_models.roll_back(THINGS, &mut transaction).await, Generation::Previous);
    missing(world.read_models.resume_next(THINGS, &mut transaction).await.map(drop), Generation::Next);
    transaction.rollback().await.unwrap();
    let refused = world.table(Generation::Next).find(&[key("a")]).await.unwrap_err();
    let refused_writes = world.write_to(Generation::Next, &[change(item("a", "1", 1, "x"), None)]).await.unwrap_err();
    for refused in [refused, refused_writes] {
        assert_eq!(refused.to_string(), "there is no next generation of things");
    }
}

pub(crate) async fn a_discarded_generation_is_gone_and_another_can_begin(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    for _ in 0..2 {
        build(world, &mut connection, 2, "half").await;
        world.read_models.discard(THINGS, Generation::Next, &mut connection).await.unwrap();
        assert_eq!(there(world).await, [true, false, false]);
        // There is nothing any more, and that is fine.
        world.read_models.discard(THINGS, Generation::Next, &mut connection).await.unwrap();
    }
    // What was left of one is not part of another.
    build(world, &mut connection, 9, "left").await;
    world.read_models.begin_next(THINGS, &mut connection).await.unwrap().finish(&mut connection).await.unwrap();
    assert!(world.table(Generation::Next).find(&[key("a")]).await.unwrap().is_empty());
    swap(world, &mut connection).await;
    assert_eq!(there(world).await, [true, false, true]);
    world.read_models.discard(THINGS, Generation::Previous, &mut connection).await.unwrap();
    assert_eq!(there(world).await, [true, false, false]);
}

/// A reader that knows of the swap, by whatever way, reads the new generation.
pub(crate) async fn what_is_read_follows_a_swap_at_once(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    world.put(&[item("a", "1", 1, "0")]).await;
    let live = world.live();
    for round in 1..=10 {
        build(world, &mut connection, 1 + round, &format!("{round}")).await;
        // Others read all the time.
        let read = || async { live.find(&[key("a")]).await.unwrap().pop().unwrap().body.get().to_owned() };
        let old = json(&format!("{}", round - 1)).get().to_owned();
        let new = json(&format!("{round}")).get().to_owned();
        let (before, (), ()) = tokio::join!(read(), swap(world, &mut connection), async { drop(read().await) });
        assert!(before == old || before == new);
        for seen in [read().await, read().await] {
            assert_eq!(seen, new);
        }
    }
}

#[cfg(feature = "dynamodb")]
#[tokio::test]
async fn no_table_of_dynamodbs_is_left_of_what_was_discarded_or_never_committed() {
    let world = World::dynamodb().await;
    let client = testkit::dynamodb_client(&world.emulator.as_ref().unwrap().url());
    let tables = async || client.list_tables().send().await.unwrap().table_names.unwrap();
    let mut connection = world.database.pool().acquire().await.unwrap();
    for commits in [false, true, true] {
        let mut transaction = connection.begin().await.unwrap();
        let mut bulk = world.read_models.begin_next(THINGS, &mut transaction).await.unwrap();
        bulk.add(&mut transaction, &[item("a", "1", 1, "x")], &[]).await.unwrap();
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    // The one that never was made room for the next, which is still there: until the last was committed it was needed.
    assert_eq!(tables().await, ["test-things-1", "test-things-2", "test-things-3"]);
    assert_eq!(world.table(Generation::Next).scan(None, 10).await.unwrap().items.len(), 1);

    let mut transaction = connection.begin().await.unwrap();
    world.read_models.discard(THINGS, Generation::Next, &mut transaction).await.unwrap();
    assert_eq!(tables().await.len(), 2, "it may still be undone");
    transaction.commit().await.unwrap();
    world.read_models.delete_dropped_tables(THINGS).await.unwrap();
    assert_eq!(tables().await, ["test-things-1"]);
    assert_eq!(there(&world).await, [true, false, false]);
}
