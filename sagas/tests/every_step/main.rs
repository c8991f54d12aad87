//! Every step of the sagas failed, done twice, and cut off between its effect and its record, against a real database and real
//! queues. However it goes, an order ends done, undone, or visibly stuck; and then an operator can end it.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]

mod awaited;
mod cancelled;
mod copy;
mod crashes;
mod edits;
mod fails;
mod full_lifecycle;
mod gate;
mod many;
mod mended;
mod payments;
mod staff;
mod timers;
mod twice;
mod world;
