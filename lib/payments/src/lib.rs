//! Payments: what the platform asks of a provider, and the providers it can ask.
//!
//! [`PaymentGateway`] is the port. Behind it stand [`Sandbox`], a provider of our own whose tokens choose the outcome, and
//! [`Stripe`]. [`Guarded`] goes before either: it bounds how long a call may take, and spares a provider that is failing.
//!
//! Nothing here knows an order's rules. Amounts are minor units under a currency's code, ids are text.

mod gateway;
mod guarded;
pub mod sandbox;
pub mod stripe;

pub use gateway::{Authorization, Authorized, Capture, Captured, PaymentError, PaymentGateway, Refund, Refunded, Void};
pub use guarded::{BreakerSettings, BreakerState, Guarded, Metrics};
pub use sandbox::{LedgerRow, Sandbox, is_sandbox_payment, ledger, ledger_of};
pub use stripe::{Stripe, StripeError, StripeSettings};
