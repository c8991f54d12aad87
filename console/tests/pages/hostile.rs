//! An order that was made to do harm: it is text everywhere, and masked for those who may not see it.

use access_control::Role;
use domain::order::event::OrderCreated;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Fixture, as_role};

/// Every page that shows something of orders.
const PAGES: [&str; 18] = [
    "/",
    "/orders/hostile/changes?from=1&to=2",
    "/orders",
    "/orders?q=alert",
    "/orders/hostile",
    "/orders/hostile?asOf=1",
    "/orders/hostile/events/1",
    "/sagas",
    "/sales",
    "/log",
    "/log/1",
    "/log/2",
    "/audit",
    "/parked-events",
    "/bulk-actions",
    "/bulk-actions/00000000-0000-7000-8000-000000000001",
    "/replay",
    "/platform",
];

/// The same, of what holds everything.
const PAGES_OF_ITEMS: [&str; 5] = [
    "/read-models?streamId=%3Cscript%3Ealert(1)%3C/script%3E",
    "/read-models/orders",
    "/read-models/orders?pk=ORDER%23hostile&sk=%23",
    "/read-models/orders?pk=%3Cscript%3Ealert(1)%3C/script%3E",
    "/read-models/steps?projection=orders&streamId=hostile",
];

fn hostile() -> Value {
    let attack = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    json!({
        "orderId": "hostile", "customerId": "secret-customer", "customerEmail": "secret@example.com", "currency": "EUR", "totalAmount": "20.00",
        "customer": { "name": format!("Secret {attack}") },
        "shippingAddress": { "name": format!("\"{attack}"), "line1": "Secret Street 1", "postalCode": "12345", "city": "=cmd|' /C calc'!A0", "country": "DE" },
        "items": [ { "sku": "sku-1", "title": format!("'\" {attack}"), "quantity": 2, "unitPrice": "10.00" } ],
        "tags": ["=1+1", "<b>tag</b>"], "channel": "<i>web</i>",
        "metadata": { "k": attack, "</pre>": "</details><script>" }
    })
}

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let notes = "=cmd|secret note \u{202e}txet\u{1b}[2J\n<svg onload=alert(3)>".to_owned();
    fixture.order(&hostile(), |content| OrderCreated { notes: Some(notes.clone()), ..content }).await;
    let note = json!({ "NoteAdded": { "noteId": "n-1", "text": "<script>secret</script> \u{202e}", "author": "<b>secret</b>" } });
    fixture.happen("hostile", &[note], Some("support:<img src=x> \u{202e}")).await;
    let error = "<script>alert('error of secret@example.com')</script>";
    let stuck = "insert into saga_work (saga, order_id, step, failures, due_at, last_error, stuck)
                 values ('order_fulfilment', 'hostile', 'reserve_stock', 3, 'infinity', $1, true)";
    sqlx::query(stuck).bind(error).execute(fixture.database.pool()).await.unwrap();
    let bulk = "insert into bulk_actions (id, kind, filter, reason, actor, rate, request_hash, errors, note)
                values ('00000000-0000-7000-8000-000000000001', 'retry_sagas', json_build_object('error', $1::text), $1, 'ada', 1, '',
                        json_build_array(json_build_object('id', 'hostile', 'error', $1::text)), $1)";
    sqlx::query(bulk).bind(error).execute(fixture.database.pool()).await.unwrap();
    let parked =
        "insert into parked_events (subscription, stream_type, stream_id, position, version, event_type, error)
                  values ('sales', 'order', 'hostile', 1, 1, 'OrderCreated', $1)";
    sqlx::query(parked).bind(error).execute(fixture.database.pool()).await.unwrap();
    let stopped = "insert into stopped_subscriptions (subscription, partition, waits_from, position, stream_id, event_type, event_version, error)
                   select subscription, partition, position + 1, position + 1, 'hostile', 'OrderCreated', '9.0', $1
                     from subscription_partitions where subscription = 'orders' limit 1";
    let stopped = sqlx::query(stopped).bind(error).execute(fixture.database.pool()).await.unwrap();
    assert_eq!(stopped.rows_affected(), 1);
    fixture
}

/// That a page holds nothing but what its templates have.
fn check_page(path: &str, page: &Answer) {
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
    // The head has the console's own scripts.
    let (head, body) = page.body.split_once("<body>").unwrap();
    assert_eq!(head.matches("<script").count(), head.matches(r#".js" defer></script>"#).count(), "{head}");
    for markup in ["<script", "<img", "<svg onload", "<b>", "<i>", " style=", " onerror=\"", "\u{202e}", "\u{1b}"] {
        assert!(!body.contains(markup), "{path} has {markup:?}: {body}");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("script-src 'self';") && policy.contains("connect-src 'self';"), "{policy}");
    assert!(policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.body.matches("<h1>").count(), 1, "{path}");
}

#[tokio::test]
async fn what_clients_wrote_is_text_on_every_page() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    for path in PAGES.into_iter().chain(PAGES_OF_ITEMS) {
        check_page(path, &fixture.page(path, &operator).await);
    }
    let order = fixture.page("/orders/hostile", &operator).await.body;
    for shown in [
        "&#60;script&#62;alert(1)",
        "⟨U+202E⟩txet⟨U+001B⟩[2J",
        "Secret Street 1",
        "secret@example.com",
        "/orders?customerId=secret-customer",
    ] {
        assert!(order.contains(shown), "{shown}: {order}");
    }
    assert!(order.contains("stuck at the step reserve stock"), "{order}");
    let home = fixture.page("/", &operator).await.body;
    assert!(
        home.contains("<strong>1</strong> sagas stuck") && home.contains("<strong>1</strong> events parked"),
        "{home}"
    );
    assert!(home.contains("<strong>1</strong> orders in the last minute"), "{home}");
    assert!(home.contains("<span class=\"tag bad\">stopped</span> <bdi>&#60;script&#62;"), "{home}");
    assert!(home.contains("<span class=\"tag good\">up to date</span>") && !home.contains(">behind</span>"), "{home}");
    fixture.end().await;
}

#[tokio::test]
async fn an_auditor_sees_no_personal_data() {
    let fixture = fixture().await;
    let auditor = as_role(Role::Auditor);
    for path in PAGES.into_iter().filter(|path| !path.contains("q=")) {
        let page = fixture.page(path, &auditor).await;
        check_page(path, &page);
        let text = page.body.to_lowercase();
        for secret in ["secret", "=cmd"] {
            assert!(!text.contains(secret), "{path} tells {secret}: {text}");
        }
    }
    for path in PAGES_OF_ITEMS {
        assert_eq!(fixture.page(path, &auditor).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert!(fixture.page("/orders/hostile", &auditor).await.body.contains("***"));
    let by_words = fixture.page("/orders?q=secret", &auditor).await;
    assert_eq!(by_words.status, StatusCode::FORBIDDEN);
    for (format, marks) in [("csv", "***"), ("ndjson", "***")] {
        let file = fixture.page(&format!("/orders/export?format={format}"), &auditor).await;
        assert!(
            file.status.is_success() && file.body.contains(marks) && !file.body.contains("secret"),
            "{}",
            file.body
        );
    }
    fixture.end().await;
}

#[tokio::test]
async fn an_export_is_exactly_the_filter_and_has_no_formulas() {
    let fixture = fixture().await;
    fixture.order(&testkit::demo_order("other"), |content| content).await;
    let operator = as_role(Role::Operator);
    let list = fixture.page("/orders?status=&tag=%3D1%2B1", &operator).await.body;
    assert!(list.contains("/orders/hostile\"") && !list.contains("/orders/other\""), "{list}");
    let link = "/orders/export?tag=%3D1%2B1&amp;format=csv";
    assert!(list.contains(link), "{list}");
    let file = fixture.page(&link.replace("&amp;", "&"), &operator).await;
    assert!(file.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert!(file.body.contains("hostile") && !file.body.contains("other"), "{}", file.body);
    // A spreadsheet takes it for text.
    assert!(file.body.contains("\"'=cmd|secret note") && !file.body.contains("\"="), "{}", file.body);
    fixture.end().await;
}
