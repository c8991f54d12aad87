//! Invoices, credit notes and order numbers. What one says and when one is due is decided in `domain`; here they are issued.
//!
//! - `issuer` follows the log and issues the documents that orders call for. `order_numbers` gives each new order its number.
//! - `issue_command` stores a document, its number, and the order's event that names it. `append`: what all appends of numbers have
//!   alike, and why no number is missing or there twice.
//! - `pdf`: a document as it is printed.

mod append;
mod issue_command;
mod issuer;
mod loaded_order;
mod metrics;
mod order_numbers;
mod pdf;

pub use issuer::issue_documents;
pub use metrics::DocumentMetrics;
pub use order_numbers::{ORDER_NUMBERS, number_orders};
pub use pdf::{PdfError, render};

/// The connections to the database that [`issue_documents`] or [`number_orders`] uses at the same time: for a batch, the orders that it
/// reads, the locks on series, and the renewal of a lease.
pub const CONNECTIONS: u32 = 4;
