//! An order in work.
//!
//! Steps decide on the order as it is known, one after the other. What they decided is stored before anybody outside hears of
//! it, and at the end. Should others have changed the order meanwhile, it is decided once more on what it is then.

use chrono::{DateTime, Utc};
use domain::ids::PaymentToken;
use domain::order::event::MailTemplate;
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{Order, OrderCommand, OrderError, OrderEvent, PlacedOrder};
use event_store::{DecodeError, EventStore, Metadata, NewEvent, StoredEvent, StreamAppend};
use uuid::Uuid;

use crate::saga::StepError;

/// An order in work.
pub(crate) struct Case {
    pub(crate) order_id: String,
    /// As it will be once everything is stored.
    pub(crate) order: PlacedOrder,
    /// The version that is stored.
    pub(crate) version: i64,
    /// What mails may be about, of what is stored.
    pub(crate) happened: Vec<Happened>,
    /// The means of payment that operators have replaced by others, in order, by what is stored.
    pub(crate) replaced: Vec<Option<PaymentToken>>,
    /// What somebody wrote for the customer about why it is undone, by what is stored.
    pub(crate) customer_message: Option<String>,
    /// The version since which the mail is owed that is owed now, or since which none is.
    pub(crate) mail_owed_since: i64,
    /// How often this step's request has gone out already.
    pub(crate) sent: u32,
    /// The step that decided first of what is not stored.
    pub(crate) unsaved_since: Option<SagaStep>,
    /// Who does this, and because of what.
    pub(crate) metadata: Metadata,
    /// What time it is, by the database's clock.
    pub(crate) now: DateTime<Utc>,
    commands: Vec<OrderCommand>,
    events: Vec<OrderEvent>,
}

/// An event that a mail may be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happened {
    pub(crate) event_id: Uuid,
    pub(crate) what: What,
}

/// What a mail may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The customer is to hear of it.
    Tell(MailTemplate),
    /// A mail that was given up is to go out after all.
    TellAgain,
}

impl Case {
    /// The order of a stream, from all its events; `None`: there is none.
    pub(crate) fn open<'a>(events: impl IntoIterator<Item = &'a StoredEvent>) -> Result<Option<Self>, DecodeError> {
        let (mut order, mut happened, mut replaced, mut last) = (Order::Absent, Vec::new(), Vec::new(), None);
        let (mut customer_message, mut mail_owed_since) = (None, 0);
        for stored in events {
            last = Some(stored);
            let event = stored.decode::<Order>()?;
            let about = Happened::of(stored.event_id, &event);
            happened.extend(about);
            if let (Order::Placed(order), OrderEvent::OperatorIntervened(it)) = (&order, &event)
                && let OperatorDecision::Retry { payment_token: Some(_) } = it.decision
            {
                replaced.push(order.payment.token.clone());
            }
            if let Order::Placed(order) = &order
                && order.undoing.is_none()
            {
                customer_message = message_for_customer(&event).cloned().or(customer_message);
            }
            let owed = owed_mail(&order);
            let is_wish = about.is_some_and(|it| it.what == What::TellAgain);
            domain::order::evolve(&mut order, event);
            if is_wish || owed != owed_mail(&order) {
                mail_owed_since = stored.version;
            }
        }
        let (Order::Placed(order), Some(last)) = (order, last) else { return Ok(None) };
        Ok(Some(Self {
            order_id: last.stream_id.clone(),
            order: *order,
            version: last.version,
            happened,
            replaced,
            customer_message,
            mail_owed_since,
            sent: 0,
            unsaved_since: None,
            metadata: Metadata::caused_by(last, crate::SAGAS[0].name),
            now: last.recorded_at,
            commands: Vec::new(),
            events: Vec::new(),
        }))
    }

    /// Reads an order.
    pub(crate) async fn read(store: &EventStore, order_id: &str) -> Result<Option<Self>, StepError> {
        let events = store.read_stream::<Order>(order_id).await.map_err(|error| StepError::new(&error))?;
        Self::open(&events).map_err(|error| StepError::new(&error))
    }

    /// Decides on the order as it is known. After a conflict it is decided once more.
    pub(crate) fn take(&mut self, command: OrderCommand) -> Result<(), OrderError> {
        self.take_for_now(command.clone())?;
        self.commands.push(command);
        Ok(())
    }

    /// Decides on the order as it is known. After a conflict it is forgotten.
    pub(crate) fn take_for_now(&mut self, command: OrderCommand) -> Result<(), OrderError> {
        for event in self.order.decide(command)? {
            let owed = self.order.owed_mail();
            self.order.apply(event.clone());
            self.events.push(event);
            if owed != self.order.owed_mail() {
                self.mail_owed_since = self.version + i64::try_from(self.events.len()).unwrap_or(i64::MAX);
            }
        }
        Ok(())
    }

    /// What was decided and is not stored.
    pub(crate) fn unsaved(&self) -> &[OrderEvent] {
        &self.events
    }

    /// What has to be appended, and what of it mails may be about.
    pub(crate) fn to_append(&self) -> Result<(StreamAppend, Vec<Happened>), StepError> {
        let mut events = Vec::with_capacity(self.events.len());
        let mut happened = Vec::new();
        for event in &self.events {
            let new = NewEvent::new(event, &self.metadata).map_err(|error| StepError::new(&error))?;
            happened.extend(Happened::of(new.event_id(), event));
            events.push(new);
        }
        let append = StreamAppend {
            stream_type: <Order as cqrs_es::Aggregate>::TYPE,
            stream_id: self.order_id.clone(),
            expected_version: self.version,
            events,
        };
        Ok((append, happened))
    }

    /// What was to be appended is.
    pub(crate) fn saved(&mut self, happened: Vec<Happened>) {
        self.version += i64::try_from(self.events.len()).unwrap_or(0);
        self.happened.extend(happened);
        self.commands.clear();
        self.events.clear();
    }

    /// Looks at what others have made of the order, and decides once more on that. What is refused now has been overtaken.
    pub(crate) fn reopen(&mut self, events: &[StoredEvent]) -> Result<(), StepError> {
        let found = Self::open(events).map_err(|error| StepError::new(&error))?;
        let mut case = found.ok_or_else(|| StepError::Failed("the order is not there any more".to_owned()))?;
        (case.sent, case.unsaved_since) = (self.sent, self.unsaved_since);
        (case.metadata, case.now) = (std::mem::take(&mut self.metadata), self.now);
        // What was said of means of payment that were replaced meanwhile is not said of those that are used now.
        let is_outdated = case.replaced.len() != self.replaced.len();
        for command in std::mem::take(&mut self.commands) {
            if !(is_outdated && is_of_means(&command)) {
                let _ = case.take(command);
            }
        }
        *self = case;
        Ok(())
    }
}

fn owed_mail(order: &Order) -> Option<(MailTemplate, usize)> {
    match order {
        Order::Placed(order) => order.owed_mail(),
        Order::Absent => None,
    }
}

/// What the shop that calls an order off, or an operator who has it undone, wants the customer to read about that.
fn message_for_customer(event: &OrderEvent) -> Option<&String> {
    if let OrderEvent::CancellationRequested(requested) = event {
        return requested.reason.as_ref();
    }
    if let OrderEvent::OperatorIntervened(intervened) = event {
        return match intervened.decision {
            OperatorDecision::Compensate | OperatorDecision::MarkFailed => intervened.customer_message.as_ref(),
            OperatorDecision::Retry { .. } | OperatorDecision::Skip | OperatorDecision::MarkSucceeded { .. } => None,
        };
    }
    None
}

/// Whether it says what became of an authorization.
fn is_of_means(command: &OrderCommand) -> bool {
    matches!(
        command,
        OrderCommand::RecordPaymentAuthorized(_)
            | OrderCommand::RecordPaymentDeclined(_)
            | OrderCommand::RecordPaymentOutcomeUnknown(_)
    )
}

impl Happened {
    fn of(event_id: Uuid, event: &OrderEvent) -> Option<Self> {
        let tell = |template| Some(Self { event_id, what: What::Tell(template) });
        match event {
            OrderEvent::OrderConfirmed(_) => tell(MailTemplate::OrderConfirmed),
            OrderEvent::OrderRejected(_) => tell(MailTemplate::OrderRejected),
            OrderEvent::OrderCancelled(_) => tell(MailTemplate::OrderCancelled),
            OrderEvent::OrderShipped(_) => tell(MailTemplate::OrderShipped),
            OrderEvent::PaymentRefunded(_) => tell(MailTemplate::OrderRefunded),
            OrderEvent::OperatorIntervened(it) => {
                let again = it.step == SagaStep::NotifyCustomer
                    && it.decision == OperatorDecision::Retry { payment_token: None };
                again.then_some(Self { event_id, what: What::TellAgain })
            }
            OrderEvent::OrderCreated(_)
            | OrderEvent::StockReserved(_)
            | OrderEvent::StockReservationFailed(_)
            | OrderEvent::StockReleased(_)
            | OrderEvent::PaymentAuthorized(_)
            | OrderEvent::PaymentDeclined(_)
            | OrderEvent::PaymentOutcomeUnknown(_)
            | OrderEvent::PaymentVoided(_)
            | OrderEvent::PaymentCaptured(_)
            | OrderEvent::RefundRequested(_)
            | OrderEvent::CancellationRequested(_)
            | OrderEvent::LinesCancelled(_)
            | OrderEvent::OrderDelivered(_)
            | OrderEvent::ReturnRequested(_)
            | OrderEvent::ReturnReceived(_)
            | OrderEvent::NotificationSent(_)
            | OrderEvent::NotificationFailed(_)
            | OrderEvent::NoteAdded(_) => None,
        }
    }
}
