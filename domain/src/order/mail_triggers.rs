//! The events that mails are about. Their ids name the mails.
//!
//! A mail has the same id however often it is requested, because the id derives from the event that the mail tells of. A mail that
//! somebody has sent again gets another id, derived from the event that says so.

use uuid::Uuid;

use super::event::{
    EditEvent, FulfilmentEvent, LifecycleEvent, MailTemplate, NotificationEvent, OperatorEvent, OrderEvent,
    OrderSubject, PaymentEvent, RefundEvent,
};
use super::saga::{OperatorDecision, SagaStep};
use super::state::PlacedOrder;

/// The stored events of an order that call for mails. They are folded beside the order, because an event has its id only once it is
/// to be stored.
#[derive(Debug, Clone, Default)]
pub struct MailTriggers(Vec<(Uuid, MailTrigger)>);

/// What an event means for the mails to the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTrigger {
    /// It calls for this mail.
    Mail(MailTemplate),
    /// The mails that were given up are to be sent again.
    Resend,
    /// One mail is to be sent again.
    ResendOf {
        /// What it says.
        template: MailTemplate,
        /// Which of the order's mails of this template it is, from 0.
        nth: usize,
    },
}

/// The mail that an order owes its customer next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwedMail {
    /// What it says.
    pub template: MailTemplate,
    /// Which of the order's mails of this template it is, from 0.
    pub nth: usize,
    /// The id under which it is requested.
    pub notification_id: Uuid,
    /// The event that it tells of.
    pub cause: Uuid,
}

/// Why an order has no mail to request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoOwedMail {
    /// The customer knows everything.
    #[error("no mail is owed")]
    NotOwed,
    /// The event that the mail is about is not stored.
    #[error("what the mail is about did not happen")]
    NoTrigger,
}

impl MailTrigger {
    /// What an event means for mails.
    pub fn of(event: &OrderEvent) -> Option<Self> {
        let mail = |template| Some(Self::Mail(template));
        match event.subject() {
            OrderSubject::Lifecycle(LifecycleEvent::OrderConfirmed(_)) => mail(MailTemplate::OrderConfirmed),
            OrderSubject::Lifecycle(LifecycleEvent::OrderRejected(_)) => mail(MailTemplate::OrderRejected),
            OrderSubject::Lifecycle(LifecycleEvent::OrderCancelled(_)) => mail(MailTemplate::OrderCancelled),
            OrderSubject::Fulfilment(FulfilmentEvent::OrderShipped(_)) => mail(MailTemplate::OrderShipped),
            OrderSubject::Refund(RefundEvent::PaymentRefunded(_)) => mail(MailTemplate::OrderRefunded),
            OrderSubject::Edit(EditEvent::OrderEdited(it)) => {
                it.mail_customer.then_some(Self::Mail(MailTemplate::OrderEdited))
            }
            OrderSubject::Payment(PaymentEvent::PaymentVoided(it)) => {
                it.released_minor.map(|_| Self::Mail(MailTemplate::PaymentReleased))
            }
            OrderSubject::Notification(NotificationEvent::MailResendRequested(it)) => {
                Some(Self::ResendOf { template: it.template, nth: it.nth })
            }
            OrderSubject::Operator(OperatorEvent::OperatorIntervened(it)) => {
                let is_resend = it.step == SagaStep::NotifyCustomer && it.decision == RETRY;
                is_resend.then_some(Self::Resend)
            }
            OrderSubject::Lifecycle(
                LifecycleEvent::OrderCreated(_)
                | LifecycleEvent::OrderNumbered(_)
                | LifecycleEvent::CancellationRequested(_),
            )
            | OrderSubject::Reservation(_)
            | OrderSubject::Payment(
                PaymentEvent::PaymentAuthorized(_)
                | PaymentEvent::PaymentDeclined(_)
                | PaymentEvent::PaymentOutcomeUnknown(_)
                | PaymentEvent::PaymentCaptured(_),
            )
            | OrderSubject::Edit(EditEvent::OrderEditRequested(_) | EditEvent::OrderEditRejected(_))
            | OrderSubject::Fulfilment(
                FulfilmentEvent::LinesCancelled(_)
                | FulfilmentEvent::ShipmentDelivered(_)
                | FulfilmentEvent::ShipmentTrackingChanged(_)
                | FulfilmentEvent::OrderHeld(_)
                | FulfilmentEvent::OrderReleased(_)
                | FulfilmentEvent::OrderDelivered(_),
            )
            | OrderSubject::Return(_)
            | OrderSubject::Refund(RefundEvent::RefundRequested(_))
            | OrderSubject::Notification(
                NotificationEvent::NotificationSent(_) | NotificationEvent::NotificationFailed(_),
            )
            | OrderSubject::Note(_)
            | OrderSubject::Document(_) => None,
        }
    }
}

impl MailTrigger {
    /// What an event means for mails to the staff of the shop.
    fn for_staff(event: &OrderEvent) -> Option<Self> {
        let OrderEvent::OrderConfirmed(confirmed) = event else { return None };
        confirmed.mail_staff.then_some(Self::Mail(MailTemplate::StaffNewOrder))
    }
}

const RETRY: OperatorDecision = OperatorDecision::Retry { payment_token: None };

impl MailTriggers {
    /// Folds an event under the id that it is stored by.
    pub fn apply(&mut self, event_id: Uuid, event: &OrderEvent) {
        let triggers = [MailTrigger::of(event), MailTrigger::for_staff(event)];
        self.0.extend(triggers.into_iter().flatten().map(|trigger| (event_id, trigger)));
    }

    /// The mail that the order owes next.
    pub fn owed_mail(&self, order: &PlacedOrder) -> Result<OwedMail, NoOwedMail> {
        let (template, nth) = order.owed_mail().ok_or(NoOwedMail::NotOwed)?;
        let cause = self.ids(MailTrigger::Mail(template)).nth(nth).ok_or(NoOwedMail::NoTrigger)?;
        let known = order.mails.get(&template).and_then(|mails| mails.get(nth)).filter(|mail| mail.again);
        let notification_id = match known {
            None => first_id(cause, template),
            Some(mail) => {
                let resend = mail.wanted_by.and_then(|number| self.resends().nth(number));
                resend_id(resend.ok_or(NoOwedMail::NoTrigger)?, template, nth)
            }
        };
        Ok(OwedMail { template, nth, notification_id, cause })
    }

    /// How many mails of a template were called for, whatever became of them.
    pub fn count(&self, template: MailTemplate) -> usize {
        self.ids(MailTrigger::Mail(template)).count()
    }

    /// Which mail of its template the order requested under this id; `None`: it requested none. The mails of a template are requested
    /// one after the other, each once all before it have an outcome.
    pub fn requested_mail(&self, order: &PlacedOrder, template: MailTemplate, notification_id: Uuid) -> Option<usize> {
        let decided = order.mails.get(&template).map_or(0, Vec::len);
        let mut causes = self.ids(MailTrigger::Mail(template)).take(decided + 1);
        let is_resent_as = |nth: &usize| {
            self.resends_of(template, *nth).any(|resend| resend_id(resend, template, *nth) == notification_id)
        };
        let resent = || (0..decided).find(is_resent_as);
        causes.position(|cause| first_id(cause, template) == notification_id).or_else(resent)
    }

    /// The events that have mails sent again, whichever.
    fn resends(&self) -> impl Iterator<Item = Uuid> {
        let is_resend = |trigger: &MailTrigger| match trigger {
            MailTrigger::Resend | MailTrigger::ResendOf { .. } => true,
            MailTrigger::Mail(_) => false,
        };
        self.0.iter().filter(move |(_, trigger)| is_resend(trigger)).map(|(event_id, _)| *event_id)
    }

    /// The events that may have had a mail sent again. Earlier builds named a mail by the last one, although it was wanted already.
    fn resends_of(&self, template: MailTemplate, nth: usize) -> impl Iterator<Item = Uuid> {
        let one = MailTrigger::ResendOf { template, nth };
        self.0.iter().filter(move |(_, it)| *it == MailTrigger::Resend || *it == one).map(|(event_id, _)| *event_id)
    }

    fn ids(&self, wanted: MailTrigger) -> impl Iterator<Item = Uuid> {
        self.0.iter().filter(move |(_, trigger)| *trigger == wanted).map(|(event_id, _)| *event_id)
    }
}

/// The id of the mail about an event.
fn first_id(cause: Uuid, template: MailTemplate) -> Uuid {
    Uuid::new_v5(&cause, template.name().as_bytes())
}

/// The id of the `nth` mail of a template that an operator has sent again.
fn resend_id(resend: Uuid, template: MailTemplate, nth: usize) -> Uuid {
    Uuid::new_v5(&resend, format!("{}{nth}", template.name()).as_bytes())
}
