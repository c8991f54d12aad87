//! Replays over HTTP, for operators: `POST /admin/replays`, `GET` and `DELETE /admin/replays/{id}`, `POST
//! /admin/rollbacks`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use error_chain::error_chain;
use http::{StatusCode, header};
use problem::{FieldError, Problem, ProblemType};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{ReplayDryRun, ReplayError, ReplayOperations, ReplayOptions, ReplayPhase, ReplayRow};
use crate::registry::REGISTRY;

/// Runs the replays that were begun over HTTP until they are over or the process stops. A stopped one goes on when it
/// is posted again.
#[derive(Clone)]
pub struct HttpReplays {
    replays: ReplayOperations,
    running: TaskTracker,
    stop: CancellationToken,
}

impl HttpReplays {
    pub fn new(replays: ReplayOperations, stop: CancellationToken) -> Self {
        Self { replays, running: TaskTracker::new(), stop }
    }

    pub fn routes(&self) -> OpenApiRouter {
        router().with_state(Arc::new(self.clone()))
    }

    /// What it begins and finds replays by.
    pub fn operations(&self) -> ReplayOperations {
        self.replays.clone()
    }

    /// Returns once the token is cancelled and all replays have stopped.
    pub async fn stopped(self) {
        self.stop.cancelled().await;
        self.running.close();
        self.running.wait().await;
    }
}

pub(crate) fn router() -> OpenApiRouter<Arc<HttpReplays>> {
    OpenApiRouter::new().routes(routes!(begin, list)).routes(routes!(show, cancel)).routes(routes!(roll_back))
}

/// The body of `POST /admin/replays`: either some projections or all.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewReplay, example = json!({"projections": ["orders"], "dryRun": true}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayBody {
    /// The names of projections.
    #[serde(default)]
    projections: Vec<String>,
    /// All projections, in place of names.
    #[serde(default)]
    all: bool,
    /// Whether the new generation is compared with the live one before it takes its place.
    #[serde(default)]
    compare: bool,
    /// Whether it is only estimated.
    #[serde(default)]
    dry_run: bool,
}

/// The body of `POST /admin/rollbacks`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewRollback, example = json!({"projection": "orders"}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollbackBody {
    projection: String,
}

/// A replay as operators see it.
#[derive(Serialize, ToSchema)]
#[schema(as = ExclusiveReplay)]
#[serde(rename_all = "camelCase")]
struct ReplayView {
    id: Uuid,
    projections: Vec<String>,
    compare: bool,
    phase: &'static str,
    /// Whether a process works on it right now.
    running: bool,
    events: u64,
    total: u64,
    position: i64,
    events_per_second: Option<f64>,
    /// For the events that the log had when the replay began.
    seconds_left: Option<f64>,
    #[serde(rename = "swapped")]
    promoted: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    comparison: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    began_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
struct ReplayList {
    items: Vec<ReplayView>,
}

/// How long a replay would take.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplayDryRun)]
#[serde(rename_all = "camelCase")]
struct EstimateView {
    projections: Vec<&'static str>,
    /// The events that it would fold.
    events: u64,
    /// The events after which an unfinished replay of the same projections would go on.
    begun: Option<u64>,
    /// The events that the estimate is based on.
    sample: u64,
    expected_seconds: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Rollback)]
struct RollbackView {
    projection: String,
    /// The position of the log up to which the read model is folded.
    position: i64,
}

/// Begins to rebuild read models, or estimates how long that takes
#[utoipa::path(
    post,
    path = "/admin/replays",
    tag = "operations",
    operation_id = "beginReplay",
    request_body = ReplayBody,
    responses(
        (status = 200, description = "The estimate, for `dryRun`", body = EstimateView),
        (
            status = 202,
            description = "It is begun",
            body = ReplayView,
            headers(("Location" = String, description = "The replay"))
        ),
        (status = 409, description = "A replay runs already, or an earlier one is unfinished"),
    )
)]
async fn begin(
    State(routes): State<Arc<HttpReplays>>,
    body: Result<Json<ReplayBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let body = parse_body(body)?;
    let projections = match (body.all, body.projections.is_empty()) {
        (true, true) => REGISTRY.iter().map(|projection| projection.name.to_owned()).collect(),
        (false, false) => body.projections,
        (true, false) => return Err(invalid("/all", "is true although projections are named: give one of the two")),
        (false, true) => return Err(invalid("/projections", "is empty: name projections, or give \"all\": true")),
    };
    if body.dry_run {
        return Ok(Json(estimate(&routes.replays, &projections).await?).into_response());
    }
    let replay = routes.replays.open(&ReplayOptions { projections, compare: body.compare }).await.map_err(problem)?;
    let id = replay.state().id;
    let stop = routes.stop.clone();
    routes.running.spawn(async move {
        match replay.run(&stop, |_| ()).await {
            Ok(summary) => {
                tracing::info!(replay = %id, events = summary.events, swapped = summary.promoted, "replayed");
            }
            Err(error @ (ReplayError::Stopped | ReplayError::Cancelled)) => {
                tracing::info!(replay = %id, %error, "replay");
            }
            Err(error) => {
                tracing::error!(replay = %id, error = %error_chain(&error), "the replay failed");
            }
        }
    });
    let state = ReplayView::of(routes.replays.find(id).await.map_err(problem)?);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/admin/replays/{id}"))], Json(state)).into_response())
}

/// The replays
#[utoipa::path(
    get,
    path = "/admin/replays",
    tag = "operations",
    operation_id = "listReplays",
    responses((status = 200, description = "All that are known", body = ReplayList))
)]
async fn list(State(routes): State<Arc<HttpReplays>>) -> Result<Json<ReplayList>, Problem> {
    all(&routes.replays).await.map(Json)
}

/// What `GET /admin/replays` answers, for those who answer otherwise.
pub async fn read_replays(replays: &ReplayOperations) -> Result<impl Serialize + use<>, Problem> {
    all(replays).await
}

/// What `POST /admin/replays` answers to a dry run, likewise.
pub async fn read_estimate(
    replays: &ReplayOperations,
    projections: &[String],
) -> Result<impl Serialize + use<>, Problem> {
    estimate(replays, projections).await
}

async fn all(replays: &ReplayOperations) -> Result<ReplayList, Problem> {
    let replays = replays.list().await.map_err(problem)?;
    Ok(ReplayList { items: replays.into_iter().map(ReplayView::of).collect() })
}

async fn estimate(replays: &ReplayOperations, projections: &[String]) -> Result<EstimateView, Problem> {
    let ReplayDryRun { projections, events, sample, expected, begun } =
        replays.estimate(projections).await.map_err(problem)?;
    let expected_seconds = expected.map(|expected| expected.as_secs_f64());
    Ok(EstimateView { projections, events, begun, sample, expected_seconds })
}

/// A replay
#[utoipa::path(
    get,
    path = "/admin/replays/{id}",
    tag = "operations",
    operation_id = "getReplay",
    params(("id" = Uuid, Path, description = "The replay's id")),
    responses(
        (status = 200, description = "How far it is", body = ReplayView),
        (status = 404, description = "There is no such replay"),
    )
)]
async fn show(
    State(routes): State<Arc<HttpReplays>>,
    path: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<ReplayView>, Problem> {
    Ok(Json(ReplayView::of(routes.replays.find(replay_id(path)?).await.map_err(problem)?)))
}

/// Cancels a replay
#[utoipa::path(
    delete,
    path = "/admin/replays/{id}",
    tag = "operations",
    operation_id = "cancelReplay",
    params(("id" = Uuid, Path, description = "The replay's id")),
    responses(
        (status = 204, description = "It is cancelled, and what it had built is gone"),
        (status = 404, description = "There is no such replay"),
        (status = 409, description = "It is over"),
    )
)]
async fn cancel(
    State(routes): State<Arc<HttpReplays>>,
    path: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let state = routes.replays.find(replay_id(path)?).await.map_err(problem)?;
    if state.phase == ReplayPhase::Done {
        return Err(problem(ReplayError::TooLate));
    }
    routes.replays.cancel(&state.projections[0]).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts the previous generation of a read model back
#[utoipa::path(
    post,
    path = "/admin/rollbacks",
    tag = "operations",
    operation_id = "rollBack",
    request_body = RollbackBody,
    responses(
        (status = 200, description = "It is live again", body = RollbackView),
        (status = 409, description = "There is no previous generation, or a replay runs"),
    )
)]
async fn roll_back(
    State(routes): State<Arc<HttpReplays>>,
    body: Result<Json<RollbackBody>, JsonRejection>,
) -> Result<Json<RollbackView>, Problem> {
    let RollbackBody { projection } = parse_body(body)?;
    let (replays, name) = (routes.replays.clone(), projection.clone());
    // In a task of its own, so that it goes on if the client disconnects: the live generation must not be left without
    // a projector.
    let restored = routes.running.spawn(async move { replays.roll_back(&name).await }).await;
    let position = restored.map_err(Problem::internal)?.map_err(|error| {
        let unknown = matches!(error, ReplayError::UnknownProjection { .. });
        if unknown { invalid("/projection", error.to_string()) } else { problem(error) }
    })?;
    Ok(Json(RollbackView { projection, position }))
}

impl ReplayView {
    fn of(state: ReplayRow) -> Self {
        let rate = state.rate();
        #[expect(clippy::cast_precision_loss, reason = "a log has fewer than 2^52 events")]
        let left = state.total.saturating_sub(state.events) as f64;
        Self {
            events_per_second: rate.map(f64::round),
            seconds_left: rate.filter(|_| state.running).map(|rate| (left / rate).round()),
            id: state.id,
            projections: state.projections,
            compare: state.compares,
            phase: state.phase.name(),
            running: state.running,
            events: state.events,
            total: state.total,
            position: state.position,
            promoted: state.promoted,
            comparison: state.comparison,
            error: state.error,
            began_at: state.began_at,
            updated_at: state.updated_at,
        }
    }
}

fn replay_id(path: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    path.map(|Path(id)| id).map_err(|_| Problem::not_found("there is no such replay"))
}

pub(crate) fn parse_body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
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

pub(crate) fn invalid(pointer: &str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError { pointer: pointer.into(), code: "invalid".into(), message: message.into() }])
}

fn problem(error: ReplayError) -> Problem {
    let text = error.to_string();
    match error {
        ReplayError::UnknownProjection { .. } | ReplayError::NoProjection => invalid("/projections", text),
        ReplayError::NoReplay(_) => Problem::not_found(text),
        ReplayError::AlreadyRunning(_) => Problem::new(ProblemType::ReplayRunning, text),
        ReplayError::Unfinished { .. } => Problem::new(ProblemType::ReplayUnfinished, text),
        ReplayError::NothingToCancel(_) => Problem::new(ProblemType::NothingToCancel, text),
        ReplayError::TooLate => Problem::new(ProblemType::ReplayOver, text),
        ReplayError::NoPrevious(_) => Problem::new(ProblemType::NoPreviousGeneration, text),
        ReplayError::Cancelled | ReplayError::Stopped | ReplayError::LeaseLost(_) | ReplayError::InUse(_) => {
            Problem::new(ProblemType::ReplayEnded, text).retry_after(Duration::from_secs(1))
        }
        ReplayError::Database(_) | ReplayError::Store(_) => {
            let detail = "the database failed";
            Problem::new(ProblemType::DatabaseUnavailable, detail).retry_after(Duration::from_secs(1)).caused_by(error)
        }
        ReplayError::Project(_) | ReplayError::Malformed(_) | ReplayError::FoldEnded => Problem::internal(error),
    }
}
