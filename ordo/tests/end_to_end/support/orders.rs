//! Orders that are paid for in different ways.

use serde_json::{Value, json};
use testkit::demo_order;

/// What the sandbox knows, and how an order ends that is paid for with it.
pub(crate) const TOKENS: [(&str, &str); 6] = [
    ("tok_ok", "confirmed"),
    ("tok_declined", "rejected"),
    ("tok_timeout_then_ok", "confirmed"),
    ("tok_timeout_then_declined", "rejected"),
    ("tok_slow", "confirmed"),
    ("tok_flaky", "confirmed"),
];

/// An order of so many of each SKU at 10.00 a piece.
pub(crate) fn order_of(order_id: &str, token: Option<&str>, lines: &[(&str, u32)]) -> Value {
    let mut order = demo_order(order_id);
    let item =
        |(sku, quantity): &(&str, u32)| json!({ "sku": sku, "title": sku, "quantity": quantity, "unitPrice": 10 });
    order["items"] = lines.iter().map(item).collect();
    order["totalAmount"] = json!(lines.iter().map(|(_, quantity)| 10 * quantity).sum::<u32>());
    if let Some(token) = token {
        order["paymentToken"] = json!(token);
    }
    order
}
