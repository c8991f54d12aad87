//! What a customer is told of why its order is undone.

use access_control::{Principal, RoutePermission};
use axum::body::Body;
use domain::ids::Sku;
use domain::order::OrderEvent;
use domain::order::event::{
    CancellationRequested, OperatorIntervened, PaymentDeclined, Shortage, StockReservationFailed,
};
use domain::order::saga::{OperatorDecision, SagaStep};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::events::{authorized, confirmed, created, reserved};
use crate::read_side::ReadSide;

/// What only the shop may read, in the events that undo an order.
const SECRET: &str = "seventeen left, says the provider";
/// How many units there are. It has more digits than any part of an instant.
const LEFT: i64 = 98_765_432;

fn compensated(customer_message: Option<&str>) -> OrderEvent {
    OrderEvent::OperatorIntervened(OperatorIntervened {
        payment_number: None,
        decision: OperatorDecision::Compensate,
        step: SagaStep::NotifyCustomer,
        actor: "ann".into(),
        reason: SECRET.into(),
        customer_message: customer_message.map(str::to_owned),
        notification_id: None,
    })
}

/// Every answer that has the order, as its customer gets it.
async fn told(reads: &ReadSide, version: usize) -> Vec<Value> {
    let customer = Principal::customer("anna", "customer-42", None);
    let routes = projections::routes(
        reads.store.clone(),
        &*testkit::read_models(reads.store.pool()),
        None,
        projections::SlowReads::default(),
    );
    let routes = testkit::called_by(routes, customer, RoutePermission::Own);
    let mut answers = Vec::new();
    for uri in ["/orders/a", &format!("/orders/a?asOf={version}"), "/orders", "/customers/customer-42/orders"] {
        let answer = routes.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = str::from_utf8(&body).unwrap();
        assert!(
            !text.contains("seventeen") && !text.contains(&LEFT.to_string()) && !text.contains("customerMessage"),
            "{uri}: {text}"
        );
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answers.push(answer.get("items").map_or(answer.clone(), |orders| orders[0].clone()));
    }
    answers
}

#[tokio::test]
async fn a_customer_is_told_no_more_of_why_its_order_is_undone_than_by_mail() {
    let short = Shortage { unit: None, sku: Sku::parse("cable").unwrap(), requested: 100_000_000, available: LEFT };
    let confirmed = || vec![created(), reserved(), authorized(), confirmed()];
    let declined = PaymentDeclined { payment_number: None, code: "stolen_card".into(), message: SECRET.into() };
    let asked = CancellationRequested { reason: Some("changed my mind".into()) };
    let lives = [
        (
            vec![
                created(),
                OrderEvent::StockReservationFailed(StockReservationFailed {
                    shortages: vec![short],
                    other_units: vec![],
                }),
            ],
            json!("not enough in stock: cable"),
        ),
        (vec![created(), reserved(), OrderEvent::PaymentDeclined(declined)], json!("the payment was declined")),
        // An operator's own words stay inside; those for the customer do not.
        (vec![created(), compensated(None)], Value::Null),
        (vec![created(), compensated(Some("we are sorry"))], json!("we are sorry")),
        ([confirmed(), vec![compensated(None)]].concat(), Value::Null),
        ([confirmed(), vec![compensated(Some("we are sorry"))]].concat(), json!("we are sorry")),
        ([confirmed(), vec![OrderEvent::CancellationRequested(asked)]].concat(), json!("changed my mind")),
    ];
    for (events, reason) in lives {
        let reads = ReadSide::running().await;
        let version = events.len();
        let for_shop = reads.after_all(events).await;
        assert!(for_shop["reason"].is_string() && for_shop.get("customerMessage").is_none(), "{for_shop}");

        for order in told(&reads, version).await {
            assert_eq!((&order["orderId"], &order["reason"]), (&json!("a"), &reason), "{order}");
        }
        reads.end().await;
    }
}
