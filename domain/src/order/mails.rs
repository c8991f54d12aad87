//! The mails that an order owes its customer and the staff of the shop, and what became of each.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::OrderError;
use super::event::{MailResendRequested, MailTemplate, OrderEvent};
use super::state::{OrderStatus, PlacedOrder};
use super::transitions::OrderAction;

/// A mail that was requested and either went out or was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailWithOutcome {
    /// The id under which it was requested.
    pub notification_id: Uuid,
    /// What became of it.
    pub outcome: MailOutcome,
    /// Whether an operator, or somebody who helps the customer, wants it sent again.
    pub again: bool,
    /// Which of the events that have mails sent again wanted it, from 0: see [`PlacedOrder::resends`]. Not stored: only sagas need it, and
    /// they fold orders from their events.
    #[serde(skip)]
    pub wanted_by: Option<usize>,
    /// Whether an operator skipped it before its answer came, in an event that does not name it. An answer that comes later has an id
    /// that the order does not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// The ids of its earlier requests, which were given up. Answers to these can still come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_ids: Vec<Uuid>,
}

impl MailWithOutcome {
    pub(super) fn new(notification_id: Uuid, outcome: MailOutcome) -> Self {
        Self { notification_id, outcome, again: false, wanted_by: None, skipped: false, former_ids: vec![] }
    }

    /// Whether the mail was ever requested under this id.
    pub(super) fn is(&self, notification_id: Uuid) -> bool {
        self.notification_id == notification_id || self.former_ids.contains(&notification_id)
    }

    /// Has it sent again, by the event of this number. If it is wanted already, it goes out under the id that it may have been requested
    /// by, and not once more.
    pub(super) fn want_again(&mut self, resend: usize) {
        if !self.again {
            (self.again, self.wanted_by) = (true, Some(resend));
        }
    }

    /// Gives it another id, and remembers the one before.
    pub(super) fn rename(&mut self, notification_id: Uuid) {
        if !self.is(notification_id) {
            self.former_ids.push(std::mem::replace(&mut self.notification_id, notification_id));
        }
    }
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailOutcome {
    /// The mail service accepted it.
    Sent,
    /// It was given up.
    Failed,
}

impl PlacedOrder {
    /// How many mails of each template the order calls for. The outcome of a confirmation that is withdrawn has to be known, too, the
    /// customer's and that of staff. It is asked for last, because it is mostly known by then.
    fn mails_owed(&self) -> [(MailTemplate, usize); 9] {
        let stands = matches!(self.status, OrderStatus::Confirmed | OrderStatus::Completed) && self.undoing.is_none();
        [
            (MailTemplate::OrderConfirmed, usize::from(stands)),
            (MailTemplate::OrderEdited, if stands { self.edits_to_mail().count() } else { 0 }),
            (MailTemplate::OrderRejected, usize::from(self.status == OrderStatus::Rejected)),
            (MailTemplate::OrderCancelled, usize::from(self.status == OrderStatus::Cancelled)),
            (MailTemplate::OrderShipped, self.shipments.len()),
            (MailTemplate::OrderRefunded, self.refunds.iter().filter(|refund| refund.settled).count()),
            (MailTemplate::PaymentReleased, self.manual_releases.len()),
            (MailTemplate::OrderConfirmed, usize::from(self.was_promised)),
            // Last, so that no customer waits for it.
            (MailTemplate::StaffNewOrder, usize::from((stands || self.was_promised) && self.mails_staff)),
        ]
    }

    /// Whether mails of this template must not go out any more, because they would not be true.
    pub fn is_withdrawn(&self, template: MailTemplate) -> bool {
        let of_confirmed =
            matches!(template, MailTemplate::OrderConfirmed | MailTemplate::OrderEdited | MailTemplate::StaffNewOrder);
        of_confirmed && self.status == OrderStatus::Cancelled
    }

    /// The mail that the order owes its customer next: its template, and which of that template it is, from 0.
    pub fn owed_mail(&self) -> Option<(MailTemplate, usize)> {
        self.mails_owed().into_iter().find_map(|(template, owed)| {
            let mails = self.mails.get(&template).map_or(&[][..], Vec::as_slice);
            let next = mails.iter().position(|mail| mail.again).unwrap_or(mails.len());
            (next < owed.max(mails.len())).then_some((template, next))
        })
    }

    /// Whether the order calls for more mails of a template than have an outcome.
    pub(super) fn owes_mail(&self, template: MailTemplate) -> bool {
        let decided = self.mails.get(&template).map_or(0, Vec::len);
        self.mails_owed().into_iter().any(|(kind, owed)| kind == template && decided < owed)
    }

    /// Has a mail sent once more, whether it went out or was given up.
    pub(super) fn resend_mail(&self, notification_id: Uuid) -> Result<Vec<OrderEvent>, OrderError> {
        let all = self
            .mails
            .iter()
            .flat_map(|(template, mails)| mails.iter().enumerate().map(|(nth, it)| (*template, nth, it)));
        let known = all.into_iter().find(|(_, _, mail)| mail.is(notification_id) && !mail.skipped);
        let Some((template, nth, mail)) = known else {
            self.check(OrderAction::ResendMail)?;
            return Err(OrderError::NoSuchMail(notification_id));
        };
        // It is on its way.
        if mail.again {
            return Ok(vec![]);
        }
        if self.is_withdrawn(template) {
            return Err(OrderError::MailWithdrawn);
        }
        self.check(OrderAction::ResendMail)?;
        let notification_id = mail.notification_id;
        Ok(vec![OrderEvent::MailResendRequested(MailResendRequested { notification_id, template, nth })])
    }

    /// How often mails were sent once more, or are to be.
    pub(super) fn mails_resent(&self) -> usize {
        self.mails.values().flatten().map(|mail| mail.former_ids.len() + usize::from(mail.again)).sum()
    }

    /// Whether a mail was given up that the customer should get.
    pub fn has_failed_mail(&self) -> bool {
        self.failed_mails().next().is_some()
    }

    /// The templates of mails that were given up and that the customer should get.
    pub fn failed_mails(&self) -> impl Iterator<Item = MailTemplate> {
        let wanted = self.mails.iter().filter(|(template, _)| !self.is_withdrawn(**template));
        let failed = wanted.filter(|(_, mails)| mails.iter().any(|mail| mail.outcome == MailOutcome::Failed));
        failed.map(|(template, _)| *template)
    }

    /// Whether a mail that was given up was sent again so often that it can't be once more.
    pub(super) fn has_exhausted_mail(&self) -> bool {
        self.failed_mails()
            .filter_map(|template| self.mails.get(&template))
            .flatten()
            .any(|mail| mail.outcome == MailOutcome::Failed && !mail.again && mail.former_ids.len() >= MAX_RESENDS)
    }
}

/// How often an operator can have one mail sent again. Every command reads the ids of all its requests.
pub(super) const MAX_RESENDS: usize = 100;
