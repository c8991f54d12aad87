//! Whether every read model is what its projection makes of the events: each stream is folded afresh and compared with the items
//! that are stored.
//!
//! Streams come one after the other, as of one moment; items are read a little later, and what was written meanwhile is not held
//! against anybody, nor is what has yet to be written. Of a stream only its own items are kept, and of those that were compared
//! only marks of their keys, so that a log of any length takes the same memory. Sums over many streams are kept until the end.
//!
//! - `stream`: a stream folded afresh, as far as it was and as far as it could have been.
//! - `view`: one read model, and what is stored of it.
//! - `sums`: what adds up over many streams.
//! - `difference`: two items compared, in words.
//! - `marks`: keys that were met.

mod difference;
mod marks;
mod stream;
mod sums;
mod view;

use event_store::StoredEvent;
use read_models::{Key, ReadModels};
use sqlx::PgConnection;

use self::view::View;
use crate::REGISTRY;
use crate::projection::ProjectError;

/// How many discrepancies are listed.
const MOST: usize = 100;

/// An item that is not what the events make of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// Of which projection.
    pub projection: &'static str,
    /// Which item.
    pub key: Key,
    /// How it is.
    pub what: String,
}

/// What came of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many items are what they should be.
    pub alike: u64,
    /// How many could not be compared: they were on the move, or events of theirs are parked.
    pub left_out: u64,
    /// The first items that are not what they should be.
    pub discrepancies: Vec<Discrepancy>,
    /// How many there are, listed or not.
    pub in_all: u64,
}

/// Every read model, while the log is read stream by stream.
#[derive(Debug)]
pub struct Verification {
    views: Vec<View>,
    found: Verified,
}

impl Verification {
    /// Begins in a transaction that sees one moment; all events that it sees are to be handed to [`read`](Self::read).
    pub async fn begin(connection: &mut PgConnection, read_models: &dyn ReadModels) -> Result<Self, sqlx::Error> {
        let last = "select coalesce(max(global_position), 0) from events";
        let last: i64 = sqlx::query_scalar(last).fetch_one(&mut *connection).await?;
        let mut views = Vec::with_capacity(REGISTRY.len());
        for projection in REGISTRY {
            views.push(View::new(connection, read_models, projection, last).await?);
        }
        Ok(Self { views, found: Verified::default() })
    }

    /// The next events, stream by stream, each oldest first.
    pub async fn read(&mut self, connection: &mut PgConnection, events: &[StoredEvent]) -> Result<(), ProjectError> {
        let stream = |event: &StoredEvent| (event.stream_type.clone(), event.stream_id.clone());
        for events in events.chunk_by(|one, next| stream(one) == stream(next)) {
            for view in &mut self.views {
                view.fold(events, &mut self.found);
                view.look_up(connection, false, &mut self.found).await?;
            }
        }
        Ok(())
    }

    /// There are no more events.
    pub async fn end(mut self, connection: &mut PgConnection) -> Result<Verified, ProjectError> {
        for view in &mut self.views {
            view.end_of_stream();
            view.look_up(connection, true, &mut self.found).await?;
            view.compare_sums(&mut self.found).await?;
            view.find_strays(connection, &mut self.found).await?;
        }
        Ok(self.found)
    }
}

impl Verified {
    fn add(&mut self, projection: &'static str, key: &Key, what: String) {
        self.in_all += 1;
        if self.discrepancies.len() < MOST {
            self.discrepancies.push(Discrepancy { projection, key: key.clone(), what });
        }
    }
}
