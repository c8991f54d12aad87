//! Why the rules of an order refuse a command, as the client gets to know it.

use domain::body::InvalidBody;
use domain::money::{Currency, Money};
use domain::order::event::LineQuantity;
use domain::order::{OrderAction, OrderError, OrderStage};
use problem::{FieldError, Problem, ProblemType};

use crate::problems;

/// A refusal. `lines` are those of the request, and `currency` is the order's.
pub(crate) fn problem(refusal: &OrderError, lines: &[LineQuantity], currency: Option<Currency>) -> Problem {
    let detail = refusal.to_string();
    // Of a line that is named twice the second one is too much.
    let line = |line_number: u32, field: &str| {
        let index = lines.iter().rposition(|line| line.line_number == line_number);
        index.map_or_else(|| "/lines".to_owned(), |index| format!("/lines/{index}/{field}"))
    };
    match refusal {
        OrderError::ExistsWithOtherContent => Problem::new(ProblemType::OrderExists, detail),
        OrderError::MailWithdrawn => Problem::new(ProblemType::MailWithdrawn, detail),
        OrderError::NoSuchOrder
        | OrderError::NoSuchMail(_)
        | OrderError::NoSuchReturn(_)
        | OrderError::NoSuchShipment(_)
        | OrderError::NoSuchHold(_) => Problem::not_found(detail),
        OrderError::NotAllowed { action, stage, allowed } => {
            let allowed: Vec<&str> = allowed.iter().copied().map(OrderAction::name).collect();
            let is_held = matches!(stage, OrderStage::ConfirmedOnHold | OrderStage::PartiallyShippedOnHold);
            let waits = is_held && *action == OrderAction::Ship;
            let is_edited = matches!(stage, OrderStage::Editing | OrderStage::PartiallyShippedEditing);
            let kind = if is_edited && matches!(action, OrderAction::Ship | OrderAction::Edit) {
                ProblemType::BeingEdited
            } else if waits {
                ProblemType::OnHold
            } else {
                ProblemType::NotAllowed
            };
            Problem::new(kind, detail).with("stage", stage.name()).with("allowed", allowed)
        }
        OrderError::ReturnIsClosed { .. } => Problem::new(ProblemType::ReturnClosed, detail),
        OrderError::NotConfirmed => {
            Problem::new(ProblemType::NotAllowed, detail).with("stage", OrderStage::Pending.name())
        }
        OrderError::InvalidEdit(violations) => problems::invalid_body(InvalidBody::Invalid(violations.clone())),
        OrderError::AllOfIt => field("/lines".to_owned(), "all_of_it", detail),
        OrderError::IdTaken { what: _ } => Problem::new(ProblemType::IdTaken, detail),
        OrderError::TooManyOf { action, limit } => {
            Problem::new(ProblemType::LimitReached, detail).with("of", action.name()).with("limit", *limit)
        }
        OrderError::TooMuch { limit_bytes } => {
            Problem::new(ProblemType::LimitReached, detail).with("of", "bytes").with("limit", *limit_bytes)
        }
        // Only the commands of sagas and of operators are refused so.
        OrderError::Stale | OrderError::CannotIntervene(_) => Problem::internal(detail),
        OrderError::NoSuchLine { line_number } => field(line(*line_number, "lineNumber"), "no_such_line", detail),
        OrderError::LineTwice { line_number } => field(line(*line_number, "lineNumber"), "line_twice", detail),
        OrderError::TooMany { line_number, .. } => field(line(*line_number, "quantity"), "too_many", detail),
        OrderError::TooManyAtLocation { line_number, .. } => {
            field(line(*line_number, "quantity"), "too_many_at_location", detail)
        }
        OrderError::NothingAtLocation(_) => field("/location".to_owned(), "nothing_there", detail),
        OrderError::MoreThanCaptured { left_minor } => {
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
