//! What adds up over many streams.

use read_models::StreamItemChanges;

use crate::world::{World, change, item, numbers, part, tally};

fn counted(id: &str, version: i64, base: Option<i64>, sk: &str, add: &[(&str, i64)]) -> StreamItemChanges {
    StreamItemChanges { tallies: vec![tally(sk, version, add)], ..change(item(id, "1", version, "x"), base) }
}

pub(crate) async fn what_is_counted_is_counted_once(world: &World) {
    for _ in 0..3 {
        world.write(&[counted("a", 2, None, "h", &[("orders", 1), ("amount", 1_050)])]).await.unwrap();
        world.write(&[counted("b", 5, None, "h", &[("orders", 1), ("amount", 70)])]).await.unwrap();
    }
    assert_eq!(world.tally("h").await.unwrap(), (5, numbers(&[("orders", 2), ("amount", 1_120)])));
}

pub(crate) async fn many_changes_of_one_batch_add_up(world: &World) {
    let batch = |version: i64, base: Option<i64>| -> Vec<StreamItemChanges> {
        let one =
            |n: i64| counted(&format!("{n}"), version + n, base.map(|b| b + n), &format!("{}", n % 7), &[("n", n)]);
        (0..250).map(one).collect()
    };
    world.write(&batch(1_000, None)).await.unwrap();
    world.write(&batch(2_000, Some(1_000))).await.unwrap();
    world.write(&batch(1_000, None)).await.unwrap();
    for sk in 0..7 {
        let ours: Vec<i64> = (0..250).filter(|n| n % 7 == sk).collect();
        let newest = 2_000 + ours.iter().max().unwrap();
        let sum: i64 = ours.iter().sum();
        assert_eq!(world.tally(&format!("{sk}")).await.unwrap(), (newest, numbers(&[("n", 2 * sum)])));
    }
}

pub(crate) async fn numbers_go_down_too_and_new_ones_start_at_nothing(world: &World) {
    world.write(&[counted("a", 1, None, "h", &[("new", 1)])]).await.unwrap();
    world
        .write(&[counted("a", 2, Some(1), "h", &[("new", -1), ("paid", 1), ("odd name: \"#:", i64::MAX)])])
        .await
        .unwrap();
    let expected = numbers(&[("new", 0), ("odd name: \"#:", i64::MAX), ("paid", 1)]);
    assert_eq!(world.tally("h").await.unwrap(), (2, expected));
}

pub(crate) async fn a_tallys_version_is_the_newest_of_those_that_changed_it(world: &World) {
    // Copies fold different streams at the same time, each in its own order.
    for (id, version) in [("a", 5), ("b", 3), ("c", 9), ("d", 7)] {
        world.write(&[counted(id, version, None, "h", &[("orders", 1)])]).await.unwrap();
    }
    assert_eq!(world.tally("h").await.unwrap(), (9, numbers(&[("orders", 4)])));
}

pub(crate) async fn a_batch_in_which_some_is_done_already_counts_the_rest(world: &World) {
    world.write(&[counted("b", 2, None, "h", &[("orders", 1)])]).await.unwrap();
    let batch = [
        counted("a", 1, None, "h", &[("orders", 1)]),
        counted("b", 2, None, "h", &[("orders", 1)]),
        counted("c", 3, None, "h", &[("orders", 1)]),
        change(item("d", "1", 4, "counts nothing"), None),
    ];
    world.write(&batch).await.unwrap();
    assert_eq!(world.tally("h").await.unwrap(), (3, numbers(&[("orders", 3)])));
    assert!(world.stored(&crate::world::key("d")).await.is_some());
}

pub(crate) async fn changes_that_count_and_have_other_items_come_whole(world: &World) {
    let batch = || -> Vec<StreamItemChanges> {
        let one = |n: i64| {
            let id = format!("{n}");
            let others = (0..30).map(|line| part(&id, &format!("LINE#{line}"), n, "x")).collect();
            StreamItemChanges { others, ..counted(&id, n, None, "h", &[("orders", 1)]) }
        };
        (1..=10).map(one).collect()
    };
    world.write(&batch()).await.unwrap();
    world.write(&batch()).await.unwrap();
    assert_eq!(world.tally("h").await.unwrap(), (10, numbers(&[("orders", 10)])));
    for n in 1..=10 {
        assert_eq!(world.live().collection(&format!("THING#{n}")).await.unwrap().len(), 31);
    }
}
