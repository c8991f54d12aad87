//! An order loaded for deciding, with the decisions that are not stored yet.
//!
//! Steps decide on the order one after the other. Their decisions are stored before anybody outside hears of them, and at the end.
//! If somebody else changed the order meanwhile, the decisions are made again on the changed order.

use chrono::{DateTime, Utc};
use domain::order::event::MailTemplate;
use domain::order::mail_triggers::{MailTrigger, MailTriggers};
use domain::order::saga::SagaStep;
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, PlacedOrder};
use event_store::{EventDecodeError, EventStore, Metadata, NewEvent, StoredEvent, StreamAppend};
use uuid::Uuid;

use crate::outcome::StepError;

/// An order loaded for deciding.
pub(crate) struct OrderSession {
    pub(crate) order_id: String,
    /// The order, with the decisions that are not stored yet.
    pub(crate) order: PlacedOrder,
    /// The version that is stored.
    pub(crate) version: i64,
    /// The position of its last event.
    pub(crate) position: i64,
    /// The position of its first event.
    pub(crate) created_at_position: i64,
    /// Whether it is known to get no number.
    pub(crate) gets_no_number: bool,
    /// The stored events that mails are about.
    pub(crate) mail_triggers: MailTriggers,
    /// The version since which the mail is owed that is owed now, or since which none is.
    pub(crate) mail_owed_since: i64,
    /// When that was, by the database's clock.
    pub(crate) mail_owed_at: DateTime<Utc>,
    /// How often the request of the current step was sent already.
    pub(crate) requests_sent: u32,
    /// The step that made the first decision that is not stored.
    pub(crate) unstored_since: Option<SagaStep>,
    /// Who decides, and because of which event.
    pub(crate) metadata: Metadata,
    /// The time by the database's clock.
    pub(crate) now: DateTime<Utc>,
    commands: Vec<OrderCommand>,
    events: Vec<OrderEvent>,
}

/// The ids that the decisions of a session are stored under.
pub(crate) struct DecisionEventIds(Vec<Uuid>);

impl OrderSession {
    /// Folds all events of a stream; `None`: there is no such order.
    pub(crate) fn open<'a>(
        events: impl IntoIterator<Item = &'a StoredEvent>,
    ) -> Result<Option<Self>, EventDecodeError> {
        let (mut order, mut mail_triggers) = (Order::Absent, MailTriggers::default());
        let (mut first, mut last) = (None, None);
        let (mut mail_owed_since, mut mail_owed_at) = (0, DateTime::<Utc>::UNIX_EPOCH);
        for stored in events {
            first = first.or(Some(stored.position));
            last = Some(stored);
            let event = stored.decode::<Order>()?;
            mail_triggers.apply(stored.event_id, &event);
            let (owed, is_resend) = (owed_mail(&order), MailTrigger::of(&event) == Some(MailTrigger::Resend));
            domain::order::evolve(&mut order, event);
            if is_resend || owed != owed_mail(&order) {
                (mail_owed_since, mail_owed_at) = (stored.version, stored.recorded_at);
            }
        }
        let (Order::Placed(order), Some(last)) = (order, last) else { return Ok(None) };
        Ok(Some(Self {
            order_id: last.stream_id.clone(),
            order: *order,
            version: last.version,
            position: last.position,
            created_at_position: first.unwrap_or(last.position),
            gets_no_number: false,
            mail_triggers,
            mail_owed_since,
            mail_owed_at,
            requests_sent: 0,
            unstored_since: None,
            metadata: Metadata::caused_by(last, crate::SAGAS[0].name),
            now: last.recorded_at,
            commands: Vec::new(),
            events: Vec::new(),
        }))
    }

    /// Loads an order; `None`: there is no such order.
    pub(crate) async fn read(store: &EventStore, order_id: &str) -> Result<Option<Self>, StepError> {
        let events = store.read_stream::<Order>(order_id).await.map_err(|error| StepError::new(&error))?;
        Self::open(&events).map_err(|error| StepError::new(&error))
    }

    /// Decides on the order. After a conflict the command is decided again.
    pub(crate) fn decide(&mut self, command: OrderCommand) -> Result<(), OrderError> {
        self.decide_once(command.clone())?;
        self.commands.push(command);
        Ok(())
    }

    /// Decides on the order. After a conflict the decision is dropped.
    pub(crate) fn decide_once(&mut self, command: OrderCommand) -> Result<(), OrderError> {
        for event in self.order.decide(command)? {
            let owed = self.order.owed_mail();
            self.order.apply(event.clone());
            self.events.push(event);
            if owed != self.order.owed_mail() {
                self.mail_owed_since = self.version + i64::try_from(self.events.len()).unwrap_or(i64::MAX);
                self.mail_owed_at = self.now;
            }
        }
        Ok(())
    }

    /// The decisions that are not stored.
    pub(crate) fn unstored(&self) -> &[OrderEvent] {
        &self.events
    }

    /// What has to be appended to the order's stream. [`Self::stored`] takes the ids once that is done.
    pub(crate) fn append(&self) -> Result<(StreamAppend, DecisionEventIds), StepError> {
        let new = self.events.iter().map(|event| NewEvent::new(event, &self.metadata)).collect::<Result<Vec<_>, _>>();
        let events = new.map_err(|error| StepError::new(&error))?;
        let ids = DecisionEventIds(events.iter().map(NewEvent::event_id).collect());
        let append = StreamAppend {
            stream_type: <Order as cqrs_es::Aggregate>::TYPE,
            stream_id: self.order_id.clone(),
            expected_version: self.version,
            events,
        };
        Ok((append, ids))
    }

    /// The decisions are stored.
    pub(crate) fn stored(&mut self, DecisionEventIds(ids): DecisionEventIds) {
        self.version += i64::try_from(self.events.len()).unwrap_or(0);
        for (id, event) in ids.into_iter().zip(self.events.drain(..)) {
            self.mail_triggers.apply(id, &event);
        }
        self.commands.clear();
    }

    /// Makes the decisions again on the order as others have left it. A command that is refused now is dropped.
    pub(crate) fn rebase(&mut self, events: &[StoredEvent]) -> Result<(), StepError> {
        let found = Self::open(events).map_err(|error| StepError::new(&error))?;
        let mut rebased = found.ok_or_else(|| StepError::Failed("the order is not there any more".to_owned()))?;
        rebased.unstored_since = self.unstored_since;
        (rebased.metadata, rebased.now) = (std::mem::take(&mut self.metadata), self.now);
        // An answer about means of payment that were replaced meanwhile says nothing of those that are used now.
        let is_outdated = rebased.order.replaced_means() != self.order.replaced_means();
        for command in std::mem::take(&mut self.commands) {
            if !(is_outdated && is_about_authorization(&command)) {
                let _ = rebased.decide(command);
            }
        }
        // Requests for a mail that was answered meanwhile are none for the mail that is owed now.
        if rebased.mail_owed_since == self.mail_owed_since {
            rebased.requests_sent = self.requests_sent;
        }
        *self = rebased;
        Ok(())
    }
}

fn owed_mail(order: &Order) -> Option<(MailTemplate, usize)> {
    match order {
        Order::Placed(order) => order.owed_mail(),
        Order::Absent => None,
    }
}

fn is_about_authorization(command: &OrderCommand) -> bool {
    matches!(
        command,
        OrderCommand::RecordPaymentAuthorized(_)
            | OrderCommand::RecordPaymentDeclined(_)
            | OrderCommand::RecordPaymentOutcomeUnknown(_)
    )
}
