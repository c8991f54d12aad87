//! The keys under which the payment provider is asked. The same key never means two things, and every attempt has the same one.

use crate::order_session::OrderSession;

/// What the keys of a payment begin with: the order's id for the first one, as it always did. No id has a `#`.
pub(crate) fn scope(order: &OrderSession, payment_number: u32) -> String {
    let order_id = &order.order_id;
    if payment_number == 1 { order_id.clone() } else { format!("{order_id}#{payment_number}") }
}
