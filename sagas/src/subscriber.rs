//! Carries orders on when something happened to them: the sagas' subscription to the log.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::order::Order;
use event_store::{StoredEvent, Subscriber, SubscriberError};
use sqlx::PgConnection;

use crate::batched_reads::OrderBatchReader;
use crate::executor::SagaExecutor;
use crate::order_session::OrderSession;
use crate::saga::NUMBER_EVENTS;
use crate::timers::{self, TimerChanges, TimerRemoval};
use crate::{SAGAS, Saga, SagaContext, order_edits, order_fulfilment, order_refunds};

/// The name of the subscription. It is that of the first saga, because there was only one once.
const SUBSCRIPTION: &str = "order_fulfilment";
/// The sagas in the order in which an event goes to them. The mail about an edit is one of those that fulfilment sends, and no saga hears
/// of what another does.
static IN_TURN: [&Saga; 3] = [&order_edits::SAGA, &order_fulfilment::SAGA, &order_refunds::SAGA];
/// The event of an operator's decision.
const INTERVENED: &str = "OperatorIntervened";

/// The subscriber that carries orders on when they have new events.
pub(crate) struct SagaSubscriber {
    context: Arc<SagaContext>,
}

impl SagaSubscriber {
    pub(crate) fn new(context: Arc<SagaContext>) -> Self {
        Self { context }
    }
}

#[async_trait]
impl Subscriber for SagaSubscriber {
    fn name(&self) -> &str {
        SUBSCRIPTION
    }

    fn follows(&self) -> Option<&'static str> {
        Some(<Order as cqrs_es::Aggregate>::TYPE)
    }

    /// Customers wait for it.
    fn gathers_for(&self) -> Duration {
        Duration::from_millis(10)
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        let mut streams: BTreeMap<&str, Vec<&StoredEvent>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.is_of::<Order>()) {
            streams.entry(&event.stream_id).or_default().push(event);
        }
        for event in streams.values().flatten().filter(|event| is_number(event)) {
            event.decode::<Order>()?;
        }
        // The saga that recorded an event has gone on from it already, and what waits for a number looks by itself.
        streams.retain(|_, events| !events.iter().all(|event| is_by_saga(event) || is_number(event)));
        if streams.is_empty() {
            return Ok(());
        }
        let intervened = streams.iter().filter(|(_, events)| events.iter().any(|event| event.event_type == INTERVENED));
        let intervened: HashSet<&str> = intervened.map(|(order_id, _)| *order_id).collect();
        // The batch may end within an append, as an import has many events in one: such an order was never as these events leave it.
        let may_be_cut = events.last().map(|event| event.stream_id.as_str());
        let is_whole = |order_id: &str, events: &[&StoredEvent]| {
            is_complete(events) && (events.len() == 1 || may_be_cut != Some(order_id))
        };
        let (complete, partial): (Vec<_>, Vec<_>) =
            streams.into_iter().partition(|(order_id, events)| is_whole(order_id, events));
        let mut unread = OrderBatchReader::new(partial.into_iter().map(|(order_id, _)| (order_id.to_owned(), ())));
        let mut orders = Vec::with_capacity(complete.len());
        for (_, events) in complete {
            orders.extend(OrderSession::open(events)?);
        }
        let (now, mut schedule) = (timers::now(&mut *transaction).await?, TimerChanges::default());
        loop {
            for ((), events) in unread.read_batch(&self.context.store).await? {
                orders.extend(OrderSession::open(&events)?);
            }
            for saga in IN_TURN {
                let executor = SagaExecutor { context: &self.context, saga, waiting: &HashMap::new(), now };
                orders = executor.run(orders, &mut schedule).await;
            }
            // A decision of an operator begins the attempts and the deadline anew.
            for order in orders.drain(..).filter(|order| intervened.contains(order.order_id.as_str())) {
                let ended =
                    |saga: &Saga| TimerRemoval { key: (saga.name, order.order_id.clone()), seen: order.version };
                schedule.ended.extend(SAGAS.map(ended));
            }
            if unread.is_empty() {
                break;
            }
        }
        // Rows are locked last, so that nobody waits for them while the provider and the queue are asked.
        timers::cancel(transaction, schedule.ended).await?;
        timers::schedule(transaction, schedule.wake_ups).await?;
        Ok(())
    }
}

/// Whether a saga recorded the event.
fn is_by_saga(event: &StoredEvent) -> bool {
    event.metadata().actor.is_some_and(|actor| SAGAS.iter().any(|saga| saga.name == actor))
}

/// Whether no saga has anything to do because of the event.
fn is_number(event: &StoredEvent) -> bool {
    NUMBER_EVENTS.contains(&event.event_type.as_str())
}

/// Whether these are all events of a stream up to the last of them. If more have happened since, storing the decisions meets a conflict. A
/// mail is requested without that, but never because of the first event alone.
fn is_complete(events: &[&StoredEvent]) -> bool {
    (1..).zip(events).all(|(version, event)| event.version == version)
}
