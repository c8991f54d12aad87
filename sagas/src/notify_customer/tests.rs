use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::ids::{DocumentId, EditId, LocationId, NoteId, ShipmentId, Sku};
use domain::order::event::{
    BackorderedUnits, CancellationRequested, InvoiceIssued, LineChange, LineQuantity, NoteAdded, NotificationSent,
    OperatorIntervened, OrderChanges, OrderLine, OrderNumbered, OrderShipped, PaymentCaptured, PaymentDeclined,
    PaymentOutcomeUnknown, PaymentVoided, Shortage, SkuQuantity, StockReleased, StockReservationFailed, StockReserved,
};
use domain::order::saga::OperatorDecision;
use domain::order::{OrderEvent, RequestEdit, ShipOrder};
use event_store::{AppendQueueSettings, EventStore};
use messaging::{DocumentLink, ProducerSettings};
use tokio::net::TcpListener;

use super::lines::MAX_LINE_BYTES;
use super::*;
use crate::mail_requests::send_requests;
use crate::report::tests::{after, authorized, reserved};
use crate::timer_runner::tests::{context, requests_to};

/// The reason that the mail gives which is owed after these.
fn told<const N: usize>(commands: [OrderCommand; N]) -> Option<String> {
    request(commands).reason
}

fn request<const N: usize>(commands: [OrderCommand; N]) -> NotificationRequested {
    let order = OrderSession::open(&after(commands)).unwrap().unwrap();
    let mail = order.mail_triggers.owed_mail(&order.order).unwrap();
    content(&order, &mail, 1, None)
}

#[test]
fn a_mail_has_the_number_for_people_if_the_order_has_one() {
    let mut order =
        OrderSession::open(&after([reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }]))
            .unwrap()
            .unwrap();
    let mail = order.mail_triggers.owed_mail(&order.order).unwrap();
    assert_eq!(content(&order, &mail, 1, None).order_number, None);
    let number = OrderNumbered { order_number: "A-2026-000042".into(), series: "A-2026".into(), sequence: 42 };
    order.order.apply(OrderEvent::OrderNumbered(number));
    assert_eq!(content(&order, &mail, 1, None).order_number.as_deref(), Some("A-2026-000042"));
}

fn released(expired: bool) -> OrderCommand {
    OrderCommand::RecordStockReleased(StockReleased { expired })
}

fn decided(decision: OperatorDecision, step: SagaStep, customer_message: Option<&str>) -> OrderCommand {
    OrderCommand::Intervene(OperatorIntervened {
        payment_number: None,
        decision,
        step,
        actor: "ada".into(),
        reason: "suspected card fraud, do not tell the customer".into(),
        customer_message: customer_message.map(str::to_owned),
        notification_id: None,
    })
}

#[test]
fn a_customer_is_told_what_is_short_and_not_how_many_there_are() {
    let shortages = vec![Shortage { unit: None, sku: Sku::parse("sku-123").unwrap(), requested: 2, available: 1 }];
    let short = OrderCommand::RecordStockReservationFailed(StockReservationFailed { shortages, other_units: vec![] });

    assert_eq!(told([short.clone(), OrderCommand::CloseOrder]).as_deref(), Some("not enough in stock: sku-123"));
    // A mail in another language says it in its own words.
    let cause = RejectionCause { code: "outOfStock".to_owned(), skus: vec!["sku-123".to_owned()] };
    assert_eq!(request([short, OrderCommand::CloseOrder]).rejection, Some(cause));
}

#[test]
fn a_customer_is_told_that_the_payment_was_declined_and_not_what_the_provider_said() {
    let message = "the sandbox declined it, as its token says".to_owned();
    let declined =
        OrderCommand::RecordPaymentDeclined(PaymentDeclined { payment_number: None, code: "declined".into(), message });
    let why = told([reserved(), declined, released(false), OrderCommand::CloseOrder]);
    assert_eq!(why.as_deref(), Some("the payment was declined"));

    let unknown = OrderCommand::RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown {
        payment_number: None,
        reason: "no answer".into(),
    });
    let marked = decided(OperatorDecision::MarkFailed, SagaStep::AuthorizePayment, None);
    let why = told([reserved(), unknown, marked, released(false), OrderCommand::CloseOrder]);
    assert_eq!(why.as_deref(), Some("the payment was declined"));

    let voided = OrderCommand::RecordPaymentVoided(PaymentVoided::default());
    let why = told([reserved(), released(true), voided, OrderCommand::CloseOrder]);
    assert_eq!(why.as_deref(), Some("the payment could not be completed in time"));
}

#[test]
fn why_an_operator_ended_an_order_stays_inside_and_what_they_wrote_for_the_customer_is_told() {
    for (message, expected) in [(None, None), (Some("we are sorry"), Some("we are sorry"))] {
        let compensate = |step| decided(OperatorDecision::Compensate, step, message);
        let [voided, close] = [OrderCommand::RecordPaymentVoided(PaymentVoided::default()), OrderCommand::CloseOrder];
        let rejected = request([
            reserved(),
            compensate(SagaStep::AuthorizePayment),
            voided.clone(),
            released(false),
            close.clone(),
        ]);
        assert_eq!((rejected.reason.as_deref(), rejected.rejection), (expected, None));

        let confirmed = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }];
        let [one, two, three] = confirmed;
        let cancelled = told([one, two, three, compensate(SagaStep::ConfirmOrder), voided, released(false), close]);
        assert_eq!(cancelled.as_deref(), expected);
    }
}

#[test]
fn the_reason_that_the_shop_gives_with_a_cancellation_is_told() {
    let reason = || Some("at your request".to_owned());
    let cancel = OrderCommand::CancelOrder(CancellationRequested { reason: reason() });
    let [voided, close] = [OrderCommand::RecordPaymentVoided(PaymentVoided::default()), OrderCommand::CloseOrder];

    assert_eq!(told([reserved(), authorized(), cancel, voided, released(false), close]), reason());
}

#[test]
fn a_mail_shows_no_line_that_an_edit_removed() {
    let order = OrderSession::open(&after([])).unwrap().unwrap();
    let removed = LineChange { line_number: 1, quantity: Some(0), ..LineChange::default() };
    let other = OrderLine { title: "another".to_owned(), ..order.order.content.lines[0].clone() };
    let changes = OrderChanges { lines: vec![removed], added_lines: vec![other], ..OrderChanges::default() };
    let edit_id = EditId::parse("e").unwrap();
    let request = RequestEdit { edit_id: edit_id.clone(), changes: changes.clone(), payment: None, reason: None };
    let [one, two, three] = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }];
    let edited = OrderCommand::RecordOrderEdited { edit_id, units: vec![] };
    let request = self::request([one, two, three, OrderCommand::RequestEdit(request), edited]);
    let lines = request.lines.iter().map(|line| (line.title.as_str(), line.quantity)).collect::<Vec<_>>();
    assert_eq!((lines, request.omitted_lines), (vec![("another", 1)], 0));
}

#[test]
fn a_mail_about_an_edit_says_what_that_edit_changed_whatever_the_next_one_did_before_it_went() {
    let edited = |id: &str, unit_price_minor| {
        let edit_id = EditId::parse(id).unwrap();
        let change = LineChange { line_number: 1, unit_price_minor: Some(unit_price_minor), ..LineChange::default() };
        let changes = OrderChanges { lines: vec![change], ..OrderChanges::default() };
        let request = RequestEdit { edit_id: edit_id.clone(), changes, payment: None, reason: None };
        [OrderCommand::RequestEdit(request), OrderCommand::RecordOrderEdited { edit_id, units: vec![] }]
    };
    let confirmed = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }];
    let events = after(confirmed.into_iter().chain(edited("e", 10_000)).chain(edited("f", 9_000)));
    let order = OrderSession::open(&events).unwrap().unwrap();
    let totals = [0, 1].map(|nth| {
        let (template, notification_id) = (MailTemplate::OrderEdited, Uuid::nil());
        let mail = OwedMail { template, nth, notification_id, cause: Uuid::nil() };
        let request = content(&order, &mail, 1, None);
        let edit = request.details.edit.unwrap();
        (edit.total_before, edit.total_after.unwrap(), request.total_amount)
    });
    let expected = [("129.99", "100.00", "90.00"), ("100.00", "90.00", "90.00")];
    assert_eq!(totals, expected.map(|(before, after, now)| (before.to_owned(), after.to_owned(), now.to_owned())));
}

#[tokio::test]
async fn a_queue_that_does_not_answer_keeps_only_the_first_waiting_who_asks() {
    let queue = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", queue.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = queue.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            open.push(connection);
        }
    });
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let settings = ProducerSettings { timeout: Duration::from_secs(1), ..ProducerSettings::default() };
    let context = Arc::new(context(store, requests_to(&url, settings)));

    let mut times = Vec::new();
    for _ in 0..2 {
        let promised = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }];
        let order = OrderSession::open(&after(promised)).unwrap().unwrap();
        let (_, outcome) = send_requests(&context, notify_customer, vec![order]).await.remove(0);
        assert!(matches!(outcome, Err(StepError::Unreachable(_))), "{outcome:?}");
        times.push(asked.load(Ordering::Relaxed));
    }
    assert!(times[0] > 0 && times[0] == times[1], "{times:?}");
}

#[test]
fn the_lines_of_a_mail_fit_into_a_message_however_long_their_names_are_in_json() {
    let quotes = |length: usize| "\"".repeat(length);
    let mut order = OrderSession::open(&after([reserved()])).unwrap().unwrap().order;
    let some = order.content.lines[0].clone();
    let line = OrderLine { sku: Sku::parse(quotes(128)).unwrap(), title: quotes(500), ..some };
    order.content.lines = vec![line; 500];
    let (shown, omitted) = lines(&order, MailTemplate::OrderConfirmed, None);
    assert_eq!(shown.len() + omitted as usize, 500);
    assert!(serde_json::to_vec(&shown).unwrap().len() <= MAX_LINE_BYTES);
}

/// The demo order, confirmed, and the mail that it owes.
fn confirmed() -> (OrderSession, OwedMail) {
    let promised = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }];
    let order = OrderSession::open(&after(promised)).unwrap().unwrap();
    let mail = order.mail_triggers.owed_mail(&order.order).unwrap();
    (order, mail)
}

#[test]
fn a_mail_waits_for_a_number_that_is_given_and_not_for_long() {
    let (mut order, mail) = confirmed();
    let awaited = AwaitedByMails { numbers: Some("order_numbers"), ..AwaitedByMails::default() };
    let owed_at = order.now;
    let wait_after = |order: &mut OrderSession, millis: i64| {
        order.now = owed_at + chrono::TimeDelta::milliseconds(millis);
        waits::wait(order, &mail, &awaited).map(|wait| wait.as_millis())
    };
    for (millis, wait) in [
        (0, Some(1_000)),
        (9_400, Some(9_400)),
        (29_500, Some(500)),
        (30_000, None),
        (3_600_000, None),
        (-5_000, Some(1_000)),
        (-30_000, None),
    ] {
        assert_eq!(wait_after(&mut order, millis), wait, "{millis} ms");
    }
    order.now = owed_at;
    assert_eq!(waits::wait(&order, &mail, &AwaitedByMails::default()), None);
    // One that was requested is the customer's mail already.
    order.requests_sent = 1;
    assert_eq!(waits::wait(&order, &mail, &awaited), None);
    order.requests_sent = 0;
    order.gets_no_number = true;
    assert_eq!(waits::wait(&order, &mail, &awaited), None);
    order.gets_no_number = false;
    let number = OrderNumbered { order_number: "A-2026-000042".into(), series: "A-2026".into(), sequence: 42 };
    order.order.apply(OrderEvent::OrderNumbered(number));
    assert_eq!(waits::wait(&order, &mail, &awaited), None);
}

#[test]
fn a_mail_about_a_shipment_waits_for_its_invoice_and_links_to_it() {
    let (mut order, _) = confirmed();
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    let lines = vec![LineQuantity { line_number: 1, quantity: 1 }];
    let shipped = OrderShipped { shipment_id: shipment_id.clone(), lines, parcels: vec![], location: None };
    let mail =
        OwedMail { template: MailTemplate::OrderShipped, nth: 0, notification_id: Uuid::nil(), cause: Uuid::nil() };
    let awaited = AwaitedByMails { documents: true, ..AwaitedByMails::default() };
    let url = DocumentUrl::parse("https://shop.example/{orderId}/{number}").unwrap();
    let document = |order: &OrderSession| content(order, &mail, 1, Some(&url)).details.document;

    order.order.apply(OrderEvent::OrderShipped(shipped));
    assert_eq!(waits::wait(&order, &mail, &awaited), None, "nothing was captured, so no invoice is due");
    let captured = PaymentCaptured {
        shipment_id: shipment_id.clone(),
        amount_minor: 12_999,
        reference: "cap-1".into(),
        payment_number: None,
    };
    order.order.apply(OrderEvent::PaymentCaptured(captured));
    assert!(waits::wait(&order, &mail, &awaited).is_some());
    assert_eq!((document(&order), waits::wait(&order, &mail, &AwaitedByMails::default())), (None, None));

    order.order.apply(OrderEvent::InvoiceIssued(InvoiceIssued {
        document_id: DocumentId::parse("d-1").unwrap(),
        number: "INV-2026-000042".into(),
        series: "INV-2026".into(),
        sequence: 42,
        issued_on: chrono::NaiveDate::from_ymd_opt(2026, 11, 30).unwrap(),
        shipment_id,
        total_minor: 12_999,
    }));
    let link =
        DocumentLink { number: "INV-2026-000042".into(), url: "https://shop.example/o-1/INV-2026-000042".into() };
    assert_eq!((document(&order), waits::wait(&order, &mail, &awaited)), (Some(link), None));
    assert_eq!(content(&order, &mail, 1, None).details.document, None);
    // It is not the confirmation's.
    let (_, confirmation) = confirmed();
    assert_eq!(content(&order, &confirmation, 1, Some(&url)).details.document, None);
}

#[test]
fn requests_for_a_mail_that_was_answered_meanwhile_are_none_for_the_next_one() {
    let shipped = OrderCommand::ShipOrder(ShipOrder {
        shipment_id: ShipmentId::parse("s-1").unwrap(),
        lines: None,
        parcels: vec![],
        location: None,
    });
    let known = [reserved(), authorized(), OrderCommand::ConfirmOrder { mail_staff: false }, shipped];
    let requested = || {
        let mut order = OrderSession::open(&after(known.clone())).unwrap().unwrap();
        order.requests_sent = 1;
        order
    };
    let noted = OrderCommand::AddNote(NoteAdded {
        note_id: NoteId::parse("n-1").unwrap(),
        text: "for the office".into(),
        author: None,
    });
    let mut order = requested();
    order.rebase(&after(known.clone().into_iter().chain([noted]))).unwrap();
    assert_eq!(order.order.owed_mail(), Some((MailTemplate::OrderConfirmed, 0)));
    assert_eq!(order.requests_sent, 1);

    let answered = OrderCommand::RecordNotificationSent(NotificationSent {
        notification_id: Uuid::nil(),
        template: MailTemplate::OrderConfirmed,
        recipient: "c@example.com".into(),
        provider_message_id: "m-1".into(),
        nth: Some(0),
    });
    let mut order = requested();
    order.rebase(&after(known.clone().into_iter().chain([answered]))).unwrap();
    assert_eq!(order.order.owed_mail(), Some((MailTemplate::OrderShipped, 0)));
    assert_eq!(order.requests_sent, 0);
}

#[test]
fn a_mail_says_at_each_line_how_much_is_not_in_stock_yet_and_until_when() {
    let mut order = confirmed().0.order;
    let line = |quantity| OrderLine { quantity, ..order.content.lines[0].clone() };
    order.content.lines = vec![line(2), line(3), OrderLine { sku: Sku::parse("other").unwrap(), ..line(1) }];
    let sku = order.content.lines[0].sku.clone();
    let location = LocationId::default();
    let waits = |available_at: Option<&str>| BackorderedUnits {
        sku: sku.clone(),
        quantity: 4,
        location: location.clone(),
        available_at: available_at.map(|at| at.parse().unwrap()),
    };
    let shown = |order: &PlacedOrder, template| -> Vec<Option<(String, Option<String>)>> {
        let lines = lines(order, template, None).0.into_iter();
        lines.map(|line| line.waiting.map(|it| (it.quantity, it.expected_at))).collect()
    };
    let some = |quantity: &str, at: Option<&str>| Some((quantity.to_owned(), at.map(str::to_owned)));
    assert_eq!(shown(&order, MailTemplate::OrderConfirmed), [None, None, None]);
    for at in [Some("2026-12-24T00:00:00Z"), None] {
        order.apply(OrderEvent::StockReserved(StockReserved {
            units: vec![SkuQuantity { sku: sku.clone(), quantity: 5, location: location.clone() }],
            expires_at: chrono::DateTime::UNIX_EPOCH,
            backorders: vec![waits(at)],
        }));
        for template in [MailTemplate::OrderConfirmed, MailTemplate::OrderEdited, MailTemplate::StaffNewOrder] {
            assert_eq!(shown(&order, template), [some("1", at), some("3", at), None]);
        }
        assert_eq!(shown(&order, MailTemplate::OrderCancelled), [None, None, None]);
    }
}
