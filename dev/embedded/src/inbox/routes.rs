//! The inbox over HTTP: SES's path for programs that send, `/messages` for programs that look, a page for people.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::BytesRejection},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use http::{HeaderName, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    mailbox::{Mailbox, Message},
    send_email,
};

/// The largest request that is read: 10 MiB.
pub const BODY_LIMIT: usize = 10 * 1024 * 1024;

/// The inbox's routes on a mailbox.
pub fn router(mailbox: Mailbox) -> Router {
    Router::new()
        .route("/v2/email/outbound-emails", post(send))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .route("/messages", get(list).delete(clear))
        .route("/messages/{id}", get(show))
        .route("/health", get(health))
        .route("/", get(page))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(mailbox)
}

async fn send(State(mailbox): State<Mailbox>, body: Result<Bytes, BytesRejection>) -> Response {
    let id = Uuid::now_v7().to_string();
    let parsed = body
        .map_err(|rejection| rejection.body_text())
        .and_then(|body| send_email::parse(&body, id.clone(), Utc::now()));
    match parsed {
        Ok(message) => {
            mailbox.add(message);
            Json(json!({ "MessageId": id })).into_response()
        }
        Err(message) => refusal(StatusCode::BAD_REQUEST, "BadRequestException", &message),
    }
}

#[derive(Deserialize)]
struct Listing {
    limit: Option<usize>,
    /// Without what was written: all that are kept are some 60 MiB with it.
    #[serde(default)]
    brief: bool,
    /// Only those that have this text in an address, the subject, the plain text or a tag, in whatever case.
    q: Option<String>,
    /// Only what came after so many mails, oldest first; brief ones say which number they have.
    after: Option<u64>,
}

/// Enough of a mail to know which it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Brief<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    id: &'a str,
    to: &'a [String],
    subject: &'a str,
    received_at: DateTime<Utc>,
}

impl<'a> Brief<'a> {
    fn of(number: Option<u64>, message: &'a Message) -> Self {
        Self { number, id: &message.id, to: &message.to, subject: &message.subject, received_at: message.received_at }
    }
}

async fn list(State(mailbox): State<Mailbox>, Query(listing): Query<Listing>) -> Response {
    let limit = listing.limit.unwrap_or(usize::MAX);
    let wanted = listing.q.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
    // What is looked through is not held up for others.
    let read = if wanted.is_some() { usize::MAX } else { limit };
    let messages: Vec<(Option<u64>, Arc<Message>)> = match listing.after {
        Some(after) => mailbox.after(after, read).into_iter().map(|(number, mail)| (Some(number), mail)).collect(),
        None => mailbox.newest(read).into_iter().map(|mail| (None, mail)).collect(),
    };
    let fits = |(_, mail): &(Option<u64>, Arc<Message>)| wanted.as_deref().is_none_or(|wanted| mail.has(wanted));
    let messages: Vec<_> = messages.into_iter().filter(fits).take(limit).collect();
    if listing.brief {
        let brief = messages.iter().map(|(number, message)| Brief::of(*number, message));
        return Json(brief.collect::<Vec<_>>()).into_response();
    }
    Json(messages.iter().map(|(_, message)| &**message).collect::<Vec<&Message>>()).into_response()
}

async fn show(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    match mailbox.find(&id) {
        Some(message) => Json(&*message).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "NotFoundException", "there is no such mail"),
    }
}

async fn clear(State(mailbox): State<Mailbox>) -> StatusCode {
    mailbox.clear();
    StatusCode::NO_CONTENT
}

async fn health(State(mailbox): State<Mailbox>) -> Json<Value> {
    Json(json!({ "status": "ok", "accepted": mailbox.accepted(), "kept": mailbox.kept() }))
}

async fn page() -> Response {
    // The page shows what strangers wrote. Only the script with this number runs; a mail's HTML, which is under the same policy
    // in its frame, can neither run scripts nor load anything.
    let nonce = Uuid::now_v7().simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = include_str!("page.html").replace("{{nonce}}", &nonce);
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, Html(page)).into_response()
}

async fn unknown(method: http::Method, uri: Uri) -> Response {
    let message = format!("this endpoint knows SendEmail only, not {method} {}", uri.path());
    refusal(StatusCode::NOT_FOUND, "UnknownOperationException", &message)
}

/// An error in the shape the AWS SDKs read.
fn refusal(status: StatusCode, kind: &'static str, message: &str) -> Response {
    let headers = [(HeaderName::from_static("x-amzn-errortype"), kind)];
    (status, headers, Json(json!({ "message": message }))).into_response()
}
