//! Queries, page by page.

use read_models::{Index, Item, Key, Query, QueryError, QueryScope, SortOrder};

use crate::world::{World, all, change, item, names, part};

pub(crate) async fn pages_neither_skip_nor_repeat_while_items_come_in(world: &World) {
    let items: Vec<Item> = (0..10).map(|n| item(&format!("{n}"), &format!("{}", n / 3), 1, "x")).collect();
    world.put(&items).await;
    let partitions = ["ALL".to_owned()];
    for (order, incoming) in [(SortOrder::Descending, "9"), (SortOrder::Ascending, "!")] {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let query = Query { cursor: cursor.as_deref(), ..all(&partitions, order, 3) };
            let page = world.live().query(&query).await.unwrap();
            seen.extend(names(&page));
            // What comes in is before what was read.
            world.put(&[item(&format!("new-{order:?}-{}", seen.len()), incoming, 1, "x")]).await;
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let mut expected: Vec<String> = (0..10).map(|n| format!("{n}")).collect();
        if order == SortOrder::Descending {
            expected.reverse();
        }
        seen.retain(|name| !name.starts_with("new"));
        assert_eq!(seen, expected);
    }
}

pub(crate) async fn items_with_the_same_sort_key_come_in_the_order_of_their_own(world: &World) {
    let ids = ["b", "a", "ab", "a-", "c", "B"];
    world.put(&ids.map(|id| item(id, "same", 1, "x"))).await;
    let partitions = ["ALL".to_owned()];
    for limit in 1..8 {
        let ascending = world.walk(&all(&partitions, SortOrder::Ascending, limit)).await;
        assert_eq!(ascending, ["B", "a", "a-", "ab", "b", "c"]);
        let descending = world.walk(&all(&partitions, SortOrder::Descending, limit)).await;
        assert_eq!(descending, ["c", "b", "ab", "a-", "a", "B"]);
    }
}

pub(crate) async fn a_range_has_its_first_key_and_not_its_last(world: &World) {
    let sorts = ["1", "10", "11", "2", "20", "3"];
    world.put(&sorts.map(|sort| item(sort, sort, 1, "x"))).await;
    let partitions = ["ALL".to_owned()];
    let cases: [(Option<&str>, Option<&str>, &[&str]); 9] = [
        (None, None, &["1", "10", "11", "2", "20", "3"]),
        (Some("10"), None, &["10", "11", "2", "20", "3"]),
        (None, Some("2"), &["1", "10", "11"]),
        (Some("1"), Some("11"), &["1", "10"]),
        (Some("12"), Some("21"), &["2", "20"]),
        (Some("2"), Some("2"), &[]),
        (Some("3"), Some("1"), &[]),
        (Some("4"), None, &[]),
        (None, Some("1"), &[]),
    ];
    for (from, until, expected) in cases {
        for limit in [1, 2, 10] {
            let query = Query { from, until, ..all(&partitions, SortOrder::Ascending, limit) };
            assert_eq!(world.walk(&query).await, expected, "{from:?} {until:?}");
            let query = Query { order: SortOrder::Descending, ..query };
            let mut backwards = world.walk(&query).await;
            backwards.reverse();
            assert_eq!(backwards, expected, "{from:?} {until:?}, backwards");
        }
    }
}

pub(crate) async fn several_partitions_are_merged(world: &World) {
    let shard = |n: i32| format!("S#{}", n % 3);
    let sharded = |n: i32| Item {
        index_keys: [None, Some(Key::new(shard(n), format!("{:02}", n / 2))), None],
        ..item(&format!("{n:02}"), "", 1, "x")
    };
    world.put(&(0..20).map(sharded).collect::<Vec<_>>()).await;
    let partitions: Vec<String> = ["S#2", "S#0", "S#1", "S#0", "S#9", "", "S\0"].map(str::to_owned).into();
    let expected: Vec<String> = (0..20).map(|n| format!("{n:02}")).collect();
    for limit in [1, 3, 7, 20, 21] {
        let query = Query {
            name: "sharded",
            scope: QueryScope::Index(Index::Gsi2, &partitions),
            ..all(&[], SortOrder::Ascending, limit)
        };
        assert_eq!(world.walk(&query).await, expected);
        let mut backwards = world.walk(&Query { order: SortOrder::Descending, ..query.clone() }).await;
        backwards.reverse();
        assert_eq!(backwards, expected);
        let some = world.walk(&Query { from: Some("03"), until: Some("05"), ..query }).await;
        assert_eq!(some, ["06", "07", "08", "09"]);
    }
    let nowhere = Query { scope: QueryScope::Index(Index::Gsi2, &[]), ..all(&[], SortOrder::Ascending, 5) };
    assert!(world.walk(&nowhere).await.is_empty());
}

pub(crate) async fn a_collection_is_read_in_pages(world: &World) {
    let sks = ["#META", "LINE#1", "LINE#10", "LINE#2", "MAIL#1"];
    world.put(&sks.map(|sk| part("a", sk, 1, "x"))).await;
    let base = Query { name: "parts", scope: QueryScope::Collection("THING#a"), ..all(&[], SortOrder::Ascending, 2) };
    let cases: [(Option<&str>, Option<&str>, &[&str]); 5] = [
        (None, None, &sks),
        (Some("LINE#"), Some("LINE$"), &["LINE#1", "LINE#10", "LINE#2"]),
        (Some("LINE#1"), Some("LINE#2"), &["LINE#1", "LINE#10"]),
        (Some("LINE#2"), Some("LINE#2"), &[]),
        (None, Some("#META"), &[]),
    ];
    for (from, until, expected) in cases {
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            for limit in 1..7 {
                let (mut seen, mut cursor) = (Vec::new(), None::<String>);
                loop {
                    let query = Query { from, until, order, limit, cursor: cursor.as_deref(), ..base.clone() };
                    let page = world.live().query(&query).await.unwrap();
                    seen.extend(page.items.into_iter().map(|item| item.key.sk));
                    cursor = page.cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
                if order == SortOrder::Descending {
                    seen.reverse();
                }
                assert_eq!(seen, expected, "{from:?} {until:?} {order:?} {limit}");
            }
        }
    }
}

pub(crate) async fn a_page_begins_after_an_item_that_has_moved(world: &World) {
    world.put(&[item("a", "1", 1, "x"), item("b", "2", 1, "x"), item("c", "3", 1, "x"), item("d", "4", 1, "x")]).await;
    let partitions = ["ALL".to_owned()];
    for (order, version, last, left) in
        [(SortOrder::Ascending, 2, "b", ["c", "d"].as_slice()), (SortOrder::Descending, 3, "c", &["a"])]
    {
        let query = all(&partitions, order, 2);
        let page = world.live().query(&query).await.unwrap();
        assert_eq!(names(&page).last().unwrap(), last);
        let moved = Item { index_keys: [Some(Key::new("GONE", "0")), None, None], ..item(last, "", version, "moved") };
        world.write(&[change(moved, Some(version - 1))]).await.unwrap();
        let query = Query { cursor: page.cursor.as_deref(), ..query };
        assert_eq!(names(&world.live().query(&query).await.unwrap()), left);
    }
}

pub(crate) async fn an_item_leaves_the_index_that_it_has_no_key_of_any_more(world: &World) {
    world.put(&[item("a", "1", 1, "x"), item("b", "2", 1, "x")]).await;
    let gone = Item { index_keys: [None, None, None], ..item("a", "", 2, "x") };
    world.write(&[change(gone, Some(1))]).await.unwrap();
    let partitions = ["ALL".to_owned()];
    assert_eq!(world.walk(&all(&partitions, SortOrder::Ascending, 10)).await, ["b"]);
    assert_eq!(world.stored(&crate::world::key("a")).await.unwrap().index_keys, [None, None, None]);
}

pub(crate) async fn a_cursor_is_good_for_its_own_query_only(world: &World) {
    world.put(&[item("a", "1", 1, "x"), item("b", "1", 1, "x"), item("c", "1", 1, "x")]).await;
    let partitions = ["ALL".to_owned()];
    let query = all(&partitions, SortOrder::Descending, 1);
    let page = world.live().query(&query).await.unwrap();
    let cursor = page.cursor.as_deref().unwrap();
    assert_eq!(cursor, query.cursor_at(&page.items[0]));
    let huge = "A".repeat(100_000);
    // {"query":"all","sort":"a\u0000","pk":"b","sk":"c"}
    let nul = "eyJxdWVyeSI6ImFsbCIsInNvcnQiOiJhXHUwMDAwIiwicGsiOiJiIiwic2siOiJjIn0";
    for (name, cursor) in [
        ("others", cursor),
        ("", cursor),
        ("all", ""),
        ("all", "AAAA"),
        ("all", "%"),
        ("all", "e30"),
        ("all", "bnVsbA"),
        ("all", nul),
        ("all", &cursor[1..]),
        ("all", &huge),
    ] {
        let refused = world.live().query(&Query { name, cursor: Some(cursor), ..query.clone() }).await;
        assert!(matches!(refused, Err(QueryError::Cursor(_))), "{name} {cursor:.60}");
    }
    assert_eq!(names(&world.live().query(&Query { cursor: Some(cursor), ..query }).await.unwrap()), ["b"]);
}

/// DynamoDB answers with a megabyte at the most.
pub(crate) async fn a_page_of_big_items_is_full(world: &World) {
    let big = "b".repeat(300_000);
    world.put(&(0..9).map(|n| part("big", &format!("P#{n}"), 1, &big)).collect::<Vec<_>>()).await;
    assert_eq!(world.live().collection("THING#big").await.unwrap().len(), 9);
    let parts = Query { scope: QueryScope::Collection("THING#big"), ..all(&[], SortOrder::Descending, 8) };
    let page = world.live().query(&parts).await.unwrap();
    assert_eq!((page.items.len(), page.cursor.is_some()), (8, true));

    // The emulator in this process looks for an index's items in the table's first megabyte only.
    if !world.has_whole_indexes {
        return;
    }
    world.put(&(0..9).map(|n| item(&format!("{n}"), "1", 1, &big)).collect::<Vec<_>>()).await;
    let partitions = ["ALL".to_owned()];
    let page = world.live().query(&all(&partitions, SortOrder::Ascending, 8)).await.unwrap();
    assert_eq!((page.items.len(), page.cursor.is_some()), (8, true));
    let page = world.live().query(&all(&partitions, SortOrder::Descending, 9)).await.unwrap();
    assert_eq!((page.items.len(), page.cursor), (9, None));
}

pub(crate) async fn what_is_read_at_once_has_few_items_if_they_are_large(world: &World) {
    const AT_ONCE: usize = 4 << 20;
    let big = "b".repeat(300_000);
    let sort_keys: Vec<String> = (0..30).map(|n| format!("P#{n:02}")).collect();
    world.put(&sort_keys.iter().map(|sk| part("big", sk, 1, &big)).collect::<Vec<_>>()).await;

    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let scope = QueryScope::Collection("THING#big");
        let parts = Query { scope, cursor: cursor.as_deref(), ..all(&[], SortOrder::Ascending, 200) };
        let page = world.live().query(&parts).await.unwrap();
        let bytes: usize = page.items.iter().map(|item| item.body.get().len()).sum();
        assert!(bytes <= AT_ONCE, "{} items, {bytes} bytes", page.items.len());
        seen.extend(page.items.into_iter().map(|item| item.key.sk));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, sort_keys);

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let scanned = world.live().scan(after.as_ref(), 200).await.unwrap();
        let bytes: usize = scanned.items.iter().map(|item| item.body.get().len()).sum();
        assert!(bytes <= AT_ONCE, "{} items, {bytes} bytes", scanned.items.len());
        seen.extend(scanned.items.into_iter().map(|item| item.key.sk));
        after = scanned.after;
        if after.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, sort_keys);
}
