//! What can be done with an order, and what is captured and refunded for it.

use proptest::prelude::*;

use crate::order::tests::*;

/// What is done with a confirmed order: each step takes so many units of a line, as far as there are any.
pub(super) type Steps = Vec<(StepKind, u32, u32)>;

#[derive(Debug, Clone, Copy)]
pub(super) enum StepKind {
    Ship,
    Cancel,
    SendBack,
    /// Unit by unit.
    SendBackInParts,
    /// One unit comes, and the rest does not after all.
    SendBackSome,
}

pub(super) fn steps() -> impl Strategy<Value = Steps> {
    let kind = prop::sample::select(vec![
        StepKind::Ship,
        StepKind::Ship,
        StepKind::Cancel,
        StepKind::SendBack,
        StepKind::SendBackInParts,
        StepKind::SendBackSome,
    ]);
    prop::collection::vec((kind, 1..5_u32, 1..4_u32), 0..30)
}

/// The order after the steps, and how much was captured and refunded of each step.
pub(super) struct Life {
    pub(super) order: PlacedOrder,
    /// Of what was sent: the lines and what was captured.
    pub(super) captured: Vec<(Vec<LineQuantity>, i64)>,
    /// Of what came back.
    pub(super) refunded: Vec<(Vec<LineQuantity>, i64)>,
}

impl Life {
    pub(super) fn new(content: OrderCreated) -> Self {
        let amount_minor = content.total_minor;
        let held = OrderEvent::PaymentAuthorized(PaymentAuthorized {
            payment_number: None,
            reference: "pay-1".into(),
            amount_minor,
        });
        let order = given([OrderEvent::OrderCreated(content), reserved(), held, confirmed()]);
        let Order::Placed(order) = order else { panic!("it is placed") };
        Self { order: *order, captured: vec![], refunded: vec![] }
    }

    pub(super) fn of(content: OrderCreated, steps: &Steps) -> Self {
        let mut life = Self::new(content);
        for (nth, (kind, line_number, quantity)) in steps.iter().enumerate() {
            let is_by_weight = life.order.line(*line_number).is_some_and(|line| line.unit.is_some());
            let grams = if matches!(kind, StepKind::SendBackInParts) { 1 } else { 397 };
            let quantity = if is_by_weight { quantity * grams } else { *quantity };
            life.step(nth, *kind, vec![LineQuantity { line_number: *line_number, quantity }]);
        }
        life
    }

    /// Does what is asked, if it can be done.
    pub(super) fn step(&mut self, nth: usize, kind: StepKind, lines: Vec<LineQuantity>) {
        match kind {
            StepKind::Ship => {
                let shipment_id = ShipmentId::parse(format!("s-{nth}")).unwrap();
                let ship = ShipOrder {
                    shipment_id: shipment_id.clone(),
                    lines: Some(lines.clone()),
                    parcels: vec![],
                    location: None,
                };
                if self.does(OrderCommand::ShipOrder(ship)) {
                    let amount_minor = self.order.capture_minor(&shipment_id, 1);
                    // Not a unit more can be taken for it.
                    let more = PaymentCaptured {
                        payment_number: None,
                        shipment_id: shipment_id.clone(),
                        amount_minor: amount_minor + 1,
                        reference: "c".into(),
                    };
                    assert_eq!(
                        self.order.decide(OrderCommand::RecordPaymentCaptured(more.clone())),
                        Err(OrderError::Stale)
                    );
                    assert!(self.does(OrderCommand::RecordPaymentCaptured(PaymentCaptured {
                        payment_number: None,
                        amount_minor,
                        ..more
                    })));
                    self.captured.push((lines, amount_minor));
                }
            }
            StepKind::Cancel => {
                let cancellation_id = CancellationId::parse(format!("c-{nth}")).unwrap();
                self.does(OrderCommand::CancelLines(CancelLines { cancellation_id, lines, reason: None }));
            }
            StepKind::SendBack | StepKind::SendBackInParts | StepKind::SendBackSome => {
                let return_id = ReturnId::parse(format!("r-{nth}")).unwrap();
                let back = ReturnRequested { return_id: return_id.clone(), lines: lines.clone(), reason: None };
                if self.does(OrderCommand::RequestReturn(back)) {
                    self.comes_back(kind, return_id, lines);
                }
            }
        }
    }

    fn comes_back(&mut self, kind: StepKind, return_id: ReturnId, lines: Vec<LineQuantity>) {
        let LineQuantity { line_number, quantity } = lines[0];
        let units = match kind {
            StepKind::SendBackInParts => quantity,
            StepKind::SendBackSome => 1,
            StepKind::SendBack | StepKind::Ship | StepKind::Cancel => {
                return self.is_received(ReceiveReturn::all_of(return_id), lines);
            }
        };
        for nth in 0..units {
            let one = LineQuantity { line_number, quantity: 1 };
            let receipt_id = ReceiptId::parse(format!("e-{nth}")).unwrap();
            let receipt = Some(NewReceipt { receipt_id, lines: Some(vec![one.clone().into()]), location: None });
            self.is_received(ReceiveReturn { return_id: return_id.clone(), receipt }, vec![one]);
        }
        if units < quantity {
            assert!(self.does(OrderCommand::CancelReturn(ReturnCancelled { return_id, reason: None })));
        }
    }

    fn is_received(&mut self, command: ReceiveReturn, lines: Vec<LineQuantity>) {
        let refunds = self.order.refunds.len();
        assert!(self.does(OrderCommand::ReceiveReturn(command)));
        let refund = self.order.refunds.get(refunds).cloned();
        let amount_minor = refund.as_ref().map_or(0, |refund| refund.amount_minor);
        if let Some(Refund { id, amount_minor, .. }) = refund {
            let refunded = PaymentRefunded { payment_number: None, refund_id: id, amount_minor, reference: "r".into() };
            assert!(self.does(OrderCommand::RecordPaymentRefunded(refunded)));
        }
        self.refunded.push((lines, amount_minor));
    }

    pub(super) fn ship_the_rest(&mut self) {
        let rest = self.order.unshipped();
        if !rest.is_empty() {
            self.step(1_000, StepKind::Ship, rest);
        }
    }

    pub(super) fn send_all_back(&mut self) {
        let left = |order: &PlacedOrder, number: u32| order.shipped(number) - order.returned(number);
        let numbers: Vec<u32> = self.order.numbered_lines().map(|(number, _)| number).collect();
        let all = numbers
            .into_iter()
            .map(|line_number| LineQuantity { line_number, quantity: left(&self.order, line_number) });
        let all: Vec<LineQuantity> = all.filter(|it| it.quantity > 0).collect();
        if !all.is_empty() {
            self.step(2_000, StepKind::SendBack, all);
        }
    }

    pub(super) fn does(&mut self, command: OrderCommand) -> bool {
        let Ok(events) = self.order.decide(command) else { return false };
        events.into_iter().for_each(|event| self.order.apply(event));
        true
    }

    pub(super) fn sum(pieces: &[(Vec<LineQuantity>, i64)]) -> i64 {
        pieces.iter().map(|(_, amount)| amount).sum()
    }
}
