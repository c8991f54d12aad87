//! Bounds on how much is held in memory at once.
//!
//! A count says how long a piece of work takes, not how much memory it needs: five hundred orders can be a few hundred kilobytes or
//! more than a hundred megabytes. So whatever reads, gathers or writes several things together takes them within a [`Budget`], and
//! comes back for the rest.

mod batch_size;
mod budget;
mod quota;

pub use batch_size::AdaptiveBatchSize;
pub use budget::Budget;
pub use quota::{Quota, QuotaExceeded, QuotaShare};
