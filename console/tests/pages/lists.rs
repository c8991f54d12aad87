//! Lists: filters, pages, versions.

use access_control::Role;
use http::StatusCode;

use crate::support::{Fixture, as_role};

#[tokio::test]
async fn a_question_that_is_wrong_is_told_beside_its_form() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page("/orders?status=lost&totalFrom=1&from=yesterday", &operator).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for named in ["status must be one of", "currency must be a currency", "from must be"] {
        assert!(page.body.contains(named), "{named}: {}", page.body);
    }
    assert!(page.body.contains("value=\"yesterday\""), "{}", page.body);
    for path in ["/orders?limit=1000", "/orders?cursor=x", "/orders?nothing=1"] {
        assert_eq!(fixture.page(path, &operator).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    let page = fixture.page("/sales?from=2026-01-01&to=2026-12-31&status=lost", &operator).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("at most 92 days") && page.body.contains("status must be one of"), "{}", page.body);
    let page = fixture.page("/log?streamId=o-1&from=yesterday", &operator).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.body.contains("streamType is required with streamId") && page.body.contains("from must be"),
        "{}",
        page.body
    );
    let page = fixture.page("/audit?actor=shop:web", &operator).await;
    assert!(
        page.status == StatusCode::UNPROCESSABLE_ENTITY && page.body.contains("actor must be operator"),
        "{}",
        page.body
    );
    for path in [
        "/sagas?state=lost",
        "/sagas?cursor=x",
        "/stock?limit=0",
        "/stock?low=no",
        "/stock/a?waiting=x",
        "/stock/a?cursor=x",
    ] {
        assert_eq!(fixture.page(path, &operator).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn a_list_goes_on_page_by_page_with_its_filter() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    for id in ["o-1", "o-2", "o-3"] {
        fixture.order(&testkit::demo_order(id), |content| content).await;
    }
    let mut seen = Vec::new();
    let mut path = "/orders?customerId=customer-42&limit=2".to_owned();
    loop {
        let page = fixture.page(&path, &operator).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let orders =
            page.body.split("<a href=\"/orders/o-").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        seen.extend(orders);
        let Some(next) = page.body.split("\" rel=\"next\">").next().filter(|_| page.body.contains("rel=\"next\""))
        else {
            break;
        };
        path = next.rsplit("href=\"").next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        assert!(path.contains("customerId=customer-42"), "{path}");
    }
    assert_eq!(seen, ["3", "2", "1"]);
    fixture.end().await;
}

#[tokio::test]
async fn an_order_is_shown_with_its_timeline_and_as_it_was() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let now = fixture.page("/orders/o-1", &operator).await.body;
    for shown in [
        "Wireless Headphones",
        "129.99 USD",
        "order created",
        "Pending since",
        "next is reserve stock",
        "/orders/o-1?asOf=1",
    ] {
        assert!(now.contains(shown), "{shown}: {now}");
    }
    let then = fixture.page("/orders/o-1?asOf=1", &operator).await.body;
    assert!(then.contains("As it was at version 1") && !then.contains("id=\"sagas\""), "{then}");
    fixture.end().await;
}

#[tokio::test]
async fn an_event_that_is_not_known_hides_nothing_but_the_sagas() {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let insert = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  values ('order', 'o-1', 2, 'OrderTeleported', '3.0', '{\"OrderTeleported\":{\"n\":0.1000000000000000055,\"b\":1,\"a\":2}}', '{}')";
    sqlx::query(insert).execute(fixture.database.pool()).await.unwrap();
    let order = fixture.page("/orders/o-1", &as_role(Role::Operator)).await;
    assert_eq!(order.status, StatusCode::OK, "{}", order.body);
    for shown in ["Wireless Headphones", "order teleported", "They can't be read", "OrderTeleported"] {
        assert!(order.body.contains(shown), "{shown}: {}", order.body);
    }
    let order = fixture.page("/orders/o-1", &as_role(Role::Auditor)).await;
    assert!(order.body.contains("They can't be read: <bdi class=\"bad\">***</bdi>"), "{}", order.body);
    fixture.end().await;
}

#[tokio::test]
async fn an_event_that_says_much_has_a_page_of_its_own() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let mut posted = testkit::demo_order("o-1");
    // In lines each of the zeros would have an indentation.
    posted["metadata"] = serde_json::json!({ "zeros": [[[[vec![0; 3_000]]]]] });
    fixture.order(&posted, |content| content).await;
    let order = fixture.page("/orders/o-1", &operator).await;
    assert_eq!(order.status, StatusCode::OK);
    let link = "<a href=\"/orders/o-1/events/1\">JSON";
    assert!(order.body.contains(link) && !order.body.contains("<details><summary>JSON"), "{}", order.body.len());
    let event = fixture.page("/orders/o-1/events/1", &operator).await;
    assert_eq!(event.status, StatusCode::OK);
    assert!(event.body.contains("<h1>order created</h1>") && event.body.matches("0,\n").count() > 2_900);
    for path in ["/orders/o-1/events/2", "/orders/o-1/events/0", "/orders/o-1/events/x", "/orders/none/events/1"] {
        assert_eq!(fixture.page(path, &operator).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn what_can_be_found_out_is_shown_when_something_can_not() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    sqlx::query("alter table saga_work rename to saga_work_away").execute(fixture.database.pool()).await.unwrap();
    let home = fixture.page("/", &operator).await;
    assert_eq!(home.status, StatusCode::OK, "{}", home.body);
    for shown in
        ["<strong>not known</strong> sagas", "<strong>0</strong> events parked", "Not everything is known", "saga_work"]
    {
        assert!(home.body.contains(shown), "{shown}: {}", home.body);
    }
    let home = fixture.page("/", &as_role(Role::Auditor)).await;
    assert!(home.body.contains("Not everything is known") && !home.body.contains("saga_work"), "{}", home.body);
    fixture.end().await;
}

#[tokio::test]
async fn exports_elsewhere_in_the_process_count_here() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    let mut under_way = Vec::new();
    while let Ok(export) = fixture.export_elsewhere().await {
        under_way.push(export);
        assert!(under_way.len() < 100);
    }
    assert!(!under_way.is_empty());
    let refused = fixture.page("/orders/export?format=csv", &operator).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    drop(under_way);
    assert_eq!(fixture.page("/orders/export?format=csv", &operator).await.status, StatusCode::OK);
    fixture.end().await;
}

#[tokio::test]
async fn sales_are_figures_and_charts_without_a_script() {
    let fixture = Fixture::new().await;
    let finance = as_role(Role::Finance);
    let empty = fixture.page("/sales?from=2026-01-01&to=2026-01-08", &finance).await.body;
    assert!(empty.contains("Nothing was ordered") && empty.contains("<svg"), "{empty}");
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    fixture.order(&testkit::demo_order("o-2"), |content| content).await;
    fixture.until_passed("sales").await;
    let days = fixture.page("/sales", &finance).await.body;
    for shown in
        ["By the day", "<strong>259.98 USD</strong> 2 orders", "Amounts in USD", "class=\"refunded\"", "status=pending"]
    {
        assert!(days.contains(shown), "{shown}: {days}");
    }
    let today = chrono::Utc::now().date_naive();
    let hours = fixture.page(&format!("/sales?day={today}&currency=USD&status=pending"), &finance).await.body;
    assert!(hours.contains("By the hour") && !hours.split_once("<body>").unwrap().1.contains("<script"), "{hours}");
    let none = fixture.page(&format!("/sales?day={today}&status=confirmed"), &finance).await.body;
    assert!(none.contains("Nothing was ordered"), "{none}");
    fixture.end().await;
}

#[tokio::test]
async fn the_log_is_gone_through_and_an_event_shown_with_its_causes() {
    let fixture = Fixture::new().await;
    let operator = as_role(Role::Operator);
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let held = serde_json::json!({ "OrderHeld": { "holdId": "h-1", "reason": "looks like fraud" } });
    fixture.happen("o-1", &[held], Some("support:bob")).await;
    let insert =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                  select 'order', 'o-1', 3, 'OrderReleased', '1.0', '{\"OrderReleased\":{\"holdId\":\"h-1\"}}',
                         json_build_object('actor', 'operator:ann', 'correlationId', event_id, 'causationId', event_id)
                    from events where global_position = 2";
    sqlx::query(insert).execute(fixture.database.pool()).await.unwrap();
    let newest = fixture.page("/log?limit=1", &operator).await.body;
    assert!(
        newest.contains("/log/3\"") && newest.contains("order released") && newest.contains("rel=\"next\""),
        "{newest}"
    );
    let of_type = fixture.page("/log?type=OrderHeld&streamType=&sort=position", &operator).await.body;
    assert!(of_type.contains("/log/2\"") && !of_type.contains("/log/1\""), "{of_type}");
    let event = fixture.page("/log/2", &operator).await.body;
    for shown in [
        "looks like fraud",
        "support:bob",
        "class=\"depth-0\" aria-current=\"true\"",
        "class=\"depth-1\"",
        "because of 2",
    ] {
        assert!(event.contains(shown), "{shown}: {event}");
    }
    for missing in ["/log/4", "/log/0", "/log/-1", "/log/x"] {
        assert_eq!(fixture.page(missing, &operator).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
    fixture.end().await;
}

#[tokio::test]
async fn what_people_did_is_shown_to_operators_and_without_words_to_auditors() {
    let fixture = Fixture::new().await;
    fixture.order(&testkit::demo_order("o-1"), |content| content).await;
    let held = serde_json::json!({ "OrderHeld": { "holdId": "h-1", "reason": "looks like fraud" } });
    fixture.happen("o-1", &[held], Some("support:bob")).await;
    let all = fixture.page("/audit", &as_role(Role::Operator)).await.body;
    for shown in ["/audit?actor=support%3Abob", "order held", "looks like fraud", "/orders/o-1", "/log/2"] {
        assert!(all.contains(shown), "{shown}: {all}");
    }
    let other = fixture.page("/audit?actor=operator:ann", &as_role(Role::Operator)).await.body;
    assert!(other.contains("<p>Nothing.</p>"), "{other}");
    let masked = fixture.page("/audit", &as_role(Role::Auditor)).await.body;
    assert!(masked.contains("support:bob") && masked.contains("***") && !masked.contains("fraud"), "{masked}");
    fixture.end().await;
}
