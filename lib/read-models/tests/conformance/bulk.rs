//! A next generation written in bulk.

use read_models::{Generation, Item, SortOrder, StreamItemChanges};
use sqlx::Connection;

use crate::world::{THINGS, World, all, change, item, key, numbers, part, tally};

pub(crate) async fn a_generation_is_filled_and_then_written_to(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    for part_of_it in 0..3 {
        let mut transaction = connection.begin().await.unwrap();
        let one = |n: i64| item(&format!("{n:03}"), &format!("{n:03}"), n, "in bulk");
        let mut items: Vec<Item> = (part_of_it * 100..part_of_it * 100 + 100).map(one).collect();
        items.push(part(&format!("{part_of_it}"), "LINE#1", 1, "a line"));
        bulk.add(&mut transaction, &items, &[]).await.unwrap();
        transaction.commit().await.unwrap();
    }
    bulk.finish(&mut connection).await.unwrap();
    bulk.finish(&mut connection).await.unwrap();
    // It catches up.
    let next = |n: i64, base| change(item("000", "999", n, "caught up"), base);
    world
        .write_to(Generation::Next, &[next(1_000, Some(0)), change(item("more", "9999", 1_001, "x"), None)])
        .await
        .unwrap();
    world.write_to(Generation::Next, &[next(500, Some(0))]).await.unwrap();
    assert!(world.live().scan(None, 10).await.unwrap().items.is_empty(), "nobody sees it yet");
    let mut transaction = connection.begin().await.unwrap();
    world.read_models.promote(THINGS, &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();

    let partitions = ["ALL".to_owned()];
    let seen = world.walk(&all(&partitions, SortOrder::Ascending, 50)).await;
    let expected: Vec<String> =
        (1..300).map(|n| format!("{n:03}")).chain(["000".to_owned(), "more".to_owned()]).collect();
    assert_eq!(seen, expected);
    assert_eq!(world.stored(&key("000")).await.unwrap().version, 1_000);
    assert_eq!(world.live().collection("THING#1").await.unwrap().len(), 1);
}

pub(crate) async fn a_generation_is_filled_after_a_pause(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    bulk.add(&mut connection, &[item("a", "1", 1, "before")], &[tally("h", 1, &[("n", 1)])]).await.unwrap();
    drop(bulk);
    let mut bulk = world.read_models.resume_next(THINGS, &mut connection).await.unwrap();
    bulk.add(&mut connection, &[item("b", "2", 2, "after")], &[tally("h", 2, &[("n", 1)])]).await.unwrap();
    drop(bulk);
    let mut bulk = world.read_models.resume_next(THINGS, &mut connection).await.unwrap();
    bulk.finish(&mut connection).await.unwrap();
    let found = world.table(Generation::Next).find(&[key("a"), key("b")]).await.unwrap();
    assert_eq!(found.len(), 2);
    let sum = world.table(Generation::Next).find(&[tally("h", 0, &[]).key]).await.unwrap().pop().unwrap();
    assert_eq!((sum.version, sum.read().unwrap()), (2, numbers(&[("n", 2)])));
}

pub(crate) async fn tallies_of_parts_are_summed_when_it_is_finished(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    let parts = [
        vec![tally("1", 5, &[("orders", 2), ("amount", 100)]), tally("2", 3, &[("orders", 1)])],
        vec![tally("1", 4, &[("orders", -1), ("paid", 1)])],
        vec![],
    ];
    for tallies in parts {
        bulk.add(&mut connection, &[], &tallies).await.unwrap();
    }
    bulk.finish(&mut connection).await.unwrap();
    bulk.finish(&mut connection).await.unwrap();
    // It counts on from there.
    let more =
        StreamItemChanges { tallies: vec![tally("1", 9, &[("orders", 1)])], ..change(item("a", "1", 9, "x"), None) };
    world.write_to(Generation::Next, &[more]).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    world.read_models.promote(THINGS, &mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(world.tally("1").await.unwrap(), (9, numbers(&[("orders", 2), ("amount", 100), ("paid", 1)])));
    assert_eq!(world.tally("2").await.unwrap(), (3, numbers(&[("orders", 1)])));
    // What was kept to be summed is no part of the next.
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    bulk.finish(&mut connection).await.unwrap();
    assert!(world.table(Generation::Next).scan(None, 10).await.unwrap().items.is_empty());
}

pub(crate) async fn a_part_that_was_not_committed_comes_again(world: &World) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    let items: Vec<Item> = (0..60).map(|n| item(&format!("{n}"), "1", 1, "x")).collect();
    for commits in [false, false, true] {
        let mut transaction = connection.begin().await.unwrap();
        bulk.add(&mut transaction, &items, &[tally("h", 1, &[("n", 60)])]).await.unwrap();
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    bulk.finish(&mut connection).await.unwrap();
    let next = world.table(Generation::Next);
    assert_eq!(next.scan(None, 1_000).await.unwrap().items.len(), 61);
    let sum = next.find(&[tally("h", 0, &[]).key]).await.unwrap().pop().unwrap();
    assert_eq!(sum.read::<std::collections::BTreeMap<String, i64>>().unwrap(), numbers(&[("n", 60)]));
}
