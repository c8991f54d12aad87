//! Replays over HTTP, for operators: `POST /admin/replays`, `GET` and `DELETE /admin/replays/{id}`, `POST /admin/rollbacks`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use http::{StatusCode, header};
use problem::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{Phase, ReplayError, ReplayState, Replays, Wanted};
use crate::REGISTRY;

/// Replays that were begun over HTTP run here until they are over, or the process stops: then they go on when they are posted again.
#[derive(Clone)]
pub struct ReplayRoutes {
    replays: Replays,
    running: TaskTracker,
    stop: CancellationToken,
}

impl ReplayRoutes {
    /// Replays that stop with this token.
    pub fn new(replays: Replays, stop: CancellationToken) -> Self {
        Self { replays, running: TaskTracker::new(), stop }
    }

    /// The routes.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/admin/replays", post(begin).get(list))
            .route("/admin/replays/{id}", get(show).delete(cancel))
            .route("/admin/rollbacks", post(roll_back))
            .with_state(Arc::new(self.clone()))
    }

    /// Waits for the stop, and until what was running has stopped.
    pub async fn stopped(self) {
        self.stop.cancelled().await;
        self.running.close();
        self.running.wait().await;
    }
}

type Here = State<Arc<ReplayRoutes>>;

/// What is to be rebuilt. Either some projections or all.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Posted {
    #[serde(default)]
    projections: Vec<String>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    compare: bool,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RollBack {
    projection: String,
}

/// A replay as operators see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: Uuid,
    projections: Vec<String>,
    compare: bool,
    phase: &'static str,
    /// Whether anybody works on it right now.
    running: bool,
    events: u64,
    total: u64,
    position: i64,
    events_per_second: Option<f64>,
    /// As far as the events go that there were when it began.
    seconds_left: Option<f64>,
    swapped: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    began_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

async fn begin(State(here): Here, posted: Result<Json<Posted>, JsonRejection>) -> Result<Response, Problem> {
    let posted = body(posted)?;
    let projections = match (posted.all, posted.projections.is_empty()) {
        (true, true) => REGISTRY.iter().map(|projection| projection.name.to_owned()).collect(),
        (false, false) => posted.projections,
        (true, false) => return Err(invalid("/all", "is true although projections are named: give one of the two")),
        (false, true) => return Err(invalid("/projections", "is empty: name projections, or give \"all\": true")),
    };
    if posted.dry_run {
        let estimate = here.replays.estimate(&projections).await.map_err(refused)?;
        let seconds = estimate.expected.map(|expected| expected.as_secs_f64());
        let answer = json!({
            "projections": estimate.projections,
            "events": estimate.events,
            "begun": estimate.begun,
            "sample": estimate.sample,
            "expectedSeconds": seconds,
        });
        return Ok(Json(answer).into_response());
    }
    let replay = here.replays.open(&Wanted { projections, compare: posted.compare }).await.map_err(refused)?;
    let id = replay.state().id;
    let stop = here.stop.clone();
    here.running.spawn(async move {
        match replay.run(&stop, |_| ()).await {
            Ok(replayed) => {
                tracing::info!(replay = %id, events = replayed.events, swapped = replayed.swapped, "replayed");
            }
            Err(error @ (ReplayError::Stopped | ReplayError::Cancelled)) => {
                tracing::info!(replay = %id, %error, "replay");
            }
            Err(error) => {
                tracing::error!(replay = %id, error = &error as &dyn std::error::Error, "the replay failed");
            }
        }
    });
    let state = Shown::of(here.replays.find(id).await.map_err(refused)?);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/admin/replays/{id}"))], Json(state)).into_response())
}

async fn list(State(here): Here) -> Result<Json<serde_json::Value>, Problem> {
    let replays = here.replays.list().await.map_err(refused)?;
    Ok(Json(json!({ "items": replays.into_iter().map(Shown::of).collect::<Vec<_>>() })))
}

async fn show(State(here): Here, path: Result<Path<Uuid>, PathRejection>) -> Result<Json<Shown>, Problem> {
    Ok(Json(Shown::of(here.replays.find(id(path)?).await.map_err(refused)?)))
}

async fn cancel(State(here): Here, path: Result<Path<Uuid>, PathRejection>) -> Result<StatusCode, Problem> {
    let state = here.replays.find(id(path)?).await.map_err(refused)?;
    if state.phase == Phase::Done {
        return Err(refused(ReplayError::TooLate));
    }
    here.replays.cancel(&state.projections[0]).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn roll_back(
    State(here): Here,
    posted: Result<Json<RollBack>, JsonRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let RollBack { projection } = body(posted)?;
    let (replays, name) = (here.replays.clone(), projection.clone());
    // It goes on although the client leaves: in the middle of it the live one stands still.
    let went_back = here.running.spawn(async move { replays.roll_back(&name).await }).await;
    let position = went_back.map_err(Problem::internal)?.map_err(|error| {
        let unknown = matches!(error, ReplayError::Unknown { .. });
        if unknown { invalid("/projection", error.to_string()) } else { refused(error) }
    })?;
    Ok(Json(json!({ "projection": projection, "position": position })))
}

impl Shown {
    fn of(state: ReplayState) -> Self {
        let rate = state.rate();
        #[expect(clippy::cast_precision_loss, reason = "nobody counts as far")]
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
            swapped: state.swapped,
            comparison: state.comparison,
            error: state.error,
            began_at: state.began_at,
            updated_at: state.updated_at,
        }
    }
}

fn id(path: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    path.map(|Path(id)| id).map_err(|_| Problem::not_found("there is no such replay"))
}

fn body<T>(posted: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    match posted {
        Ok(Json(body)) => Ok(body),
        Err(error @ JsonRejection::MissingJsonContentType(_)) => {
            Err(Problem::unsupported_media_type(error.body_text()))
        }
        // The text names the field.
        Err(error @ JsonRejection::JsonDataError(_)) => Err(invalid("", error.body_text())),
        Err(error) => Err(Problem::malformed(error.body_text())),
    }
}

fn invalid(pointer: &str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError { pointer: pointer.into(), code: "invalid".into(), message: message.into() }])
}

fn refused(error: ReplayError) -> Problem {
    let text = error.to_string();
    match error {
        ReplayError::Unknown { .. } | ReplayError::Nothing => invalid("/projections", text),
        ReplayError::NoReplay(_) => Problem::not_found(text),
        ReplayError::AlreadyRunning(_) => Problem::conflict("replay-running", text),
        ReplayError::Unfinished { .. } => Problem::conflict("replay-unfinished", text),
        ReplayError::NothingToCancel(_) => Problem::conflict("nothing-to-cancel", text),
        ReplayError::TooLate => Problem::conflict("replay-over", text),
        ReplayError::NoPrevious(_) => Problem::conflict("no-previous-generation", text),
        ReplayError::Cancelled | ReplayError::Stopped | ReplayError::Overtaken(_) | ReplayError::InUse(_) => {
            Problem::unavailable("replay-ended", text, Duration::from_secs(1))
        }
        ReplayError::Database(_) | ReplayError::Store(_) => {
            let detail = "the database failed";
            Problem::unavailable("database-unavailable", detail, Duration::from_secs(1)).caused_by(error)
        }
        ReplayError::Project(_) | ReplayError::Malformed(_) | ReplayError::FoldEnded => Problem::internal(error),
    }
}
