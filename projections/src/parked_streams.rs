//! `POST /subscriptions/{name}/parked-events/{stream_id}/retry` and `/skip`: what operators have done with a parked stream. The copies of the
//! subscription do it, wherever they run.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use event_store::operations::{ParkedStreamAction, ParkedStreamActionError, request_parked};
use http::StatusCode;
use problem::{Problem, ProblemType};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes. They need no running subscription.
pub fn parked_stream_routes(pool: PgPool) -> OpenApiRouter {
    router().with_state(pool)
}

/// How the OpenAPI document describes [`parked_stream_routes`].
pub(crate) fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<PgPool> {
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
    )
)]
async fn retry(
    state: State<PgPool>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(StatusCode, Json<ParkedStreamRequest>), Problem> {
    ask(state, path, ParkedStreamAction::Retry).await
}

/// The first parked event of a stream is never handled, and the others are handled
#[utoipa::path(
    post,
    path = "/subscriptions/{name}/parked-events/{stream_id}/skip",
    tag = "operations",
    operation_id = "skipParkedEvent",
    params(("name" = String, Path, description = "The subscription"), ("stream_id" = String, Path, description = "The stream's id")),
    responses(
        (status = 202, description = "It is asked for", body = ParkedStreamRequest),
        (status = 404, description = "There is no such subscription, or nothing of the stream is parked"),
    )
)]
async fn skip(
    state: State<PgPool>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(StatusCode, Json<ParkedStreamRequest>), Problem> {
    ask(state, path, ParkedStreamAction::Skip).await
}

async fn ask(
    State(pool): State<PgPool>,
    path: Result<Path<(String, String)>, PathRejection>,
    action: ParkedStreamAction,
) -> Result<(StatusCode, Json<ParkedStreamRequest>), Problem> {
    let Path((subscription, stream_id)) = path.map_err(|_| Problem::not_found("there is no such stream"))?;
    let request = action.as_str();
    request_parked(&pool, &subscription, &stream_id, action).await.map_err(|error| match error {
        ParkedStreamActionError::UnknownSubscription { .. } | ParkedStreamActionError::NothingParked { .. } => {
            Problem::not_found(error.to_string())
        }
        ParkedStreamActionError::Database(error) => {
            Problem::new(ProblemType::DatabaseUnavailable, "the database failed; ask again, which changes nothing more")
                .retry_after(Duration::from_secs(1))
                .caused_by(error)
        }
    })?;
    Ok((StatusCode::ACCEPTED, Json(ParkedStreamRequest { subscription, stream_id, request })))
}
