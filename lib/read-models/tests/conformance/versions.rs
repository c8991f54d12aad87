//! Versions never go back, and changes come whole.

use read_models::{Key, StreamItemChanges};

use crate::world::{World, change, item, json, key, part, tally};

pub(crate) async fn an_older_version_never_replaces_a_newer_one(world: &World) {
    world.write(&[change(item("a", "1", 5, "five"), None)]).await.unwrap();
    world.write(&[change(item("a", "1", 4, "four"), None), change(item("b", "1", 4, "new"), None)]).await.unwrap();
    world.write(&[change(item("a", "1", 5, "five again"), Some(4))]).await.unwrap();
    assert_eq!(world.body(&key("a")).await.unwrap(), json("five").get());
    assert_eq!(world.body(&key("b")).await.unwrap(), json("new").get());
    world.write(&[change(item("a", "1", 6, "six"), Some(5))]).await.unwrap();
    let stored = world.stored(&key("a")).await.unwrap();
    assert_eq!((stored.version, stored.body.get()), (6, json("six").get()));
}

pub(crate) async fn a_change_that_comes_again_changes_nothing(world: &World) {
    let first = || StreamItemChanges {
        others: vec![part("a", "LINE#1", 3, "as ordered")],
        tallies: vec![tally("all", 3, &[("things", 1)])],
        ..change(item("a", "1", 3, "first"), None)
    };
    let second = || StreamItemChanges {
        others: vec![part("a", "LINE#1", 7, "as returned"), part("a", "RETURN#1", 7, "back")],
        tallies: vec![tally("all", 7, &[("returns", 1)])],
        ..change(item("a", "1", 7, "second"), Some(3))
    };
    for changes in [[first()], [first()], [second()], [first()], [second()], [first()]] {
        world.write(&changes).await.unwrap();
    }
    let bodies: Vec<String> =
        world.live().collection("THING#a").await.unwrap().iter().map(|item| item.read().unwrap()).collect();
    assert_eq!(bodies, ["second", "as returned", "back"]);
    let (version, counted) = world.tally("all").await.unwrap();
    assert_eq!((version, counted), (7, crate::world::numbers(&[("things", 1), ("returns", 1)])));
}

pub(crate) async fn a_change_with_other_items_comes_whole(world: &World) {
    let ordered = |n: i64| StreamItemChanges {
        others: (1..=20).map(|line| part("a", &format!("LINE#{line:03}"), n, &format!("{n}"))).collect(),
        ..change(item("a", "1", n, &format!("{n}")), (n > 1).then(|| n - 1))
    };
    for n in 1..=3 {
        world.write(&[ordered(n)]).await.unwrap();
    }
    let items = world.live().collection("THING#a").await.unwrap();
    assert_eq!(items.len(), 21);
    assert!(items.iter().all(|item| item.version == 3 && item.body.get() == json("3").get()), "{items:?}");
}

pub(crate) async fn a_change_of_hundreds_of_items_is_kept(world: &World) {
    let lines = |n: i64| (1..=250).map(|line| part("a", &format!("LINE#{line:03}"), n, "x")).collect();
    let tallies = |n: i64| vec![tally("all", n, &[("things", 1)])];
    let big = |n: i64, base| StreamItemChanges {
        others: lines(n),
        tallies: tallies(n),
        ..change(item("a", "1", n, "x"), base)
    };
    for changes in [[big(4, None)], [big(4, None)], [big(9, Some(4))], [big(9, Some(4))]] {
        world.write(&changes).await.unwrap();
    }
    let items = world.live().collection("THING#a").await.unwrap();
    assert_eq!(items.len(), 251);
    assert!(items.iter().all(|item| item.version == 9));
    assert_eq!(world.tally("all").await.unwrap(), (9, crate::world::numbers(&[("things", 2)])));
}

pub(crate) async fn hundreds_of_changes_at_once_are_all_kept(world: &World) {
    let changes = |version: i64, base| -> Vec<StreamItemChanges> {
        let head = |n: i64| item(&format!("{n}"), "1", version + n, &format!("{n}"));
        let others = |n: i64| (0..n % 3).map(|m| part(&format!("{n}"), &format!("P#{m}"), version + n, "p")).collect();
        (0..300).map(|n| StreamItemChanges { others: others(n), ..change(head(n), base) }).collect()
    };
    world.write_at_once(&changes(1_000, None)).await;
    world.write_at_once(&changes(1_000, None)).await;
    let keys: Vec<Key> = (0..300).map(|n| key(&format!("{n}"))).collect();
    let found = world.live().find(&keys).await.unwrap();
    assert_eq!(found.len(), 300);
    assert!(found.iter().all(|item| item.body.get() == json(&format!("{}", item.version - 1_000)).get()));
    assert_eq!(world.live().collection("THING#2").await.unwrap().len(), 3);
}

/// What relies on the transaction that it is part of can't meet another writer; what does not, says so.
#[cfg(feature = "dynamodb")]
#[tokio::test]
async fn what_was_made_from_something_out_of_date_is_made_anew() {
    let world = World::dynamodb().await;
    world.write(&[change(item("a", "1", 5, "five"), None)]).await.unwrap();
    let late =
        StreamItemChanges { others: vec![part("a", "LINE#1", 6, "x")], ..change(item("a", "1", 6, "six"), Some(3)) };
    let refused = world.write(&[late]).await.unwrap_err();
    assert!(matches!(&refused, read_models::ReadModelStoreError::Conflict(at) if *at == key("a")), "{refused:?}");
    assert_eq!(world.live().collection("THING#a").await.unwrap().len(), 1);
}
