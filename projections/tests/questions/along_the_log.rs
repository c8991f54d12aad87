//! Orders sorted by their change, while the read model is behind the log.

use chrono::TimeDelta;

use crate::shop::{Placed, Shop, at, ids};

async fn is_confirmed(shop: &Shop, order: &str) -> i64 {
    let statement = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         select 'order', $1, max(sequence) + 1, 'OrderConfirmed', '1.0', '{"OrderConfirmed":{}}', '{}'
           from events where aggregate_type = 'order' and aggregate_id = $1
         returning global_position"#;
    sqlx::query_scalar(statement).bind(order).fetch_one(shop.database.pool()).await.unwrap()
}

/// Three orders that the read model has.
async fn shop_with_a_b_c() -> Shop {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    let placed = |(nth, id): (i64, &str)| Placed::new(id, "customer", created + TimeDelta::seconds(nth));
    let orders: Vec<Placed> = (0..).zip(["a", "b", "c"]).map(placed).collect();
    shop.reached("orders", shop.take(&orders).await).await;
    shop
}

#[tokio::test]
async fn an_order_whose_last_event_is_not_in_the_read_model_yet_is_listed() {
    let mut shop = shop_with_a_b_c().await;
    shop.pause().await;
    let position = is_confirmed(&shop, "a").await;
    let forth = shop.ok("/orders?sort=updated&limit=1").await;
    assert_eq!(ids(&forth), ["a"]);
    assert_eq!(shop.pages("/orders?sort=updated").await.concat(), ["a", "b", "c"]);
    assert_eq!(shop.pages("/orders?sort=-updated&limit=1").await.concat(), ["a", "c", "b"]);

    shop.go_on();
    shop.reached("orders", position).await;
    // Who has walked forth so far meets the change.
    let rest = shop.ok(&format!("/orders?sort=updated&cursor={}", forth["cursor"].as_str().unwrap())).await;
    assert_eq!(ids(&rest), ["b", "c", "a"]);
    assert_eq!(rest["items"][2]["status"], "confirmed");
    assert_eq!(shop.pages("/orders?sort=updated").await.concat(), ["b", "c", "a"]);
    shop.close().await;
}

#[tokio::test]
async fn who_walks_back_meets_each_order_once_whatever_happens_meanwhile() {
    let mut shop = shop_with_a_b_c().await;
    shop.pause().await;
    let position = is_confirmed(&shop, "b").await;
    let mut page = shop.ok("/orders?sort=-updated&limit=1").await;
    let mut met = ids(&page);
    // The read model gets to what was in the log, and another order changes.
    shop.go_on();
    shop.reached("orders", position).await;
    shop.reached("orders", is_confirmed(&shop, "a").await).await;
    while let Some(cursor) = page["cursor"].as_str() {
        page = shop.ok(&format!("/orders?sort=-updated&limit=1&cursor={cursor}")).await;
        met.extend(ids(&page));
    }
    assert_eq!(met, ["b", "c", "a"]);
    shop.close().await;
}

#[tokio::test]
async fn an_order_with_a_parked_event_is_listed() {
    let shop = shop_with_a_b_c().await;
    let pool = shop.database.pool();
    // As an earlier build kept it: it can be read, and no more events folded into it.
    let earlier =
        "update read_model_orders set item = (item::jsonb - 'folded')::json where pk = 'ORDER#a' and sk = '#META'";
    sqlx::query(earlier).execute(pool).await.unwrap();
    shop.reached("orders", is_confirmed(&shop, "a").await).await;
    let parked = event_store::operations::parked_events(pool, Some("orders")).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(shop.pages("/orders?sort=updated").await.concat(), ["b", "c", "a"]);
    assert_eq!(shop.pages("/orders?sort=-updated").await.concat(), ["a", "c", "b"]);
    shop.close().await;
}

#[tokio::test]
async fn orders_beyond_where_the_read_model_has_got_to_with_all_are_where_they_were() {
    let mut shop = shop_with_a_b_c().await;
    let confirmed = is_confirmed(&shop, "a").await;
    shop.reached("orders", confirmed).await;
    shop.pause().await;
    // Another partition is behind, so `a` is newer than what all have got to.
    let behind = "update subscription_partitions set position = $1 where subscription = 'orders' and partition = 0";
    sqlx::query(behind).bind(confirmed - 1).execute(shop.database.pool()).await.unwrap();
    assert_eq!(shop.pages("/orders?sort=updated").await.concat(), ["a", "b", "c"]);
    assert_eq!(shop.pages("/orders?sort=-updated").await.concat(), ["a", "c", "b"]);
    shop.close().await;
}
