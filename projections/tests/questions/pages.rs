//! Pages meet every order once: while orders come in, where days are empty, and where most orders are passed over.

use chrono::{TimeDelta, Utc};
use domain::order::OrderStatus;

use crate::shop::{Placed, Shop, at, ids};

fn numbered(prefix: &str, count: usize) -> Vec<Placed> {
    let first = at("2026-11-10T23:00:00Z");
    let order = |nth: usize| {
        let created = first + TimeDelta::minutes(i64::try_from(nth).unwrap());
        Placed::new(&format!("{prefix}-{nth:04}"), "c", created)
    };
    (0..count).map(order).collect()
}

#[tokio::test]
async fn a_walk_meets_every_order_once_while_orders_come_in() {
    let shop = Shop::open().await;
    // Over midnight.
    let before = numbered("before", 100);
    shop.reached("orders", shop.take(&before).await).await;
    let mut expected: Vec<&str> = before.iter().map(|order| order.id.as_str()).collect();
    expected.reverse();
    for question in ["", "customerId=c&", "sku=headphone&", "status=pending&"] {
        let (mut met, mut cursor) = (Vec::new(), String::new());
        for nth in 0.. {
            let page = shop.ok(&format!("/orders?{question}limit=7{cursor}")).await;
            met.extend(ids(&page));
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
            let name = format!("meanwhile-{}-{nth}", question.len());
            shop.reached("orders", shop.take(&[Placed::new(&name, "c", Utc::now())]).await).await;
        }
        met.retain(|id| id.starts_with("before"));
        assert_eq!(met, expected, "{question}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_walk_by_days_passes_over_months_without_orders() {
    let shop = Shop::open().await;
    let days = ["2025-02-01T10:00:00Z", "2026-01-31T23:59:59.999999Z", "2026-02-01T00:00:00Z", "2026-11-19T08:00:00Z"];
    let orders: Vec<Placed> =
        (0..).zip(days).map(|(nth, day)| Placed::new(&format!("o-{nth}"), "c", at(day))).collect();
    shop.reached("orders", shop.take(&orders).await).await;
    let pages = shop.pages("/orders").await;
    assert_eq!(pages.concat(), ["o-3", "o-2", "o-1", "o-0"]);
    // A request looks at so many days, and may find nothing there.
    assert!(pages.iter().any(Vec::is_empty), "{pages:?}");
    assert_eq!(shop.pages("/orders?to=2026-02-01&from=2026-01-31").await, [["o-1"]]);
    assert_eq!(shop.pages("/orders?from=2026-02-01&to=2026-02-02").await, [["o-2"]]);
    assert!(shop.pages("/orders?from=2027-01-01").await.concat().is_empty());
    assert!(shop.pages("/orders?to=2024-01-01").await.concat().is_empty());
    shop.close().await;
}

#[tokio::test]
async fn one_request_looks_at_so_many_orders_and_its_cursor_goes_on() {
    let shop = Shop::open().await;
    let mut orders = numbered("o", 1_500);
    for nth in [0, 700, 1_499] {
        let since = orders[nth].at;
        orders[nth] = orders[nth].clone().that_is(OrderStatus::Rejected, since);
    }
    shop.reached("orders", shop.take(&orders).await).await;
    let uri = "/customers/c/orders?status=rejected&limit=10";
    let pages = shop.pages(uri).await;
    assert_eq!(pages.concat(), ["o-1499", "o-0700", "o-0000"]);
    assert_eq!(pages.len(), 2, "{pages:?}");
    // The status alone leads straight there.
    assert_eq!(shop.pages("/orders?status=rejected&limit=10").await.len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn an_order_with_two_lines_of_a_sku_is_listed_once() {
    let shop = Shop::open().await;
    let skus = |skus: &[&str]| skus.iter().map(|sku| (*sku).to_owned()).collect();
    let orders: Vec<Placed> = numbered("o", 6)
        .into_iter()
        .map(|order| Placed { skus: skus(&["cable", "case", "cable", "cable"]), ..order })
        .collect();
    shop.reached("orders", shop.take(&orders).await).await;
    for sku in ["cable", "case"] {
        for limit in 1..=7 {
            let pages = shop.pages(&format!("/orders?sku={sku}&limit={limit}")).await;
            assert_eq!(pages.concat(), ["o-0005", "o-0004", "o-0003", "o-0002", "o-0001", "o-0000"]);
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn without_an_order_there_is_an_empty_page() {
    let shop = Shop::open().await;
    for uri in ["/orders", "/orders?sku=x", "/orders?status=pending", "/orders?customerId=c", "/customers/%ff/orders"] {
        assert_eq!(shop.ok(uri).await, serde_json::json!({ "items": [], "cursor": null }), "{uri}");
    }
    shop.close().await;
}
