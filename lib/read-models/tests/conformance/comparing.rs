//! Two generations compared.

use read_models::{Generation, GenerationComparison, Item, StreamItemChanges, compare};

use crate::world::{THINGS, World, change, item, json, key, tally};

async fn build(world: &World, items: &[Item], tallies: &[read_models::TallyAddition]) {
    let mut connection = world.database.pool().acquire().await.unwrap();
    let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
    bulk.add(&mut connection, items, tallies).await.unwrap();
    bulk.finish(&mut connection).await.unwrap();
}

async fn compared(world: &World, up_to: i64) -> GenerationComparison {
    compare(&*world.live(), &*world.table(Generation::Next), up_to, 2).await.unwrap()
}

pub(crate) async fn generations_that_are_alike_have_no_differences(world: &World) {
    let items: Vec<Item> = (0..40).map(|n| item(&format!("{n}"), "1", n, "x")).collect();
    world.put(&items).await;
    build(world, &items, &[]).await;
    let comparison = compared(world, 100).await;
    assert!(comparison.is_empty());
    assert_eq!(comparison, GenerationComparison { alike: 40, ..GenerationComparison::default() });
}

pub(crate) async fn differences_are_counted_and_shown(world: &World) {
    world.put(&[item("same", "1", 1, "x"), item("old", "1", 1, "o"), item("body", "1", 1, "o")]).await;
    world.put(&[item("place", "1", 1, "x"), item("version", "1", 1, "x")]).await;
    let new = [
        item("same", "1", 1, "x"),
        item("new", "1", 1, "n"),
        item("newer", "1", 1, "n"),
        item("newest", "1", 1, "n"),
        item("body", "1", 1, "n"),
        item("place", "2", 1, "x"),
        item("version", "1", 2, "x"),
    ];
    build(world, &new, &[]).await;
    let comparison = compared(world, 100).await;
    let counted = (comparison.alike, comparison.only_in_old, comparison.only_in_new, comparison.different);
    assert_eq!(counted, (1, 1, 3, 3));
    assert!(!comparison.is_empty());
    // Two of each kind at the most.
    assert_eq!(comparison.examples.len(), 5);
    let gone = comparison.examples.iter().find(|example| example.key == key("old")).unwrap();
    assert_eq!((gone.old.as_deref(), gone.new.as_deref()), (Some(json("o").get()), None));
}

pub(crate) async fn what_is_on_the_move_is_left_out(world: &World) {
    world.put(&[item("same", "1", 5, "x"), item("a", "1", 11, "later"), item("b", "1", 12, "only here yet")]).await;
    build(world, &[item("same", "1", 5, "x"), item("a", "1", 3, "x"), item("c", "1", 13, "only there yet")], &[]).await;
    let comparison = compared(world, 10).await;
    assert_eq!(comparison, GenerationComparison { alike: 1, on_the_move: 3, ..GenerationComparison::default() });
}

pub(crate) async fn a_tally_that_was_counted_live_is_like_one_that_was_summed(world: &World) {
    for (id, version) in [("a", 1), ("b", 2)] {
        let tallies = vec![tally("h", version, &[("z", 1), ("a", -2)])];
        world.write(&[StreamItemChanges { tallies, ..change(item(id, "1", version, "x"), None) }]).await.unwrap();
    }
    let items = [item("a", "1", 1, "x"), item("b", "1", 2, "x")];
    build(world, &items, &[tally("h", 2, &[("z", 1), ("a", -2)]), tally("h", 1, &[("z", 1), ("a", -2)])]).await;
    assert_eq!(compared(world, 10).await, GenerationComparison { alike: 3, ..GenerationComparison::default() });
}
