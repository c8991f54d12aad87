//! `GET /orders/export` has exactly what a list has, and says whether that is all.

use access_control::{Principal, Role};
use axum::body::Body;
use chrono::TimeDelta;
use domain::order::OrderStatus;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::shop::{Placed, Shop, any, at};

fn shop_itself() -> Principal {
    Principal::new(Role::Shop, "shop", None)
}

async fn text(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The lines of an NDJSON export, without the last one, and the last one.
async fn lines(shop: &Shop, caller: Principal, uri: &str) -> (Vec<Value>, Value) {
    let answer = shop.raw(caller, uri, "*/*").await;
    assert_eq!(answer.status().as_u16(), 200, "{uri}");
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/x-ndjson");
    let text = text(answer.into_body()).await;
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    (lines, last)
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["orderId"].as_str().unwrap()).collect()
}

async fn with_orders(count: usize) -> Shop {
    let shop = Shop::open().await;
    shop.reached("orders", shop.take(&any(5, count)).await).await;
    shop
}

#[tokio::test]
async fn an_export_has_exactly_the_orders_of_its_filter_in_their_order() {
    let shop = with_orders(450).await;
    for filter in
        ["", "status=confirmed", "tag=gift&sort=updated", "q=head+ada", "currency=EUR&sort=-total", "customerId=nobody"]
    {
        let listed = shop.pages(&format!("/orders?limit=200&{filter}")).await.concat();
        let (exported, end) = lines(&shop, shop_itself(), &format!("/orders/export?{filter}")).await;
        assert_eq!(ids(&exported), listed, "{filter}");
        assert_eq!(end, json!({ "exported": listed.len(), "complete": true }), "{filter}");

        let csv = shop.raw(shop_itself(), &format!("/orders/export?format=csv&{filter}"), "*/*").await;
        assert_eq!(csv.headers()[CONTENT_TYPE], "text/csv; charset=utf-8; header=present");
        let csv = text(csv.into_body()).await;
        let records: Vec<&str> = csv.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        assert!(records[0].starts_with("orderId,customerId,customerEmail,status,"), "{}", records[0]);
        let of_records: Vec<&str> = records[1..].iter().map(|record| record.split(',').next().unwrap()).collect();
        assert_eq!(of_records, listed, "{filter}");
    }
    // Each line is what a list has of the order, with what hangs on it.
    let (exported, _) = lines(&shop, shop_itself(), "/orders/export?customerId=c-1&expand=lines").await;
    let listed = shop.ok("/orders?customerId=c-1&expand=lines&limit=200").await;
    assert_eq!(Value::from(exported), listed["items"]);
    assert!(listed["items"][0]["lines"][0]["sku"].is_string());
    let by_accept = shop.raw(shop_itself(), "/orders/export", "text/csv").await;
    assert!(by_accept.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
    shop.close().await;
}

#[tokio::test]
async fn an_export_leaves_out_what_a_list_leaves_out() {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    let order = |id: &str, customer| Placed { email: Some("a@example.com"), ..Placed::new(id, customer, created) };
    shop.reached("orders", shop.take(&[order("a", "c-1"), order("b", "c-2")]).await).await;
    let as_role = |role| Principal::new(role, "somebody", None);

    let (of_auditor, _) = lines(&shop, as_role(Role::Auditor), "/orders/export").await;
    assert_eq!((&of_auditor[0]["customerId"], &of_auditor[0]["customerEmail"]), (&json!("***"), &json!("***")));
    let (of_warehouse, _) = lines(&shop, as_role(Role::Warehouse), "/orders/export").await;
    assert!(of_warehouse[0].get("paymentStatus").is_none() && of_warehouse[0].get("captured").is_none());
    let customer = || Principal::customer("somebody", "c-1", None);
    assert_eq!(ids(&lines(&shop, customer(), "/orders/export").await.0), ["a"]);
    let (others, end) = lines(&shop, customer(), "/orders/export?customerId=c-2").await;
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(end, json!({ "exported": 0, "complete": true }));

    let csv = text(shop.raw(as_role(Role::Auditor), "/orders/export?format=csv", "*/*").await.into_body()).await;
    assert!(csv.contains("b,***,***,pending,") && !csv.contains("example.com"), "{csv}");
    let csv = text(shop.raw(as_role(Role::Warehouse), "/orders/export?format=csv", "*/*").await.into_body()).await;
    assert!(csv.contains("a@example.com") && !csv.contains(",none,none,none,"), "{csv}");
    shop.close().await;
}

#[tokio::test]
async fn who_reads_slowly_holds_a_page_and_nothing_of_the_database() {
    let shop = with_orders(450).await;
    let mut first = shop.raw(shop_itself(), "/orders/export", "*/*").await.into_body();
    let piece = first.frame().await.unwrap().unwrap().into_data().unwrap();
    // A page, and not all of it.
    assert_eq!(piece.split(|byte| *byte == b'\n').count(), 201);
    let second = shop.raw(shop_itself(), "/orders/export", "*/*").await.into_body();
    let open = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(shop.database.pool()).await.unwrap();
    assert_eq!(open, 0);
    // The caller's lists are not held up.
    shop.ok("/orders").await;

    let refused = shop.raw(shop_itself(), "/orders/export", "*/*").await;
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    let other = Principal::new(Role::Finance, "somebody else", None);
    assert_eq!(shop.raw(other, "/orders/export", "*/*").await.status().as_u16(), 200);
    drop(second);
    assert_eq!(shop.raw(shop_itself(), "/orders/export", "*/*").await.status().as_u16(), 200);
    assert!(text(first).await.ends_with("{\"complete\":true,\"exported\":450}\n"));
    shop.close().await;
}

#[tokio::test]
async fn an_export_that_fails_says_so_and_can_be_gone_on_with() {
    let shop = with_orders(450).await;
    let listed = shop.pages("/orders?limit=200").await.concat();
    let rename = async |from: &str, to: &str| {
        let rename = format!("alter table {from} rename to {to}");
        sqlx::query(&rename).execute(shop.database.pool()).await.unwrap();
    };
    let ndjson = shop.raw(shop_itself(), "/orders/export", "*/*").await.into_body();
    let csv = shop.raw(shop_itself(), "/orders/export?format=csv", "*/*").await.into_body();
    rename("read_model_orders", "away").await;
    let ndjson = text(ndjson).await;
    assert!(csv.collect().await.is_err(), "the client sees that the answer has no end");
    rename("away", "read_model_orders").await;

    let mut met: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = met.pop().unwrap();
    assert_eq!((&end["exported"], &end["complete"]), (&json!(200), &json!(false)), "{end}");
    assert_eq!(end["problem"]["code"], "read-models-unavailable", "{end}");
    let uri = format!("/orders/export?cursor={}", end["cursor"].as_str().unwrap());
    let (rest, end) = lines(&shop, shop_itself(), &uri).await;
    assert_eq!(end, json!({ "exported": 250, "complete": true }));
    met.extend(rest);
    assert_eq!(ids(&met), listed);
    shop.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_export_is_said_before_it_begins() {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    let order = Placed::new("a", "c", created).that_is(OrderStatus::Confirmed, created + TimeDelta::hours(1));
    shop.reached("orders", shop.take(&[order]).await).await;
    for (query, parameter) in [
        ("format=xlsx", "?format"),
        ("format=csv&format=csv", "?format"),
        ("format=csv&expand=lines", "?expand"),
        ("status=lost", "?status"),
        ("colour=red", "?colour"),
        ("cursor=nonsense", "?cursor"),
        ("sort=total", "?currency"),
    ] {
        let (status, problem) = shop.get(&format!("/orders/export?{query}")).await;
        assert_eq!(status.as_u16(), 422, "{query}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], parameter, "{query}: {problem}");
    }
    let auditor = Principal::new(Role::Auditor, "somebody", None);
    assert_eq!(shop.raw(auditor, "/orders/export?q=a", "*/*").await.status().as_u16(), 403);
    shop.close().await;
}
