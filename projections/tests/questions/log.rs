//! The log page by page, and what people did.

use serde_json::{Value, json};

use crate::shop::{Placed, Shop, at};

fn positions(page: &Value) -> Vec<i64> {
    page["items"].as_array().unwrap().iter().map(|event| event["position"].as_i64().unwrap()).collect()
}

/// All pages of a question.
async fn all(shop: &Shop, uri: &str) -> Vec<i64> {
    let (mut found, mut next) = (Vec::new(), uri.to_owned());
    for _ in 0..100 {
        let page = shop.ok(&next).await;
        found.extend(positions(&page));
        let Some(cursor) = page["cursor"].as_str() else { return found };
        next = format!("{uri}&cursor={cursor}");
    }
    panic!("{uri} has no end");
}

/// An event of stock that an actor caused.
async fn received(shop: &Shop, sku: &str, version: i64, metadata: &str) -> i64 {
    let insert =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('stock', $1, $2, 'StockReceived', '1.0', $3::json, $4::json) returning global_position";
    let payload = json!({ "StockReceived": { "quantity": 5, "reason": "counted" } }).to_string();
    let query = sqlx::query_scalar(insert).bind(sku).bind(version).bind(payload).bind(metadata);
    query.fetch_one(shop.database.pool()).await.unwrap()
}

#[tokio::test]
async fn the_log_is_read_in_both_directions_and_nothing_is_skipped() {
    let shop = Shop::open().await;
    // Transactions that came to nothing leave gaps.
    for number in 0..7 {
        let created = at("2026-11-01T00:00:00Z") + chrono::TimeDelta::days(number);
        shop.take(&[Placed::new(&format!("o-{number}"), "c", created)]).await;
        sqlx::query("select nextval('events_global_position')").execute(shop.database.pool()).await.unwrap();
    }
    let stock = received(&shop, "SKU 1", 1, "{}").await;
    let oldest = all(&shop, "/events?sort=position&limit=2").await;
    assert_eq!(oldest, [1, 3, 5, 7, 9, 11, 13, stock]);
    let mut newest = all(&shop, "/events?limit=3").await;
    newest.reverse();
    assert_eq!(newest, oldest);

    let of = async |question: &str| all(&shop, &format!("/events?{question}")).await;
    assert_eq!(of("fromPosition=5&toPosition=9").await, [9, 7, 5]);
    assert_eq!(of("fromPosition=6&sort=position&type=OrderCreated").await, [7, 9, 11, 13]);
    assert_eq!(of("streamType=order&streamId=o-3").await, [7]);
    assert_eq!(of("streamType=stock").await, [stock]);
    assert_eq!(of("streamType=stock&streamId=SKU%201&type=OrderCreated").await, [0_i64; 0]);
    assert_eq!(of("from=2026-11-02&to=2026-11-04").await, [5, 3]);
    assert_eq!(of("from=2026-11-02&to=2026-11-02").await, [0_i64; 0]);
    assert_eq!(of("to=2026-11-01T00:00:01Z").await, [1]);
    let last = &shop.ok("/events?limit=1").await["items"][0];
    assert_eq!((last["streamType"].as_str(), last["streamId"].as_str()), (Some("stock"), Some("SKU 1")));
    assert_eq!(last["data"]["quantity"], 5);

    // What comes while somebody reads is found from there on.
    let page = shop.ok("/events?sort=position&limit=8").await;
    assert_eq!(page["cursor"], Value::Null);
    let later = received(&shop, "SKU 1", 2, "{}").await;
    assert_eq!(of(&format!("sort=position&fromPosition={}", stock + 1)).await, [later]);
    shop.close().await;
}

#[tokio::test]
async fn a_page_of_large_events_is_short_and_has_a_cursor() {
    let shop = Shop::open().await;
    let large = "x".repeat(600_000);
    for version in 1..=3 {
        received(&shop, "large", version, &json!({ "note": large }).to_string()).await;
    }
    for question in ["streamType=stock&streamId=large", "sort=position"] {
        let page = shop.ok(&format!("/events?{question}")).await;
        assert!((1..3).contains(&positions(&page).len()) && page["cursor"].is_string(), "{question}");
        assert_eq!(all(&shop, &format!("/events?{question}")).await.len(), 3, "{question}");
    }
    shop.close().await;
}

#[tokio::test]
async fn what_people_did_is_listed_and_nothing_else() {
    let shop = Shop::open().await;
    shop.take(&[Placed::new("o-1", "c", at("2026-11-01T00:00:00Z"))]).await;
    let actors = [
        "operator:ann",
        "shop:web",
        "support:bob",
        "order_fulfilment",
        "customer:eve",
        "warehouse:w \"1\"",
        "finance:f",
    ];
    for (version, actor) in (1..).zip(actors) {
        received(&shop, "SKU", version, &json!({ "actor": actor }).to_string()).await;
    }
    // Other writers store what can't be read as JSON, and it is stored.
    received(&shop, "SKU", 8, r#"{"actor":"\u0000"}"#).await;
    let page = shop.ok("/audit").await;
    let who: Vec<_> = page["items"].as_array().unwrap().iter().map(|entry| entry["actor"].as_str().unwrap()).collect();
    assert_eq!(who, ["finance:f", "warehouse:w \"1\"", "support:bob", "operator:ann"]);
    let last = &page["items"][0];
    for (field, value) in [
        ("type", json!("StockReceived")),
        ("streamType", json!("stock")),
        ("streamId", json!("SKU")),
        ("version", json!(7)),
        ("reason", json!("counted")),
    ] {
        assert_eq!(last[field], value, "{field}");
    }
    assert_eq!(all(&shop, "/audit?limit=1").await.len(), 4);
    assert_eq!(all(&shop, "/audit?actor=warehouse%3Aw+%221%22").await.len(), 1);
    assert_eq!(all(&shop, "/audit?actor=operator%3Aan").await.len(), 0);
    assert_eq!(all(&shop, "/audit?to=2026-11-02").await.len(), 0);
    // Builds before roles stored decisions like these. The reason says no more than that somebody wrote it.
    for actor in ["ann", "an"] {
        let insert =
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      values ('order', 'of ' || $1, 1, 'OperatorIntervened', '1.0', $2::json, $3::json)";
        let decided = json!({ "OperatorIntervened": {
            "verb": "retry", "step": "authorize_payment", "actor": actor, "reason": r#""actor":"ann""#,
        }});
        let metadata = json!({ "actor": actor, "correlationId": "c" });
        let insert = sqlx::query(insert).bind(actor).bind(decided.to_string()).bind(metadata.to_string());
        insert.execute(shop.database.pool()).await.unwrap();
    }
    let page = shop.ok("/audit?actor=operator%3Aann").await;
    let who: Vec<_> = page["items"].as_array().unwrap().iter().map(|entry| (&entry["actor"], &entry["type"])).collect();
    let (ann, type_of) = (json!("operator:ann"), |name: &str| json!(name));
    assert_eq!(who, [(&ann, &type_of("OperatorIntervened")), (&ann, &type_of("StockReceived"))]);
    assert_eq!((&page["items"][0]["verb"], &page["items"][0]["step"]), (&json!("retry"), &json!("authorize_payment")));
    assert_eq!(shop.ok("/audit?limit=1").await["items"][0]["actor"], "operator:an");
    // In a long log the index is built later: until then the log is looked through.
    sqlx::query("drop index events_of_people").execute(shop.database.pool()).await.unwrap();
    assert_eq!(all(&shop, "/audit?limit=3").await.len(), 6);
    shop.close().await;
}
