//! Payment providers behind one port.
//!
//! [`PaymentGateway`] is the port. Its adapters are [`Sandbox`], a provider of our own whose tokens choose the outcome,
//! and [`Stripe`]. [`Guarded`] wraps either with a timeout and a circuit breaker.
//!
//! Nothing here knows the rules of orders. Amounts are minor units with a currency code, ids are strings.

mod gateway;
mod guarded;
mod sandbox;
mod stripe;

pub use gateway::{
    AcceptedRefund, AuthorizationRequest, CaptureRequest, CapturedPayment, PaymentAuthorization, PaymentError,
    PaymentGateway, RefundRequest, VoidRequest,
};
pub use guarded::{BreakerSettings, BreakerState, Guarded, PaymentMetrics};
pub use sandbox::{Sandbox, SandboxPaymentRow, is_sandbox_payment, ledger, ledger_of};
pub use stripe::{Stripe, StripeSettings, StripeSetupError};
