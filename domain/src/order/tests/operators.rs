//! What operators may decide.

use super::*;

pub(super) fn intervene(decision: OperatorDecision, step: SagaStep) -> OperatorIntervened {
    OperatorIntervened {
        payment_number: None,
        decision,
        step,
        actor: "ann".into(),
        reason: "asked the provider".into(),
        customer_message: None,
        notification_id: None,
    }
}

fn decided(events: &[OrderEvent], decision: OperatorDecision, step: SagaStep) -> Result<Vec<&'static str>, OrderError> {
    let events = decide(&given(events.to_vec()), OrderCommand::Intervene(intervene(decision, step)))?;
    Ok(events.iter().map(OrderEvent::name).collect())
}

fn other_card() -> OperatorDecision {
    OperatorDecision::Retry { payment_token: Some(PaymentToken::parse("tok_other").unwrap()) }
}

fn unknown() -> OrderEvent {
    OrderEvent::PaymentOutcomeUnknown(PaymentOutcomeUnknown { payment_number: None, reason: "no answer".into() })
}

pub(super) fn shipped() -> OrderEvent {
    let shipment_id = ShipmentId::parse("s").unwrap();
    OrderEvent::OrderShipped(OrderShipped { shipment_id, lines: line(1), parcels: vec![], location: None })
}

fn captured() -> PaymentCaptured {
    let shipment_id = ShipmentId::parse("s").unwrap();
    PaymentCaptured { payment_number: None, shipment_id, amount_minor: 12_999, reference: "cap-1".into() }
}

fn wants_back(id: &str, amount_minor: i64) -> OrderEvent {
    OrderEvent::RefundRequested(RefundRequested { refund_id: RefundId::parse(id).unwrap(), amount_minor, reason: None })
}

fn refunded(id: &str, amount_minor: i64) -> PaymentRefunded {
    PaymentRefunded {
        payment_number: None,
        refund_id: RefundId::parse(id).unwrap(),
        amount_minor,
        reference: format!("re-{id}"),
    }
}

pub(super) fn placed(order: &Order) -> &PlacedOrder {
    match order {
        Order::Placed(placed) => placed,
        Order::Absent => panic!("never placed"),
    }
}

/// Everything that leads to a shipment that was paid for and a refund that is wanted.
fn owes_back() -> Vec<OrderEvent> {
    promised().into_iter().chain([shipped(), OrderEvent::PaymentCaptured(captured()), wants_back("f", 500)]).collect()
}

pub(super) fn order_after(mut events: Vec<OrderEvent>, decision: OperatorDecision, step: SagaStep) -> Order {
    let decided = decide(&given(events.clone()), OrderCommand::Intervene(intervene(decision, step))).unwrap();
    events.extend(decided);
    given(events)
}

#[test]
fn an_operator_who_knows_the_outcome_says_so() {
    let waiting = [created(), reserved(), unknown()];
    let reference = "pay-7".to_owned();
    let succeeded = decided(&waiting, OperatorDecision::MarkSucceeded { reference }, SagaStep::AuthorizePayment);
    assert_eq!(succeeded, Ok(vec!["OperatorIntervened", "PaymentAuthorized"]));
    let failed = decided(&waiting, OperatorDecision::MarkFailed, SagaStep::AuthorizePayment);
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
    for decision in [other_card(), OperatorDecision::Skip] {
        let refused = decided(&waiting, decision, SagaStep::AuthorizePayment);
        assert!(matches!(refused, Err(OrderError::CannotIntervene(_))));
    }
}

#[test]
fn another_means_of_payment_is_asked_for_under_a_key_of_its_own() {
    let mut order = given([created(), reserved()]);
    let command = OrderCommand::Intervene(intervene(other_card(), SagaStep::AuthorizePayment));
    decide(&order, command).unwrap().into_iter().for_each(|event| evolve(&mut order, event));
    let Order::Placed(placed) = order else { panic!("never placed") };
    assert_eq!((placed.payments[0].replaced, placed.payments[0].token.as_ref().unwrap().as_str()), (1, "tok_other"));
}

#[test]
fn only_what_the_order_waits_for_can_be_decided() {
    let refused = decided(&promised(), OperatorDecision::Skip, SagaStep::AuthorizePayment);
    let why = "authorize_payment is not what the order waits for".to_owned();
    assert_eq!(refused, Err(OrderError::CannotIntervene(why)));
    assert!(decided(&promised(), OperatorDecision::Skip, SagaStep::NotifyCustomer).is_ok());
}

#[test]
fn an_order_is_given_up_only_before_it_is_sent() {
    assert_eq!(
        decided(&promised(), OperatorDecision::Compensate, SagaStep::NotifyCustomer),
        Ok(vec!["OperatorIntervened"])
    );
    let mut shipped = promised();
    let shipment_id = ShipmentId::parse("s").unwrap();
    shipped.push(OrderEvent::OrderShipped(OrderShipped {
        shipment_id,
        lines: line(1),
        parcels: vec![],
        location: None,
    }));
    let refused = decided(&shipped, OperatorDecision::Compensate, SagaStep::CapturePayment);
    assert!(matches!(refused, Err(OrderError::CannotIntervene(_))));
}

#[test]
fn money_that_may_have_moved_is_not_skipped() {
    let to_capture: Vec<_> = promised().into_iter().chain([shipped()]).collect();
    for (events, step) in [(to_capture, SagaStep::CapturePayment), (owes_back(), SagaStep::RefundPayment)] {
        let refused = decided(&events, OperatorDecision::Skip, step);
        assert!(matches!(&refused, Err(OrderError::CannotIntervene(why)) if why.contains("ask it")), "{refused:?}");
    }
    let undone =
        [created(), reserved(), unknown(), OrderEvent::CancellationRequested(CancellationRequested { reason: None })];
    let refused = decided(&undone, OperatorDecision::Skip, SagaStep::VoidPayment);
    assert!(matches!(refused, Err(OrderError::CannotIntervene(_))), "{refused:?}");
}

#[test]
fn a_capture_that_was_marked_as_failed_and_is_heard_of_later_is_recorded() {
    let to_capture = promised().into_iter().chain([shipped()]).collect();
    let mut order = order_after(to_capture, OperatorDecision::MarkFailed, SagaStep::CapturePayment);
    assert_eq!((placed(&order).unsettled_shipment(), placed(&order).payments[0].captured_minor), (None, 0));

    let late = OrderCommand::RecordPaymentCaptured(captured());
    let events = decide(&order, late.clone()).unwrap();
    assert_eq!(events, [OrderEvent::PaymentCaptured(captured())]);
    events.into_iter().for_each(|event| evolve(&mut order, event));
    assert_eq!(placed(&order).payments[0].captured_minor, 12_999);
    assert_eq!(decide(&order, late), Ok(vec![]));
}

#[test]
fn a_refund_that_was_marked_as_failed_and_is_heard_of_later_is_recorded_and_told() {
    let mut order = order_after(owes_back(), OperatorDecision::MarkFailed, SagaStep::RefundPayment);
    assert_eq!((placed(&order).unsettled_refund(), placed(&order).refundable_minor(false)), (None, 12_999));
    // Its name stays taken: the provider may still know it.
    let again = |amount_minor| {
        OrderCommand::RequestRefund(RequestRefund {
            refund_id: RefundId::parse("f").unwrap(),
            amount_minor: Some(amount_minor),
            reason: None,
        })
    };
    assert_eq!(decide(&order, again(500)), Ok(vec![]));
    assert_eq!(decide(&order, again(501)), Err(OrderError::IdTaken { what: "refund" }));

    // Another is wanted meanwhile; then the first turns out to have been paid.
    evolve(&mut order, wants_back("g", 700));
    for (late, id) in [(refunded("f", 500), "f"), (refunded("g", 700), "g")] {
        let events = decide(&order, OrderCommand::RecordPaymentRefunded(late.clone())).unwrap();
        assert_eq!(events, [OrderEvent::PaymentRefunded(late.clone())]);
        events.into_iter().for_each(|event| evolve(&mut order, event));
        assert_eq!(decide(&order, OrderCommand::RecordPaymentRefunded(late)), Ok(vec![]));
        // The customer is told of each in the order in which it was paid.
        let mut told = placed(&order).refunds.iter().filter(|refund| refund.settled).map(|refund| refund.id.as_str());
        assert_eq!(told.next_back(), Some(id));
    }
    assert_eq!((placed(&order).payments[0].refunded_minor, placed(&order).refundable_minor(false)), (1_200, 11_799));
}

#[test]
fn a_retry_of_a_movement_is_another_attempt_of_the_one_that_is_next() {
    let again = || OperatorDecision::Retry { payment_token: None };
    let order = order_after(owes_back(), again(), SagaStep::RefundPayment);
    assert_eq!(placed(&order).refunds[0].retries, 1);
    let to_capture = promised().into_iter().chain([shipped()]).collect();
    let order = order_after(to_capture, again(), SagaStep::CapturePayment);
    assert_eq!(placed(&order).shipments[0].captures[0].retries, 1);
}

#[test]
fn what_was_never_taken_does_not_go_back_because_an_operator_says_so() {
    let mut order = order_after(owes_back(), OperatorDecision::MarkFailed, SagaStep::RefundPayment);
    evolve(&mut order, wants_back("g", 13_000));
    let reference = "re-1".to_owned();
    let said = intervene(OperatorDecision::MarkSucceeded { reference }, SagaStep::RefundPayment);
    assert!(matches!(decide(&order, OrderCommand::Intervene(said)), Err(OrderError::CannotIntervene(_))));
    let skip = intervene(OperatorDecision::Skip, SagaStep::RefundPayment);
    assert!(decide(&order, OrderCommand::Intervene(skip)).is_ok());
}

#[test]
fn an_authorization_that_is_held_after_all_is_recorded() {
    let mut order = order_after(vec![created(), reserved()], OperatorDecision::Skip, SagaStep::AuthorizePayment);
    let late = PaymentAuthorized { payment_number: None, reference: "pay-1".into(), amount_minor: 12_999 };
    let events = decide(&order, OrderCommand::RecordPaymentAuthorized(late)).unwrap();
    events.into_iter().for_each(|event| evolve(&mut order, event));
    assert!(placed(&order).may_hold_money());
}
