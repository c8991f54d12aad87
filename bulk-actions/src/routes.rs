//! Bulk actions over HTTP, for operators: below `/bulk-actions`.

mod views;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use event_store::EventStore;
use http::{HeaderMap, StatusCode, header};
use problem::{FieldError, Problem, ProblemType, QueryParameters, idempotency_key};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{OpenApi, Ref, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::views::{BulkActionPage, BulkActionPreview, BulkActionView};
use crate::table::{self, Begun, BulkActionRow, MOST_AT_ONCE, NewBulkAction};
use crate::targets::Matches;
use crate::{
    BulkActionDependencies, BulkActionError, BulkActionFilter, BulkActionKind, BulkActionMistake, DeadLetterFilter,
    ParkedStreamsFilter, StuckSagaFilter,
};

/// The most characters of a reason.
const MAX_REASON: usize = 1_000;
/// The most items in a second.
const MAX_RATE: i64 = 100;
const DEFAULT_RATE: u32 = 10;
const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

/// The routes. They need no process that carries the actions on: what is begun waits for one.
pub fn routes(deps: BulkActionDependencies) -> OpenApiRouter {
    router().with_state(Arc::new(deps))
}

/// How the OpenAPI document describes [`routes()`].
#[must_use]
pub fn description() -> OpenApi {
    router().into_openapi()
}

type Dependencies = State<Arc<BulkActionDependencies>>;

fn router() -> OpenApiRouter<Arc<BulkActionDependencies>> {
    OpenApiRouter::new()
        .routes(routes!(preview))
        .routes(routes!(begin, list))
        .routes(routes!(show))
        .routes(routes!(stop))
}

/// The body of `POST /bulk-actions/preview`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = BulkActionQuestion, example = json!({"kind": "retry_sagas", "filter": {"step": "capture_payment"}}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PreviewBody {
    kind: BulkActionKind,
    /// To what it is done. Without a condition: to all.
    #[schema(value_type = AnyFilter)]
    filter: Value,
}

/// The body of `POST /bulk-actions`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(
    as = NewBulkAction,
    example = json!({"kind": "retry_sagas", "filter": {"step": "capture_payment"}, "reason": "the provider is back", "rate": 20})
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewBody {
    kind: BulkActionKind,
    /// To what it is done. Without a condition: to all.
    #[schema(value_type = AnyFilter)]
    filter: Value,
    /// Why, for those who look after orders: it is recorded with each decision.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// The most items in a second; 10 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    rate: Option<i64>,
}

/// Describes what the bodies have. No condition at all is a filter of several kinds, so it is any of them and not one.
struct AnyFilter;

impl utoipa::PartialSchema for AnyFilter {
    fn schema() -> RefOr<Schema> {
        let any = AnyOfBuilder::new()
            .description(Some("The filter of the kind: of sagas, dead letters, or parked streams."))
            .item(Ref::from_schema_name(StuckSagaFilter::name()))
            .item(Ref::from_schema_name(DeadLetterFilter::name()))
            .item(Ref::from_schema_name(ParkedStreamsFilter::name()));
        RefOr::T(Schema::AnyOf(any.build()))
    }
}

impl ToSchema for AnyFilter {
    fn name() -> Cow<'static, str> {
        "BulkActionFilter".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        use utoipa::PartialSchema;

        schemas.push((StuckSagaFilter::name().into(), StuckSagaFilter::schema()));
        schemas.push((DeadLetterFilter::name().into(), DeadLetterFilter::schema()));
        schemas.push((ParkedStreamsFilter::name().into(), ParkedStreamsFilter::schema()));
        StuckSagaFilter::schemas(schemas);
        DeadLetterFilter::schemas(schemas);
        ParkedStreamsFilter::schemas(schemas);
    }
}

/// The query parameters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BulkActionsQuery {
    /// The most of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
}

/// Shows what a bulk action would act on
///
/// Dead letters are counted up to 500 of a queue.
#[utoipa::path(
    post,
    path = "/bulk-actions/preview",
    tag = "operations",
    operation_id = "previewBulkAction",
    request_body = PreviewBody,
    responses((status = 200, description = "How many there are, and the first of them", body = BulkActionPreview))
)]
async fn preview(
    State(deps): Dependencies,
    body: Result<Json<PreviewBody>, JsonRejection>,
) -> Result<Json<BulkActionPreview>, Problem> {
    let PreviewBody { kind, filter } = parse_body(body)?;
    let filter = BulkActionFilter::parse(kind, &filter).map_err(mistakes)?;
    let now = table::now(deps.store.pool()).await.map_err(|error| problem(error.into()))?;
    let Matches { count, items } = Matches::find(&deps, &filter, now).await.map_err(problem)?;
    Ok(Json(BulkActionPreview { kind, matched: count, items }))
}

/// Begins a bulk action
///
/// It goes on in the background, in a process of the role `sagas`, with what is there now: what comes later is left alone.
#[utoipa::path(
    post,
    path = "/bulk-actions",
    tag = "operations",
    operation_id = "beginBulkAction",
    params((
        "Idempotency-Key" = Option<String>,
        Header,
        description = "Begins it once, however often the request is sent",
        min_length = 1,
        max_length = 255
    )),
    request_body = NewBody,
    responses(
        (
            status = 202,
            description = "It is begun",
            body = BulkActionView,
            headers(("Location" = String, description = "The bulk action"))
        ),
        (status = 409, description = "As many as there may be have not ended"),
    )
)]
async fn begin(
    State(deps): Dependencies,
    caller: AuthorizedCaller,
    headers: HeaderMap,
    body: Result<Json<NewBody>, JsonRejection>,
) -> Result<Response, Problem> {
    let body = parse_body(body)?;
    let (filter, rate) = body.check()?;
    let idempotency_key = idempotency_key(&headers)?;
    let request_hash: [u8; 32] = Sha256::digest(serde_json::to_vec(&body).map_err(Problem::internal)?).into();
    let (pool, actor) = (deps.store.pool(), caller.principal.subject().to_owned());
    if let Some(key) = &idempotency_key {
        let before =
            table::find_by_key(pool, &actor, key, &request_hash).await.map_err(|error| problem(error.into()))?;
        if let Some(before) = before {
            return begun(before);
        }
    }
    let created_at = table::now(pool).await.map_err(|error| problem(error.into()))?;
    let matched = Matches::find(&deps, &filter, created_at).await.map_err(problem)?.count;
    let NewBody { kind, reason, .. } = body;
    let new = NewBulkAction { kind, filter, reason, actor, rate, matched, idempotency_key, request_hash, created_at };
    begun(table::begin(pool, &new).await.map_err(problem)?)
}

/// The bulk actions, the latest first
///
/// Those that ended are kept for 90 days.
#[utoipa::path(
    get,
    path = "/bulk-actions",
    tag = "operations",
    operation_id = "listBulkActions",
    params(BulkActionsQuery),
    responses((status = 200, description = "A page of bulk actions", body = BulkActionPage))
)]
async fn list(
    State(deps): Dependencies,
    asked: Result<QueryParameters<BulkActionsQuery>, Problem>,
) -> Result<Json<BulkActionPage>, Problem> {
    page(&deps.store, asked?.0).await.map(Json)
}

/// What `GET /bulk-actions` answers to a query, for those who answer otherwise.
pub async fn read_bulk_actions(store: &EventStore, query: &str) -> Result<impl Serialize + use<>, Problem> {
    page(store, QueryParameters::parse(query)?.0).await
}

/// What `GET /bulk-actions/{id}` answers, likewise.
pub async fn read_bulk_action(store: &EventStore, id: &str) -> Result<impl Serialize + use<>, Problem> {
    let id = id.parse().map_err(|_| unknown())?;
    found(BulkActionRow::find(store.pool(), id).await).map(|Json(view)| view)
}

async fn page(store: &EventStore, asked: BulkActionsQuery) -> Result<BulkActionPage, Problem> {
    let BulkActionsQuery { limit, cursor } = asked;
    let limit = limit.map_or(Some(DEFAULT_LIMIT), |limit| u16::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let limit = limit.ok_or_else(|| invalid("?limit", format!("must be a whole number from 1 to {MAX_LIMIT}")))?;
    let before = cursor.map(|cursor| cursor.parse::<Uuid>()).transpose();
    let before =
        before.map_err(|_| invalid("?cursor", "is no cursor of this list; leave it out to start at the first page"))?;
    let rows = BulkActionRow::list(store.pool(), before, i64::from(limit) + 1).await;
    Ok(BulkActionPage::of(rows.map_err(|error| problem(error.into()))?, limit.into()))
}

/// A bulk action
#[utoipa::path(
    get,
    path = "/bulk-actions/{id}",
    tag = "operations",
    operation_id = "getBulkAction",
    params(("id" = Uuid, Path, description = "The bulk action's id")),
    responses(
        (status = 200, description = "How far it is", body = BulkActionView),
        (status = 404, description = "There is no such bulk action"),
    )
)]
async fn show(State(deps): Dependencies, path: ActionPath) -> Result<Json<BulkActionView>, Problem> {
    found(BulkActionRow::find(deps.store.pool(), action_id(path)?).await)
}

/// Stops a bulk action
///
/// What is done stays done. One that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/bulk-actions/{id}/stop",
    tag = "operations",
    operation_id = "stopBulkAction",
    params(("id" = Uuid, Path, description = "The bulk action's id")),
    responses(
        (status = 200, description = "It ends after the batch that is in work", body = BulkActionView),
        (status = 404, description = "There is no such bulk action"),
    )
)]
async fn stop(State(deps): Dependencies, path: ActionPath) -> Result<Json<BulkActionView>, Problem> {
    found(BulkActionRow::stop(deps.store.pool(), action_id(path)?).await)
}

impl NewBody {
    /// The filter and the rate, if all of it is as it has to be.
    fn check(&self) -> Result<(BulkActionFilter, u32), Problem> {
        let filter = BulkActionFilter::parse(self.kind, &self.filter);
        let rate = self
            .rate
            .map_or(Some(DEFAULT_RATE), |rate| u32::try_from(rate).ok().filter(|_| (1..=MAX_RATE).contains(&rate)));
        let is_reason = (1..=MAX_REASON).contains(&self.reason.chars().count())
            && !self.reason.trim().is_empty()
            && !self.reason.contains('\0');
        let mut errors = Vec::new();
        if !is_reason {
            errors.push(field("/reason", format!("must say why, in 1 to {MAX_REASON} characters")));
        }
        if rate.is_none() {
            errors.push(field("/rate", format!("must be a whole number from 1 to {MAX_RATE}")));
        }
        match (filter, rate) {
            (Ok(filter), Some(rate)) if errors.is_empty() => Ok((filter, rate)),
            (filter, _) => {
                errors.extend(filter.err().unwrap_or_default().into_iter().map(|it| field(&it.pointer, it.message)));
                Err(Problem::invalid(errors))
            }
        }
    }
}

fn begun(begun: Begun) -> Result<Response, Problem> {
    match begun {
        Begun::New(row) | Begun::Before(row) => {
            let location = format!("/bulk-actions/{}", row.id);
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(BulkActionView::of(row))).into_response())
        }
        Begun::KeyReused => {
            let detail = "this Idempotency-Key was used for a request with another body; use a new key";
            Err(Problem::new(ProblemType::IdempotencyKeyReused, detail))
        }
        Begun::TooMany => Err(limit_reached("bulk-actions", MOST_AT_ONCE, "have not ended")),
        Begun::DeadLettersInUse => Err(limit_reached(
            "bulk-actions-on-dead-letters",
            1,
            "of dead letters has not ended, and others do not see them",
        )),
    }
}

fn limit_reached(of: &'static str, limit: usize, what: &str) -> Problem {
    let detail =
        format!("{limit} bulk actions {what}; wait, or stop one").replacen("1 bulk actions", "a bulk action", 1);
    Problem::new(ProblemType::LimitReached, detail).with("of", of).with("limit", limit)
}

fn found(row: Result<Option<BulkActionRow>, sqlx::Error>) -> Result<Json<BulkActionView>, Problem> {
    let row = row.map_err(|error| problem(error.into()))?;
    row.map(|row| Json(BulkActionView::of(row))).ok_or_else(unknown)
}

type ActionPath = Result<Path<Uuid>, PathRejection>;

fn action_id(path: ActionPath) -> Result<Uuid, Problem> {
    path.map(|Path(id)| id).map_err(|_| unknown())
}

fn unknown() -> Problem {
    Problem::not_found("there is no such bulk action")
}

fn parse_body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
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

fn mistakes(mistakes: Vec<BulkActionMistake>) -> Problem {
    Problem::invalid(mistakes.into_iter().map(|it| field(&it.pointer, it.message)).collect())
}

fn invalid(pointer: &str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![field(pointer, message)])
}

fn field(pointer: &str, message: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.into(), code: "invalid".into(), message: message.into() }
}

fn problem(error: BulkActionError) -> Problem {
    match error {
        BulkActionError::Database(_) => {
            let problem = Problem::new(ProblemType::DatabaseUnavailable, "the database failed");
            problem.retry_after(Duration::from_secs(1)).caused_by(error)
        }
        BulkActionError::DeadLetters(_) => {
            let problem = Problem::new(ProblemType::Overloaded, "the queues do not answer; nothing was begun");
            problem.retry_after(Duration::from_secs(5)).caused_by(error)
        }
        BulkActionError::Lost | BulkActionError::Unreadable(_) => Problem::internal(error),
    }
}
