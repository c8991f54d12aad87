//! Items by their own keys.

use std::collections::BTreeSet;

use read_models::{Index, Item, Key};
use serde_json::value::RawValue;

use crate::world::{World, item, key, part};

pub(crate) async fn a_collection_comes_by_its_sort_keys(world: &World) {
    let parts = ["LINE#002", "LINE#001", "#META", "LINE#010", "é", "Z", "a", "~"];
    world.put(&parts.map(|sk| part("a", sk, 1, sk))).await;
    world.put(&[part("ab", "#META", 1, "another")]).await;
    let found = world.live().collection("THING#a").await.unwrap();
    let sks: Vec<&str> = found.iter().map(|item| item.key.sk.as_str()).collect();
    assert_eq!(sks, ["#META", "LINE#001", "LINE#002", "LINE#010", "Z", "a", "~", "é"]);
}

pub(crate) async fn items_are_found_by_their_keys_however_many_and_however_often_asked_for(world: &World) {
    let items: Vec<Item> = (0..260).map(|n| item(&format!("{n}"), "1", 1, "x")).collect();
    world.put(&items).await;
    let mut keys: Vec<Key> = (0..300).map(|n| key(&format!("{n}"))).collect();
    keys.extend(keys.clone());
    let found = world.live().find(&keys).await.unwrap();
    assert_eq!(found.len(), 260);
    let distinct: BTreeSet<Key> = found.into_iter().map(|item| item.key).collect();
    assert_eq!(distinct.len(), 260);
}

pub(crate) async fn what_is_not_there_is_not_found(world: &World) {
    assert!(world.live().find(&[]).await.unwrap().is_empty());
    assert!(world.live().find(&[key("nobody")]).await.unwrap().is_empty());
    assert!(world.live().collection("THING#nobody").await.unwrap().is_empty());
    assert!(world.stored(&key("nobody")).await.is_none());
    assert!(world.live().scan(None, 10).await.unwrap().items.is_empty());
}

pub(crate) async fn a_scan_meets_every_item_once(world: &World) {
    let items: Vec<Item> = (0..57).map(|n| item(&format!("{n}"), "1", 1, "x")).collect();
    world.put(&items).await;
    for limit in [1, 7, 57, 1_000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let scanned = world.live().scan(after.as_ref(), limit).await.unwrap();
            assert!(scanned.items.len() <= usize::from(limit));
            seen.extend(scanned.items.into_iter().map(|item| item.key));
            after = scanned.after;
            if after.is_none() {
                break;
            }
        }
        seen.sort_unstable();
        let mut expected: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected, "{limit} at a time");
    }
}

/// To the letter, whatever it is.
pub(crate) async fn what_is_found_is_what_was_written(world: &World) {
    let bodies = [r#"{"b":1.50,"a" : [null, "ü \u00fc \\ \u0001"],"b":2}"#, "0", "\"\"", "[]", "{ }", "1e400", "null"];
    let index_keys = [Some(Key::new("A", "1")), None, Some(Key::new("C ü", "3#\""))];
    for (nth, body) in bodies.into_iter().enumerate() {
        let body = RawValue::from_string(body.to_owned()).unwrap();
        let version = i64::MAX - i64::try_from(nth).unwrap();
        let written = Item { key: key(&format!("{nth}")), index_keys: index_keys.clone(), version, body, words: None };
        world.put(std::slice::from_ref(&written)).await;
        let found = world.live().find(std::slice::from_ref(&written.key)).await.unwrap().pop().unwrap();
        assert_eq!(found.body.get(), written.body.get());
        assert_eq!((found.key, found.version), (written.key, written.version));
        assert_eq!(found.index_keys, written.index_keys);
        assert_eq!(found.index_keys[Index::Gsi1 as usize], Some(Key::new("A", "1")));
    }
}
