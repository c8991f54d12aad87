//! What issues numbers: an append over series and the orders that are given their numbers, all or nothing.
//!
//! A number is its version in the stream of its series. The append stores it only if the series is at the version that it was decided
//! on, and the order as well. So of two copies that take the same number, or number the same thing, one meets a conflict and decides
//! again.

use std::collections::BTreeMap;

use cqrs_es::Aggregate;
use domain::document::DocumentSeriesError;
use domain::ids::InvalidId;
use domain::order::{Order, OrderEvent};
use domain::order_number::NotNextOrderNumber;
use event_store::{
    Append, Command, ConflictRetryPolicy, EventDecodeError, EventStore, HandleError, LockedStreams, Metadata, NewEvent,
    ReadError, StreamAppend, SubscriberError,
};
use event_versions::Snapshotted;

use crate::loaded_order::LoadedOrder;

/// Orders that are given numbers in one append.
const ORDERS: usize = 50;
/// How often orders are decided on together; after that each is decided on by itself.
const ATTEMPTS_TOGETHER: u32 = 2;
/// How often one order is decided on. Its sagas change it several times in a row when it is new.
const ATTEMPTS_ALONE: u32 = 20;

/// Why no numbers could be issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// A later build wrote an event of the order.
    #[error("an order has an event that this build does not know")]
    Unknown(#[source] EventDecodeError),
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    #[error("an event could not be encoded")]
    Encode(#[source] serde_json::Error),
    /// The stream is of no order.
    #[error("a stream is named by what is no id")]
    Id(#[source] InvalidId),
    /// The decision was not the series'.
    #[error("the series refuses the document")]
    Document(#[source] DocumentSeriesError),
    /// The decision was not the series'.
    #[error("the series refuses the order's number")]
    OrderNumber(#[source] NotNextOrderNumber),
}

/// An append that is being filled while the series are locked.
pub(crate) struct NumberingAppend<'a, S: Aggregate> {
    locked: LockedStreams<'a, S>,
    /// By series: as it will be, and its events.
    issued: BTreeMap<String, (S, Vec<NewEvent>)>,
    orders: Vec<StreamAppend>,
}

impl<'a, S: Snapshotted> NumberingAppend<'a, S> {
    pub(crate) fn new(locked: LockedStreams<'a, S>) -> Self {
        Self { locked, issued: BTreeMap::new(), orders: Vec::new() }
    }

    /// A series as it will be.
    pub(crate) fn series(&mut self, name: &str) -> &S {
        &self.entry(name).0
    }

    /// Adds an event of a series.
    pub(crate) fn add_to_series(&mut self, name: &str, event: S::Event, metadata: &Metadata) -> Result<(), IssueError> {
        let (series, numbered) = self.entry(name);
        numbered.push(NewEvent::new(&event, metadata).map_err(IssueError::Encode)?);
        series.apply(event);
        Ok(())
    }

    /// Adds the events of an order.
    pub(crate) fn add_to_order(&mut self, order: LoadedOrder, events: Vec<NewEvent>) {
        let (stream_type, stream_id) = (Order::TYPE, order.id.into());
        self.orders.push(StreamAppend { stream_type, stream_id, expected_version: order.version, events });
    }

    fn entry(&mut self, name: &str) -> &mut (S, Vec<NewEvent>) {
        let Self { locked, issued, .. } = self;
        let stored = || (locked.stream(name).state.clone(), Vec::new());
        issued.entry(name.to_owned()).or_insert_with(stored)
    }

    pub(crate) fn into_append(self) -> Append<'a> {
        let Self { locked, issued, orders } = self;
        let series = issued.into_iter().map(|(stream_id, (_, events))| StreamAppend {
            stream_type: S::TYPE,
            expected_version: locked.stream(&stream_id).version,
            stream_id,
            events,
        });
        let streams = series.chain(orders).collect();
        locked.into_append(streams)
    }
}

/// An event of an order.
pub(crate) fn order_event(event: &OrderEvent, metadata: &Metadata) -> Result<NewEvent, IssueError> {
    NewEvent::new(event, metadata).map_err(IssueError::Encode)
}

/// Has a command issue the numbers of several orders in one append, or if others keep changing one of them, of each by itself.
pub(crate) async fn issue_together<'a, T, C>(
    store: &EventStore,
    causes: &'a [T],
    command: impl Fn(&'a [T]) -> C,
) -> Result<(), SubscriberError>
where
    C: Command<Refusal = IssueError>,
{
    for causes in causes.chunks(ORDERS) {
        let together = ConflictRetryPolicy::attempts(ATTEMPTS_TOGETHER);
        match store.handle(&mut command(causes), None, together).await {
            Err(HandleError::Contended { .. }) if causes.len() > 1 => {}
            issued => {
                issued.map_err(failed)?;
                continue;
            }
        }
        for cause in causes.chunks(1) {
            store
                .handle(&mut command(cause), None, ConflictRetryPolicy::attempts(ATTEMPTS_ALONE))
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

/// Nothing about an order makes it impossible to number it, but an event that this build does not know.
fn failed(error: HandleError<IssueError>) -> SubscriberError {
    match error {
        HandleError::Undecidable(IssueError::Unknown(error)) | HandleError::Read(ReadError::Decode(error)) => {
            error.into()
        }
        HandleError::Undecidable(IssueError::Database(error)) | HandleError::Read(ReadError::Database(error)) => {
            error.into()
        }
        // What is wrong with one order holds up no other.
        error @ HandleError::Undecidable(
            IssueError::Encode(_) | IssueError::Id(_) | IssueError::Document(_) | IssueError::OrderNumber(_),
        ) => SubscriberError::poison(error),
        error @ (HandleError::Refused(_)
        | HandleError::Contended { .. }
        | HandleError::KeyReused
        | HandleError::Append(_)
        | HandleError::Encode(_)) => SubscriberError::unavailable(error),
    }
}
