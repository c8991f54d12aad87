//! Orders as clients post them.

use serde_json::{Value, json};

/// The demo order under the given id.
#[must_use]
pub fn demo_order(order_id: &str) -> Value {
    let mut order: Value = serde_json::from_str(include_str!("orders/demo.json")).expect("the demo order is JSON");
    order["orderId"] = json!(order_id);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_order_has_the_id_asked_for() {
        let order = demo_order("demo-7");
        assert_eq!(order["orderId"], "demo-7");
        assert_eq!(order["totalAmount"].to_string(), "129.99");
        assert_eq!(order["metadata"]["channel"], "rest-client");
    }
}
