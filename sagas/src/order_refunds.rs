//! Gives money back: for returns, and for refunds that the shop asks for. What was paid elsewhere is given back by a person.
//!
//! | step | kind | undo |
//! |---|---|---|
//! | refund_payment | retriable | nothing: money that went back stays there |
//! | notify_customer | retriable | nothing: what the customer was told was true |
//! | refund_manually | retriable | nothing: money that went back stays there |

mod refund_manually;
mod refund_payment;

use crate::notify_customer;
use crate::saga::Saga;

pub(crate) static SAGA: Saga = Saga {
    name: "order_refunds",
    steps: &[refund_payment::STEP, notify_customer::OF_REFUNDS, refund_manually::STEP],
    concerns: |order| !order.refunds.is_empty() || order.manual_refunds().next().is_some(),
};
