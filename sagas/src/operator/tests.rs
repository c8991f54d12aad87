use domain::ids::{CancellationId, EditId, RefundId, ShipmentId};
use domain::order::event::{
    EditRejectionReason, LineQuantity, LinesCancelled, OrderChanges, OrderConfirmed, OrderEditRejected,
    OrderEditRequested, OrderShipped, PaymentAuthorized, PaymentCaptured, PaymentRefunded, RefundRequested,
    StockReserved,
};
use domain::order::parse::PostedOrder;
use domain::order::saga::OperatorDecision;
use event_store::{AppendQueueSettings, Metadata};
use serde_json::{Value, json};
use testkit::Database;

use super::*;

/// A stored order of two units of 5.00 each, which nobody carries on.
struct World {
    _database: Database,
    store: EventStore,
    stock: StreamLocks<Stock>,
}

impl World {
    /// With these payments, confirmed. What was paid elsewhere needs no authorization.
    async fn with(payments: Value) -> Self {
        let database = testkit::database().await;
        let store = EventStore::start(database.pool().clone(), AppendQueueSettings::default());
        let stock = StreamLocks::new(store.clone(), 10);
        let world = Self { _database: database, store, stock };
        let posted = json!({
            "orderId": "o", "customerId": "c", "currency": "USD", "totalAmount": "10.00", "payments": payments,
            "items": [{ "sku": "a", "title": "a", "quantity": 2, "unitPrice": "5.00" }],
        });
        let content = PostedOrder::parse(posted.to_string().as_bytes()).unwrap().content;
        let reserved = StockReserved { units: vec![], expires_at: chrono::DateTime::UNIX_EPOCH, backorders: vec![] };
        world.add(vec![OrderEvent::OrderCreated(content), OrderEvent::StockReserved(reserved)]).await;
        world
    }

    async fn add(&self, events: Vec<OrderEvent>) {
        let decide = |_: &Order| Ok::<_, OrderError>(events.clone());
        let known = self.store.load("o").await.unwrap();
        self.store.execute("o", known, &Metadata::default(), decide).await.unwrap();
    }

    fn marks(&self, step: SagaStep, named: Option<ManualRefundName>) -> Intervene<'_> {
        let intervention = OperatorIntervened {
            decision: OperatorDecision::MarkSucceeded { reference: "by-hand".to_owned() },
            step,
            actor: "ann".to_owned(),
            reason: "asked".to_owned(),
            customer_message: None,
            notification_id: None,
            payment_number: None,
        };
        let (store, stock) = (&self.store, &self.stock);
        Intervene::new(store, stock, ("o", Precondition::default()), intervention, named)
    }

    /// Decides, and stores nothing. Returns the names of the events, or why there are none.
    async fn attempt(command: &mut Intervene<'_>) -> Result<Vec<&'static str>, InterventionError> {
        match command.decide().await.map(drop) {
            Ok(()) => Ok(command.recorded.clone()),
            Err(HandleError::Refused(error) | HandleError::Undecidable(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }
}

fn shipped(id: &str) -> OrderEvent {
    let lines = vec![LineQuantity { line_number: 1, quantity: 1 }];
    OrderEvent::OrderShipped(OrderShipped {
        shipment_id: ShipmentId::parse(id).unwrap(),
        lines,
        parcels: vec![],
        location: None,
    })
}

fn captured(id: &str) -> OrderEvent {
    let (shipment_id, reference) = (ShipmentId::parse(id).unwrap(), format!("cap-{id}"));
    OrderEvent::PaymentCaptured(PaymentCaptured { shipment_id, amount_minor: 500, reference, payment_number: None })
}

fn wants_back(id: &str, amount_minor: i64) -> OrderEvent {
    OrderEvent::RefundRequested(RefundRequested { refund_id: RefundId::parse(id).unwrap(), amount_minor, reason: None })
}

fn refunded(id: &str, amount_minor: i64) -> OrderEvent {
    let (refund_id, reference) = (RefundId::parse(id).unwrap(), format!("re-{id}"));
    OrderEvent::PaymentRefunded(PaymentRefunded { refund_id, amount_minor, reference, payment_number: None })
}

async fn paid_by_card() -> World {
    let world = World::with(json!([{ "method": "card", "token": "tok_ok", "amount": "10.00" }])).await;
    let authorized = PaymentAuthorized { reference: "pay".to_owned(), amount_minor: 1_000, payment_number: None };
    let events = [OrderEvent::PaymentAuthorized(authorized), OrderEvent::OrderConfirmed(OrderConfirmed::default())];
    world.add(events.into_iter().chain([shipped("s"), shipped("t")]).collect()).await;
    world
}

#[tokio::test]
async fn a_decision_is_not_about_another_capture_than_at_its_first_attempt() {
    let world = paid_by_card().await;
    let mut command = world.marks(SagaStep::CapturePayment, None);
    let marked = ["OperatorIntervened", "PaymentCaptured"];
    assert_eq!(World::attempt(&mut command).await.unwrap(), marked);
    // Whatever else happened, it is about the same one.
    world.add(vec![wants_back("unpaid", 1)]).await;
    assert_eq!(World::attempt(&mut command).await.unwrap(), marked);
    // The late answer of the provider is recorded.
    world.add(vec![captured("s")]).await;

    let again = World::attempt(&mut command).await;

    assert!(matches!(again, Err(InterventionError::Stale(SagaStep::CapturePayment))), "{again:?}");
    world.store.close().await;
}

#[tokio::test]
async fn a_decision_is_not_about_another_refund_than_at_its_first_attempt() {
    let world = paid_by_card().await;
    world.add(vec![captured("s"), captured("t"), wants_back("f", 200), wants_back("g", 300)]).await;
    let mut command = world.marks(SagaStep::RefundPayment, None);
    assert_eq!(World::attempt(&mut command).await.unwrap(), ["OperatorIntervened", "PaymentRefunded"]);
    world.add(vec![refunded("f", 200)]).await;

    let again = World::attempt(&mut command).await;

    assert!(matches!(again, Err(InterventionError::Stale(SagaStep::RefundPayment))), "{again:?}");
    world.store.close().await;
}

#[tokio::test]
async fn what_a_person_gave_back_is_named_and_another_one_is_not_settled_for_it() {
    let elsewhere = json!([{ "method": "transfer", "amount": "10.00", "reference": "T-1" }]);
    let world = World::with(elsewhere).await;
    world.add(vec![OrderEvent::OrderConfirmed(OrderConfirmed::default()), shipped("s"), captured("s")]).await;
    let cancelled = LinesCancelled {
        cancellation_id: CancellationId::parse("x").unwrap(),
        lines: vec![LineQuantity { line_number: 1, quantity: 1 }],
        reason: None,
    };
    world.add(vec![OrderEvent::LinesCancelled(cancelled)]).await;
    let marks = |named| async { World::attempt(&mut world.marks(SagaStep::RefundManually, named)).await };
    let refund = |id| Some(ManualRefundName::Refund(RefundId::parse(id).unwrap()));
    assert_eq!(marks(Some(ManualRefundName::Rest)).await.unwrap(), ["OperatorIntervened", "PaymentVoided"]);

    // The shop asks for a refund while somebody transfers the rest.
    world.add(vec![wants_back("f", 200)]).await;

    let refusal = |refused: Result<_, InterventionError>| refused.map(drop).unwrap_err().to_string();
    let both = "refund_manually is at refund f (2.00), then at the rest (5.00)";
    assert!(refusal(marks(Some(ManualRefundName::Rest)).await).contains(both));
    assert!(refusal(marks(refund("g")).await).contains(both));
    assert!(refusal(marks(None).await).contains(&format!("name what this is about; {both}")));
    assert_eq!(marks(refund("f")).await.unwrap(), ["OperatorIntervened", "PaymentRefunded"]);
    world.store.close().await;
}

fn requested(id: &str) -> OrderEvent {
    OrderEvent::OrderEditRequested(OrderEditRequested {
        edit_id: EditId::parse(id).unwrap(),
        changes: OrderChanges::default(),
        total_minor: 1_000,
        payment: None,
        reason: None,
    })
}

fn rejected(id: &str) -> OrderEvent {
    let (edit_id, reason) = (EditId::parse(id).unwrap(), EditRejectionReason::Cancelled);
    OrderEvent::OrderEditRejected(OrderEditRejected { edit_id, reason })
}

#[tokio::test]
async fn what_gives_up_an_edit_gives_up_neither_the_order_nor_the_next_edit() {
    for meanwhile in [vec![rejected("e")], vec![rejected("e"), requested("f")]] {
        let world = World::with(json!([{ "method": "card", "token": "tok_ok", "amount": "10.00" }])).await;
        let authorized = PaymentAuthorized { reference: "pay".to_owned(), amount_minor: 1_000, payment_number: None };
        let confirmed = OrderEvent::OrderConfirmed(OrderConfirmed::default());
        world.add(vec![OrderEvent::PaymentAuthorized(authorized), confirmed, requested("e")]).await;
        let mut command = world.marks(SagaStep::ApplyEdit, None);
        command.intervention.decision = OperatorDecision::Compensate;
        let given_up = ["OperatorIntervened", "OrderEditRejected"];
        assert_eq!(World::attempt(&mut command).await.unwrap(), given_up);
        world.add(vec![wants_back("unpaid", 1)]).await;
        assert_eq!(World::attempt(&mut command).await.unwrap(), given_up);
        world.add(meanwhile).await;

        let again = World::attempt(&mut command).await;

        assert!(matches!(again, Err(InterventionError::Stale(SagaStep::ApplyEdit))), "{again:?}");
        world.store.close().await;
    }
}
