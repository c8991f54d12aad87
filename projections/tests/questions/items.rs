//! The items of read models as they are stored, and what each event changes in them.

use domain::order::OrderStatus;
use serde_json::{Value, json};

use crate::shop::{Placed, Shop, at};

fn keys(page: &Value) -> Vec<(&str, &str)> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["pk"].as_str().unwrap(), it["sk"].as_str().unwrap()))
        .collect()
}

async fn shop() -> (Shop, i64) {
    let shop = Shop::open().await;
    let created = at("2026-11-01T10:00:00Z");
    let mut orders: Vec<_> = (0..5).map(|nth| Placed::new(&format!("o-{nth}"), "c", created)).collect();
    orders[0] =
        Placed { is_reserved: true, is_authorized: true, ..orders[0].clone() }.that_is(OrderStatus::Confirmed, created);
    let end = shop.take(&orders).await;
    for projection in ["orders", "sales", "stock"] {
        shop.reached(projection, end).await;
    }
    (shop, end)
}

#[tokio::test]
async fn the_items_of_a_read_model_are_read_as_they_are_stored() {
    let (shop, _) = shop().await;
    let all = shop.ok("/read-models").await;
    let names: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["projection"], &it["follows"], &it["generations"]))
        .collect();
    let live = json!(["live"]);
    assert_eq!(
        names,
        [
            (&json!("orders"), &json!("order"), &live),
            (&json!("sales"), &json!("order"), &live),
            (&json!("stock"), &json!("stock"), &live)
        ]
    );
    // A collection, the part of it with a prefix, and page by page.
    let of_order = shop.ok("/read-models/orders/items?pk=ORDER%23o-0").await;
    let items = keys(&of_order);
    assert!(items.contains(&("ORDER#o-0", "#META")) && items.contains(&("ORDER#o-0", "LINE#001")), "{items:?}");
    let lines = shop.ok("/read-models/orders/items?pk=ORDER%23o-0&sk=LINE%23").await;
    assert_eq!(keys(&lines), [("ORDER#o-0", "LINE#001")]);
    let meta = of_order["items"].as_array().unwrap().iter().find(|item| item["sk"] == "#META").unwrap();
    assert_eq!((&meta["item"]["orderId"], meta["version"].as_i64().is_some()), (&json!("o-0"), true));
    // By an index that the item names.
    let (index, pk) = (meta["indexes"][0]["index"].as_str().unwrap(), meta["indexes"][0]["pk"].as_str().unwrap());
    let pk: String = form(pk);
    let found = shop.ok(&format!("/read-models/orders/items?index={index}&pk={pk}")).await;
    assert!(keys(&found).contains(&("ORDER#o-0", "#META")), "{found}");
    // The whole table, page by page.
    let (mut seen, mut next) = (Vec::new(), "/read-models/orders/items?limit=3".to_owned());
    loop {
        let page = shop.ok(&next).await;
        seen.extend(keys(&page).into_iter().map(|(pk, sk)| (pk.to_owned(), sk.to_owned())));
        let Some(cursor) = page["cursor"].as_str() else { break };
        next = format!("/read-models/orders/items?limit=3&cursor={cursor}");
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), seen.iter().filter(|(_, sk)| sk == "#META").count()), (count, 5));
    let page = shop.ok("/read-models/orders/items?pk=ORDER%23o-0&limit=1").await;
    let cursor = page["cursor"].as_str().unwrap();
    let second = shop.ok(&format!("/read-models/orders/items?pk=ORDER%23o-0&limit=1&cursor={cursor}")).await;
    assert_ne!(keys(&second), keys(&page));
    // The cursor is of that question alone.
    assert_eq!(shop.get(&format!("/read-models/orders/items?pk=ORDER%23o-1&cursor={cursor}")).await.0, 422);
    for path in [
        "/read-models/lost/items",
        "/read-models/orders/items?generation=next",
        "/read-models/orders/items?generation=previous&pk=a",
    ] {
        assert_eq!(shop.get(path).await.0, 404, "{path}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_stream_goes_through_a_projection_event_by_event_and_ends_as_it_is_stored() {
    let (shop, _) = shop().await;
    let steps = shop.ok("/read-models/orders/streams/o-0/steps").await;
    let items = steps["items"].as_array().unwrap();
    let types: Vec<_> = items.iter().map(|step| step["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["OrderCreated", "StockReserved", "PaymentAuthorized", "OrderConfirmed"]);
    assert_eq!((&steps["streamType"], &steps["cursor"], steps.get("error")), (&json!("order"), &Value::Null, None));
    let meta =
        |step: &Value| step["changes"].as_array().unwrap().iter().find(|it| it["sk"] == "#META").unwrap().clone();
    assert!(meta(&items[0]).get("before").is_none() && items[0]["changes"].as_array().unwrap().len() > 1);
    let confirmed = meta(&items[3]);
    assert_eq!(
        (&confirmed["before"]["status"], &confirmed["after"]["status"]),
        (&json!("pending"), &json!("confirmed"))
    );
    assert_eq!(confirmed["before"], meta(&items[2])["after"]);
    // What the last step leaves is what the read model has.
    let stored = shop.ok("/read-models/orders/items?pk=ORDER%23o-0&sk=%23META").await;
    assert_eq!(stored["items"][0]["item"], confirmed["after"]);
    // Page by page it is the same.
    let (mut paged, mut next) = (Vec::new(), "/read-models/orders/streams/o-0/steps?limit=1".to_owned());
    loop {
        let page = shop.ok(&next).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["cursor"].as_str() else { break };
        next = format!("/read-models/orders/streams/o-0/steps?limit=1&cursor={cursor}");
    }
    assert_eq!(&paged, items);
    let sales = shop.ok("/read-models/sales/streams/o-0/steps").await;
    assert_eq!(sales["items"][0]["tallies"][0]["add"]["orders"], 1);
    for (path, status) in [
        ("/read-models/orders/streams/nobody/steps", 404),
        ("/read-models/orders/streams/%00/steps", 404),
        ("/read-models/stock/streams/o-0/steps", 404),
        ("/read-models/lost/streams/o-0/steps", 404),
        ("/read-models/orders/streams/o-0/steps?cursor=20001", 422),
    ] {
        assert_eq!(shop.get(path).await.0, status, "{path}");
    }
    shop.close().await;
}

#[tokio::test]
async fn an_event_that_can_not_be_folded_ends_the_steps_and_is_named() {
    let (shop, _) = shop().await;
    let insert =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('order', 'o-1', 2, 'OrderTeleported', '3.0', '{\"OrderTeleported\":{}}', '{}')";
    sqlx::query(insert).execute(shop.database.pool()).await.unwrap();
    let steps = shop.ok("/read-models/orders/streams/o-1/steps").await;
    assert_eq!(steps["items"].as_array().unwrap().len(), 1);
    assert!(steps["error"].as_str().unwrap().contains("OrderTeleported"), "{steps}");
    shop.close().await;
}

/// A text in a query.
fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
