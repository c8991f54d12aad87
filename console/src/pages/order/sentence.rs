//! Where an order is, in one sentence.

use super::answers::{OrderAnswer, SagasAnswer};
use crate::display::words;

/// Its status, its money, its goods, and what keeps it.
pub(super) fn of(order: &OrderAnswer, sagas: Option<&SagasAnswer>) -> String {
    let mut parts = vec![state(order)];
    let named = |name: &Option<crate::display::Text>, none: &str, what: &str| {
        name.as_ref().map(|name| match name.as_str() {
            "none" => none.to_owned(),
            name => format!("{what} {}", words(name)),
        })
    };
    parts.extend(named(&order.payment_status, "nothing paid", "payment"));
    parts.extend(named(&order.fulfilment_status, "nothing sent", "goods"));
    parts.extend(named(&order.returns_status, "", "returns").filter(|text| !text.is_empty()));
    if !order.holds.is_empty() {
        parts.push("on hold".to_owned());
    }
    let stuck = sagas.iter().flat_map(|report| &report.sagas).find_map(|saga| saga.stuck());
    match (stuck, sagas) {
        (Some(step), _) => parts.push(format!("stuck at the step {}", words(step.step.as_str()))),
        (None, Some(report)) => {
            parts.extend(report.waits_for.as_ref().map(|step| format!("next is {}", words(step.as_str()))));
        }
        (None, None) => {}
    }
    format!("{}.", parts.join("; "))
}

fn state(order: &OrderAnswer) -> String {
    let status = words(order.status.as_str());
    let mut letters = status.chars();
    let status: String = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    let since = order.status_since.map_or_else(String::new, |since| format!(" since {since}"));
    match order.undoing {
        true => format!("{status}{since}, and being undone"),
        false => format!("{status}{since}"),
    }
}
