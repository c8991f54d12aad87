//! Gives money back: for returns, and for refunds that the shop asks for.
//!
//! | step | kind | undo |
//! |---|---|---|
//! | refund_payment | retriable | nothing: money that went back stays there |
//! | notify_customer | retriable | nothing: what the customer was told was true |

mod refund_payment;

use crate::notify_customer;
use crate::saga::Saga;

pub(crate) static SAGA: Saga = Saga {
    name: "order_refunds",
    steps: &[refund_payment::STEP, notify_customer::OF_REFUNDS],
    concerns: |order| !order.refunds.is_empty(),
};
