//! Bounds on how much is held in memory at once, and on how often a caller may come.
//!
//! A count says how long a piece of work takes, not how much memory it needs: five hundred orders can be a few hundred kilobytes or
//! more than a hundred megabytes. So whatever reads, gathers or writes several things together takes them within a [`Budget`], and
//! comes back for the rest.

mod batch_size;
mod budget;
mod keyed_semaphore;
mod quota;
mod token_buckets;

pub use batch_size::ByteLimitedBatchSize;
pub use budget::Budget;
pub use keyed_semaphore::{KeyedSemaphore, half_of_processors};
pub use quota::{CapacityExceeded, CapacityShare, KeyedCapacity};
pub use token_buckets::{BucketEmpty, BucketLevel, CallerKey, TokenBuckets, TokenRate};
