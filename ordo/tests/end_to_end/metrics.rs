//! `GET /metrics`: what happened is counted.

use testkit::demo_order;

use crate::support::{Ordo, settled};

const DESCRIBED: &str = include_str!("../../../docs/reference/metrics.md");

#[tokio::test]
async fn requests_and_appends_are_counted_where_prometheus_finds_them() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    for nth in 0..3 {
        assert_eq!(client.order(&demo_order(&format!("o-{nth}"))).await.status, 201);
    }
    let mut other = demo_order("o-0");
    other["notes"] = "another".into();
    assert_eq!(client.order(&other).await.status, 409);
    settled(&client, "o-2").await;
    assert_eq!(client.get("/nowhere").await.status, 404);

    let metrics = client.get("/metrics").await;

    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = metrics.text();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).parse::<f64>().unwrap()
    };
    assert_eq!(value(r#"ordo_http_requests_total{method="POST",route="/orders",status="201"}"#) as u32, 3);
    assert_eq!(value(r#"ordo_http_requests_total{method="POST",route="/orders",status="409"}"#) as u32, 1);
    assert_eq!(value(r#"ordo_http_request_duration_seconds_count{method="POST",route="/orders"}"#) as u32, 4);
    // The order that was posted again with other content.
    assert_eq!(value("ordo_append_conflicts_total") as u32, 1);
    assert!(value("ordo_append_commands_total") >= 3.0, "{text}");
    assert_eq!(value("ordo_append_refused_total") as u32, 0);
    assert_eq!(value("ordo_subscription_lag_known") as u32, 1);
    assert!(value(r#"ordo_subscription_lag_events{subscription="orders"}"#) >= 0.0, "{text}");
    assert!(value(r#"ordo_subscription_lag_seconds{subscription="order_fulfilment"}"#) >= 0.0, "{text}");
    assert_eq!(value(r#"ordo_subscription_parked_events{subscription="orders"}"#) as u32, 0);
    assert!(value("ordo_log_tail_held_seconds") >= 0.0, "{text}");
    assert!(!text.contains("nowhere"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");

    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for family in families {
        assert!(DESCRIBED.contains(&format!("`{family}")), "docs/reference/metrics.md does not describe {family}");
    }
}
