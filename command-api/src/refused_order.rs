//! Why the rules of an order refused a command, as the client gets to know it.

use domain::{Currency, LineQuantity, Money, OrderAction, Refusal, Stage};
use problem::{FieldError, Problem};

/// A refusal. `lines` are those of the body, and `currency` is the order's.
pub(crate) fn problem(refusal: &Refusal, lines: &[LineQuantity], currency: Option<Currency>) -> Problem {
    let detail = refusal.to_string();
    // Of a line that is named twice it is the second that is too much.
    let line = |line_number: u32, field: &str| {
        let index = lines.iter().rposition(|line| line.line_number == line_number);
        index.map_or_else(|| "/lines".to_owned(), |index| format!("/lines/{index}/{field}"))
    };
    match refusal {
        Refusal::ExistsWithOtherContent => Problem::conflict("order-exists", detail),
        Refusal::NoSuchOrder | Refusal::NoSuchReturn(_) => Problem::not_found(detail),
        Refusal::NotAllowed { action: _, stage, allowed } => {
            let allowed: Vec<&str> = allowed.iter().copied().map(OrderAction::name).collect();
            Problem::conflict("not-allowed", detail).with("stage", stage.name()).with("allowed", allowed)
        }
        Refusal::NotConfirmed => Problem::conflict("not-allowed", detail).with("stage", Stage::Pending.name()),
        Refusal::AllOfIt => field("/lines".to_owned(), "all_of_it", detail),
        Refusal::IdTaken { what: _ } => Problem::conflict("id-taken", detail),
        Refusal::TooManyOf { action, limit } => {
            Problem::conflict("limit-reached", detail).with("of", action.name()).with("limit", *limit)
        }
        Refusal::TooMuch { limit_bytes } => {
            Problem::conflict("limit-reached", detail).with("of", "bytes").with("limit", *limit_bytes)
        }
        Refusal::Overtaken => Problem::conflict("overtaken", detail),
        Refusal::CannotIntervene(_) => Problem::conflict("cannot-intervene", detail),
        Refusal::NoSuchLine { line_number } => field(line(*line_number, "lineNumber"), "no_such_line", detail),
        Refusal::LineTwice { line_number } => field(line(*line_number, "lineNumber"), "line_twice", detail),
        Refusal::TooMany { line_number, .. } => field(line(*line_number, "quantity"), "too_many", detail),
        Refusal::MoreThanCaptured { left_minor } => {
            let left = currency.filter(|_| *left_minor > 0).map(|currency| Money::from_minor(*left_minor, currency));
            let message = match left {
                Some(left) => format!("only {left} {} can be refunded", left.currency()),
                None => "nothing is left that could be refunded".to_owned(),
            };
            field("/amount".to_owned(), "too_much", message)
        }
    }
}

fn field(pointer: String, code: &'static str, message: String) -> Problem {
    Problem::invalid(vec![FieldError { pointer, code: code.into(), message }])
}
