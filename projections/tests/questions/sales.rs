//! Sales are the sums over the orders, live, after a rebuild, and after events came twice.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Timelike, Utc};
use domain::money::{Currency, Money};
use domain::order::OrderStatus;
use projections::{ReplayOperations, ReplayOptions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::shop::{Placed, Shop, any, at};

const ALL: &str = "/sales?from=2026-10-25&to=2026-11-20";

/// What hours, currencies and statuses add up to, from the orders themselves.
fn summed(orders: &[Placed], takes: impl Fn(&Placed) -> bool) -> Vec<Value> {
    let mut sums: BTreeMap<(DateTime<Utc>, &str, String), (i64, i64)> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.at >= at("2026-10-25T00:00:00Z") && takes(order)) {
        let hour = order.at.with_minute(0).unwrap().with_second(0).unwrap();
        let status = serde_json::to_value(order.status).unwrap().as_str().unwrap().to_owned();
        let sum = sums.entry((hour, order.currency, status)).or_default();
        *sum = (sum.0 + 1, sum.1 + order.total);
    }
    let row = |((hour, currency, status), (orders, minor)): ((DateTime<Utc>, &str, String), (i64, i64))| {
        let hour = hour.to_rfc3339_opts(SecondsFormat::Secs, true);
        json!({ "hour": hour, "status": status, "currency": currency, "orders": orders, "total": money(minor, currency) })
    };
    sums.into_iter().map(row).collect()
}

fn money(minor: i64, currency: &str) -> Value {
    let amount = Money::from_minor(minor, Currency::parse(currency).unwrap()).to_string();
    json!({ "amount": amount, "currency": currency })
}

async fn rows(shop: &Shop) -> Vec<String> {
    let rows = sqlx::query_scalar("select row_to_json(t)::text from read_model_sales t order by pk, sk");
    rows.fetch_all(shop.database.pool()).await.unwrap()
}

#[tokio::test]
async fn sales_are_the_sums_over_the_orders_by_hour_currency_and_status() {
    let shop = Shop::open().await;
    let orders = any(3, 300);
    shop.reached("sales", shop.take(&orders).await).await;
    let sales = shop.ok(ALL).await;
    assert_eq!(sales["hours"], Value::from(summed(&orders, |_| true)));
    assert_eq!((&sales["from"], &sales["to"]), (&json!("2026-10-25"), &json!("2026-11-20")));

    let recent = orders.iter().filter(|order| order.at >= at("2026-10-25T00:00:00Z"));
    let yen: Vec<i64> = recent.filter(|order| order.currency == "JPY").map(|order| order.total).collect();
    let totals = sales["totals"].as_array().unwrap();
    let codes: Vec<&Value> = totals.iter().map(|total| &total["currency"]).collect();
    assert_eq!(codes, ["EUR", "JPY", "USD"]);
    assert_eq!((&totals[1]["orders"], &totals[1]["total"]), (&yen.len().into(), &money(yen.iter().sum(), "JPY")));

    let filtered = shop.ok(&format!("{ALL}&currency=USD&status=confirmed")).await;
    let takes = |order: &Placed| order.currency == "USD" && order.status == OrderStatus::Confirmed;
    assert_eq!(filtered["hours"], Value::from(summed(&orders, takes)));
    let day = shop.ok("/sales?day=2026-11-03").await;
    let of_day = |order: &Placed| order.at.date_naive().to_string() == "2026-11-03";
    assert_eq!(day["hours"], Value::from(summed(&orders, of_day)));
    assert_eq!(day["to"], "2026-11-04");
    assert_eq!(shop.ok("/sales?day=2020-01-01").await["hours"], json!([]));
    shop.close().await;
}

#[tokio::test]
async fn an_order_is_counted_once_under_the_status_that_it_has_now() {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:59:59.999999Z");
    let order = Placed::new("a", "c", created);
    let counted = |status| json!([{ "hour": "2026-11-10T10:00:00Z", "status": status, "currency": "USD", "orders": 1, "total": { "amount": "10.00", "currency": "USD" } }]);
    shop.reached("sales", shop.take(std::slice::from_ref(&order)).await).await;
    assert_eq!(shop.ok("/sales?day=2026-11-10").await["hours"], counted("pending"));

    // Another batch, on another day.
    let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, recorded_at)
                  values ('order', 'a', 2, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}', '2026-11-12T08:00:00Z')
                  returning global_position";
    let position = sqlx::query_scalar(insert).fetch_one(shop.database.pool()).await.unwrap();
    shop.reached("sales", position).await;
    assert_eq!(shop.ok("/sales?day=2026-11-10").await["hours"], counted("confirmed"));
    assert_eq!(shop.ok("/sales?day=2026-11-12").await["hours"], json!([]));
    shop.close().await;
}

#[tokio::test]
async fn events_that_come_again_count_once_and_a_rebuild_comes_to_the_same() {
    let mut shop = Shop::open().await;
    let position = shop.take(&any(5, 200)).await;
    shop.reached("sales", position).await;
    let (live, sales) = (rows(&shop).await, shop.ok(ALL).await);

    // As if none of it had been handled.
    shop.pause().await;
    let rewind = "update subscription_partitions set position = 0 where subscription = 'sales'";
    sqlx::query(rewind).execute(shop.database.pool()).await.unwrap();
    shop.go_on();
    testkit::eventually(std::time::Duration::from_secs(60), || async {
        event_store::operations::checkpoints(shop.database.pool()).await.unwrap().get("sales") == Some(&position)
    })
    .await;
    assert_eq!(rows(&shop).await, live);

    shop.pause().await;
    let pool = shop.database.pool();
    let replays = ReplayOperations::new(pool.clone(), testkit::read_models(pool));
    let wanted = ReplayOptions { projections: vec!["sales".to_owned()], compare: true };
    let replayed = replays.open(&wanted).await.unwrap().run(&CancellationToken::new(), |_| ()).await.unwrap();
    assert!(replayed.promoted, "{replayed:?}");
    assert_eq!(rows(&shop).await, live);
    assert_eq!(shop.ok(ALL).await, sales);
    shop.close().await;
}

#[tokio::test]
async fn sums_beyond_what_one_order_may_be_worth_are_exact() {
    let shop = Shop::open().await;
    let order = |nth: usize| {
        let created = at("2026-11-10T10:00:00Z");
        Placed { total: i64::MAX, ..Placed::new(&format!("o-{nth}"), "c", created) }
    };
    // Some of them in the same part of the sum.
    let orders: Vec<Placed> = (0..40).map(order).collect();
    shop.reached("sales", shop.take(&orders).await).await;
    let sales = shop.ok("/sales?day=2026-11-10").await;
    assert_eq!(sales["totals"][0]["total"]["amount"], "3689348814741910322.80");
    assert_eq!(sales["totals"][0]["orders"], 40);
    shop.close().await;
}
