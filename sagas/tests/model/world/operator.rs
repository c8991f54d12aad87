//! What operators decide in the model.

use domain::ids::PaymentToken;
use domain::order::OrderCommand;
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};

use super::{Decision, World};
use crate::provider::{Account, account_key, mark, payment_of};

impl World {
    pub(super) fn intervenes(&mut self, step: SagaStep, decision: OperatorDecision) -> Option<()> {
        let (actor, reason) = ("ann".to_owned(), "because".to_owned());
        let order = &self.order.order;
        let payment_number = order.payments_at(step).first().and_then(|number| order.payment_name(*number));
        self.asks(OrderCommand::Intervene(OperatorIntervened {
            payment_number,
            decision,
            step,
            actor,
            reason,
            customer_message: None,
            notification_id: None,
        }))
    }

    /// What an operator says; `None`: it would not be true.
    pub(super) fn operator_decision(&self, step: SagaStep, decision: Decision) -> Option<OperatorDecision> {
        Some(match decision {
            Decision::Retry => OperatorDecision::Retry { payment_token: None },
            Decision::OtherMeans => {
                OperatorDecision::Retry { payment_token: Some(PaymentToken::parse("tok_other").ok()?) }
            }
            Decision::Skip => OperatorDecision::Skip,
            Decision::Compensate => OperatorDecision::Compensate,
            Decision::MarkSucceeded => {
                let reference = self.done(step)?;
                OperatorDecision::MarkSucceeded { reference }
            }
            Decision::MarkFailed => {
                // Too early is soon enough while everybody who asked is still there to hear the answer.
                let left = &self.left;
                let all_hear = left.crashes == 0 && left.faults == 0 && left.failovers == 0;
                let moves = matches!(step, SagaStep::CapturePayment | SagaStep::RefundPayment);
                let is_over =
                    self.nobody_asks() || (all_hear && moves && self.in_flight.iter().all(|it| !it.is_orphan));
                if !is_over || self.done(step).is_some() {
                    return None;
                }
                OperatorDecision::MarkFailed
            }
        })
    }

    fn nobody_asks(&self) -> bool {
        self.visits.is_empty() && self.in_flight.is_empty()
    }

    /// What the provider knows a step by that it did.
    fn done(&self, step: SagaStep) -> Option<String> {
        let (order, accounts) = (&self.order.order, &self.provider.accounts);
        match step {
            SagaStep::AuthorizePayment => {
                let payment = order.next_to_authorize()?;
                let key = account_key(payment.number, payment.replaced);
                accounts.get(&key).filter(|account| account.is_held()).map(|_| key.to_string())
            }
            SagaStep::VoidPayment | SagaStep::VoidRest => {
                let number = order.payments_at(step).first().copied()?;
                let of_payment = accounts.iter().filter(|(key, _)| payment_of(**key) == number);
                let is_held = of_payment.map(|(_, account)| account).any(Account::is_held);
                (self.nobody_asks() && !is_held).then(|| "v".to_owned())
            }
            SagaStep::CapturePayment => {
                let (shipment, capture) = order.next_capture()?;
                let mark = mark(shipment.id.as_str(), capture.payment_number);
                self.provider.has(&mark).then(|| "c".to_owned())
            }
            SagaStep::RefundPayment => {
                let refund = order.unsettled_refund()?;
                let mark = mark(refund.id.as_str(), refund.payment_number);
                self.provider.has(&mark).then(|| "r".to_owned())
            }
            // A person has just sent the money.
            SagaStep::RefundManually => Some("t".to_owned()),
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::ConfirmOrder
            | SagaStep::ApplyEdit
            | SagaStep::CloseOrder
            | SagaStep::NotifyCustomer => None,
        }
    }
}
