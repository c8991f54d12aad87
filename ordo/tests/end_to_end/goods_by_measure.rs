//! Goods by weight, from the receipt of their stock to their return.

use serde_json::{Value, json};
use testkit::eventually;

use crate::support::{Client, Ordo, PATIENCE, at_rest, settled};

async fn done(client: &Client, path: &str, body: Value) {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert!(matches!(answer.status, 200..=202), "{path}: {}", answer.text());
}

/// The refusal, which has this status.
async fn refused(client: &Client, status: u16, path: &str, body: Value) -> Value {
    let answer = client.post(path, "application/json", body.to_string()).await;
    assert_eq!(answer.status, status, "{path}: {}", answer.text());
    answer.json()
}

/// Waits until of the apples so much is on hand, reserved, sold and available.
async fn in_stock(client: &Client, kilograms: [&str; 4]) {
    eventually(PATIENCE, || async {
        let stock = client.get("/stock/APPLES").await.json();
        ["onHand", "reserved", "sold", "available"].map(|of| stock[of].clone()) == kilograms.map(|it| json!(it))
    })
    .await;
    assert_eq!(client.get("/stock/APPLES").await.json()["unit"], "kg");
}

fn order(id: &str, total: &str, item: &Value) -> Value {
    json!({ "orderId": id, "customerId": "c", "currency": "EUR", "totalAmount": total, "items": [item] })
}

fn line(quantity: &str) -> Value {
    json!({ "lines": [{ "lineNumber": 1, "quantity": quantity }] })
}

#[tokio::test]
async fn goods_by_weight_are_counted_sold_and_brought_back_in_their_unit_and_in_no_other() {
    // Given
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    done(&client, "/stock/APPLES/receive", json!({ "quantity": "12.5", "unit": "kg" })).await;
    in_stock(&client, ["12.5", "0", "0", "12.5"]).await;

    // When somebody counts in another unit
    for (path, body) in [
        ("receive", json!({ "quantity": 3 })),
        ("receive", json!({ "quantity": "3", "unit": "g" })),
        ("adjust", json!({ "delta": -1, "reason": "eaten" })),
    ] {
        let refused = refused(&client, 409, &format!("/stock/APPLES/{path}"), body).await;
        assert!(refused["type"].as_str().unwrap().ends_with("other-unit"), "{refused}");
        assert_eq!(refused["detail"], "the SKU is counted in kg");
    }
    // Then nothing has changed, and it can be put right in its own.
    done(&client, "/stock/APPLES/adjust", json!({ "delta": "-0.25", "unit": "kg", "reason": "eaten" })).await;
    in_stock(&client, ["12.25", "0", "0", "12.25"]).await;

    // When some of it is ordered
    let apples = |quantity: &str| json!({ "sku": "APPLES", "quantity": quantity, "unit": "kg", "unitPrice": "3.1250" });
    done(&client, "/orders", order("o-1", "3.86", &apples("1.235"))).await;
    let confirmed = settled(&client, "o-1").await;
    // Then that is reserved.
    assert_eq!(confirmed["status"], "confirmed", "{confirmed}");
    assert_eq!(confirmed["lines"][0]["unitPrice"]["amount"], "3.125");
    in_stock(&client, ["12.25", "1.235", "0", "11.015"]).await;

    // When it is sent in two pieces
    done(&client, "/orders/o-1/ship", line("0.5")).await;
    in_stock(&client, ["11.75", "0.735", "0.5", "11.015"]).await;
    let too_much = refused(&client, 422, "/orders/o-1/ship", line("0.736")).await;
    assert_eq!(too_much["errors"][0]["message"], "of line 1 only 0.735 are left", "{too_much}");
    done(&client, "/orders/o-1/ship", json!({})).await;
    // Then all of it is paid for, and gone.
    in_stock(&client, ["11.015", "0", "1.235", "11.015"]).await;

    // When some of it comes back
    done(&client, "/orders/o-1/deliver", json!({})).await;
    let back = json!({ "returnId": "r-1", "lines": [{ "lineNumber": 1, "quantity": "0.5" }] });
    done(&client, "/orders/o-1/returns", back).await;
    let receipt = json!({ "lines": [{ "lineNumber": 1, "quantity": "0.2", "restock": true }] });
    done(&client, "/orders/o-1/returns/r-1/receive", receipt).await;
    // Then it is for sale again, and its price goes back.
    in_stock(&client, ["11.215", "0", "1.235", "11.215"]).await;
    eventually(PATIENCE, || async { client.get("/orders/o-1").await.json()["refunded"]["amount"] == "0.62" }).await;

    // When more is ordered than there is, or in another unit
    done(&client, "/orders", order("too-much", "312.50", &apples("100"))).await;
    done(&client, "/orders", order("pieces", "1.00", &json!({ "sku": "APPLES", "quantity": 1, "unitPrice": 1 }))).await;
    // Then it is rejected, and the reason says which.
    for (id, reason) in [
        ("too-much", "not enough in stock: APPLES (100 kg ordered, 11.215 kg left)"),
        ("pieces", "ordered in another unit: APPLES (ordered by the piece, counted in kg)"),
    ] {
        let rejected = settled(&client, id).await;
        assert_eq!((&rejected["status"], &rejected["reason"]), (&json!("rejected"), &json!(reason)), "{rejected}");
    }
    in_stock(&client, ["11.215", "0", "1.235", "11.215"]).await;
    at_rest(&ordo.database, 3, PATIENCE).await;
}
