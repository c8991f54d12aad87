//! What operators may decide.

use super::*;

fn intervene(verb: Verb, step: SagaStep) -> OperatorIntervened {
    OperatorIntervened { verb, step, actor: "ann".into(), reason: "asked the provider".into(), customer_message: None }
}

fn decided(events: &[OrderEvent], verb: Verb, step: SagaStep) -> Result<Vec<&'static str>, Refusal> {
    let events = decide(&given(events.to_vec()), OrderCommand::Intervene(intervene(verb, step)))?;
    Ok(events.iter().map(OrderEvent::name).collect())
}

fn other_card() -> Verb {
    Verb::Retry { payment_token: Some(crate::PaymentToken::parse("tok_other").unwrap()) }
}

fn unknown() -> OrderEvent {
    OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown { reason: "no answer".into() })
}

#[test]
fn an_operator_who_knows_the_outcome_says_so() {
    let waiting = [created(), reserved(), unknown()];
    let reference = "pay-7".to_owned();
    let succeeded = decided(&waiting, Verb::MarkSucceeded { reference }, SagaStep::AuthorizePayment);
    assert_eq!(succeeded, Ok(vec!["OperatorIntervened", "PaymentAuthorized"]));
    let failed = decided(&waiting, Verb::MarkFailed, SagaStep::AuthorizePayment);
    assert_eq!(failed, Ok(vec!["OperatorIntervened", "PaymentDeclined"]));
}

#[test]
fn what_an_operator_writes_for_the_customer_is_stored_beside_the_reason() {
    let written = r#"{"OperatorIntervened":{"verb":"compensate","step":"authorize_payment","actor":"ann","reason":"fraud","customerMessage":"we are sorry"}}"#;

    let event: OrderEvent = serde_json::from_str(written).unwrap();

    assert_eq!(serde_json::to_string(&event).unwrap(), written);
    let OrderEvent::OperatorIntervened(it) = event else { panic!("not an intervention") };
    assert_eq!((it.reason.as_str(), it.customer_message.as_deref()), ("fraud", Some("we are sorry")));
}

#[test]
fn while_the_outcome_is_unknown_nobody_pays_another_way_or_not_at_all() {
    let waiting = [created(), reserved(), unknown()];
    for verb in [other_card(), Verb::Skip] {
        let refused = decided(&waiting, verb, SagaStep::AuthorizePayment);
        assert!(matches!(refused, Err(Refusal::CannotIntervene(_))));
    }
}

#[test]
fn another_means_of_payment_is_asked_for_under_a_key_of_its_own() {
    let mut order = given([created(), reserved()]);
    let command = OrderCommand::Intervene(intervene(other_card(), SagaStep::AuthorizePayment));
    decide(&order, command).unwrap().into_iter().for_each(|event| evolve(&mut order, event));
    let Order::Placed(placed) = order else { panic!("never placed") };
    assert_eq!((placed.payment.replaced, placed.payment.token.unwrap().as_str()), (1, "tok_other"));
}

#[test]
fn only_what_the_order_waits_for_can_be_decided() {
    let refused = decided(&promised(), Verb::Skip, SagaStep::AuthorizePayment);
    let why = "authorize_payment is not what the order waits for".to_owned();
    assert_eq!(refused, Err(Refusal::CannotIntervene(why)));
    assert!(decided(&promised(), Verb::Skip, SagaStep::NotifyCustomer).is_ok());
}

#[test]
fn an_order_is_given_up_only_before_it_is_sent() {
    assert_eq!(decided(&promised(), Verb::Compensate, SagaStep::NotifyCustomer), Ok(vec!["OperatorIntervened"]));
    let mut shipped = promised();
    let shipment_id = ShipmentId::parse("s").unwrap();
    shipped.push(OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![] }));
    let refused = decided(&shipped, Verb::Compensate, SagaStep::CapturePayment);
    assert!(matches!(refused, Err(Refusal::CannotIntervene(_))));
}

#[test]
fn a_mail_that_was_given_up_is_owed_again_once_an_operator_says_so() {
    let mut order = given(promised().into_iter().chain([OrderEvent::NotificationFailed(failed())]));
    let owed = |order: &Order| match order {
        Order::Placed(placed) => placed.owed_mail(),
        Order::Absent => None,
    };
    assert_eq!(owed(&order), None);
    let again = intervene(Verb::Retry { payment_token: None }, SagaStep::NotifyCustomer);
    evolve(&mut order, OrderEvent::OperatorIntervened(again));
    assert_eq!(owed(&order), Some((MailTemplate::OrderConfirmed, 0)));
    // It goes out as another mail.
    let another = NotificationSent { notification_id: Uuid::from_u128(8), ..sent() };
    evolve(&mut order, OrderEvent::NotificationSent(another));
    assert_eq!(owed(&order), None);
}
