//! What is not kept, and said so.

use read_models::{Generation, Item, Key, ReadModelStoreError, StreamItemChanges};

use crate::world::{THINGS, World, change, item, json, key, part, tally};

fn at(key: Key, index: Option<Key>) -> Item {
    Item { key, index_keys: [index, None, None], version: 1, body: json("x"), words: None }
}

fn refused_keys() -> Vec<Key> {
    let long = "k".repeat(1_001);
    [("", "b"), ("a", ""), ("a\0", "b"), ("a", "b\0"), ("a\u{1}", "b"), (&long, "b"), ("a", &long)]
        .map(|(pk, sk)| Key::new(pk, sk))
        .into()
}

pub(crate) async fn keys_that_no_store_takes_are_refused_and_nothing_is_written(world: &World) {
    let good = || change(item("good", "1", 1, "x"), None);
    for key in refused_keys() {
        let as_head = change(at(key.clone(), None), None);
        let as_other =
            StreamItemChanges { others: vec![at(key.clone(), None)], ..change(part("a", "#META", 1, "x"), None) };
        let in_index = change(at(Key::new("a", "b"), Some(key.clone())), None);
        let counted = read_models::TallyAddition { key: key.clone(), ..tally("", 1, &[("n", 1)]) };
        let as_tally = StreamItemChanges { tallies: vec![counted], ..change(part("a", "#META", 1, "x"), None) };
        for bad in [as_head, as_other, in_index, as_tally] {
            let refused = world.write(&[good(), bad]).await.unwrap_err();
            assert!(matches!(refused, ReadModelStoreError::Refused { .. }), "{key:?}: {refused:?}");
        }
        let mut connection = world.database.pool().acquire().await.unwrap();
        let mut bulk = world.read_models.begin_next(THINGS, &mut connection).await.unwrap();
        let refused = bulk.add(&mut connection, &[at(key.clone(), None)], &[]).await.unwrap_err();
        assert!(matches!(refused, ReadModelStoreError::Refused { .. }), "{key:?}: {refused:?}");
    }
    assert!(world.live().scan(None, 10).await.unwrap().items.is_empty());
}

pub(crate) async fn keys_up_to_the_bound_are_kept(world: &World) {
    let longest = Key::new("p".repeat(500), "s".repeat(500));
    let short = Key::new("a", "b");
    let index = Key::new("g".repeat(1_000), "s".repeat(998));
    world.put(&[at(longest.clone(), None), at(short.clone(), Some(index.clone()))]).await;
    assert!(world.stored(&longest).await.is_some());
    assert_eq!(world.stored(&short).await.unwrap().index_keys[0], Some(index.clone()));
    let partitions = [index.pk];
    let page = world.live().query(&crate::world::all(&partitions, read_models::SortOrder::Ascending, 1)).await.unwrap();
    assert_eq!(page.items[0].key, short);
}

pub(crate) async fn big_items_are_kept_or_refused_by_name(world: &World) {
    let body = |bytes: usize| "b".repeat(bytes);
    world.put(&[item("big", "1", 1, &body(400_000))]).await;
    assert_eq!(world.stored(&key("big")).await.unwrap().body.get().len(), 400_002);

    // Postgres takes it.
    let too_big = [change(item("small", "1", 1, "x"), None), change(item("huge", "1", 1, &body(500_000)), None)];
    if let Err(refused) = world.write(&too_big).await {
        assert!(matches!(&refused, ReadModelStoreError::Refused { key: of, .. } if *of == key("huge")), "{refused:?}");
        assert!(refused.to_string().contains("bytes, and DynamoDB takes 409600"), "{refused}");
        assert!(world.stored(&key("small")).await.is_none(), "nothing is written");
    } else {
        assert_eq!(world.stored(&key("huge")).await.unwrap().body.get().len(), 500_002);
    }
    // Several of them are more than one transaction takes.
    let others = (0..20).map(|n| part("much", &format!("P#{n:02}"), 1, &body(300_000))).collect();
    world.write(&[StreamItemChanges { others, ..change(item("much", "1", 1, "x"), None) }]).await.unwrap();
    assert_eq!(world.live().collection("THING#much").await.unwrap().len(), 21);
}

pub(crate) async fn what_cannot_be_a_key_is_not_found(world: &World) {
    world.put(&[item("a", "1", 1, "x")]).await;
    let mut keys = refused_keys();
    keys.push(key("a"));
    assert_eq!(world.table(Generation::Live).find(&keys).await.unwrap().len(), 1);
    for pk in ["", "a\0", &"k".repeat(100_000)] {
        assert!(world.live().collection(pk).await.unwrap().is_empty());
        let partitions = [pk.to_owned()];
        let query = crate::world::all(&partitions, read_models::SortOrder::Ascending, 10);
        assert!(world.walk(&query).await.is_empty());
    }
}
