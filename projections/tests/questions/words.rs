//! Orders are found by words of their lines, customers and ids.

use access_control::{Principal, RoutePermission};
use chrono::TimeDelta;
use domain::order::OrderEvent;
use domain::order::event::{OrderEditRequested, OrderEdited};
use projections::{ReplayOperations, ReplayOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::shop::{Placed, Shop, at, ids};

fn orders() -> Vec<Placed> {
    let created = at("2026-11-10T10:00:00Z");
    let order = |nth: i64, id: &str| Placed::new(id, &format!("c-{}", nth % 2), created + TimeDelta::minutes(nth));
    let skus = |skus: &[&str]| skus.iter().map(|sku| (*sku).to_owned()).collect();
    vec![
        Placed {
            title: Some("Wireless Headphones"),
            name: Some("Jörg Müller"),
            number: Some("K-2026-000042".to_owned()),
            ..order(0, "web-1001")
        },
        Placed { title: Some("Bücher über Züge"), email: Some("ada@straße.example"), ..order(1, "web-1002") },
        Placed { skus: skus(&["TSHIRT/RED L", "BÜCHER 7"]), name: Some("Ada Lovelace"), ..order(2, "shop-1003") },
        Placed { title: Some("無線イヤホン"), ..order(3, "shop-2004") },
    ]
}

#[tokio::test]
async fn an_order_is_found_by_the_beginnings_of_its_words() {
    let shop = Shop::open().await;
    shop.reached("orders", shop.take(&orders()).await).await;
    let all = ["shop-2004", "shop-1003", "web-1002", "web-1001"];
    for (q, found) in [
        ("headphones", &["web-1001"][..]),
        ("WIRELESS+head", &["web-1001"]),
        ("head+wireless+jorg", &["web-1001"]),
        ("eadphones", &[]),
        ("b%C3%BCcher", &["shop-1003", "web-1002"]),
        ("bucher+zug", &["web-1002"]),
        ("strasse", &["web-1002"]),
        ("ada", &["shop-1003", "web-1002"]),
        ("ada@stra%C3%9Fe.example", &["web-1002"]),
        ("tshirt/red", &["shop-1003"]),
        ("TSHIRT+M", &[]),
        ("web-1002", &["web-1002"]),
        ("web-100", &["web-1002", "web-1001"]),
        ("2004", &["shop-2004"]),
        ("k-2026-000042", &["web-1001"]),
        ("000042+jorg", &["web-1001"]),
        ("%E7%84%A1%E7%B7%9A", &["shop-2004"]),
        ("%E3%82%A4%E3%83%A4", &["shop-2004"]),
        // Both have it: as a word, and as the SKU that is every order's.
        ("headphone", &["shop-2004", "web-1002", "web-1001"]),
        ("shop+or+web", &[]),
    ] {
        let pages = shop.pages(&format!("/orders?q={q}&limit=1")).await;
        assert_eq!(pages.concat(), found, "{q}");
        let mut upwards = shop.pages(&format!("/orders?q={q}&sort=created&limit=2")).await.concat();
        upwards.reverse();
        assert_eq!(upwards, found, "{q}");
        // Along the log, and along the customer's own orders.
        let changed = shop.pages(&format!("/orders?q={q}&sort=-updated&limit=2")).await;
        assert_eq!(changed.concat(), found, "{q}");
        let of_customer = |id: &&str| all.iter().position(|it| it == id).unwrap() % 2 == 1;
        let theirs: Vec<&str> = found.iter().copied().filter(of_customer).collect();
        assert_eq!(shop.pages(&format!("/customers/c-0/orders?q={q}")).await.concat(), theirs, "{q}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_customer_finds_its_own_orders_alone() {
    let shop = Shop::open().await;
    shop.reached("orders", shop.take(&orders()).await).await;
    let own = Principal::customer("somebody", "c-1", None);
    let (status, page) = shop.get_of(own, RoutePermission::Own, "/orders?q=headphone").await;
    assert_eq!((status.as_u16(), ids(&page)), (200, vec!["shop-2004".to_owned(), "web-1002".to_owned()]));
    shop.close().await;
}

#[tokio::test]
async fn words_that_too_many_orders_have_are_found_among_the_newest() {
    let shop = Shop::open().await;
    shop.reached("orders", shop.take(&orders()).await).await;
    // As if so many others had it; nothing else is there of them.
    let others = "insert into read_model_orders (pk, sk, gsi1pk, gsi1sk, version, item, words)
                  select 'ORDER#' || n, 'LINE#001', 'SKU#x', '2026-11-09#' || n, 1, '{}', 'headphones'
                    from generate_series(1, $1) as n";
    sqlx::query(others).bind(9_998).execute(shop.database.pool()).await.unwrap();
    let first = shop.ok("/orders?q=headphones&limit=1").await;
    assert_eq!(ids(&first), ["web-1001"]);
    assert_eq!(shop.pages("/orders?q=headph&limit=1").await.concat(), ["shop-2004", "web-1002", "web-1001"]);

    sqlx::query("delete from read_model_orders where gsi1pk = 'SKU#x'").execute(shop.database.pool()).await.unwrap();
    sqlx::query(others).bind(10_001).execute(shop.database.pool()).await.unwrap();
    assert_eq!(shop.pages("/orders?q=headphones&limit=1").await.concat(), ["web-1001"]);
    assert_eq!(shop.pages("/orders?q=headph&limit=1").await.concat(), ["shop-2004", "web-1002", "web-1001"]);
    // A walk that began among fewer goes on.
    let cursor = first["cursor"].as_str().unwrap();
    let (status, _) = shop.get(&format!("/orders?q=headphones&limit=1&cursor={cursor}")).await;
    assert_eq!(status.as_u16(), 200);
    shop.close().await;
}

async fn rebuild(shop: &mut Shop) {
    let pool = shop.database.pool().clone();
    shop.pause().await;
    let replays = ReplayOperations::new(pool.clone(), testkit::read_models(&pool));
    let wanted = ReplayOptions { projections: vec!["orders".to_owned()], compare: false };
    replays.open(&wanted).await.unwrap().run(&CancellationToken::new(), |_| ()).await.unwrap();
    shop.go_on();
}

#[tokio::test]
async fn an_order_is_found_by_its_words_after_an_edit_too_and_by_those_of_new_lines() {
    let mut shop = Shop::open().await;
    shop.reached("orders", shop.take(&orders()).await).await;
    let edits = |id: &str, changes: serde_json::Value| -> Vec<OrderEvent> {
        let both = json!({ "editId": id, "changes": changes, "totalMinor": 1_500 });
        vec![
            OrderEvent::OrderEditRequested(serde_json::from_value::<OrderEditRequested>(both.clone()).unwrap()),
            OrderEvent::OrderEdited(serde_json::from_value::<OrderEdited>(both).unwrap()),
        ]
    };
    let other_price = json!({ "lines": [{ "lineNumber": 1, "unitPriceMinor": 1_500 }] });
    shop.add("web-1001", &edits("e", other_price)).await;
    let line = json!({ "sku": "CASE 9", "title": "Étui souple", "quantity": 1, "unitPriceMinor": 500 });
    let added = shop.add("web-1001", &edits("f", json!({ "addedLines": [line] }))).await;
    shop.reached("orders", added).await;
    for rebuilt in [false, true] {
        if rebuilt {
            rebuild(&mut shop).await;
        }
        for q in ["headphones", "wireless+muller", "web-1001", "etui", "case+9", "head+souple+jorg"] {
            let found = shop.pages(&format!("/orders?q={q}")).await.concat();
            assert_eq!(found, ["web-1001"], "{q}, rebuilt: {rebuilt}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn a_read_model_of_an_earlier_build_says_that_it_has_to_be_rebuilt_and_is_searched_then() {
    let mut shop = Shop::open().await;
    let pool = shop.database.pool().clone();
    sqlx::query("drop index read_model_orders_words").execute(&pool).await.unwrap();
    shop.reached("orders", shop.take(&orders()).await).await;
    for uri in ["/orders?q=head", "/orders?q=head&sort=updated", "/customers/c-0/orders?q=head"] {
        let (status, problem) = shop.get(uri).await;
        assert_eq!((status.as_u16(), &problem["code"]), (503, &"read-models-unavailable".into()), "{uri}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("ordo replay --projection orders"), "{problem}");
    }

    rebuild(&mut shop).await;
    assert_eq!(shop.pages("/orders?q=head+wire").await.concat(), ["web-1001"]);
    assert_eq!(shop.pages("/orders?q=bucher").await.concat(), ["shop-1003", "web-1002"]);
    assert_eq!(shop.pages("/orders?q=wire+000042").await.concat(), ["web-1001"]);
    // What comes in afterwards, too.
    let more = Placed { title: Some("Wire"), ..Placed::new("later", "c", at("2026-11-12T10:00:00Z")) };
    shop.reached("orders", shop.take(&[more]).await).await;
    assert_eq!(shop.pages("/orders?q=wire").await.concat(), ["later", "web-1001"]);
    shop.close().await;
}
