//! Dead letters over HTTP: below `/dead-letters`.

mod views;

use access_control::{AuthorizedCaller, RoutePermission};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::dead_letter::DeadLetterVerb;
use event_store::{IdempotencyKey, Metadata};
use http::{HeaderMap, HeaderName, HeaderValue};
use messaging::{DeadLetter, DeadLetterOrigin};
use problem::{Problem, ProblemType, QueryParameters, Trace, idempotency_key};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::views::{DeadLetterView, DeadLettersView, DecisionView};
use crate::DeadLetters;
use crate::decide::{CarriedOut, Decision, invalid, no_such_letter};

/// The most characters of a reason.
const MAX_REASON: usize = 1_000;
/// The most characters of a part of an error.
const MAX_ERROR: usize = 4_000;
/// More than any queue takes.
const MAX_BODY: usize = 1 << 20;

/// The routes.
pub fn routes(dead_letters: DeadLetters) -> OpenApiRouter {
    router().with_state(dead_letters)
}

/// How the OpenAPI document describes [`routes()`].
#[must_use]
pub fn description() -> OpenApi {
    router().into_openapi()
}

fn router() -> OpenApiRouter<DeadLetters> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(redrive)).routes(routes!(discard))
}

/// The query parameters of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeadLettersQuery {
    /// Only those of this queue.
    #[param(pattern = "^(notifications|replies)$")]
    queue: Option<String>,
    /// Only those whose error contains this. Not for those who see errors masked.
    #[param(min_length = 1, max_length = 4000)]
    error: Option<String>,
}

/// The body of `POST /dead-letters/{queue}/{id}/redrive`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetterRedrive, example = json!({"reason": "the mail service is back"}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RedriveBody {
    /// Another body, as text, that is sent in its place. Whoever gives it answers for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1048576)]
    body: Option<String>,
    /// Why, for those who look after the platform.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// The body of `POST /dead-letters/{queue}/{id}/discard`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetterDiscard, example = json!({"reason": "nobody knows who sent it"}))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DiscardBody {
    /// Why, for those who look after the platform.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// The first dead letters of each queue
///
/// Up to 100 of a queue, of up to 4 MiB, as they were at `at`: at most a minute ago. Who asks five seconds later or more has them read again
/// for whoever asks next. A queue hides from others what is being read, for as long as that takes.
#[utoipa::path(
    get,
    path = "/dead-letters",
    tag = "operations",
    operation_id = "listDeadLetters",
    params(DeadLettersQuery),
    responses((status = 200, description = "The dead letters, and how many there are for which reason", body = DeadLettersView))
)]
async fn list(
    State(dead_letters): State<DeadLetters>,
    caller: AuthorizedCaller,
    asked: Result<QueryParameters<DeadLettersQuery>, Problem>,
) -> Result<Json<DeadLettersView>, Problem> {
    answer(&dead_letters, &caller, asked?.0).await.map(Json)
}

/// What `GET /dead-letters` answers to a query, for those who answer otherwise.
pub async fn read_dead_letters(
    dead_letters: &DeadLetters,
    caller: &AuthorizedCaller,
    query: &str,
) -> Result<impl Serialize + use<>, Problem> {
    answer(dead_letters, caller, QueryParameters::parse(query)?.0).await
}

/// What `GET /dead-letters/{queue}/{id}` answers, likewise.
pub async fn read_dead_letter(
    dead_letters: &DeadLetters,
    queue: &str,
    id: &str,
) -> Result<impl Serialize + use<>, Problem> {
    let origin = queue.parse().map_err(|_| no_such_queue())?;
    one(dead_letters, origin, id).await
}

async fn answer(
    dead_letters: &DeadLetters,
    caller: &AuthorizedCaller,
    asked: DeadLettersQuery,
) -> Result<DeadLettersView, Problem> {
    let DeadLettersQuery { queue, error } = asked;
    let origin = queue.map(|queue| queue.parse::<DeadLetterOrigin>());
    let origin = origin.transpose().map_err(|message| invalid("?queue", message))?;
    if error.as_ref().is_some_and(|text| text.contains('\0') || !(1..=MAX_ERROR).contains(&text.chars().count())) {
        return Err(invalid("?error", format!("must have 1 to {MAX_ERROR} characters, none of them NUL")));
    }
    // Who tries one text after the other finds out what is masked.
    if error.is_some() && caller.grant != RoutePermission::All {
        let detail = format!("the role {} may not ask for dead letters by error", caller.principal.role().as_str());
        return Err(Problem::new(ProblemType::Forbidden, detail));
    }
    let look = dead_letters.look().await?;
    let wanted = |letter: &DeadLetter| error.as_ref().is_none_or(|part| letter.why().contains(part.as_str()));
    Ok(DeadLettersView::of(&look, origin, wanted))
}

/// A dead letter with its body
///
/// Queues have no read by id: one that is not in the list is looked for among the first 2,000 of its queue.
#[utoipa::path(
    get,
    path = "/dead-letters/{queue}/{id}",
    tag = "operations",
    operation_id = "getDeadLetter",
    params(
        ("queue" = String, Path, description = "The queue that it came from", pattern = "^(notifications|replies)$"),
        ("id" = String, Path, description = "Its id, or the one that it had before")
    ),
    responses(
        (status = 200, description = "The dead letter", body = DeadLetterView),
        (status = 404, description = "There is no such dead letter, or it can't be seen"),
    )
)]
async fn show(State(dead_letters): State<DeadLetters>, path: LetterPath) -> Result<Json<DeadLetterView>, Problem> {
    let (origin, id) = letter_path(path)?;
    one(&dead_letters, origin, &id).await.map(Json)
}

async fn one(dead_letters: &DeadLetters, origin: DeadLetterOrigin, id: &str) -> Result<DeadLetterView, Problem> {
    let letter = dead_letters.letter(origin, id).await?.map_err(|unseen| no_such_letter(id, unseen))?;
    Ok(DeadLetterView::of(origin, letter, dead_letters.keys()))
}

/// Sends a dead letter to its queue again, with another body if one is given
#[utoipa::path(
    post,
    path = "/dead-letters/{queue}/{id}/redrive",
    tag = "operations",
    operation_id = "redriveDeadLetter",
    params(
        ("queue" = String, Path, description = "The queue that it came from", pattern = "^(notifications|replies)$"),
        ("id" = String, Path, description = "Its id, or the one that it had before"),
        ("Idempotency-Key" = Option<String>, Header, description = "Does it once", min_length = 1, max_length = 255)
    ),
    request_body = RedriveBody,
    responses(
        (status = 200, description = "It is in its queue, and no dead letter any more", body = DecisionView),
        (status = 404, description = "There is no such dead letter, or it can't be seen"),
    )
)]
async fn redrive(
    State(dead_letters): State<DeadLetters>,
    caller: AuthorizedCaller,
    trace: Trace,
    path: LetterPath,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Problem> {
    let (origin, id) = letter_path(path)?;
    let RedriveBody { body, reason } = parse_body(body)?;
    if body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
        return Err(invalid("/body", format!("must have at most {MAX_BODY} bytes")));
    }
    let verb = if body.is_some() { DeadLetterVerb::Edit } else { DeadLetterVerb::Redrive };
    let decision = Decision { origin, id, verb, body, reason, metadata: metadata(&caller, &trace), key: None };
    decide(&dead_letters, &caller, &headers, decision).await
}

/// Deletes a dead letter for good
#[utoipa::path(
    post,
    path = "/dead-letters/{queue}/{id}/discard",
    tag = "operations",
    operation_id = "discardDeadLetter",
    params(
        ("queue" = String, Path, description = "The queue that it came from", pattern = "^(notifications|replies)$"),
        ("id" = String, Path, description = "Its id, or the one that it had before"),
        ("Idempotency-Key" = Option<String>, Header, description = "Does it once", min_length = 1, max_length = 255)
    ),
    request_body = DiscardBody,
    responses(
        (status = 200, description = "It is deleted", body = DecisionView),
        (status = 404, description = "There is no such dead letter, or it can't be seen"),
    )
)]
async fn discard(
    State(dead_letters): State<DeadLetters>,
    caller: AuthorizedCaller,
    trace: Trace,
    path: LetterPath,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Response, Problem> {
    let (origin, id) = letter_path(path)?;
    let DiscardBody { reason } = parse_body(body)?;
    let (verb, metadata) = (DeadLetterVerb::Discard, metadata(&caller, &trace));
    let decision = Decision { origin, id, verb, body: None, reason, metadata, key: None };
    decide(&dead_letters, &caller, &headers, decision).await
}

async fn decide(
    dead_letters: &DeadLetters,
    caller: &AuthorizedCaller,
    headers: &HeaderMap,
    mut decision: Decision,
) -> Result<Response, Problem> {
    if decision.reason.trim().is_empty()
        || decision.reason.contains('\0')
        || decision.reason.chars().count() > MAX_REASON
    {
        return Err(invalid("/reason", format!("must say why, in 1 to {MAX_REASON} characters")));
    }
    let request =
        serde_json::json!([decision.origin.as_str(), decision.id, decision.verb, decision.body, decision.reason]);
    decision.key = idempotency_key(headers)?.map(|key| IdempotencyKey {
        scope: format!("{} POST /dead-letters", caller.principal.identity()),
        key,
        request_hash: Sha256::digest(request.to_string()).into(),
    });
    // Whoever asks may go away between the message being sent and the dead letter being deleted.
    let dead_letters = dead_letters.clone();
    let carried_out = tokio::spawn(async move {
        let carried_out = dead_letters.carry_out(&decision).await;
        carried_out.map(|carried_out| (decision, carried_out))
    });
    let (decision, CarriedOut { verb, is_replayed }) = carried_out.await.map_err(Problem::internal)??;
    let mut answer = Json(DecisionView::of(decision.origin, decision.id, verb)).into_response();
    if is_replayed {
        answer.headers_mut().insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    }
    Ok(answer)
}

fn metadata(caller: &AuthorizedCaller, trace: &Trace) -> Metadata {
    Metadata {
        actor: Some(caller.principal.actor()),
        correlation_id: Some(trace.trace_id().to_owned()),
        causation_id: None,
        traceparent: Some(trace.traceparent().to_owned()),
    }
}

type LetterPath = Result<Path<(String, String)>, PathRejection>;

fn letter_path(path: LetterPath) -> Result<(DeadLetterOrigin, String), Problem> {
    let Path((queue, id)) = path.map_err(|_| no_such_queue())?;
    Ok((queue.parse().map_err(|_| no_such_queue())?, id))
}

fn no_such_queue() -> Problem {
    Problem::not_found("there are dead letters of the queues notifications and replies")
}

fn parse_body<T: DeserializeOwned>(body: Result<Json<Value>, JsonRejection>) -> Result<T, Problem> {
    match body {
        // An array would be read as the fields in their order.
        Ok(Json(body @ Value::Object(_))) => {
            serde_json::from_value(body).map_err(|error| invalid("", error.to_string()))
        }
        Ok(Json(_)) => Err(invalid("", "must be an object")),
        Err(error @ JsonRejection::MissingJsonContentType(_)) => {
            Err(Problem::unsupported_media_type(error.body_text()))
        }
        Err(error) => Err(Problem::malformed(error.body_text())),
    }
}
