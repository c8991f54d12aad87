//! Payments.
mod gateway;
pub use gateway::{Authorization, Authorized, Capture, Captured, PaymentError, PaymentGateway, Refund, Refunded};
