//! Tells the customer what became of the order: a request to notification over SQS, which answers over SQS.

mod lines;
mod links;
mod waits;

use domain::money::Money;
use domain::order::event::{Address, MailTemplate, NotificationFailed, OrderCreated, OrderPayment, RejectionReason};
use domain::order::mail_triggers::OwedMail;
use domain::order::saga::SagaStep;
use domain::order::{ManualRelease, OrderCommand, OrderEdit, OrderTotals, PlacedOrder, Refund, Shipment, UndoReason};
use messaging::{
    CloudEvent, NotificationRequested, NotificationTemplate, OrderDetails, OutgoingMessage, ParcelTracking,
    PostalAddress, RejectionCause, ShipmentTracking, TotalParts,
};
use uuid::Uuid;

use self::lines::{edit_details, lines};
pub use self::links::DocumentUrl;
use self::links::document_link;
pub use self::waits::AwaitedByMails;
pub(crate) use self::waits::mark_never_numbered;
use crate::SagaSettings;
use crate::mail_requests::PendingMailRequest;
use crate::order_session::OrderSession;
use crate::outcome::{StepError, StepOutcome, StepProgress};
use crate::saga::{Step, StepHandler, StepKind, StepUndo};

/// Tells of everything but refunds.
pub(crate) const OF_FULFILMENT: Step = Step { is_due: |order| owes_mail(order, false), ..OF_REFUNDS };

/// Tells of refunds.
pub(crate) const OF_REFUNDS: Step = Step {
    name: SagaStep::NotifyCustomer,
    kind: StepKind::Retriable,
    is_due: |order| owes_mail(order, true),
    action: StepHandler::RequestMail(notify_customer),
    undo: StepUndo::Nothing { because: "what the customer was told was true" },
};

fn owes_mail(order: &PlacedOrder, of_refunds: bool) -> bool {
    order.owed_mail().is_some_and(|(template, _)| (template == MailTemplate::OrderRefunded) == of_refunds)
}

/// How often a mail is requested before it is given up. With the wait doubled each time up to ten minutes, that takes about an hour and
/// a half: longer than notification is down without anyone noticing.
const MAX_REQUESTS: u32 = 14;
/// The most characters of a reason. A mail shows no more.
const MAX_REASON_CHARACTERS: usize = 500;

fn notify_customer(order: &mut OrderSession, settings: &SagaSettings, outbox: &mut PendingMailRequest) -> StepOutcome {
    let mail = order.mail_triggers.owed_mail(&order.order).map_err(|error| StepError::new(&error))?;
    if let Some(wait) = waits::wait(order, &mail, &settings.awaited_by_mails) {
        return Ok(StepProgress::Waiting(wait));
    }
    if order.requests_sent < MAX_REQUESTS {
        outbox.put(request(order, &mail, settings.document_url.as_ref())?);
        return Ok(StepProgress::RequestSent);
    }
    give_up(order, &mail)?;
    Ok(StepProgress::Advanced)
}

/// Records that nobody answered. If the mail does go out after all, that is recorded then.
fn give_up(order: &mut OrderSession, mail: &OwedMail) -> Result<(), StepError> {
    let requests = order.requests_sent;
    let failed = NotificationFailed {
        notification_id: mail.notification_id,
        template: mail.template,
        reason: format!("no answer to {requests} requests"),
        nth: Some(mail.nth),
    };
    let known = order.unstored().len();
    order.decide(OrderCommand::RecordNotificationFailed(failed))?;
    if order.unstored().len() == known {
        return Err(StepError::Stuck(format!("there is no answer to {requests} requests, and the order has one")));
    }
    Ok(())
}

/// The message that requests a mail. It is the same to the letter each time, but for the number of the attempt, for the order's number and
/// the document if they came meanwhile, for the parcels of a shipment if they were corrected, and for the lines of an order that was edited
/// or of which something was shipped or cancelled. Whichever is sent first is the customer's mail.
fn request(
    order: &OrderSession,
    mail: &OwedMail,
    document_url: Option<&DocumentUrl>,
) -> Result<OutgoingMessage, StepError> {
    let attempt = order.requests_sent + 1;
    let content = content(order, mail, attempt, document_url);
    let withdraws = content.withdraw;
    let event =
        CloudEvent::new(&order.order_id, time_of(mail.cause), content).traced(order.metadata.traceparent.clone());
    let request = OutgoingMessage::event(&event, attempt).map_err(|error| StepError::new(&error))?;
    // The queue must not take it for a repetition of the first request.
    let dedup_id = if withdraws { format!("{}-withdraw", request.dedup_id) } else { request.dedup_id };
    // A mail to staff that has to be tried again holds up no mail to the customer.
    let group_id = match mail.template {
        MailTemplate::StaffNewOrder => mail.notification_id.to_string(),
        MailTemplate::OrderConfirmed
        | MailTemplate::OrderRejected
        | MailTemplate::OrderCancelled
        | MailTemplate::OrderShipped
        | MailTemplate::OrderRefunded
        | MailTemplate::OrderEdited
        | MailTemplate::PaymentReleased => request.group_id,
    };
    Ok(OutgoingMessage { dedup_id, group_id, ..request })
}

pub(crate) fn content(
    session: &OrderSession,
    mail: &OwedMail,
    attempt: u32,
    document_url: Option<&DocumentUrl>,
) -> NotificationRequested {
    let (order_id, order) = (&session.order_id, &session.order);
    let content = &order.content;
    let currency = content.currency;
    let MailSubject { shipment, refund, release, edit } = MailSubject::of(order, mail);
    let (lines, omitted_lines) = lines(order, mail.template, shipment.map(|shipment| &shipment.lines[..]));
    let reason = refund.map_or_else(|| why_undone(order), |refund| refund.reason.clone());
    let reason = reason.map(|reason| reason.chars().take(MAX_REASON_CHARACTERS).collect());
    let is_undone = matches!(mail.template, MailTemplate::OrderRejected | MailTemplate::OrderCancelled);
    let withdraw = order.is_withdrawn(mail.template);
    let for_staff = mail.template == MailTemplate::StaffNewOrder;
    let recipient = content.customer_email.as_ref().filter(|_| !for_staff).map(ToString::to_string);
    NotificationRequested {
        notification_id: mail.notification_id,
        attempt,
        template: wire_template(mail.template),
        recipient: if withdraw { Some(NotificationRequested::NOBODY.to_owned()) } else { recipient },
        order_id: order_id.clone(),
        order_number: order.order_number().map(ToOwned::to_owned),
        locale: locale(content).filter(|_| !for_staff),
        customer_id: content.customer_id.as_ref().map(ToString::to_string),
        currency: currency.code().to_owned(),
        total_amount: content.total().to_string(),
        omitted_lines,
        lines,
        details: OrderDetails {
            edit: edit.and_then(|edit| edit_details(order, edit)),
            document: document_url.and_then(|url| document_link((order_id, order), mail, url)),
            ..order_details(content, mail.template)
        },
        reason,
        rejection: rejection(order).filter(|_| refund.is_none()),
        shipment: shipment.map(|it| ShipmentTracking::of(it.parcels.iter().map(parcel).collect())),
        paid_elsewhere: match release {
            Some(release) => order.was_given_back(release),
            None => is_undone && content.payments.iter().any(OrderPayment::is_paid_elsewhere),
        },
        retry_failed: false,
        withdraw,
        refund_amount: refund
            .map(|refund| refund.amount_minor)
            .or(release.map(|release| release.amount_minor))
            .map(|minor| Money::from_minor(minor, currency).to_string()),
    }
}

/// What of the order a mail is about, beside all of it.
#[derive(Default)]
struct MailSubject<'a> {
    shipment: Option<&'a Shipment>,
    refund: Option<&'a Refund>,
    release: Option<&'a ManualRelease>,
    edit: Option<&'a OrderEdit>,
}

impl<'a> MailSubject<'a> {
    fn of(order: &'a PlacedOrder, mail: &OwedMail) -> Self {
        let nothing = Self::default();
        match mail.template {
            MailTemplate::OrderShipped => Self { shipment: order.shipments.get(mail.nth), ..nothing },
            MailTemplate::OrderRefunded => {
                Self { refund: order.refunds.iter().filter(|refund| refund.settled).nth(mail.nth), ..nothing }
            }
            MailTemplate::PaymentReleased => Self { release: order.manual_releases.get(mail.nth), ..nothing },
            MailTemplate::OrderEdited => Self { edit: order.edits_to_mail().nth(mail.nth), ..nothing },
            MailTemplate::OrderConfirmed
            | MailTemplate::OrderRejected
            | MailTemplate::OrderCancelled
            | MailTemplate::StaffNewOrder => nothing,
        }
    }
}

/// What the mail shows of the order beside its lines. Addresses are where the customer can still see to it that they are right.
fn order_details(content: &OrderCreated, template: MailTemplate) -> OrderDetails {
    let (shows_shipping, shows_billing, shows_totals) = match template {
        MailTemplate::OrderConfirmed | MailTemplate::OrderEdited | MailTemplate::StaffNewOrder => (true, true, true),
        MailTemplate::OrderShipped => (true, false, false),
        MailTemplate::OrderRejected | MailTemplate::OrderCancelled => (false, false, true),
        MailTemplate::OrderRefunded | MailTemplate::PaymentReleased => (false, false, false),
    };
    let address = |address: &Option<Box<Address>>| address.as_deref().map(postal_address);
    let customer = content.customer.as_ref().filter(|_| template == MailTemplate::StaffNewOrder);
    OrderDetails {
        customer_name: customer.and_then(|customer| customer.name.clone()),
        totals: Some(content).filter(|_| shows_totals).and_then(totals),
        shipping_method: content.shipping.as_ref().filter(|_| shows_totals).map(|shipping| shipping.method.clone()),
        estimated_delivery: content
            .shipping
            .as_ref()
            .filter(|_| shows_totals && shows_shipping)
            .and_then(|shipping| shipping.estimated_delivery.clone()),
        shipping_address: Some(&content.shipping_address).filter(|_| shows_shipping).and_then(address),
        billing_address: Some(&content.billing_address).filter(|_| shows_billing).and_then(address),
        edit: None,
        document: None,
    }
}

/// `None`: the total is that of the items.
fn totals(content: &OrderCreated) -> Option<TotalParts> {
    let totals = OrderTotals::of(content).filter(|totals| totals.has_more_than_items())?;
    let amount = |minor| Money::from_minor(minor, content.currency).to_string();
    let unless_zero = |minor: i64| (minor != 0).then(|| amount(minor));
    Some(TotalParts {
        items: amount(totals.items_minor),
        discounts: unless_zero(totals.discounts_minor),
        // Postage that costs nothing is worth saying.
        shipping: content.shipping.as_ref().map(|_| amount(totals.shipping_minor)),
        taxes: unless_zero(totals.taxes_minor),
        included_taxes: unless_zero(totals.included_taxes_minor),
    })
}

fn postal_address(address: &Address) -> PostalAddress {
    let Address { name, company, line1, line2, postal_code, city, region, country, phone: _ } = address.clone();
    PostalAddress { name, company, line1, line2, postal_code, city, region, country: country.code().to_owned() }
}

/// Why the order is undone, as the customer is told: what somebody wrote for them, or else no more than the kind of reason.
fn why_undone(order: &PlacedOrder) -> Option<String> {
    order.customer_message.clone().or_else(|| order.undoing.as_ref()?.for_customer())
}

/// The kind of reason why the platform rejected the order, where nobody wrote anything for the customer.
fn rejection(order: &PlacedOrder) -> Option<RejectionCause> {
    let Some(UndoReason::Rejected(reason)) = order.undoing.as_ref().filter(|_| order.customer_message.is_none()) else {
        return None;
    };
    let (code, shortages) = match reason {
        RejectionReason::OutOfStock { shortages } => ("outOfStock", &shortages[..]),
        RejectionReason::PaymentDeclined { message: _ } => ("paymentDeclined", &[][..]),
        RejectionReason::NotPaidInTime => ("notPaidInTime", &[][..]),
        // Builds of notification that do not know a kind say what the reason is.
        RejectionReason::OtherUnit { skus: _ } | RejectionReason::GivenUp { reason: _ } => return None,
    };
    let mut characters = 0;
    let skus = shortages.iter().map(|short| short.sku.to_string()).take_while(|sku| {
        characters += sku.chars().count();
        characters <= MAX_REASON_CHARACTERS
    });
    Some(RejectionCause { code: code.to_owned(), skus: skus.collect() })
}

fn locale(content: &OrderCreated) -> Option<String> {
    content.customer.as_ref()?.locale.as_ref().map(|locale| locale.as_str().to_owned())
}

fn parcel(parcel: &domain::order::event::Parcel) -> ParcelTracking {
    ParcelTracking { carrier: parcel.carrier.clone(), tracking: parcel.tracking.clone() }
}

/// The template's name in messages.
fn wire_template(template: MailTemplate) -> NotificationTemplate {
    match template {
        MailTemplate::OrderConfirmed => NotificationTemplate::OrderConfirmed,
        MailTemplate::OrderRejected => NotificationTemplate::OrderRejected,
        MailTemplate::OrderCancelled => NotificationTemplate::OrderCancelled,
        MailTemplate::OrderShipped => NotificationTemplate::OrderShipped,
        MailTemplate::OrderRefunded => NotificationTemplate::OrderRefunded,
        MailTemplate::OrderEdited => NotificationTemplate::OrderEdited,
        MailTemplate::PaymentReleased => NotificationTemplate::PaymentReleased,
        MailTemplate::StaffNewOrder => NotificationTemplate::StaffNewOrder,
    }
}

/// When an event was made, by its id.
fn time_of(event_id: Uuid) -> chrono::DateTime<chrono::Utc> {
    let at = event_id.get_timestamp().and_then(|at| {
        let (seconds, nanos) = at.to_unix();
        chrono::DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    });
    at.unwrap_or_default()
}

#[cfg(test)]
mod tests;
