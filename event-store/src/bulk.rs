//! Bulk export and import of events, by COPY in Postgres's binary format.
//!
//! [`copy_out`] is one statement, so it reads one snapshot of the log. Rows come one at a time and are not kept, so a log of any length
//! takes the same memory. [`copy_in`] fills an empty log, all or nothing.

mod copy_in;
mod copy_out;
mod row;

pub use copy_in::{ImportSource, ImportSummary, LogImportError, copy_in};
pub use copy_out::{CopyOut, CopyOutOrder, CopyRow, copy_out};
pub use row::CopyDecodeError;
