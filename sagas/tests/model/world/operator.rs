//! What operators decide in the model.

use domain::ids::PaymentToken;
use domain::order::OrderCommand;
use domain::order::event::OperatorIntervened;
use domain::order::saga::{OperatorDecision, SagaStep};

use super::{Decision, World};

impl World {
    pub(super) fn intervenes(&mut self, step: SagaStep, decision: OperatorDecision) -> Option<()> {
        let (actor, reason) = ("ann".to_owned(), "because".to_owned());
        self.asks(OrderCommand::Intervene(OperatorIntervened {
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
                let key = order.payment.replaced;
                accounts.get(&key).filter(|account| account.is_held()).map(|_| key.to_string())
            }
            SagaStep::VoidPayment | SagaStep::VoidRest => {
                let is_held = accounts.values().any(crate::provider::Account::is_held);
                (self.nobody_asks() && !is_held).then(|| "v".to_owned())
            }
            SagaStep::CapturePayment => {
                order.unsettled_shipment().filter(|it| self.provider.has(it.id.as_str())).map(|_| "c".to_owned())
            }
            SagaStep::RefundPayment => {
                order.unsettled_refund().filter(|it| self.provider.has(it.id.as_str())).map(|_| "r".to_owned())
            }
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::ConfirmOrder
            | SagaStep::CloseOrder
            | SagaStep::NotifyCustomer => None,
        }
    }
}
