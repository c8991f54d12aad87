//! Tells the customer what became of the order: a request over SQS, answered over SQS.

use std::sync::Arc;
use std::time::Duration;

use domain::money::Money;
use domain::order::event::{LineQuantity, MailTemplate, NotificationFailed, OrderLine};
use domain::order::saga::SagaStep;
use domain::order::{MailOutcome, OrderCommand, PlacedOrder, UndoReason};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use messaging::{CloudEvent, Line, NotificationRequested, Outgoing, Parcel, SendError, Shipment, Template};
use uuid::Uuid;

use crate::case::{Case, What};
use crate::saga::{Done, Kind, Outcome, Step, StepError, Undo, in_full};
use crate::{Context, shelf};

/// Tells of everything but refunds.
pub(crate) const OF_FULFILMENT: Step = Step { is_due: |order| owed(order, false).is_some(), ..OF_REFUNDS };

/// Tells of refunds.
pub(crate) const OF_REFUNDS: Step = Step {
    name: SagaStep::NotifyCustomer,
    kind: Kind::ForwardOnly,
    is_due: |order| owed(order, true).is_some(),
    run: notify,
    undo: Undo::Nothing { because: "what the customer was told was true" },
};

/// The mail that is owed, if it is one of these; of each order one at a time.
fn owed(order: &PlacedOrder, of_refunds: bool) -> Option<(MailTemplate, usize)> {
    order.owed_mail().filter(|(template, _)| (*template == MailTemplate::OrderRefunded) == of_refunds)
}

/// How often a mail is asked for before it is given up. With the wait doubled each time up to ten minutes, that takes
/// about an hour and a half: longer than notification is down without anyone noticing.
const MAX_REQUESTS: u32 = 14;
/// How long the queue may take for all requests of a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of lines in a request: with the rest of it well below the 256 KiB that every SQS takes.
const MAX_LINE_BYTES: usize = 192 * 1024;

fn notify<'a>(context: &'a Arc<Context>, cases: Vec<Case>) -> BoxFuture<'a, Vec<(Case, Outcome)>> {
    async move {
        let (mut results, mut asking, mut requests) = (Vec::with_capacity(cases.len()), Vec::new(), Vec::new());
        // Nobody is told what is not stored.
        for (mut case, saved) in shelf::save(&context.store, &context.stock, cases).await {
            let asked = saved.and_then(|()| Mail::owed(&case)).and_then(|mail| {
                if case.sent >= MAX_REQUESTS {
                    mail.give_up(&mut case)?;
                    context.metrics.mailed(mail.template, MailOutcome::Failed);
                    return Ok(None);
                }
                mail.request(&case).map(Some)
            });
            match asked {
                Ok(Some(request)) => {
                    requests.push(request);
                    asking.push(case);
                }
                Ok(None) => results.push((case, Ok(Done::Moved))),
                Err(error) => results.push((case, Err(error))),
            }
        }
        let mut sent = send(context, requests).await.into_iter();
        results.extend(asking.into_iter().map(|case| {
            let outcome = match sent.next() {
                Some(Ok(())) => Ok(Done::Asked),
                Some(Err(error)) => Err(not_taken(&error)),
                None => {
                    Err(StepError::Unreachable(format!("the queue did not take it within {} s", PATIENCE.as_secs())))
                }
            };
            (case, outcome)
        }));
        results
    }
    .boxed()
}

/// Puts requests on the queue. None of what is missing in the answer is known to be there.
///
/// A queue that says nothing must not hold the transaction open until the server ends it: then nothing would be noted. What did go
/// out goes out again under the same id, which the queue drops. Nor must it keep those waiting who come after.
async fn send(context: &Context, requests: Vec<Outgoing>) -> Vec<Result<(), SendError>> {
    if requests.is_empty() || context.requests.is_silent() {
        return vec![];
    }
    let sent = tokio::time::timeout(PATIENCE, context.notifications.send(requests)).await.unwrap_or_default();
    if sent.iter().all(|sent| matches!(sent, Err(SendError::TimedOut { .. }))) {
        context.requests.had_no_answer();
    }
    sent
}

/// Why a request is not on the queue: it can't be, or the queue takes nothing.
fn not_taken(error: &SendError) -> StepError {
    match error {
        SendError::TooLong { .. } | SendError::Build { .. } | SendError::Refused { sender_fault: true, .. } => {
            StepError::new(error)
        }
        SendError::Refused { sender_fault: false, .. }
        | SendError::Batch { .. }
        | SendError::TimedOut { .. }
        | SendError::Unanswered => StepError::Unreachable(in_full(error)),
    }
}

/// A mail that is owed.
struct Mail {
    template: MailTemplate,
    /// Which of its kind, from 0.
    nth: usize,
    notification_id: Uuid,
    /// What the customer is told of.
    cause: Uuid,
}

impl Mail {
    fn owed(case: &Case) -> Result<Self, StepError> {
        let (template, nth) = case.order.owed_mail().ok_or_else(|| StepError::Failed("no mail is owed".to_owned()))?;
        let causes = case.happened.iter().filter(|it| it.what == What::Tell(template));
        let cause = causes.map(|it| it.event_id).nth(nth);
        let cause = cause.ok_or_else(|| StepError::Failed("what the mail is about did not happen".to_owned()))?;
        // One mail for what happened, whoever asks for it and how often. Only when an operator wants one that was given up sent
        // after all it is another.
        let again = case.order.mails.get(&template).and_then(|mails| mails.get(nth)).is_some_and(|mail| mail.again);
        let last_wish = case.happened.iter().rfind(|it| it.what == What::TellAgain).filter(|_| again);
        let notification_id = match last_wish {
            None => first_id(cause, template),
            Some(wish) => another_id(wish.event_id, template, nth),
        };
        Ok(Self { template, nth, notification_id, cause })
    }

    /// The message that asks for it: the same to the letter each time, but for the attempt.
    fn request(&self, case: &Case) -> Result<Outgoing, StepError> {
        let attempt = case.sent + 1;
        let data = self.data(case, attempt);
        let event = CloudEvent::new(&case.order_id, when(self.cause), data).traced(case.metadata.traceparent.clone());
        let withdraws = event.data.withdraw;
        let request = Outgoing::event(&event, attempt).map_err(|error| StepError::new(&error))?;
        // The queue must not take it for the one by which the mail was asked for.
        let dedup_id = if withdraws { format!("{}-withdraw", request.dedup_id) } else { request.dedup_id };
        Ok(Outgoing { dedup_id, ..request })
    }

    /// Nobody answered. Should it go out after all, that is recorded then.
    fn give_up(&self, case: &mut Case) -> Result<(), StepError> {
        let (notification_id, template, requests) = (self.notification_id, self.template, case.sent);
        let reason = format!("no answer to {requests} requests");
        let failed = NotificationFailed { notification_id, template, reason, nth: Some(self.nth) };
        let known = case.unsaved().len();
        case.take(OrderCommand::RecordNotificationFailed(failed)).map_err(|refusal| StepError::new(&refusal))?;
        if case.unsaved().len() == known {
            return Err(StepError::Stuck(format!("there is no answer to {requests} requests, and the order has one")));
        }
        Ok(())
    }

    fn data(&self, case: &Case, attempt: u32) -> NotificationRequested {
        let (order_id, order) = (&case.order_id, &case.order);
        let content = &order.content;
        let currency = content.currency;
        let shipment = match self.template {
            MailTemplate::OrderShipped => order.shipments.get(self.nth),
            MailTemplate::OrderConfirmed
            | MailTemplate::OrderRejected
            | MailTemplate::OrderCancelled
            | MailTemplate::OrderRefunded => None,
        };
        let (lines, omitted_lines) = lines(order, shipment.map(|shipment| &shipment.lines[..]));
        let refund = match self.template {
            MailTemplate::OrderRefunded => order.refunds.iter().filter(|refund| refund.settled).nth(self.nth),
            MailTemplate::OrderConfirmed
            | MailTemplate::OrderRejected
            | MailTemplate::OrderCancelled
            | MailTemplate::OrderShipped => None,
        };
        let reason = refund.map_or_else(|| why_undone(case), |refund| refund.reason.clone());
        let withdraw = order.is_withdrawn(self.template);
        let recipient = content.customer_email.as_ref().map(ToString::to_string);
        NotificationRequested {
            notification_id: self.notification_id,
            attempt,
            template: on_the_wire(self.template),
            recipient: if withdraw { Some(NotificationRequested::NOBODY.to_owned()) } else { recipient },
            order_id: order_id.clone(),
            customer_id: content.customer_id.to_string(),
            currency: currency.code().to_owned(),
            total_amount: content.total().to_string(),
            omitted_lines,
            lines,
            reason,
            shipment: shipment.map(|it| Shipment::of(it.parcels.iter().map(parcel).collect())),
            retry_failed: false,
            withdraw,
            refund_amount: refund.map(|refund| Money::from_minor(refund.amount_minor, currency).to_string()),
        }
    }
}

/// Why the order is undone, as the customer reads it: what somebody wrote for them, or else no more than the kind of reason.
fn why_undone(case: &Case) -> Option<String> {
    case.customer_message.clone().or_else(|| match &case.order.undoing {
        Some(UndoReason::Rejected(reason)) => reason.for_customer(),
        Some(UndoReason::Cancelled(_)) | None => None,
    })
}

/// The id of the mail about what happened.
fn first_id(cause: Uuid, template: MailTemplate) -> Uuid {
    Uuid::new_v5(&cause, template.name().as_bytes())
}

/// The id of the mail that is sent because an operator wants one that was given up sent after all, the `nth` of its kind.
fn another_id(wish: Uuid, template: MailTemplate, nth: usize) -> Uuid {
    Uuid::new_v5(&wish, format!("{}{nth}", template.name()).as_bytes())
}

/// The name of the mail that the order owes next.
pub(crate) fn owed_id(case: &Case) -> Option<Uuid> {
    Mail::owed(case).ok().map(|mail| mail.notification_id)
}

/// Which of its kind the mail is that the order has asked for under this name, by its stored events; `None`: it has not. Mails of a
/// kind are asked for one after the other: one is only asked for when all before it are decided.
pub(crate) fn asked_for(case: &Case, template: MailTemplate, notification_id: Uuid) -> Option<usize> {
    let decided = case.order.mails.get(&template).map_or(0, Vec::len);
    let mut causes = case.happened.iter().filter(|it| it.what == What::Tell(template)).take(decided + 1);
    let mut wishes = case.happened.iter().filter(|it| it.what == What::TellAgain);
    let again = || {
        wishes.find_map(|wish| (0..decided).find(|nth| another_id(wish.event_id, template, *nth) == notification_id))
    };
    causes.position(|cause| first_id(cause.event_id, template) == notification_id).or_else(again)
}

fn parcel(parcel: &domain::order::event::Parcel) -> Parcel {
    Parcel { carrier: parcel.carrier.clone(), tracking: parcel.tracking.clone() }
}

/// The name of a mail between the saga and notification.
pub(crate) fn on_the_wire(template: MailTemplate) -> Template {
    match template {
        MailTemplate::OrderConfirmed => Template::OrderConfirmed,
        MailTemplate::OrderRejected => Template::OrderRejected,
        MailTemplate::OrderCancelled => Template::OrderCancelled,
        MailTemplate::OrderShipped => Template::OrderShipped,
        MailTemplate::OrderRefunded => Template::OrderRefunded,
    }
}

/// When an event was made, by its id.
fn when(event_id: Uuid) -> chrono::DateTime<chrono::Utc> {
    let at = event_id.get_timestamp().and_then(|at| {
        let (seconds, nanos) = at.to_unix();
        chrono::DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    });
    at.unwrap_or_default()
}

/// The lines that the mail shows, as many as a message holds, and how many more there are.
fn lines(order: &PlacedOrder, only: Option<&[LineQuantity]>) -> (Vec<Line>, u32) {
    let currency = order.content.currency;
    let all: Vec<(u32, &OrderLine)> = match only {
        None => order.content.lines.iter().map(|line| (line.quantity, line)).collect(),
        Some(only) => {
            let line = |it: &LineQuantity| {
                let (_, line) = order.numbered_lines().find(|(number, _)| *number == it.line_number)?;
                Some((it.quantity, line))
            };
            only.iter().filter_map(line).collect()
        }
    };
    let mut bytes = 0;
    let shown = all.iter().map(|(quantity, line)| Line {
        sku: line.sku.to_string(),
        title: line.title.clone(),
        quantity: *quantity,
        unit_price: line.unit_price(currency).to_string(),
        line_total: Money::from_minor(line.worth_minor(*quantity), currency).to_string(),
    });
    // Quotes and control characters are longer in JSON than here, six times at the most.
    let fits = |line: &Line| {
        bytes += 200 + line.sku.len() + line.title.chars().map(json_bytes).sum::<usize>();
        bytes <= MAX_LINE_BYTES
    };
    let shown: Vec<Line> = shown.take_while(fits).collect();
    let omitted = u32::try_from(all.len() - shown.len()).unwrap_or(u32::MAX);
    (shown, omitted)
}

fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests;
