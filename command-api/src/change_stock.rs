//! `POST /stock/{sku}/receive` and `POST /stock/{sku}/adjust`: what came in, and what was counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use cqrs_es::Aggregate;
use domain::body::InvalidBody;
use domain::ids::Sku;
use domain::stock::{self, Stock, StockCommand, StockError};
use event_store::{AppendError, Metadata, NewEvent, Outcome, StreamAppend};
use http::{HeaderName, HeaderValue, StatusCode, header};
use problem::{Precondition, Problem, Trace};
use serde::Serialize;

use crate::idempotency::{self, Keyed};
use crate::{Commands, metadata, refusal};

/// How often a change is decided anew because somebody wrote without waiting for a turn.
const ATTEMPTS: u32 = 5;

/// The answer to a change that is stored.
#[derive(Serialize)]
struct Accepted<'a> {
    status: &'static str,
    sku: &'a Sku,
    version: i64,
    position: i64,
}

pub(crate) async fn receive_stock(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    change_stock(&commands, path, trace, request, "shop POST /stock/receive", stock::parse_receipt).await
}

pub(crate) async fn adjust_stock(
    State(commands): State<Arc<Commands>>,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    change_stock(&commands, path, trace, request, "shop POST /stock/adjust", stock::parse_adjustment).await
}

async fn change_stock(
    commands: &Commands,
    path: Result<Path<String>, PathRejection>,
    trace: Trace,
    request: Request,
    scope: &'static str,
    parse: fn(&[u8]) -> Result<StockCommand, InvalidBody>,
) -> Result<Response, Problem> {
    let sku = sku(path)?;
    let (head, body) = commands.bodies.read_json(request).await?;
    commands.store.check_room().map_err(refusal::not_appended)?;
    // The key of a change of one SKU does not fit another.
    let asked = [sku.as_str().as_bytes(), b"\n", &body];
    let keyed = commands.in_flight.begin(&head.headers, scope, &asked)?;
    let precondition = Precondition::read(&head.headers)?;
    let command = parse(&body).map_err(refusal::rejected)?;
    let metadata = metadata(&trace);
    let mut current_version = 0;
    for _ in 0..ATTEMPTS {
        let turn = commands.stock.turn(BTreeSet::from([sku.to_string()])).await.map_err(refusal::not_read)?;
        let stream = turn.stream(sku.as_str());
        current_version = stream.version;
        let append = match decide(&sku, &stream.state, current_version, &command, &precondition, &metadata) {
            Ok(append) => append,
            Err(refused) => {
                drop(turn);
                return carried_out_before(commands, keyed.as_ref()).await?.ok_or(refused);
            }
        };
        let appended = match &keyed {
            Some(keyed) => turn.append_once(vec![append], keyed.request().clone()).await,
            None => turn.append(vec![append]).await,
        };
        match (appended, &keyed) {
            (Ok(appended), _) => return accepted(&sku, appended.version, appended.position),
            (Err(AppendError::Repeated(outcome)), Some(keyed)) => return repeated(keyed, &outcome),
            (Err(AppendError::Conflict), _) => {}
            (Err(error @ AppendError::Unknown(_)), None) => return Err(unknown(error)),
            (Err(error), _) => return Err(refusal::not_appended(error)),
        }
    }
    Err(refusal::contended(current_version))
}

/// The SKU that a path names. What is no id names none.
fn sku(path: Result<Path<String>, PathRejection>) -> Result<Sku, Problem> {
    path.ok().and_then(|Path(sku)| Sku::parse(sku).ok()).ok_or_else(|| Problem::not_found("there is no such SKU"))
}

fn decide(
    sku: &Sku,
    stock: &Stock,
    version: i64,
    command: &StockCommand,
    precondition: &Precondition,
    metadata: &Metadata,
) -> Result<StreamAppend, Problem> {
    precondition.check(version)?;
    let events = stock::decide(stock, command.clone()).map_err(refused)?;
    let events = events.iter().map(|event| NewEvent::new(event, metadata)).collect::<Result<_, _>>();
    let events = events.map_err(Problem::internal)?;
    Ok(StreamAppend { stream_type: Stock::TYPE, stream_id: sku.to_string(), expected_version: version, events })
}

/// Why the count stays as it is.
fn refused(refusal: StockError) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        StockError::BelowReserved { reserved } => {
            Problem::conflict("below-reserved", detail).with("pointer", "/delta").with("reserved", reserved)
        }
        StockError::NotTracked => Problem::conflict("not-tracked", detail),
        StockError::TooMany => Problem::conflict("too-many", detail),
        // The first two were refused with the body; the others are of reservations, which nobody makes here.
        StockError::ChangesNothing
        | StockError::OutOfBounds
        | StockError::NotEnough { .. }
        | StockError::MoreThanReserved { .. } => Problem::internal(refusal),
    }
}

/// The first answer to a request that is refused now because it was carried out before: under `If-Match`, for one.
async fn carried_out_before(commands: &Commands, keyed: Option<&Keyed>) -> Result<Option<Response>, Problem> {
    let Some(keyed) = keyed else { return Ok(None) };
    let outcome = commands.store.outcome_of(keyed.request()).await.map_err(|error| refusal::not_read(error.into()))?;
    outcome.map(|outcome| repeated(keyed, &outcome)).transpose()
}

/// A change has no name of its own by which it could be told from another like it.
fn unknown(error: AppendError) -> Problem {
    let detail = "the database failed; whether the change was stored is not known: look at the SKU before you send it \
                  again, and send an Idempotency-Key with the next one";
    Problem::unavailable("outcome-unknown", detail, refusal::SOON).caused_by(error)
}

/// The answer that the request got when it was carried out.
fn repeated(keyed: &Keyed, outcome: &Outcome) -> Result<Response, Problem> {
    keyed.check_same(outcome)?;
    let sku = Sku::parse(outcome.stream_id.as_str()).map_err(Problem::internal)?;
    let mut response = accepted(&sku, outcome.version, outcome.position)?;
    let (name, value) = idempotency::REPLAYED;
    response.headers_mut().insert(name, value);
    Ok(response)
}

/// 201 for the receipt that made the SKU tracked, which is its first event.
fn accepted(sku: &Sku, version: i64, position: i64) -> Result<Response, Problem> {
    let status = if version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    let headers = [
        (header::LOCATION, HeaderValue::try_from(format!("/stock/{sku}")).map_err(Problem::internal)?),
        (header::ETAG, HeaderValue::try_from(format!("\"{version}\"")).map_err(Problem::internal)?),
        (HeaderName::from_static("event-position"), HeaderValue::from(position)),
    ];
    Ok((status, headers, Json(Accepted { status: "accepted", sku, version, position })).into_response())
}
