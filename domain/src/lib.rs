//! The rules of orders and stock, pure: no IO, no clock, no randomness.
//!
//! [`order::parse`] turns a request's body into a command, [`order::decide`] turns a command into events or an
//! [`order::OrderError`], [`order::evolve`] applies events to the [`order::Order`]. [`stock`] does the same for the stock of a SKU.
//! Every other crate stores, moves or shows what these say.

pub mod body;
pub mod country;
pub mod dead_letter;
mod decimal;
pub mod document;
pub mod email;
mod events;
#[cfg(test)]
mod golden;
pub mod ids;
pub mod json_text;
pub mod locale;
pub mod money;
pub mod order;
pub mod order_number;
pub mod quantity;
#[cfg(test)]
mod schemas;
pub mod stock;
pub mod streams;
pub mod unit_price;
