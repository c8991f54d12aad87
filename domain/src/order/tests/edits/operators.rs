//! What operators decide while an edit is in work, and after it.

use super::*;

fn decision(decision: OperatorDecision, step: SagaStep, customer_message: Option<&str>) -> OrderCommand {
    OrderCommand::Intervene(OperatorIntervened {
        payment_number: step.is_of_a_payment().then_some(2),
        decision,
        step,
        actor: "ann".into(),
        reason: "the customer changed her mind".into(),
        customer_message: customer_message.map(str::to_owned),
        notification_id: None,
    })
}

fn compensate(step: SagaStep) -> OrderCommand {
    decision(OperatorDecision::Compensate, step, None)
}

fn is_refused(order: &Order, command: OrderCommand) -> bool {
    matches!(decide(order, command), Err(OrderError::CannotIntervene(_)))
}

#[test]
fn an_operator_who_compensates_gives_up_the_edit_and_not_the_order() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    let names = take(&mut order, compensate(SagaStep::AuthorizePayment));
    assert_eq!(names, ["OperatorIntervened", "OrderEditRejected"]);
    assert_eq!((placed(&order).stage(), placed(&order).undoing.clone()), (OrderStage::Confirmed, None));
}

#[test]
fn what_was_meant_for_an_edit_never_undoes_the_order() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    pays(&mut order, 2, 1_000);
    let mut applied = order.clone();
    applies(&mut applied, "e", &[("a", 1)]);
    take(&mut order, compensate(SagaStep::ApplyEdit));
    // What is held for the edit is not let go of yet.
    assert_eq!(placed(&order).next_abandoned().map(|payment| payment.number), Some(2));
    for over in [&order, &applied] {
        for step in [SagaStep::AuthorizePayment, SagaStep::ApplyEdit, SagaStep::VoidPayment] {
            let command = OperatorIntervened { payment_number: None, ..intervened(compensate(step)) };
            assert!(is_refused(over, OrderCommand::Intervene(command)), "{}", step.name());
        }
        // Who means the order says so.
        let names = decide(over, compensate(SagaStep::ConfirmOrder)).unwrap();
        assert_eq!(names.iter().map(OrderEvent::name).collect::<Vec<_>>(), ["OperatorIntervened"]);
    }
}

#[test]
fn while_an_edit_is_in_work_it_is_named_and_no_customer_is_told() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    for step in [SagaStep::NotifyCustomer, SagaStep::ConfirmOrder] {
        assert!(is_refused(&order, compensate(step)), "{}", step.name());
    }
    assert!(is_refused(&order, decision(OperatorDecision::Compensate, SagaStep::AuthorizePayment, Some("sorry"))));
}

#[test]
fn money_that_is_held_after_all_for_a_skipped_payment_is_known_until_it_is_let_go_of() {
    let mut order = ordered("");
    asks(&mut order, "e", CARD);
    take(&mut order, decision(OperatorDecision::Skip, SagaStep::AuthorizePayment, None));
    let mut cancelled = order.clone();
    // It could not be had.
    let shortages = vec![Shortage { sku: Sku::parse("a").unwrap(), requested: 1, available: 0, unit: None }];
    let reason = EditRejectionReason::OutOfStock { shortages };
    let edit_id = EditId::parse("e").unwrap();
    take(&mut order, OrderCommand::RecordOrderEditRejected(OrderEditRejected { edit_id, reason }));
    assert_eq!(placed(&order).next_abandoned(), None);
    assert_eq!(pays(&mut order, 2, 1_000), ["PaymentAuthorized"]);
    assert_eq!(placed(&order).next_abandoned().map(|payment| payment.number), Some(2));
    assert_eq!(placed(&order).stage(), OrderStage::Confirmed);

    take(&mut cancelled, OrderCommand::CancelOrder(CancellationRequested { reason: None }));
    assert_eq!(pays(&mut cancelled, 2, 1_000), ["PaymentAuthorized"]);
    assert_eq!(placed(&cancelled).next_to_void().map(|payment| payment.number), Some(2));
}

fn intervened(command: OrderCommand) -> OperatorIntervened {
    let OrderCommand::Intervene(it) = command else { panic!("{command:?}") };
    it
}
