//! The rules of orders and stock, pure: no IO, no clock, no randomness.
//!
//! [`PostedOrder::parse`] turns what a client sent into types that can be trusted, [`decide`] turns a command into
//! events or a [`Refusal`], [`evolve`] turns events into the [`Order`]. [`stock`] has the same for what there is of a [`Sku`].
//! Everything else in the platform stores, moves or shows what these say.

mod email;
mod fields;
mod ids;
mod json_text;
mod money;
mod order;
pub mod stock;

pub use email::{EmailAddress, InvalidEmail};
pub use ids::{CustomerId, InvalidId, OrderId, PaymentToken, Sku};
pub use json_text::{InvalidJsonText, JsonText};
pub use money::{AmountError, Currency, Money, UnknownCurrency};
pub use order::{
    MailOutcome, MailTemplate, Malformed, NotificationFailed, NotificationSent, Order, OrderCommand, OrderConfirmed,
    OrderCreated, OrderEvent, OrderLine, OrderStatus, PlacedOrder, PostedOrder, Refusal, Rejection, Violation, decide,
    evolve,
};
