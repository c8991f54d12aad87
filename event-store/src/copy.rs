//! Events in bulk, by COPY in Postgres's binary format.
//!
//! Out: [`copy_out`] is one statement, so that what it reads is one snapshot; rows come one at a time and are not kept, so that a
//! log of any length takes the same memory. In: [`copy_in`] fills a log that is empty, all or nothing.

mod events_in;
mod events_out;
mod row;

pub use events_in::{CopiedIn, CopyInError, EventSource, copy_in};
pub use events_out::{CopiedEvent, CopyOrder, EventsOut, copy_out};
pub use row::MalformedRow;
