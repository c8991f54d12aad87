//! Edits of orders: first what they would do, then the form that has them done.

use access_control::Role;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Fixture, as_role, session};

const PAGE: &str = "/orders/o-1/edit";
const PREVIEW: &str = "/orders/o-1/edits/preview";
const EDITS: &str = "/orders/o-1/edits";

/// A confirmed order, whose second line has a tax.
async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    let posted = json!({
        "orderId": "o-1", "customerId": "c-1", "customerEmail": "ada@example.com", "currency": "EUR", "totalAmount": "32.00",
        "items": [
            { "sku": "tea", "title": "Tea", "quantity": 2, "unitPrice": "10.00" },
            { "sku": "cup", "title": "Cup", "quantity": 1, "unitPrice": "12.00",
              "taxes": [{ "name": "VAT", "rate": "0.2", "amount": "2.00", "included": true }] },
        ],
    });
    fixture.order(&posted, |content| content).await;
    fixture.happen("o-1", &confirmed(), None).await;
    fixture
}

fn confirmed() -> [Value; 3] {
    [
        json!({ "StockReserved": { "units": [{ "sku": "tea", "quantity": 2 }, { "sku": "cup", "quantity": 1 }], "expiresAt": "2099-01-15T08:00:00Z" } }),
        json!({ "PaymentAuthorized": { "reference": "pay-1", "amountMinor": 3200 } }),
        json!({ "OrderConfirmed": {} }),
    ]
}

/// What a browser sends of a form: what is hidden in it, and what was typed.
fn sent(page: &Answer, action: &str, typed: &[(&str, &str)]) -> Vec<(String, String)> {
    let typed = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    page.hidden_fields(action).into_iter().chain(typed).collect()
}

async fn types(fixture: &Fixture) -> Vec<String> {
    let types = "select event_type from events where aggregate_id = 'o-1' order by sequence offset 4";
    sqlx::query_scalar(types).fetch_all(fixture.database.pool()).await.unwrap()
}

#[tokio::test]
async fn an_edit_is_shown_before_it_is_done_and_done_as_it_was_shown() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let order = fixture.page("/orders/o-1", &operator).await;
    assert!(order.body.contains("<a href=\"/orders/o-1/edit\">Change quantities"), "{}", order.body);
    let page = fixture.page(PAGE, &operator).await;
    assert!(page.body.contains("Line 1, tea: 2 now") && !page.body.contains("What it would do"), "{}", page.body);
    let typed = [
        ("/lines/lineNumber=1/quantity:number", "3"),
        ("/lines/lineNumber=2/quantity:number", "2"),
        ("/lines/lineNumber=2/taxes/0/amount", "4.00"),
        ("/addedLines/0/sku", "<b>spoon</b>"),
        ("/addedLines/0/title", "<i>Spoon</i>"),
        ("/addedLines/0/quantity:number", "1"),
        ("/addedLines/0/unitPrice", "5.50"),
        ("/addedLines/1/sku", ""),
    ];
    let shown = fixture.send_form(PREVIEW, &session(&operator), &sent(&page, PREVIEW, &typed)).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.body);
    for part in
        ["What it would do", "32.00 EUR", "59.50 EUR", "27.50 EUR", "&#60;i&#62;Spoon", "value=\"4.00\"", "version 4"]
    {
        assert!(shown.body.contains(part), "{part}: {}", shown.body);
    }
    assert!(types(&fixture).await.is_empty(), "a preview stores something");

    let form = sent(&shown, EDITS, &[("/reason", "the customer wants more")]);
    for _ in 0..2 {
        let done = fixture.send_form(EDITS, &session(&operator), &form).await;
        assert_eq!(
            (done.status, &done.headers["location"]),
            (StatusCode::SEE_OTHER, &"/orders/o-1".parse().unwrap()),
            "{}",
            done.body
        );
    }
    assert_eq!(types(&fixture).await, ["OrderEditRequested"]);
    let requested = "select payload -> 'OrderEditRequested' from events where event_type = 'OrderEditRequested'";
    let requested: Value = sqlx::query_scalar(requested).fetch_one(fixture.database.pool()).await.unwrap();
    assert_eq!((&requested["totalMinor"], &requested["reason"]), (&json!(5950), &json!("the customer wants more")));
    let tax = &requested["changes"]["lines"][1]["taxes"][0];
    assert_eq!((&tax["name"], &tax["amountMinor"], &tax["included"]), (&json!("VAT"), &json!(400), &json!(true)));
    // It is in work: nothing else is edited meanwhile.
    let page = fixture.page(PAGE, &operator).await;
    assert!(page.body.contains("The order takes no edits now."), "{}", page.body);
    fixture.end().await;
}

#[tokio::test]
async fn an_edit_of_an_order_that_has_changed_is_refused_and_can_be_looked_at_again() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page(PAGE, &operator).await;
    let typed = [("/lines/lineNumber=1/quantity:number", "0"), ("/payment/method", "card")];
    let shown = fixture.send_form(PREVIEW, &session(&operator), &sent(&page, PREVIEW, &typed)).await;
    assert!(shown.body.contains("12.00 EUR"), "{}", shown.body);
    let form = sent(&shown, EDITS, &[]);
    fixture.happen("o-1", &[json!({ "OrderHeld": { "holdId": "h-1", "reason": "fraud" } })], None).await;
    fixture.happen("o-1", &[json!({ "OrderReleased": { "holdId": "h-1" } })], None).await;
    let refused = fixture.send_form(EDITS, &session(&operator), &form).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.body);
    assert!(refused.body.contains("name=\"/payment/method\" value=\"card\""), "{}", refused.body);
    assert!(!refused.body.contains("What it would do"), "{}", refused.body);
    let again = sent(&refused, PREVIEW, &typed);
    let shown = fixture.send_form(PREVIEW, &session(&operator), &again).await;
    assert!(shown.status == StatusCode::OK && shown.body.contains("version 6"), "{}", shown.body);
    assert_eq!(types(&fixture).await, ["OrderHeld", "OrderReleased"]);
    fixture.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_edit_is_said_beside_its_field() {
    let fixture = fixture().await;
    let operator = as_role(Role::Operator);
    let page = fixture.page(PAGE, &operator).await;
    for (typed, said) in [
        (vec![], "changes nothing about the order"),
        (vec![("/lines/lineNumber=1/quantity:number", "many")], "aria-invalid"),
        (
            vec![("/lines/lineNumber=2/quantity:number", "2")],
            "are required where a line with taxes gets another quantity",
        ),
    ] {
        let refused = fixture.send_form(PREVIEW, &session(&operator), &sent(&page, PREVIEW, &typed)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed:?}: {}", refused.body);
        assert!(refused.body.contains(said), "{typed:?}: {}", refused.body);
    }
    fixture.end().await;
}

#[tokio::test]
async fn who_says_one_of_two_taxes_is_asked_for_the_other() {
    let fixture = Fixture::new().await;
    let tax = |name: &str, amount: &str| json!({ "name": name, "rate": "0.1", "amount": amount, "included": true });
    let posted = json!({
        "orderId": "o-1", "customerId": "c-1", "customerEmail": "ada@example.com", "currency": "EUR", "totalAmount": "12.00",
        "items": [
            { "sku": "cup", "title": "Cup", "quantity": 1, "unitPrice": "12.00", "taxes": [tax("State", "1.00"), tax("City", "0.50")] },
        ],
    });
    fixture.order(&posted, |content| content).await;
    let reserved =
        json!({ "StockReserved": { "units": [{ "sku": "cup", "quantity": 1 }], "expiresAt": "2099-01-15T08:00:00Z" } });
    let authorized = json!({ "PaymentAuthorized": { "reference": "pay-1", "amountMinor": 1200 } });
    fixture.happen("o-1", &[reserved, authorized, json!({ "OrderConfirmed": {} })], None).await;
    let operator = as_role(Role::Operator);
    let page = fixture.page(PAGE, &operator).await;
    let more = ("/lines/lineNumber=1/quantity:number", "2");
    let (state, city) =
        (("/lines/lineNumber=1/taxes/0/amount", "2.00"), ("/lines/lineNumber=1/taxes/1/amount", "1.00"));
    for one in [state, city] {
        let refused = fixture.send_form(PREVIEW, &session(&operator), &sent(&page, PREVIEW, &[more, one])).await;
        assert!(refused.status.is_client_error() && !refused.body.contains("What it would do"), "{}", refused.body);
    }
    let shown = fixture.send_form(PREVIEW, &session(&operator), &sent(&page, PREVIEW, &[more, state, city])).await;
    assert!(shown.status == StatusCode::OK && shown.body.contains("24.00 EUR"), "{}", shown.body);
    fixture.end().await;
}

#[tokio::test]
async fn those_who_may_not_edit_have_neither_the_link_nor_the_page() {
    let fixture = fixture().await;
    let page = fixture.page(PAGE, &as_role(Role::Operator)).await;
    for role in [Role::Support, Role::Warehouse, Role::Finance, Role::Auditor] {
        let credential = as_role(role);
        assert!(!fixture.page("/orders/o-1", &credential).await.body.contains(PAGE), "{role}");
        assert_eq!(fixture.page(PAGE, &credential).await.status, StatusCode::FORBIDDEN, "{role}");
        let forged = sent(&page, PREVIEW, &[("/lines/lineNumber=1/quantity:number", "3")]);
        assert_eq!(
            fixture.send_form(PREVIEW, &session(&credential), &forged).await.status,
            StatusCode::FORBIDDEN,
            "{role}"
        );
    }
    let nothing = fixture.page("/orders/o-2/edit", &as_role(Role::Shop)).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    fixture.end().await;
}
