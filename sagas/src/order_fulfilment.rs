//! Fulfils an order. The step table: what has to be done, in this order, and how each step is undone.
//!
//! | step | kind | undo |
//! |---|---|---|
//! | reserve_stock | compensable | release_stock |
//! | authorize_payment | compensable | void_payment |
//! | confirm_order | pivot | nothing: a confirmed order is cancelled, not unconfirmed |
//! | capture_payment | retriable | nothing: what was sent is paid for; money goes back as a refund |
//! | void_rest | retriable | nothing: nobody pays for what will not be sent |
//! | notify_customer | retriable | nothing: what the customer was told was true |
//!
//! The capture comes before the mail, so that a mail that can't be sent does not keep a shipment from being paid.

mod authorize_payment;
mod capture_payment;
mod close_order;
mod confirm_order;
mod reserve_stock;
mod void_rest;

pub(crate) use authorize_payment::{authorize_payment, void_abandoned_payment};
pub(crate) use close_order::CLOSE;
pub(crate) use reserve_stock::EXPIRE;

use crate::notify_customer;
use crate::saga::Saga;

pub(crate) static SAGA: Saga = Saga {
    name: "order_fulfilment",
    steps: &[
        reserve_stock::STEP,
        authorize_payment::STEP,
        confirm_order::STEP,
        capture_payment::STEP,
        void_rest::STEP,
        notify_customer::OF_FULFILMENT,
    ],
    concerns: |_| true,
};

#[cfg(test)]
mod tests;
