//! `GET /sagas`: the sagas that wait or are stuck, longest first, page by page.

use access_control::{AuthorizedCaller, RoutePermission};
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use domain::order::saga::SagaStep;
use event_store::EventStore;
use problem::{FieldError, Problem, ProblemType, QueryParameters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::unavailable;
use crate::report::{self, SagaState, WaitingSagaCursor, WaitingSagaFilter, WaitingSagaRow};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;
/// The most characters of a part of an error: as many as are kept of one.
const MAX_ERROR: usize = 4_000;

/// The query parameters of the list of sagas.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SagasQuery {
    /// Only those that are `stuck`, or only those that wait: `running`.
    #[param(pattern = "^(running|stuck)$")]
    state: Option<String>,
    /// Only those that wait at this step.
    #[param(value_type = Option<SagaStep>, inline)]
    step: Option<String>,
    /// Only those whose last error contains this. Not for those who see errors masked.
    #[param(min_length = 1, max_length = 4000)]
    error: Option<String>,
    /// Only those that have been at their step since then or longer.
    #[param(value_type = Option<DateTime<Utc>>)]
    until: Option<String>,
    /// The most sagas of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before. It is good for exactly the same question.
    cursor: Option<String>,
}

/// A page of sagas.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SagasPage {
    items: Vec<WaitingSaga>,
    cursor: Option<String>,
}

/// A saga of an order that waits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingSaga {
    saga: String,
    order_id: String,
    step: String,
    state: SagaState,
    attempts: u32,
    since: DateTime<Utc>,
    /// `None` if the saga is stuck: it is not tried by itself.
    next_try_at: Option<DateTime<Utc>>,
    /// When the reservation of a stuck order runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_ends_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

/// Where a page ended, and the query that it belongs to.
#[derive(Debug, Serialize, Deserialize)]
struct SagaListCursor {
    #[serde(flatten)]
    question: SagaQuestion,
    after: WaitingSagaCursor,
}

/// What is asked for, on each page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SagaQuestion {
    stuck: Option<bool>,
    step: Option<SagaStep>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

/// The sagas that wait or are stuck, the longest first
#[utoipa::path(
    get,
    path = "/sagas",
    tag = "operations",
    operation_id = "listSagas",
    params(SagasQuery),
    responses((status = 200, description = "A page of sagas", body = SagasPage))
)]
pub(super) async fn waiting(
    State(store): State<EventStore>,
    caller: AuthorizedCaller,
    asked: Result<QueryParameters<SagasQuery>, Problem>,
) -> Result<Json<SagasPage>, Problem> {
    page(&store, &caller, asked?.0).await.map(Json)
}

/// What `GET /sagas` answers to a query, for those who answer otherwise. The problem names every parameter that is invalid.
pub async fn read_waiting(
    store: &EventStore,
    caller: &AuthorizedCaller,
    query: &str,
) -> Result<impl Serialize + use<>, Problem> {
    page(store, caller, QueryParameters::parse(query)?.0).await
}

async fn page(store: &EventStore, caller: &AuthorizedCaller, asked: SagasQuery) -> Result<SagasPage, Problem> {
    let SagasQuery { state, step: at, error, until, limit, cursor } = asked;
    let stuck = state.as_deref().map(stuck).transpose()?;
    let step = at.as_deref().map(step).transpose()?;
    if error.as_ref().is_some_and(|text| text.contains('\0') || !(1..=MAX_ERROR).contains(&text.chars().count())) {
        return Err(invalid("error", format!("must have 1 to {MAX_ERROR} characters, none of them NUL")));
    }
    // Who tries one text after the other finds out what is masked.
    if error.is_some() && caller.grant != RoutePermission::All {
        let detail = format!("the role {} may not ask for sagas by error", caller.principal.role().as_str());
        return Err(Problem::new(ProblemType::Forbidden, detail));
    }
    let until = until.as_deref().map(instant).transpose()?;
    let question = SagaQuestion { stuck, step, error, until };
    let limit = limit.map_or(Some(DEFAULT_LIMIT), |limit| u16::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let limit = limit.ok_or_else(|| invalid("limit", format!("must be a whole number from 1 to {MAX_LIMIT}")))?;
    let after = cursor.as_deref().map(|text| SagaListCursor::decode(text, &question)).transpose()?;
    let filter =
        WaitingSagaFilter { stuck, step, error: question.error.as_deref(), until, ..WaitingSagaFilter::default() };
    // One row more than the limit tells whether there is a next page.
    let mut rows =
        report::waiting(store.pool(), filter, after.as_ref(), i64::from(limit) + 1).await.map_err(unavailable)?;
    let more = rows.len() > usize::from(limit);
    rows.truncate(usize::from(limit));
    let last = rows.last().filter(|_| more);
    let cursor = last.map(|row| SagaListCursor { question, after: WaitingSagaCursor::of(row) }.encode());
    Ok(SagasPage { items: rows.into_iter().map(WaitingSaga::from).collect(), cursor })
}

fn instant(text: &str) -> Result<DateTime<Utc>, Problem> {
    let read = text.parse().ok().filter(|at| has_storable_year(*at));
    read.ok_or_else(|| invalid("until", "must be an instant, such as 2026-11-24T09:30:00Z"))
}

/// Postgres refuses instants long ago.
fn has_storable_year(at: DateTime<Utc>) -> bool {
    (0..=9_999).contains(&at.year())
}

impl SagaListCursor {
    fn encode(&self) -> String {
        // Texts and times always serialize.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str, question: &SagaQuestion) -> Result<WaitingSagaCursor, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let ours = cursor.filter(|cursor| cursor.question == *question);
        let ours = ours.filter(|cursor| has_storable_year(cursor.after.since));
        // Postgres refuses NUL in a text.
        let sound = ours.filter(|cursor| !cursor.after.saga.contains('\0') && !cursor.after.order_id.contains('\0'));
        let wrong = "is no cursor of this query; leave it out to start at the first page";
        sound.map(|cursor| cursor.after).ok_or_else(|| invalid("cursor", wrong))
    }
}

impl From<WaitingSagaRow> for WaitingSaga {
    fn from(row: WaitingSagaRow) -> Self {
        let WaitingSagaRow { saga, order_id, step, attempts, failures: _, since, next_try_at, stuck, last_error } = row;
        let state = if stuck { SagaState::Stuck } else { SagaState::Running };
        let (next_try_at, reservation_ends_at) = if stuck { (None, next_try_at) } else { (next_try_at, None) };
        Self { saga, order_id, step, state, attempts, since, next_try_at, reservation_ends_at, last_error }
    }
}

fn stuck(state: &str) -> Result<bool, Problem> {
    match SagaState::ALL.into_iter().find(|known| known.name() == state) {
        Some(SagaState::Stuck) => Ok(true),
        Some(SagaState::Running) => Ok(false),
        Some(SagaState::Failed | SagaState::Completed | SagaState::Compensated) | None => {
            Err(invalid("state", "must be running or stuck; without it both are listed"))
        }
    }
}

fn step(name: &str) -> Result<SagaStep, Problem> {
    let known = || format!("must be one of {}", SagaStep::ALL.map(SagaStep::name).join(", "));
    SagaStep::parse(name).ok_or_else(|| invalid("step", known()))
}

fn invalid(parameter: &str, message: impl Into<String>) -> Problem {
    let (pointer, message) = (format!("?{parameter}"), message.into());
    Problem::invalid(vec![FieldError { pointer, code: "invalid".into(), message }])
}
