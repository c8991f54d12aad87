//! What was posted is shown again.

use domain::order::OrderEvent;
use domain::order::parse::PostedOrder;
use serde_json::{Value, json};

use crate::read_side::ReadSide;

fn posted() -> Value {
    let address = json!({ "name": "Jörg Müller", "company": "Müller GmbH", "line1": "Hauptstr. 5", "line2": "2. Stock",
                          "postalCode": "50667", "city": "Köln", "region": "NRW", "country": "DE", "phone": "+49 221 1" });
    json!({
        "customerId": "c-2", "currency": "EUR", "totalAmount": "53.80",
        "customer": { "id": "c-2", "name": "Jörg Müller", "phone": "+49 221 2", "locale": "de-DE", "taxId": "DE123456789" },
        "billingAddress": address, "shippingAddress": address,
        "shipping": { "method": "DHL Paket", "carrier": "DHL", "amount": "4.90", "estimatedDelivery": "2026-11-04",
                      "taxes": [{ "name": "USt", "rate": "0.19", "amount": "0.78", "included": true }] },
        "discounts": [{ "code": "WELCOME", "reason": "first order", "amount": "5.00" }],
        "channel": "web", "source": "newsletter", "tags": ["gift", "import"], "placedAt": "2026-10-31T09:00:00Z",
        "items": [
            { "sku": "CAKE-7", "title": "Käsekuchen", "quantity": 2, "unitPrice": "22.45", "variant": "gross",
              "attributes": { "icing": "no" }, "discounts": [{ "amount": "1.50" }],
              "taxes": [{ "name": "USt", "rate": "0.07", "amount": "2.84", "included": true },
                        { "name": "Pfand", "rate": "0", "amount": "0.50", "included": false }] },
            { "sku": "CARD", "title": "Gutschein", "quantity": 1, "unitPrice": "10.00", "requiresShipping": false,
              "giftCard": true },
        ],
    })
}

/// An answer with each amount as it was posted: its decimal alone.
fn amounts(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("currency") => fields["amount"].clone(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), amounts(value))).collect(),
        Value::Array(elements) => elements.iter().map(amounts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[tokio::test]
async fn what_was_posted_is_read_back_whole() {
    // Given
    let reads = ReadSide::running().await;
    let posted = posted();
    let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;

    // When
    let view = reads.after(OrderEvent::OrderCreated(content)).await;

    // Then
    for name in ["billingAddress", "shippingAddress", "channel", "source", "tags", "placedAt"] {
        assert_eq!(view[name], posted[name], "{name}");
    }
    for name in ["name", "phone", "locale", "taxId"] {
        assert_eq!(view["customer"][name], posted["customer"][name], "{name}");
    }
    for (item, line) in posted["items"].as_array().unwrap().iter().zip(view["lines"].as_array().unwrap()) {
        for name in ["sku", "title", "variant", "attributes", "requiresShipping", "giftCard"] {
            assert_eq!(line.get(name), item.get(name), "{name}");
        }
    }
    // Amounts have their currency with them.
    for name in ["shipping", "discounts"] {
        assert_eq!(amounts(&view[name]), posted[name], "{name}");
    }
    for name in ["discounts", "taxes"] {
        assert_eq!(amounts(&view["lines"][0][name]), posted["items"][0][name], "{name}");
    }
    let totals = json!({ "items": "54.90", "discounts": "6.50", "shipping": "4.90", "taxes": "0.50",
                         "includedTaxes": "3.62", "total": "53.80" });
    assert_eq!(amounts(&view["totals"]), totals);
    assert_eq!(reads.get("/orders/a?asOf=1").await, view);
    // Lists stay small.
    let listed = &reads.get("/orders?customerId=c-2").await["items"][0];
    assert_eq!(listed["orderId"], "a");
    for name in ["customer", "billingAddress", "shippingAddress", "tags", "lines", "shipping", "discounts", "totals"] {
        assert!(listed.get(name).is_none(), "{name}");
    }
    reads.end().await;
}
