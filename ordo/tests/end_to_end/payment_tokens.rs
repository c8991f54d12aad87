//! Every way of paying that the sandbox knows, from the order to the last refund.

use std::collections::BTreeMap;
use std::time::Duration;

use payments::SandboxPaymentRow;
use serde_json::{Value, json};

use crate::support::{Client, Ordo, TOKENS, at_rest, order_of};

const SKU: &str = "tracked";
const UNITS: usize = 100;
/// What an order of two costs, in minor units.
const TOTAL: i64 = 2_000;
/// Some answers take seconds, or never come.
const BOUND: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_token_ends_where_it_should_with_the_money_right() {
    // Given
    let ordo = Ordo::up(&[("ORDO_LOG", "warn")]).await;
    let client = ordo.client();
    client.receive(SKU, UNITS).await;

    // When
    for (token, _) in TOKENS {
        for what in ["ship", "cancel"] {
            let answer = client.order(&order_of(&format!("{token}-{what}"), Some(token), &[(SKU, 2)])).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    }
    at_rest(&ordo.database, 2 * TOKENS.len(), BOUND).await;

    // Then
    for (token, expected) in TOKENS {
        let order = client.get(&format!("/orders/{token}-ship")).await.json();
        assert_eq!(order["status"], expected, "{order}");
    }
    let held = |row: &SandboxPaymentRow| (row.authorized, row.captured, row.refunded, row.voided);
    let books = ledger(&ordo.database).await;
    let confirmed: Vec<&str> =
        TOKENS.into_iter().filter(|(_, ends)| *ends == "confirmed").map(|(token, _)| token).collect();
    assert_eq!(books.len(), 2 * confirmed.len(), "{books:?}");
    assert!(books.values().all(|row| held(row) == (TOTAL, 0, 0, 0)), "{books:?}");

    // When those that are confirmed are cancelled, or shipped in two parts.
    for token in &confirmed {
        accepted(&client, &format!("/orders/{token}-cancel/cancel"), json!({ "reason": "changed my mind" })).await;
        for _ in 0..2 {
            let one = json!({ "lines": [{ "lineNumber": 1, "quantity": 1 }] });
            accepted(&client, &format!("/orders/{token}-ship/ship"), one).await;
        }
    }
    at_rest(&ordo.database, 2 * TOKENS.len(), BOUND).await;

    // Then
    let books = ledger(&ordo.database).await;
    for token in &confirmed {
        assert_eq!(held(&books[&format!("{token}-cancel")]), (TOTAL, 0, 0, TOTAL), "{token}");
        assert_eq!(held(&books[&format!("{token}-ship")]), (TOTAL, TOTAL, 0, 0), "{token}");
        assert_eq!(client.get(&format!("/orders/{token}-cancel")).await.json()["status"], "cancelled");
    }

    // When one comes back, and some of the rest is given back besides.
    for token in &confirmed {
        let back = json!({ "returnId": "back", "lines": [{ "lineNumber": 1, "quantity": 1 }] });
        accepted(&client, &format!("/orders/{token}-ship/returns"), back).await;
        accepted(&client, &format!("/orders/{token}-ship/returns/back/receive"), json!({})).await;
        accepted(&client, &format!("/orders/{token}-ship/refunds"), json!({ "amount": "2.50", "reason": "late" }))
            .await;
    }
    let told = at_rest(&ordo.database, 2 * TOKENS.len(), BOUND).await;

    // Then
    let books = ledger(&ordo.database).await;
    for token in &confirmed {
        assert_eq!(held(&books[&format!("{token}-ship")]), (TOTAL, TOTAL, 1_250, 0), "{token}");
    }
    let shipped = i64::try_from(confirmed.len()).unwrap();
    let sums = json!({ "heldMinor": 0, "capturedMinor": shipped * TOTAL, "refundedMinor": shipped * 1_250 });
    assert_eq!(told["money"]["USD"], sums, "{told}");
    let path = format!("/stock/{SKU}?minPosition={}", told["position"]);
    let stock = client.get(&path).await.json();
    let left = UNITS - 2 * confirmed.len();
    assert_eq!((&stock["onHand"], &stock["available"]), (&json!(left), &json!(left)), "{stock}");
}

async fn accepted(client: &Client, path: &str, body: Value) {
    let answer = client.try_post(path, &body).await.unwrap();
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
}

/// The payments that were authorized, by order, of which each has one.
async fn ledger(database: &str) -> BTreeMap<String, SandboxPaymentRow> {
    let pool = sqlx::PgPool::connect(database).await.unwrap();

    let rows = payments::ledger(&pool, None, 1_000).await.unwrap();
    pool.close().await;
    let count = rows.len();
    let books: BTreeMap<String, SandboxPaymentRow> = rows.into_iter().map(|row| (row.order_id.clone(), row)).collect();
    assert_eq!(books.len(), count, "an order was authorized twice");
    books
}
