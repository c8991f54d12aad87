//! `POST /subscriptions/{name}/parked-events/{stream_id}/retry` and `/skip`: what operators have done with a parked stream. The copies of the
//! subscription do it, wherever they run.

use std::time::Duration;

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use event_store::operations::{ParkedStreamAction, ParkedStreamActionError, RequestCondition, request_parked};
use http::StatusCode;
use problem::{Problem, ProblemType};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::replay::{invalid, parse_body};

/// Up to here a floating point number has every whole number: 2^53.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;
/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

pub(crate) fn router() -> OpenApiRouter<PgPool> {
    OpenApiRouter::new().routes(routes!(retry)).routes(routes!(skip))
}

/// What was asked for, and is done once a copy of the subscription runs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ParkedStreamRequest {
    subscription: String,
    stream_id: String,
    /// `retry` or `skip`.
    request: &'static str,
}

/// The body of `POST /subscriptions/{name}/parked-events/{stream_id}/skip`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ParkedEventSkip, example = json!({"position": 4711, "reason": "the event was written twice"}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SkipBody {
    /// The position of the event that was looked at. It is skipped only as the first parked event of its stream.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "whole_number")]
    position: i64,
    /// Why, for the log: not only spaces.
    #[schema(max_length = 500, pattern = r"[^\s]")]
    reason: String,
}

/// JSON has one kind of number: 7.0 is 7.
fn whole_number<'de, D: Deserializer<'de>>(number: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(number)?;
    let whole = || {
        let number = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= MOST_EXACT)?;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and far from the ends")]
        Some(number as i64)
    };
    number.as_i64().or_else(whole).ok_or_else(|| serde::de::Error::custom("the position has to be a whole number"))
}

/// The parked events of a stream are handled again
#[utoipa::path(
    post,
    path = "/subscriptions/{name}/parked-events/{stream_id}/retry",
    tag = "operations",
    operation_id = "retryParkedEvents",
    params(("name" = String, Path, description = "The subscription"), ("stream_id" = String, Path, description = "The stream's id")),
    responses(
        (status = 202, description = "It is asked for", body = ParkedStreamRequest),
        (status = 404, description = "There is no such subscription, or nothing of the stream is parked"),
        (status = 409, description = "A skip is asked for, and not done yet"),
    )
)]
async fn retry(
    state: State<PgPool>,
    caller: AuthorizedCaller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(StatusCode, Json<ParkedStreamRequest>), Problem> {
    let asked = ask(state, path, ParkedStreamAction::Retry, RequestCondition::NoOtherRequest).await?;
    let actor = caller.principal.actor();
    tracing::info!(
        actor,
        subscription = asked.subscription,
        stream_id = asked.stream_id,
        "a stream is to be tried again"
    );
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// The first parked event of a stream is never handled, and the others are handled
#[utoipa::path(
    post,
    path = "/subscriptions/{name}/parked-events/{stream_id}/skip",
    tag = "operations",
    operation_id = "skipParkedEvent",
    params(("name" = String, Path, description = "The subscription"), ("stream_id" = String, Path, description = "The stream's id")),
    request_body = SkipBody,
    responses(
        (status = 202, description = "It is asked for", body = ParkedStreamRequest),
        (status = 404, description = "There is no such subscription, or nothing of the stream is parked"),
        (status = 409, description = "Another event is the first, or a retry is asked for and not done yet"),
    )
)]
async fn skip(
    state: State<PgPool>,
    caller: AuthorizedCaller,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Result<Json<SkipBody>, JsonRejection>,
) -> Result<(StatusCode, Json<ParkedStreamRequest>), Problem> {
    let SkipBody { position, reason } = parse_body(body)?;
    if position < 1 {
        return Err(invalid("/position", "has to be at least 1"));
    }
    if reason.trim().is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(invalid("/reason", format!("has to say why, in at most {LONGEST_REASON} characters")));
    }
    let asked = ask(state, path, ParkedStreamAction::Skip, RequestCondition::First(position)).await?;
    let actor = caller.principal.actor();
    let ParkedStreamRequest { subscription, stream_id, .. } = &asked;
    tracing::warn!(actor, subscription, stream_id, position, reason, "a parked event is to be skipped");
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

async fn ask(
    State(pool): State<PgPool>,
    path: Result<Path<(String, String)>, PathRejection>,
    action: ParkedStreamAction,
    condition: RequestCondition,
) -> Result<ParkedStreamRequest, Problem> {
    let Path((subscription, stream_id)) = path.map_err(|_| Problem::not_found("there is no such stream"))?;
    let request = action.as_str();
    request_parked(&pool, &subscription, &stream_id, action, condition).await.map_err(|error| match error {
        ParkedStreamActionError::UnknownSubscription { .. } | ParkedStreamActionError::NothingParked { .. } => {
            Problem::not_found(error.to_string())
        }
        ParkedStreamActionError::NotFirst { .. } | ParkedStreamActionError::OtherRequest { .. } => {
            Problem::new(ProblemType::Conflict, error.to_string())
        }
        ParkedStreamActionError::Database(error) => {
            Problem::new(ProblemType::DatabaseUnavailable, "the database failed; ask again, which changes nothing more")
                .retry_after(Duration::from_secs(1))
                .caused_by(error)
        }
    })?;
    Ok(ParkedStreamRequest { subscription, stream_id, request })
}
