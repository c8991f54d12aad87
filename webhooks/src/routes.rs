//! Webhooks over HTTP, for operators: endpoints below `/webhooks`, and what was delivered to them.

mod deliveries;
mod views;

use std::time::Duration;

use access_control::Role;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use problem::{FieldError, Problem, ProblemType};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::views::{EndpointList, EndpointView};
use crate::address_guard::AllowedNetworks;
use crate::endpoint::{EndpointError, EndpointMistake, MOST_ENDPOINTS, NewEndpoint, WebhookEndpoint};
use crate::endpoint_url::EndpointUrl;

/// The routes. They need no running deliveries.
pub fn routes(pool: PgPool, allowed: AllowedNetworks) -> OpenApiRouter {
    router().with_state(WebhookRouteState { pool, allowed })
}

/// How the OpenAPI document describes [`routes()`].
#[must_use]
pub fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<WebhookRouteState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, delete))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(rotate_secret))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::resend))
        .routes(routes!(deliveries::replay, deliveries::list_replays))
        .routes(routes!(deliveries::cancel_replay))
}

#[derive(Debug, Clone)]
pub(crate) struct WebhookRouteState {
    pool: PgPool,
    allowed: AllowedNetworks,
}

/// The body of `POST /webhooks`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhookEndpoint, example = json!({"url": "https://erp.example/ordo", "eventTypes": ["OrderConfirmed"]}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndpointBody {
    /// Where events are posted to: `https`.
    #[schema(max_length = 2048)]
    url: String,
    /// The names of the events that it is told of; all if it is left out or empty.
    #[serde(default)]
    #[schema(max_items = 100)]
    event_types: Vec<String>,
    #[serde(default)]
    #[schema(max_length = 512)]
    description: String,
    /// It gets of each event what this role sees: `auditor` (personal data masked), `warehouse` (nothing of payments) or `shop` (all but
    /// secrets).
    #[serde(default = "auditor")]
    role: String,
}

fn auditor() -> String {
    Role::Auditor.as_str().to_owned()
}

/// Makes an endpoint
///
/// It is told of all events from now on. Its secret is shown in this answer only.
#[utoipa::path(
    post,
    path = "/webhooks",
    tag = "operations",
    operation_id = "createWebhook",
    request_body = EndpointBody,
    responses(
        (
            status = 201,
            description = "It is made",
            body = EndpointView,
            headers(("Location" = String, description = "The endpoint"))
        ),
        (status = 409, description = "There are as many as there may be"),
    )
)]
async fn create(
    State(state): State<WebhookRouteState>,
    body: Result<Json<EndpointBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let body = parse_body(body)?;
    // A text that is no role has none of the roles that an endpoint can have.
    let role = body.role.parse().unwrap_or(Role::Customer);
    let url = EndpointUrl::parse(&body.url, &state.allowed);
    let new = NewEndpoint::new(url, body.description, body.event_types, role).map_err(mistakes)?;
    let (endpoint, secret) = WebhookEndpoint::create(&state.pool, &new).await.map_err(problem)?;
    let location = format!("/webhooks/{}", endpoint.id);
    let view = EndpointView::of(endpoint).with_secret(&secret);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(view)).into_response())
}

/// The endpoints
#[utoipa::path(
    get,
    path = "/webhooks",
    tag = "operations",
    operation_id = "listWebhooks",
    responses((status = 200, description = "All of them, the oldest first", body = EndpointList))
)]
async fn list(State(state): State<WebhookRouteState>) -> Result<Json<EndpointList>, Problem> {
    let endpoints = WebhookEndpoint::list(&state.pool).await.map_err(problem)?;
    Ok(Json(EndpointList { items: endpoints.into_iter().map(EndpointView::of).collect() }))
}

/// An endpoint
#[utoipa::path(
    get,
    path = "/webhooks/{id}",
    tag = "operations",
    operation_id = "getWebhook",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "The endpoint, without its secret", body = EndpointView),
        (status = 404, description = "There is no such endpoint"),
    )
)]
async fn show(State(state): State<WebhookRouteState>, path: EndpointPath) -> Result<Json<EndpointView>, Problem> {
    let endpoint = WebhookEndpoint::find(&state.pool, endpoint_id(path)?).await.map_err(problem)?;
    Ok(Json(EndpointView::of(endpoint)))
}

/// Deletes an endpoint for good, with its deliveries
#[utoipa::path(
    delete,
    path = "/webhooks/{id}",
    tag = "operations",
    operation_id = "deleteWebhook",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    responses(
        (status = 204, description = "It is deleted. What was under way may still arrive"),
        (status = 404, description = "There is no such endpoint"),
    )
)]
async fn delete(State(state): State<WebhookRouteState>, path: EndpointPath) -> Result<StatusCode, Problem> {
    WebhookEndpoint::delete(&state.pool, endpoint_id(path)?).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delivers to an endpoint again
///
/// What waits is tried at once. `missedFrom` of the answer is the position of the first event that was missed: a replay from there
/// makes up for it.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/enable",
    tag = "operations",
    operation_id = "enableWebhook",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "It is enabled", body = EndpointView),
        (status = 404, description = "There is no such endpoint"),
    )
)]
async fn enable(State(state): State<WebhookRouteState>, path: EndpointPath) -> Result<Json<EndpointView>, Problem> {
    let endpoint = WebhookEndpoint::enable(&state.pool, endpoint_id(path)?).await.map_err(problem)?;
    Ok(Json(EndpointView::of(endpoint)))
}

/// Stops deliveries to an endpoint
///
/// Those that are pending wait. Events that come meanwhile are not recorded for it.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/disable",
    tag = "operations",
    operation_id = "disableWebhook",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "It is disabled", body = EndpointView),
        (status = 404, description = "There is no such endpoint"),
    )
)]
async fn disable(State(state): State<WebhookRouteState>, path: EndpointPath) -> Result<Json<EndpointView>, Problem> {
    let endpoint = WebhookEndpoint::disable(&state.pool, endpoint_id(path)?).await.map_err(problem)?;
    Ok(Json(EndpointView::of(endpoint)))
}

/// Gives an endpoint another secret
///
/// It is shown in this answer only. For a day deliveries are signed with the one before as well.
#[utoipa::path(
    post,
    path = "/webhooks/{id}/rotate-secret",
    tag = "operations",
    operation_id = "rotateWebhookSecret",
    params(("id" = Uuid, Path, description = "The endpoint's id")),
    responses(
        (status = 200, description = "The new secret", body = EndpointView),
        (status = 404, description = "There is no such endpoint"),
    )
)]
async fn rotate_secret(
    State(state): State<WebhookRouteState>,
    path: EndpointPath,
) -> Result<Json<EndpointView>, Problem> {
    let rotated = WebhookEndpoint::rotate_secret(&state.pool, endpoint_id(path)?).await;
    let (endpoint, secret) = rotated.map_err(problem)?;
    Ok(Json(EndpointView::of(endpoint).with_secret(&secret)))
}

type EndpointPath = Result<Path<Uuid>, PathRejection>;

fn endpoint_id(path: EndpointPath) -> Result<Uuid, Problem> {
    path.map(|Path(id)| id).map_err(|_| Problem::not_found("there is no such endpoint"))
}

fn parse_body<T: DeserializeOwned>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(error @ JsonRejection::MissingJsonContentType(_)) => {
            Err(Problem::unsupported_media_type(error.body_text()))
        }
        // The error text names the field.
        Err(error @ JsonRejection::JsonDataError(_)) => Err(invalid("", error.body_text())),
        Err(error) => Err(Problem::malformed(error.body_text())),
    }
}

fn invalid(pointer: &str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError { pointer: pointer.into(), code: "invalid".into(), message: message.into() }])
}

fn mistakes(mistakes: Vec<EndpointMistake>) -> Problem {
    let error = |EndpointMistake { field, message }| FieldError {
        pointer: format!("/{field}"),
        code: "invalid".into(),
        message: format!("{field} {message}"),
    };
    Problem::invalid(mistakes.into_iter().map(error).collect())
}

fn problem(error: EndpointError) -> Problem {
    match error {
        EndpointError::Unknown(_) => Problem::not_found(error.to_string()),
        EndpointError::TooMany => Problem::new(ProblemType::LimitReached, error.to_string())
            .with("of", "webhooks")
            .with("limit", MOST_ENDPOINTS),
        EndpointError::Random => Problem::internal(error),
        EndpointError::Database(error) => unavailable(error),
    }
}

fn unavailable(error: sqlx::Error) -> Problem {
    let problem = Problem::new(ProblemType::DatabaseUnavailable, "the database failed");
    problem.retry_after(Duration::from_secs(1)).caused_by(error)
}
