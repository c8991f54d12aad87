//! Gives money back: for returns, and for refunds that the shop asks for.
//!
//! | step | kind | undo |
//! |---|---|---|
//! | refund_payment | forward only | nothing: money that went back stays there |
//! | notify_customer | forward only | nothing: what the customer was told was true |

mod refund_payment;

use crate::notify_customer;
use crate::saga::Saga;

pub(crate) static SAGA: Saga = Saga {
    name: "order_refunds",
    steps: &[refund_payment::STEP, notify_customer::OF_REFUNDS],
    concerns: |order| !order.refunds.is_empty(),
};
