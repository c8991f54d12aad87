//! `POST /orders/{order_id}/saga/decisions`: what an operator decides about a step of an order's sagas.

use std::sync::Arc;

use access_control::AuthorizedCaller;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::ids::OrderId;
use domain::order::OrderError;
use domain::order::parse::{StepDecision, parse_decision};
use domain::stock::Stock;
use event_store::{AppendError, EventStore, HandleError, Handled, StreamLocks};
use http::StatusCode;
use problem::{Problem, ProblemType};
use sagas::operator::{InterventionError, ManualRefundName, intervene_once};
use utoipa::ToSchema;

use crate::answer::{CommandResponse, CommandTarget};
use crate::operations::CommandDescription;
use crate::order_commands::{no_such_order, outcome_unknown};
use crate::request::{BodyRequirement, CommandRequestReader};
use crate::{order_refusal, problems};

pub(crate) const PATH: &str = "/orders/{order_id}/saga/decisions";

pub(crate) const DESCRIPTION: CommandDescription = CommandDescription::of::<NewDecision>(
    "decideSagaStep",
    "An operator decides about a step of an order's sagas, which carry it out",
    r#"{"decision": "retry", "step": "authorize_payment", "reason": "the provider is back"}"#,
);

/// What an operator decides about a step.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is described, and never made")]
pub(crate) struct NewDecision {
    #[schema(pattern = "^(retry|skip|compensate|mark-succeeded|mark-failed)$")]
    decision: String,
    /// As the report on the order's sagas names it.
    #[schema(pattern = "^[a-z_]+$")]
    step: String,
    /// Why, for other operators: not only spaces. The customer does not read it.
    #[schema(max_length = 500, pattern = r"^[^\u0000]*[^\u0000\s][^\u0000]*$")]
    reason: String,
    /// Which payment, where the order has several.
    #[schema(minimum = 1, maximum = 4_294_967_295_u32)]
    payment_number: Option<u32>,
    /// Another means of payment, for `retry`.
    payment_token: Option<String>,
    /// What the provider knows it by, for `mark-succeeded`, which needs it.
    #[schema(max_length = 500)]
    reference: Option<String>,
    /// One line for the customer, for `compensate` and `mark-failed`.
    #[schema(max_length = 500)]
    customer_message: Option<String>,
    /// Which refund is meant. It is refused if the step is at another one.
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,128}$")]
    refund_id: Option<String>,
    /// Whether what will never be captured of a payment is meant, and no refund.
    rest: Option<bool>,
}

/// What decisions work with.
pub(crate) struct DecisionDependencies {
    pub(crate) store: EventStore,
    pub(crate) stock: StreamLocks<Stock>,
    pub(crate) requests: CommandRequestReader,
}

pub(crate) async fn decide(
    State(decisions): State<Arc<DecisionDependencies>>,
    path: Result<Path<String>, PathRejection>,
    caller: AuthorizedCaller,
    request: Request,
) -> Result<Response, Problem> {
    let order_id = path.ok().and_then(|Path(id)| OrderId::parse(id).ok()).ok_or_else(no_such_order)?;
    let target = request.uri().path().to_owned();
    let (requests, store) = (&decisions.requests, &decisions.store);
    let request = requests.read_body(request, BodyRequirement::Required).await?;
    store.ensure_capacity().map_err(problems::not_appended)?;
    let request = requests.begin(store, &caller, request, "POST /orders/saga/decisions", Some(&target)).await?;
    let precondition = request.precondition()?;
    let decision = parse_decision(&request.body, caller.principal.subject()).map_err(problems::invalid_body)?;
    let StepDecision { intervention, refund_id, is_rest } = decision;
    let rest = is_rest.then_some(ManualRefundName::Rest);
    let named = refund_id.map(ManualRefundName::Refund).or(rest);
    let at = (order_id.as_str(), &precondition);
    let handled = intervene_once(store, &decisions.stock, at, intervention, named, request.key()).await;
    let (handled, _) = handled.map_err(not_decided)?;
    let (version, position, replayed) = match handled {
        Handled::Appended(appended) => (appended.version, appended.position, false),
        Handled::Unchanged(at) => (at.version, at.position, false),
        Handled::Replayed(record) => (record.version, record.position, true),
    };
    CommandResponse { resource: CommandTarget::Order(&order_id), version, position, made: &[], replayed }
        .into_response(StatusCode::ACCEPTED)
}

fn not_decided(error: HandleError<InterventionError>) -> Problem {
    match error {
        HandleError::Refused(refusal) | HandleError::Undecidable(refusal) => refused(refusal),
        HandleError::Append(error @ AppendError::Unknown(_)) => outcome_unknown(error),
        HandleError::Append(error) => problems::not_appended(error),
        HandleError::Read(error) => problems::not_read(error),
        HandleError::Encode(error) => Problem::internal(error),
        HandleError::KeyReused => problems::not_handled(HandleError::KeyReused),
        HandleError::Contended { current_version } => problems::not_handled(HandleError::Contended { current_version }),
    }
}

fn refused(refusal: InterventionError) -> Problem {
    match refusal {
        InterventionError::NoSuchOrder(_) => no_such_order(),
        InterventionError::OtherVersion(problem) => problem,
        InterventionError::Stale(_) => Problem::new(ProblemType::Conflict, refusal.to_string()),
        InterventionError::Refused(OrderError::CannotIntervene(why)) => Problem::new(ProblemType::NotAllowed, why),
        InterventionError::Refused(error) => order_refusal::problem(&error, &[], None),
        InterventionError::Failed(_) => {
            let detail = "the order could not be read; nothing was stored";
            Problem::new(ProblemType::DatabaseUnavailable, detail)
                .retry_after(problems::RETRY_SOON)
                .caused_by(refusal.to_string())
        }
    }
}
