//! Invoices and credit notes. What one says and when one is due is decided in `domain`; here they are issued.
//!
//! - `issuer` follows the log and issues what orders call for.
//! - `pdf`: a document as it is printed.
//! - `issue_command` stores a document, its number, and the order's event that names it, in one append.

mod issue_command;
mod issuer;
mod pdf;

pub use issuer::run;
pub use pdf::{PdfError, render};

/// The connections to the database that [`run`] uses at the same time: for a batch, the orders that it reads, the locks on series, and
/// the renewal of a lease.
pub const CONNECTIONS: u32 = 4;
