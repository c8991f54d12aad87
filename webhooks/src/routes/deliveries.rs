//! Deliveries of an endpoint: a list, one made again, events of the past.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use http::StatusCode;
use problem::{FieldError, Problem, ProblemType, QueryParameters};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::views::{DeliveryPage, DeliveryView, ReplayList, ReplayView};
use super::{EndpointPath, WebhookRouteState, endpoint_id, invalid, parse_body, problem, unavailable};
use crate::deliveries::{DELIVERY_STATES, DeliveryError, WebhookDelivery};
use crate::replay::{MOST_AT_ONCE, WebhookReplay, WebhookReplayError};

const USUAL_PAGE: i64 = 50;
const LONGEST_PAGE: i64 = 200;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryQuery {
    /// `pending`, `delivered` or `failed` (given up); all if it is left out.
    #[param(pattern = "^(pending|delivered|failed)$")]
    state: Option<String>,
    /// The most deliveries of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
}

/// The body of `POST /webhooks/{id}/replays`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhookReplay, example = json!({"from": 1}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReplayBody {
    /// The position of the first event.
    #[schema(minimum = 1)]
    from: i64,
    /// The position of the last event; the end of the log if it is left out.
    #[schema(minimum = 1)]
    to: Option<i64>,
}

/// The deliveries to an endpoint
#[utoipa::path(
    get,
    path = "/webhooks/{id}/deliveries",
    tag = "operations",
    operation_id = "listWebhookDeliveries",
    params(("id" = Uuid, Path, description = "The endpoint's id"), DeliveryQuery),
    responses(
        (status = 200, description = "A page of them, the latest event first", body = DeliveryPage),
        (status = 404, description = "There is no such endpoint"),
    )
)]
pub(super) async fn list(
    State(state): State<WebhookRouteState>,
    path: EndpointPath,
    query: Result<QueryParameters<DeliveryQuery>, Problem>,
) -> Result<Json<DeliveryPage>, Problem> {
    let (endpoint, query) = (endpoint_id(path)?, query?.0);
    let mut errors = Vec::new();
    let mut mistake = |pointer: &str, message: &str| {
        errors.push(FieldError { pointer: pointer.into(), code: "invalid".into(), message: message.into() });
    };
    let limit = query.limit.unwrap_or(USUAL_PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        mistake("?limit", "limit must be from 1 to 200");
    }
    if query.state.as_deref().is_some_and(|state| !DELIVERY_STATES.contains(&state)) {
        mistake("?state", "state must be pending, delivered or failed");
    }
    let before = query.cursor.map(|cursor| cursor.parse::<i64>().ok().filter(|before| *before > 0));
    if before == Some(None) {
        mistake("?cursor", "cursor must be the cursor of an earlier answer");
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let found = WebhookDelivery::list(&state.pool, endpoint, query.state.as_deref(), before.flatten(), limit + 1).await;
    let mut items: Vec<DeliveryView> = found.map_err(problem)?.into_iter().map(DeliveryView::from).collect();
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > most;
    items.truncate(most);
    let cursor = items.last().filter(|_| has_more).map(|last| last.position.to_string());
    Ok(Json(DeliveryPage { items, cursor }))
}

/// Makes a delivery again
///
/// It is tried at once, whatever came of it before. Later ones of its order wait for it.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/deliveries/{delivery_id}/resend",
    tag = "operations",
    operation_id = "resendWebhookDelivery",
    params(
        ("id" = Uuid, Path, description = "The endpoint's id"),
        ("delivery_id" = i64, Path, description = "The delivery's id"),
    ),
    responses(
        (status = 202, description = "It is pending again"),
        (status = 404, description = "There is no such delivery"),
    )
)]
pub(super) async fn resend(
    State(state): State<WebhookRouteState>,
    path: Result<Path<(Uuid, i64)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((endpoint, delivery)) = path.map_err(|_| Problem::not_found("there is no such delivery"))?;
    match WebhookDelivery::resend(&state.pool, Some(endpoint), delivery).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(error @ DeliveryError::Unknown(_)) => Err(Problem::not_found(error.to_string())),
        Err(DeliveryError::Database(error)) => Err(unavailable(error)),
    }
}

/// Tells an endpoint of events of the past
///
/// Each is delivered, also those that were before. An order's later events wait for its earlier ones.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/replays",
    tag = "operations",
    operation_id = "replayWebhook",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    request_body = ReplayBody,
    responses(
        (status = 202, description = "It is begun", body = ReplayView),
        (status = 404, description = "There is no such endpoint"),
        (status = 409, description = "As many replays go on as may"),
    )
)]
pub(super) async fn replay(
    State(state): State<WebhookRouteState>,
    path: EndpointPath,
    body: Result<Json<ReplayBody>, JsonRejection>,
) -> Result<(StatusCode, Json<ReplayView>), Problem> {
    let (endpoint, body) = (endpoint_id(path)?, parse_body(body)?);
    let begun = WebhookReplay::begin(&state.pool, endpoint, body.from, body.to).await;
    Ok((StatusCode::ACCEPTED, Json(begun.map_err(replay_problem)?.into())))
}

fn replay_problem(error: WebhookReplayError) -> Problem {
    match error {
        WebhookReplayError::Endpoint(error) => problem(error),
        WebhookReplayError::From { .. } => invalid("/from", format!("from {error}")),
        WebhookReplayError::To => invalid("/to", format!("to {error}")),
        WebhookReplayError::TooMany => {
            Problem::new(ProblemType::LimitReached, error.to_string()).with("of", "replays").with("limit", MOST_AT_ONCE)
        }
        WebhookReplayError::Unknown(_) => Problem::not_found(error.to_string()),
    }
}

/// Cancels a replay
///
/// It makes no more deliveries. Those that it has made are sent all the same.
#[utoipa::path(
    delete,
    path = "/webhooks/{id}/replays/{replay_id}",
    tag = "operations",
    operation_id = "cancelWebhookReplay",
    params(
        ("id" = Uuid, Path, description = "The endpoint's id"),
        ("replay_id" = Uuid, Path, description = "The replay's id"),
    ),
    responses(
        (status = 204, description = "It does not go on, or has ended before"),
        (status = 404, description = "There is no such replay"),
    )
)]
pub(super) async fn cancel_replay(
    State(state): State<WebhookRouteState>,
    path: Result<Path<(Uuid, Uuid)>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path((endpoint, replay)) = path.map_err(|_| Problem::not_found("there is no such replay"))?;
    WebhookReplay::cancel(&state.pool, Some(endpoint), replay).await.map_err(replay_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The replays to an endpoint
#[utoipa::path(
    get,
    path = "/webhooks/{id}/replays",
    tag = "operations",
    operation_id = "listWebhookReplays",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "The latest hundred", body = ReplayList),
        (status = 404, description = "There is no such endpoint"),
    )
)]
pub(super) async fn list_replays(
    State(state): State<WebhookRouteState>,
    path: EndpointPath,
) -> Result<Json<ReplayList>, Problem> {
    let replays = WebhookReplay::list(&state.pool, endpoint_id(path)?).await.map_err(problem)?;
    Ok(Json(ReplayList { items: replays.into_iter().map(ReplayView::from).collect() }))
}
