use domain::ids::{NoteId, ShipmentId};
use domain::order::event::{NoteAdded, Parcel};
use domain::order::parse::PostedOrder;
use domain::order::{Order, OrderEvent, ShipOrder};
use event_store::{AppendQueueSettings, EventStore, NewEvent, StreamAppend};
use messaging::ProducerSettings;
use testkit::{Database, FaultyGateway, PaymentCall, PaymentFault};

use super::*;
use crate::SAGAS;
use crate::report::tests::{after, reserved};
use crate::saga::StepHandler;
use crate::timer_runner::tests::{context, requests_to};

const MIB: usize = 1 << 20;

async fn with_provider(provider: FaultyGateway) -> (Database, Arc<SagaContext>) {
    let database = testkit::database().await;
    let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
    let queue = requests_to("http://127.0.0.1:9", ProducerSettings::default());
    let payments = PaymentCalls::new(Arc::new(provider));
    (database, Arc::new(SagaContext { payments, ..context(store, queue) }))
}

/// Does a step that calls the provider.
async fn call(
    context: &Arc<SagaContext>,
    name: SagaStep,
    orders: Vec<OrderSession>,
) -> Vec<(OrderSession, StepOutcome)> {
    let step = SAGAS.iter().flat_map(|saga| saga.steps).find(|step| step.name == name).unwrap();
    let StepHandler::CallProvider(prepare) = step.action else { panic!("{name:?} calls nobody") };
    call_provider(context, name, prepare, orders).await
}

/// An order that costs nothing and of which a shipment is not paid for yet.
async fn free_and_shipped(store: &EventStore) -> OrderSession {
    let posted = serde_json::json!({
        "orderId": "free", "customerId": "c", "currency": "USD", "totalAmount": 0,
        "items": [{ "sku": "a", "title": "a", "quantity": 1, "unitPrice": "0.00" }],
    });
    let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;
    let created = NewEvent::new(&OrderEvent::OrderCreated(content), &Metadata::default()).unwrap();
    let stream_type = <Order as cqrs_es::Aggregate>::TYPE;
    let append = StreamAppend { stream_type, stream_id: "free".into(), expected_version: 0, events: vec![created] };
    store.append(vec![append]).await.unwrap();
    let mut order = OrderSession::read(store, "free").await.unwrap().unwrap();
    let parcels = vec![Parcel { carrier: Some("c".into()), tracking: None }];
    let shipment_id = ShipmentId::parse("s-1").unwrap();
    for command in [
        reserved(),
        OrderCommand::ConfirmOrder { mail_staff: false },
        OrderCommand::ShipOrder(ShipOrder { shipment_id, lines: None, parcels, location: None }),
    ] {
        order.decide(command).unwrap();
    }
    order
}

/// How many bytes of memory this process has.
#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

#[tokio::test]
async fn an_order_for_which_nothing_is_asked_needs_no_place_among_the_calls() {
    let (_database, context) = with_provider(FaultyGateway::default()).await;
    context.payments.places.forget_permits(MAX_CALLS);

    let unpaid = OrderSession::open(&after([reserved()])).unwrap().unwrap();
    let (_, outcome) = call(&context, SagaStep::AuthorizePayment, vec![unpaid]).await.remove(0);
    assert!(matches!(outcome, Ok(StepProgress::Running(SOON))), "{outcome:?}");

    let free = free_and_shipped(&context.store).await;
    let (free, outcome) = call(&context, SagaStep::CapturePayment, vec![free]).await.remove(0);
    assert!(matches!(outcome, Ok(StepProgress::Advanced)), "{outcome:?}");
    let [OrderEvent::PaymentCaptured(captured)] = free.unstored() else { panic!("{:?}", free.unstored()) };
    assert_eq!(captured.amount_minor, 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn calls_that_wait_for_a_slow_provider_do_not_hold_their_orders() {
    let provider = FaultyGateway::default();
    provider.always(PaymentCall::Authorize, Some(PaymentFault::NoAnswer));
    let (_database, context) = with_provider(provider.clone()).await;
    let note = NoteAdded { note_id: NoteId::parse("n").unwrap(), text: "x".repeat(4 * MIB), author: None };
    let events = after([reserved(), OrderCommand::AddNote(note)]);

    let before = resident_bytes();
    for _ in 0..16 {
        let orders = (0..8).map(|_| OrderSession::open(&events).unwrap().unwrap()).collect();
        for (_, outcome) in call(&context, SagaStep::AuthorizePayment, orders).await {
            assert!(matches!(outcome, Ok(StepProgress::Running(_))), "{outcome:?}");
        }
    }
    assert_eq!(context.payments.places.available_permits(), MAX_CALLS - 128);
    assert_eq!(provider.calls(PaymentCall::Authorize), 128);
    let held = resident_bytes().saturating_sub(before);
    // Other tests of this process take some, too.
    assert!(held < 256 * MIB, "128 calls for orders of 4 MiB hold {held} bytes");
}

#[tokio::test]
async fn what_the_provider_answers_is_decided_on_the_order_in_the_batch() {
    let (_database, context) = with_provider(FaultyGateway::default()).await;
    let unpaid = OrderSession::open(&after([reserved()])).unwrap().unwrap();
    let (paid, outcome) = call(&context, SagaStep::AuthorizePayment, vec![unpaid]).await.remove(0);
    assert!(matches!(outcome, Ok(StepProgress::Advanced)), "{outcome:?}");
    assert!(matches!(paid.unstored(), [OrderEvent::PaymentAuthorized(_)]), "{:?}", paid.unstored());
}
