//! Orders to append, and a store to append to.

use std::time::Duration;

use cqrs_es::Aggregate;
use domain::order::event::OrderCreated;
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent};
use event_store::{AppendQueueSettings, EventStore, Metadata, NewEvent, StreamAppend};

/// Keeps all others from appending, for as long as the transaction takes.
pub(crate) const HELD: &str = "select events_lock(), set_config('idle_in_transaction_session_timeout', '0', true)";
/// For what comes about in its own time; a writer that froze is waited for 2 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn content() -> OrderCreated {
    PostedOrder::parse(include_bytes!("../../../domain/golden/posted/demo-order.json")).unwrap().content
}

pub(crate) fn created() -> NewEvent {
    NewEvent::new(&OrderEvent::OrderCreated(content()), &Metadata::default()).unwrap()
}

pub(crate) fn append(id: &str, expected_version: i64, events: Vec<NewEvent>) -> StreamAppend {
    StreamAppend { stream_type: Order::TYPE, stream_id: id.to_owned(), expected_version, events }
}

pub(crate) async fn store(database: &testkit::Database) -> EventStore {
    EventStore::start(database.pool().clone(), AppendQueueSettings::default())
}
