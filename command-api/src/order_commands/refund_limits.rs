//! How much a role with a limit may refund of one order.

use std::fmt;

use access_control::Role;
use domain::money::{Currency, Money};
use domain::order::{Order, OrderEvent};
use event_store::{HandleError, ReadError, StoredEvent};
use problem::{Problem, ProblemType};

use super::ChangeOrder;

/// How much support may refund of one order, all of its refunds taken together, in each currency. Nothing in other currencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SupportRefundLimits(Vec<Money>);

impl SupportRefundLimits {
    /// Reads a comma list like `USD=100,JPY=15000`, or `none`. `None`: it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self(Vec::new()));
        }
        let mut limits: Vec<Money> = Vec::new();
        for limit in text.split(',') {
            let (currency, amount) = limit.trim().split_once('=')?;
            let limit = Money::parse(amount, Currency::parse(currency).ok()?).ok()?;
            if limits.iter().any(|other| other.currency() == limit.currency()) {
                return None;
            }
            limits.push(limit);
        }
        Some(Self(limits))
    }

    fn of(&self, currency: Currency) -> i64 {
        self.0.iter().find(|limit| limit.currency() == currency).map_or(0, |limit| limit.minor())
    }
}

impl fmt::Display for SupportRefundLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (nth, limit) in self.0.iter().enumerate() {
            write!(f, "{}{}={limit}", if nth > 0 { "," } else { "" }, limit.currency())?;
        }
        Ok(())
    }
}

impl ChangeOrder<'_> {
    /// Refuses refunds that, with those that the same role has asked for before, are more than its limit. `version` is the order's
    /// version on which `events` were decided.
    pub(super) async fn check_refund(
        &self,
        events: &[OrderEvent],
        currency: Currency,
        version: i64,
    ) -> Result<(), HandleError<Problem>> {
        let asked: i64 = events.iter().map(refund_of).sum();
        if asked == 0 {
            return Ok(());
        }
        let role = self.caller.principal.role();
        let stored = self.commands.store.read_stream::<Order>(self.order_id.as_str()).await.map_err(ReadError::from)?;
        // What was stored since would make the append fail, and the command is decided again.
        let mut before = 0_i64;
        for event in stored.iter().filter(|event| event.version <= version && is_by(event, role)) {
            let event = event.decode::<Order>().map_err(|error| HandleError::Undecidable(Problem::internal(error)))?;
            before = before.saturating_add(refund_of(&event));
        }
        let limit = self.commands.refund_limits.of(currency);
        if before.saturating_add(asked) <= limit {
            return Ok(());
        }
        let (limit, left) = (Money::from_minor(limit, currency), Money::from_minor((limit - before).max(0), currency));
        let detail = format!("the role {role} may refund {limit} {currency} of an order, and {left} of that are left");
        let problem = Problem::new(ProblemType::RefundLimit, detail);
        Err(HandleError::Refused(problem.with("limit", limit.to_string()).with("left", left.to_string())))
    }
}

/// The amount of a refund that an event asks for, in minor units.
fn refund_of(event: &OrderEvent) -> i64 {
    if let OrderEvent::RefundRequested(refund) = event { refund.amount_minor } else { 0 }
}

fn is_by(event: &StoredEvent, role: Role) -> bool {
    let by = |actor: &str| actor.split_once(':').is_some_and(|(by, _)| by == role.as_str());
    event.metadata().actor.as_deref().is_some_and(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown() {
        for (text, shown) in [
            ("USD=100,JPY=15000", "USD=100.00,JPY=15000"),
            ("EUR=0.5", "EUR=0.50"),
            ("none", "none"),
            ("USD=1, EUR=2", "USD=1.00,EUR=2.00"),
        ] {
            assert_eq!(SupportRefundLimits::parse(text).unwrap().to_string(), shown);
        }
        for wrong in ["", "100", "USD", "USD=", "usd=1", "USD=-1", "USD=1.001", "USD=1,USD=2", "XXX=1", "USD=1,"] {
            assert_eq!(SupportRefundLimits::parse(wrong), None, "{wrong}");
        }
        let limits = SupportRefundLimits::parse("USD=100").unwrap();
        assert_eq!(
            (limits.of(Currency::parse("USD").unwrap()), limits.of(Currency::parse("EUR").unwrap())),
            (10_000, 0)
        );
    }
}
